package query

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

const someMemory = 1 << 24

// sorted sorts messages with those headers, whose UIDs are 1, 2 and so on. The
// message with UID n was received at n*1000 and has 100-n octets.
func sorted(t interface{ Fatal(...any) }, headers []string, criteria ...SortCriterion) []mailaccess.UID {
	s, err := NewSorter(criteria, 0, upTo(someMemory))
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range headers {
		if ok, err := s.Add(sortedMessage(i), AppendSortKey(nil, message.Header(h))); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	return s.Sorted()
}

func sortedMessage(i int) *mailaccess.Message {
	return &mailaccess.Message{UID: mailaccess.UID(i + 1), Received: time.Unix(int64(i+1)*1000, 0), Size: int64(99 - i)}
}

// RFC 5256, section 3; RFC 5957, section 3.
func TestSort(t *testing.T) {
	headers := func(field string, values ...string) []string {
		for i, v := range values {
			if values[i] = field + ": " + v + "\r\n\r\n"; v == "" {
				values[i] = "\r\n"
			}
		}
		return values
	}
	for _, tt := range []struct {
		name    string
		headers []string
		key     SortKey
		want    []mailaccess.UID // without REVERSE
		reverse []mailaccess.UID
	}{
		{
			"subjects by their base, whatever the case, the empty first",
			headers("Subject", "b", "Re: a", "[x] B", "", "A", "Re:"),
			SortSubject,
			[]mailaccess.UID{4, 6, 2, 5, 1, 3}, []mailaccess.UID{1, 3, 2, 5, 4, 6},
		},
		{
			"subjects decoded",
			headers("Subject", "=?utf-8?q?z?=", "=?iso-8859-1?q?=E4?=", "y", "a", "b"),
			SortSubject,
			[]mailaccess.UID{4, 2, 5, 3, 1}, []mailaccess.UID{1, 3, 5, 2, 4},
		},
		{ // RFC 5255, section 4.6: the example.
			"what has no meaning comes last, by its octets",
			headers("Subject",
				"=?utf-8?q?=D0=C0=D0=BD=D0=B4=D1=80=D0=B5=D0=B9?=",
				"=?utf-8?q?=D1=81=D0=95=D0=A0=D0=93=D0=95=D0=99?=",
				"=?utf-8?q?=D0=92=D0=B0=D1=81=D0=B8=D0=BB=D0=B8=FF=B9?=",
				"=?koi8-r?q?=E1=CC=C5=CB=D3=C5=CA?="),
			SortSubject,
			[]mailaccess.UID{4, 2, 3, 1}, []mailaccess.UID{1, 3, 2, 4},
		},
		{
			"a text that begins another one comes first, NUL or not",
			headers("Subject", "ab", "=?utf-8?q?a=00?=", "a", "=?utf-8?q?a=00b?=", "=?utf-8?q?a=01?="),
			SortSubject,
			[]mailaccess.UID{3, 2, 4, 5, 1}, []mailaccess.UID{1, 5, 4, 2, 3},
		},
		{
			"dates with their zones, and what has none by when it came",
			headers("Date", "1 Jan 1970 03:00 +0100", "", "1 Jan 1970 00:30:00 GMT", "never", "1 Jan 1970 25:00 +0000"),
			SortDate, // 7200, 2000, 1800, 4000, 0
			[]mailaccess.UID{5, 3, 2, 4, 1}, []mailaccess.UID{1, 4, 2, 3, 5},
		},
		{
			"the mailbox of the first address",
			headers("From", "Zoe <b@z>", "a@z, zz@z", "", "C <B@a>", "<a@a>"),
			SortFrom,
			[]mailaccess.UID{3, 2, 5, 1, 4}, []mailaccess.UID{1, 4, 2, 5, 3},
		},
		{
			"groups by their name",
			headers("To", "b@z", "a group: z@z;", "undisclosed:;"),
			SortTo,
			[]mailaccess.UID{2, 1, 3}, []mailaccess.UID{3, 1, 2},
		},
		{
			"Cc",
			headers("Cc", "b@z", "", "a@z"),
			SortCc,
			[]mailaccess.UID{2, 3, 1}, []mailaccess.UID{1, 3, 2},
		},
		{
			"names, and addresses without one",
			headers("From", "=?utf-8?q?=C3=84nne?= <z@z>", "am@z", "", `"ann" <b@z>`, "am@a", "am <y@y>", `"" <B@z>`),
			SortDisplayFrom,
			[]mailaccess.UID{3, 6, 5, 2, 4, 1, 7}, []mailaccess.UID{7, 1, 4, 2, 5, 6, 3},
		},
		{
			"names of who gets it",
			headers("To", "Bob <a@z>", "al <z@z>"),
			SortDisplayTo,
			[]mailaccess.UID{2, 1}, []mailaccess.UID{1, 2},
		},
		{"arrival", headers("X", "", "", ""), SortArrival, []mailaccess.UID{1, 2, 3}, []mailaccess.UID{3, 2, 1}},
		{"size", headers("X", "", "", ""), SortSize, []mailaccess.UID{3, 2, 1}, []mailaccess.UID{1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sorted(t, tt.headers, SortCriterion{Key: tt.key}); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
			if got := sorted(t, tt.headers, SortCriterion{Key: tt.key, Reverse: true}); !slices.Equal(got, tt.reverse) {
				t.Errorf("reverse: %v, want %v", got, tt.reverse)
			}
		})
	}
}

// naiveSortText is what is compared, without the key that is kept of it.
func naiveSortText(h message.Header, key SortKey) string {
	prepared := func(text string, ok bool) string {
		if ok || text == "" {
			return UnicodeCasemap(text)
		}
		return "\xff" + text
	}
	fold := func(v string) string { return prepared(message.TextOrOctets(v)) }
	e := h.Envelope()
	address := func(list []message.Address, display bool) string {
		switch {
		case len(list) == 0:
			return ""
		case display && list[0].Name != "":
			return fold(list[0].Name)
		case display:
			return fold(list[0].Mailbox + "@" + list[0].Host)
		}
		return fold(list[0].Mailbox)
	}
	switch key {
	case SortSubject:
		text, ok := message.TextOrOctets(e.Subject.Value)
		base, _ := naiveBaseSubject(text)
		return prepared(base, ok)
	case SortFrom, SortDisplayFrom:
		return address(e.From, key == SortDisplayFrom)
	case SortTo, SortDisplayTo:
		return address(e.To, key == SortDisplayTo)
	case SortCc:
		return address(e.Cc, false)
	}
	return ""
}

func naiveSorted(headers []string, criteria []SortCriterion) []mailaccess.UID {
	uids := make([]mailaccess.UID, len(headers))
	for i := range uids {
		uids[i] = mailaccess.UID(i + 1)
	}
	slices.SortStableFunc(uids, func(a, b mailaccess.UID) int {
		m, n := sortedMessage(int(a-1)), sortedMessage(int(b-1))
		h, g := message.Header(headers[a-1]), message.Header(headers[b-1])
		sent := func(m *mailaccess.Message, h message.Header) int64 {
			if t, ok := h.Date(); ok {
				return t.Unix()
			}
			return m.Received.Unix()
		}
		for _, c := range criteria {
			order := 0
			switch c.Key {
			case SortArrival:
				order = m.Received.Compare(n.Received)
			case SortSize:
				order = cmp.Compare(m.Size, n.Size)
			case SortDate:
				order = cmp.Compare(sent(m, h), sent(n, g))
			default:
				order = strings.Compare(naiveSortText(h, c.Key), naiveSortText(g, c.Key))
			}
			if c.Reverse {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return uids
}

func TestSortIsTheNaiveOne(t *testing.T) {
	text := rapid.SampledFrom([]string{
		"", "a", "B", "ab", "abcdefgh", "abcdefghi", "ABCDEFGH", "abcdefg", "Re: a", "[x] b", "ä", "\xff", "ä\xff",
		"=?utf-8?q?=00?=", "=?utf-8?q?a=00a?=", "=?x?q?a?=", "a b",
	})
	address := rapid.SampledFrom([]string{
		"", "a@b", "A@a", "b <a@b>", "=?utf-8?q?=C3=A4?= <z@b>", "b@a, a@a", ",", "abcdefghij <b@b>", "abcdefghi <b@b>", "\xff@b",
	})
	date := rapid.SampledFrom([]string{"", "1 Jan 1970 00:00:01 +0000", "1 Jan 1970 00:30 +0000", "1 Jan 1960", "no", "31 Dec 1969 23:30 -0100"})
	header := rapid.Custom(func(t *rapid.T) string {
		var h strings.Builder
		for _, f := range []struct {
			name string
			of   *rapid.Generator[string]
		}{{"Subject", text}, {"From", address}, {"To", address}, {"Cc", address}, {"Date", date}} {
			if v := f.of.Draw(t, f.name); v != "" {
				fmt.Fprintf(&h, "%s: %s\r\n", f.name, v)
			}
		}
		return h.String() + "\r\n"
	})
	criterion := rapid.Custom(func(t *rapid.T) SortCriterion {
		return SortCriterion{SortKey(rapid.IntRange(0, int(sortKeys)-1).Draw(t, "key")), rapid.Bool().Draw(t, "reverse")}
	})
	rapid.Check(t, func(t *rapid.T) {
		headers := rapid.SliceOfN(header, 0, 12).Draw(t, "headers")
		criteria := rapid.SliceOfN(criterion, 1, 4).Draw(t, "criteria")
		if got, want := sorted(t, headers, criteria...), naiveSorted(headers, criteria); !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", criteria, got, want)
		}
	})
}

// Of many equals, none passes another, in either direction.
func TestSortKeepsEqualsInOrder(t *testing.T) {
	headers := make([]string, 2000)
	for i := range headers {
		headers[i] = fmt.Sprintf("Subject: %c\r\n\r\n", 'a'+i*7%3)
	}
	for _, reverse := range []bool{false, true} {
		criteria := []SortCriterion{{SortSubject, reverse}}
		if got, want := sorted(t, headers, criteria...), naiveSorted(headers, criteria); !slices.Equal(got, want) {
			t.Errorf("reverse %v: equals changed places", reverse)
		}
	}
}

func TestSorterLimits(t *testing.T) {
	kind := func(_ any, err error) mailaccess.Kind { return mailaccess.KindOf(err) }
	if got := kind(NewSorter(nil, 1001, upTo(1000*sortRecordSize))); got != mailaccess.KindLimit {
		t.Errorf("too many messages: %v", got)
	}
	if got := kind(NewSorter([]SortCriterion{{Key: sortKeys}}, 0, upTo(someMemory))); got != mailaccess.KindInvalid {
		t.Errorf("unknown key: %v", got)
	}
	// Each criterion as often as a client likes, with texts as long as they get.
	var criteria []SortCriterion
	for i := range 1000 {
		criteria = append(criteria, SortCriterion{SortKey(i % int(sortKeys)), i%2 == 0})
	}
	long := strings.Repeat("=00", 2000)
	h := message.Header("Subject: =?utf-8?q?" + long + "?=\r\nFrom: =?utf-8?q?" + long + "?= <" + strings.Repeat("x", 2000) +
		"@y>\r\nTo: =?utf-8?q?" + long + "?= <a@b>\r\nCc: =?utf-8?q?" + long + "?= <a@b>\r\n\r\n")
	key := AppendSortKey(nil, h)
	if len(key) > MaxSortKey {
		t.Errorf("a key of %d octets, want %d at most", len(key), MaxSortKey)
	}
	s, err := NewSorter(criteria, 0, upTo(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for err == nil {
		n++
		_, err = s.Add(sortedMessage(n), key)
	}
	if mailaccess.KindOf(err) != mailaccess.KindLimit || n < 50 || n > 200 {
		t.Errorf("%d messages, %v", n, err)
	}
	if ok, err := s.Add(sortedMessage(0), key[1:]); ok || err != nil {
		t.Errorf("no key: %v, %v", ok, err)
	}
}

// Texts count up to a length.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("x", maxSortText)
	headers := []string{"Subject: " + long + "b\r\n\r\n", "Subject: " + long + "a\r\n\r\n", "Subject: " + long[1:] + "a\r\n\r\n"}
	if got, want := sorted(t, headers, SortCriterion{Key: SortSubject}), []mailaccess.UID{3, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What a store keeps may be damaged: any octets are a key or are refused, and any
// header has a key.
func FuzzSortKey(f *testing.F) {
	f.Add([]byte("Subject: x\r\nFrom: a <b@c>\r\nTo: x:;\r\nDate: 1 Jan 2020 00:00 +0000\r\n\r\n"))
	f.Add(AppendSortKey(nil, message.Header("Subject: x\r\nDate: 1 Jan 2020 00:00 +0000\r\n\r\n")))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := NewSorter([]SortCriterion{{SortSubject, false}, {SortDisplayTo, true}, {SortDate, false}}, 2, upTo(someMemory))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Add(sortedMessage(1), b); err != nil {
			t.Fatal(err)
		}
		key := AppendSortKey(nil, b)
		if again := AppendSortKey(nil, bytes.Clone(b)); len(key) > MaxSortKey || !bytes.Equal(key, again) {
			t.Fatalf("a key of %d octets, or another one", len(key))
		}
		if ok, err := s.Add(sortedMessage(0), key); !ok || err != nil {
			t.Fatalf("the key %x: %v, %v", key, ok, err)
		}
		if got := s.Sorted(); len(got) == 0 {
			t.Fatal("nothing is sorted")
		}
	})
}
