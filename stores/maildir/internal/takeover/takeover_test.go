package takeover

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

const unknown = maildirname.SizeUnknown

var errBroken = errors.New("broken")

func open(t *testing.T, name string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

// readUIDs returns the list and its entries.
func readUIDs(r io.Reader) (UIDList, []UIDEntry, error) {
	var entries []UIDEntry
	l, err := ReadUIDList(r, func(e UIDEntry) error {
		entries = append(entries, e)
		return nil
	})
	return l, entries, err
}

func TestReadUIDList(t *testing.T) {
	for _, tt := range []struct {
		file    string
		list    UIDList
		entries []UIDEntry
	}{
		{"dovecot-uidlist.v3", UIDList{Validity: 1275660208, Next: 25023, GUID: "3085f01b7f11094c501100008c4a11c1"}, []UIDEntry{
			{UID: 25006, Base: "1276528487.M364837P9451.kurkku,S=1355,W=1394", Size: 1355, Wire: 1394},
			{UID: 25017, Base: "1276533073.M242911P3632.kurkku", Size: unknown, Wire: 2481},
			{UID: 25018, Base: "1491941793.M41850P8566V0000000000000015I0000000004F3030E_0.mx1,S=10956", Size: 10956, Wire: 11200, UIDL: "00000a1b4c0b1f30", Order: 3},
			{UID: 25020, Base: "1795666903.M712999P20534.vm,S=18,W=20", Size: 18, Wire: 20, GUID: "d2c4f5a94e6b1c5d8a1e0000f7a2b3c4"},
			// Appended by a Dovecot that did not write the header again.
			{UID: 25022, Base: "1795667074.M398298P28375.vm,S=18,W=20", Size: 18, Wire: 20},
		}},
		{"dovecot-uidlist.v1", UIDList{Validity: 1144792800, Next: 5}, []UIDEntry{
			{UID: 1, Base: "1144792801.M1P100.host", Size: unknown, Wire: unknown},
			{UID: 3, Base: "1144792803.M1P100.host,S=200", Size: 200, Wire: unknown},
			{UID: 4, Base: "1144792804.M1P100.host", Size: unknown, Wire: unknown},
		}},
		{"courierimapuiddb", UIDList{Validity: 1063640318, Next: 12}, []UIDEntry{
			{UID: 7, Base: "1066128440.M364837P9451V0000000000000302I0001E2A4_0.mail,S=1355", Size: 1355, Wire: unknown},
			{UID: 9, Base: "1066128441.M12P9452V0000000000000302I0001E2A5_0.mail,S=2048", Size: 2048, Wire: unknown},
			{UID: 11, Base: "1066128500.20017_0.mail", Size: unknown, Wire: unknown},
		}},
	} {
		l, entries, err := readUIDs(open(t, tt.file))
		if diff := cmp.Diff(tt.list, l) + cmp.Diff(tt.entries, entries); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.file, err, diff)
		}
	}
}

func TestReadUIDListSkips(t *testing.T) {
	for _, tt := range []struct {
		lines string
		uids  []mailaccess.UID
		next  mailaccess.UID
		why   string // "" when no line is left out
	}{
		{"", nil, 10, ""},
		{"0 :a\n5 :b\n", []mailaccess.UID{5}, 10, "line 2: UID 0"},
		{"4294967295 :a\n5 :b\n", []mailaccess.UID{5}, 10, "line 2: the highest UID"},
		{"5 :a\n5 :b\n6 :c\n", []mailaccess.UID{5, 6}, 10, "line 3: UID not above"},
		{"5 :a\n4 :b\n6 :c\n", []mailaccess.UID{5, 6}, 10, "line 3: UID not above"},
		{"x :a\n5 :b\n", []mailaccess.UID{5}, 10, "line 2: no UID"},
		{"99999999999 :a\n5 :b\n", []mailaccess.UID{5}, 10, "line 2: no UID"},
		{"\n5 :b\n", []mailaccess.UID{5}, 10, "line 2: no UID"},
		{"5\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no UID"},
		{"5 a\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no file name"},
		{"5 W3 a\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no file name"},
		{"5 :\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no name of a message"},
		{"5 :../a\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no name of a message"},
		{"5 :a\x00\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no name of a message"},
		{"5 :.a\n6 :b\n", []mailaccess.UID{6}, 10, "line 2: no name of a message"},
		{"5 :" + strings.Repeat("a", 5000) + "\n6 :b\n", []mailaccess.UID{6}, 10, "1 lines longer"},
		{"5 :a\n20 :half", []mailaccess.UID{5}, 21, "line 3: the end of the line is missing"},
		{"5 :a\n20", []mailaccess.UID{5}, 10, "line 3: no UID"}, // it may become 200
		{"20 W3 \n21 :b\n", []mailaccess.UID{21}, 22, "line 2: no file name"},
		{"30 :../a\n", nil, 31, "line 2: no name of a message"}, // nor is its UID given again
		{"5   W1   :a b :c\n", []mailaccess.UID{5}, 10, ""},
	} {
		l, entries, err := readUIDs(strings.NewReader("3 V1 N10\n" + tt.lines))
		var uids []mailaccess.UID
		for _, e := range entries {
			uids = append(uids, e.UID)
		}
		if err != nil || !slices.Equal(uids, tt.uids) || l.Next != tt.next {
			t.Errorf("%q: %v, next %d, %v; want %v, next %d", tt.lines, uids, l.Next, err, tt.uids, tt.next)
		}
		why := strings.Join(l.Reasons, "\n")
		if (l.Skipped == 0) != (tt.why == "") || !strings.Contains(why, tt.why) || l.Skipped > 1 {
			t.Errorf("%q: %d skipped: %s; want %q", tt.lines, l.Skipped, why, tt.why)
		}
	}
	// A file that is all wrong does not fill the log.
	l, _, err := readUIDs(strings.NewReader("1 1 1\n" + strings.Repeat("0 a\n", 500)))
	if err != nil || l.Skipped != 500 || len(l.Reasons) != maxReasons {
		t.Errorf("%d skipped, %d reasons, %v", l.Skipped, len(l.Reasons), err)
	}
}

func TestUIDFields(t *testing.T) {
	for fields, want := range map[string]UIDEntry{
		"S1 W2 Pa O3 Gx":               {Size: 1, Wire: 2, UIDL: "a", Order: 3, GUID: "x"},
		"Gx O3 Pa W2 S1":               {Size: 1, Wire: 2, UIDL: "a", Order: 3, GUID: "x"},
		"Sx W-1 P O4294967296":         {Size: unknown, Wire: unknown},
		"P" + strings.Repeat("a", 71):  {Size: unknown, Wire: unknown},
		"P" + strings.Repeat("a", 70):  {Size: unknown, Wire: unknown, UIDL: strings.Repeat("a", 70)},
		"Pé P\x01":                     {Size: unknown, Wire: unknown},
		"G" + strings.Repeat("a", 256): {Size: unknown, Wire: unknown},
		"S Z zz é":                     {Size: unknown, Wire: unknown},
	} {
		want.UID, want.Base = 1, "a"
		_, entries, err := readUIDs(strings.NewReader("3 V1 N2\n1 " + fields + " :a\n"))
		if diff := cmp.Diff([]UIDEntry{want}, entries); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", fields, err, diff)
		}
	}
}

func TestReadUIDListHeader(t *testing.T) {
	for header, want := range map[string]UIDList{
		"1 5 7\n":           {Validity: 5, Next: 7},
		"3 V5 N7\n":         {Validity: 5, Next: 7},
		"3 N7 Xa  V5 Gab\n": {Validity: 5, Next: 7}, // no GUID
	} {
		if l, entries, err := readUIDs(strings.NewReader(header)); err != nil || len(entries) > 0 || cmp.Diff(want, l) != "" {
			t.Errorf("%q: %+v, %v, %v", header, l, entries, err)
		}
	}
	for _, header := range []string{
		"", "\n", "1 5 7", "1 5\n", "1 5 7 9\n", "1 0 7\n", "1 5 0\n", "1 x 7\n", "1 4294967296 7\n", "1 -5 7\n", "2 5 7\n",
		"3\n", "3 V5\n", "3 N7\n", "3 V0 N7\n", "3 V5 N0\n", "3 5 7\n", "4 V5 N7\n", "V5 N7\n", "\xff\n",
		"3 " + strings.Repeat("X", 5000) + " V5 N7\n1 :a\n",
		strings.Repeat("X", 5000) + "\n1 5 7\n",
	} {
		if l, entries, err := readUIDs(strings.NewReader(header)); !errors.Is(err, mailaccess.KindCorrupt) || len(entries) > 0 || l.Validity != 0 {
			t.Errorf("%.20q: %+v, %v, %v", header, l, entries, err)
		}
	}
}

func TestErrorsOfReaders(t *testing.T) {
	broken := func(text string) io.Reader {
		return io.MultiReader(strings.NewReader(text), iotest.ErrReader(errBroken))
	}
	for name, err := range map[string]error{
		"header":     second(ReadUIDList(broken("3 V1"), func(UIDEntry) error { return nil })),
		"uid list":   second(ReadUIDList(broken("3 V1 N1\n1 :a\n"), func(UIDEntry) error { return nil })),
		"each uid":   second(ReadUIDList(strings.NewReader("3 V1 N1\n1 :a\n"), func(UIDEntry) error { return errBroken })),
		"keywords":   second(ReadCourierKeywords(broken("a\n"), func(string, mailaccess.Keywords) error { return nil })),
		"in body":    second(ReadCourierKeywords(broken("a\n\nx:0\n"), func(string, mailaccess.Keywords) error { return nil })),
		"each":       second(ReadCourierKeywords(strings.NewReader("a\n\nx:0\n"), func(string, mailaccess.Keywords) error { return errBroken })),
		"pop3":       second(ReadCourierPOP3(broken("a 1\n"), func(POP3Entry) error { return nil })),
		"each of it": second(ReadCourierPOP3(strings.NewReader("a 1\n"), func(POP3Entry) error { return errBroken })),
		"update":     func() error { _, _, err := ReadCourierUpdate(broken("a\n")); return err }(),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A list in the form of version 3 comes back as it was.
func TestUIDListRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var file strings.Builder
		var want []UIDEntry
		uids := rapid.SliceOfDistinct(rapid.Uint32Range(1, 1<<32-2), rapid.ID[uint32]).Draw(t, "uids")
		slices.Sort(uids)
		next := mailaccess.UID(rapid.Uint32Range(1, 1<<32-1).Draw(t, "next"))
		file.WriteString("3 V7 N" + itoa(uint64(next)) + "\n")
		for _, uid := range uids {
			e := UIDEntry{UID: mailaccess.UID(uid), Size: rapid.Int64Range(-1, 1e9).Draw(t, "size"), Wire: rapid.Int64Range(-1, 1e9).Draw(t, "wire")}
			e.Base = rapid.StringMatching(`[a-z0-9:= ]([a-z0-9.:= ]|,[a-z])*`).Filter(func(s string) bool { return !strings.Contains(s, ":2,") }).Draw(t, "base")
			e.UIDL = rapid.StringMatching(`|[!-~]{1,70}`).Draw(t, "uidl")
			e.Order = rapid.Uint32().Draw(t, "order")
			file.WriteString(itoa(uint64(uid)))
			if e.Size >= 0 {
				file.WriteString(" S" + itoa(uint64(e.Size)))
			}
			if e.UIDL != "" {
				file.WriteString(" P" + e.UIDL)
			}
			if e.Wire >= 0 {
				file.WriteString(" W" + itoa(uint64(e.Wire)))
			}
			file.WriteString(" O" + itoa(uint64(e.Order)) + " :" + e.Base + "\n")
			want = append(want, e)
			next = max(next, e.UID+1)
		}
		l, entries, err := readUIDs(strings.NewReader(file.String()))
		if diff := cmp.Diff(want, entries); err != nil || diff != "" || l.Next != next || l.Skipped != 0 {
			t.Fatalf("%+v, %v\n%s", l, err, diff)
		}
	})
}

func TestRecognize(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	for _, tt := range []struct {
		files map[string]time.Time
		want  Server
	}{
		{nil, Unknown},
		{map[string]time.Time{"cur": at(9), "subscriptions": at(9), "dovecot-keywords": at(9), ".Sent": at(9)}, Unknown},
		{map[string]time.Time{"dovecot-uidlist": {}}, Dovecot},
		{map[string]time.Time{"dovecot.index.log": at(1), "cur": at(9)}, Dovecot},
		{map[string]time.Time{"courierimapuiddb": at(1)}, Courier},
		{map[string]time.Time{"courierpop3dsizelist": at(1)}, Courier},
		{map[string]time.Time{"courierimapuiddb": at(1), "dovecot-uidvalidity": at(2), "courierimapsubscribed": at(1)}, Dovecot},
		{map[string]time.Time{"courierimapuiddb": at(3), "dovecot-uidvalidity": at(2)}, Courier},
	} {
		if got := Recognize(maps.All(tt.files)); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.files, got, tt.want)
		}
	}
	for server, want := range map[Server]string{Unknown: "unknown / ", Dovecot: "Dovecot . ", Courier: "Courier . INBOX."} {
		separator, prefix := server.Namespace()
		if got := server.String() + " " + string(separator) + " " + prefix; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLastValidity(t *testing.T) {
	for want, names := range map[uint32]string{
		0:          "cur dovecot-uidvalidity dovecot-uidvalidity. dovecot-uidvalidity.6b07b3e dovecot-uidvalidity.6b07b3e4f dovecot-uidvalidity.6b07b3ex 6b07b3e4",
		1795666916: "dovecot-uidvalidity dovecot-uidvalidity.6b07b3e4 dovecot-uidvalidity.5b07b3e4",
	} {
		if got := LastValidity(slices.Values(strings.Fields(names))); got != want {
			t.Errorf("%s: %d, want %d", names, got, want)
		}
	}
}

func FuzzReadUIDList(f *testing.F) {
	for _, name := range []string{"dovecot-uidlist.v3", "dovecot-uidlist.v1", "courierimapuiddb"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("3 V1 N1\n1 W3 Pa O1 Gx :a\n0 :b\n7 :.c\n8 :d"))
	f.Fuzz(func(t *testing.T, file []byte) {
		l, entries, err := readUIDs(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, mailaccess.KindCorrupt) {
				t.Fatal(err)
			}
			return
		}
		last := mailaccess.UID(0)
		for _, e := range entries {
			if m, ok := maildirname.ParseMessage(e.Base); e.UID <= last || e.UID >= l.Next || !ok || m.Base != e.Base || strings.Contains(e.Base, "/") || e.Size < unknown || e.Wire < unknown {
				t.Fatalf("%+v after UID %d, next %d", e, last, l.Next)
			}
			last = e.UID
		}
		if n := bytes.Count(file, []byte("\n")); l.Validity == 0 || l.Next == 0 || len(entries)+l.Skipped > n || len(l.Reasons) > maxReasons+1 {
			t.Fatalf("%+v of %d lines", l, n)
		}
	})
}
