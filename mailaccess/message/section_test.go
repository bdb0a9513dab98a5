package message

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// rfcMessage is the complex message of RFC 3501, section 6.4.5, with its parts
// filled in. LF means CRLF.
const rfcMessage = `Subject: outer
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=o

preamble
--o

1 text
--o
Content-Type: application/octet-stream

2 data
--o
Content-Type: message/rfc822

Subject: three
Content-Type: multipart/mixed; boundary=p

--p

3.1 text
--p
Content-Type: application/octet-stream

3.2 data
--p--
--o
Content-Type: multipart/mixed; boundary=q

--q
Content-Type: image/gif

4.1 gif
--q
Content-Type: message/rfc822

Subject: four two
Content-Type: multipart/mixed; boundary=r

--r

4.2.1 text
--r
Content-Type: multipart/alternative; boundary=s

--s

4.2.2.1 text
--s
Content-Type: text/richtext

4.2.2.2 rich
--s--
--r--
--q--
--o--
epilogue
`

// section returns the bytes of a section, and whether it exists.
func section(t testing.TB, msg string, s Section) (string, bool) {
	t.Helper()
	r := strings.NewReader(msg)
	rs, ok, err := parse(t, msg).Section(r, s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rs.Reader(r))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != rs.Size() {
		t.Errorf("read %d bytes of %d", len(b), rs.Size())
	}
	return string(b), ok
}

func TestSection(t *testing.T) {
	path := func(n ...int) []int { return n }
	const (
		plain   = "Subject: x\nTo: y\n\nbody\n"
		wrapped = "Subject: outer\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n"
	)
	tests := []struct {
		name string
		msg  string
		s    Section
		want string
		ok   bool
	}{
		{"BODY[]", plain, Section{}, plain, true},
		{"HEADER", plain, Section{Kind: SectionHeader}, "Subject: x\nTo: y\n\n", true},
		{"TEXT", plain, Section{Kind: SectionText}, "body\n", true},
		{"1 of a plain message", plain, Section{Path: path(1)}, "body\n", true},
		{"1.MIME of a plain message", plain, Section{Path: path(1), Kind: SectionMIME}, "Subject: x\nTo: y\n\n", true},
		{"1.HEADER of a plain message", plain, Section{Path: path(1), Kind: SectionHeader}, "", false},
		{"1.TEXT of a plain message", plain, Section{Path: path(1), Kind: SectionText}, "", false},
		{"1.1 of a plain message", plain, Section{Path: path(1, 1)}, "", false},
		{"2 of a plain message", plain, Section{Path: path(2)}, "", false},
		{"0", plain, Section{Path: path(0)}, "", false},
		{"-1", rfcMessage, Section{Path: path(-1)}, "", false},
		{"MIME without a number", plain, Section{Kind: SectionMIME}, "", false},
		{"unknown kind", plain, Section{Kind: 99}, "", false},

		{"1 of a message in a message", wrapped, Section{Path: path(1)}, "Subject: in\n\nbody\n", true},
		{"1.1 of a message in a message", wrapped, Section{Path: path(1, 1)}, "body\n", true},
		{"1.HEADER of a message in a message", wrapped, Section{Path: path(1), Kind: SectionHeader}, "Subject: in\n\n", true},
		{"1.1.MIME of a message in a message", wrapped, Section{Path: path(1, 1), Kind: SectionMIME}, "Subject: in\n\n", true},
		{"1.1.1 of a message in a message", wrapped, Section{Path: path(1, 1, 1)}, "", false},

		{"1", rfcMessage, Section{Path: path(1)}, "1 text", true},
		{"1.MIME", rfcMessage, Section{Path: path(1), Kind: SectionMIME}, "\n", true},
		{"2", rfcMessage, Section{Path: path(2)}, "2 data", true},
		{"2.1", rfcMessage, Section{Path: path(2, 1)}, "", false},
		{"3.MIME", rfcMessage, Section{Path: path(3), Kind: SectionMIME}, "Content-Type: message/rfc822\n\n", true},
		{"3.HEADER", rfcMessage, Section{Path: path(3), Kind: SectionHeader},
			"Subject: three\nContent-Type: multipart/mixed; boundary=p\n\n", true},
		{"3.TEXT", rfcMessage, Section{Path: path(3), Kind: SectionText},
			"--p\n\n3.1 text\n--p\nContent-Type: application/octet-stream\n\n3.2 data\n--p--", true},
		{"3.1", rfcMessage, Section{Path: path(3, 1)}, "3.1 text", true},
		{"3.2", rfcMessage, Section{Path: path(3, 2)}, "3.2 data", true},
		{"3.3", rfcMessage, Section{Path: path(3, 3)}, "", false},
		{"4.HEADER, no message", rfcMessage, Section{Path: path(4), Kind: SectionHeader}, "", false},
		{"4.1", rfcMessage, Section{Path: path(4, 1)}, "4.1 gif", true},
		{"4.1.MIME", rfcMessage, Section{Path: path(4, 1), Kind: SectionMIME}, "Content-Type: image/gif\n\n", true},
		{"4.2.HEADER.FIELDS", rfcMessage, Section{Path: path(4, 2), Kind: SectionHeaderFields, Fields: []string{"SUBJECT"}},
			"Subject: four two\n\n", true},
		{"4.2.1", rfcMessage, Section{Path: path(4, 2, 1)}, "4.2.1 text", true},
		{"4.2.2.1", rfcMessage, Section{Path: path(4, 2, 2, 1)}, "4.2.2.1 text", true},
		{"4.2.2.2", rfcMessage, Section{Path: path(4, 2, 2, 2)}, "4.2.2.2 rich", true},
		{"5", rfcMessage, Section{Path: path(5)}, "", false},

		{"FIELDS", "A: 1\nB: 2\n folded\na: 3\n\nx", Section{Kind: SectionHeaderFields, Fields: []string{"a"}}, "A: 1\na: 3\n\n", true},
		{"FIELDS, folded", "A: 1\nB: 2\n folded\na: 3\n\nx", Section{Kind: SectionHeaderFields, Fields: []string{"b"}}, "B: 2\n folded\n\n", true},
		{"FIELDS.NOT", "A: 1\nB: 2\n folded\na: 3\n\nx", Section{Kind: SectionHeaderFieldsNot, Fields: []string{"a"}}, "B: 2\n folded\n\n", true},
		{"FIELDS, none", "A: 1\n\nx", Section{Kind: SectionHeaderFields, Fields: []string{"B"}}, "\n", true},
		{"FIELDS, exact name", "Subject: 1\nSub: 2\n\nx", Section{Kind: SectionHeaderFields, Fields: []string{"Sub"}}, "Sub: 2\n\n", true},
		{"FIELDS, space before colon", "A : 1\n\nx", Section{Kind: SectionHeaderFields, Fields: []string{"A"}}, "A : 1\n\n", true},
		{"FIELDS, no blank line", "A: 1\nB: 2\n", Section{Kind: SectionHeaderFields, Fields: []string{"A"}}, "A: 1\n", true},
		{"FIELDS, no fields", "\nx", Section{Kind: SectionHeaderFields, Fields: []string{"A"}}, "\n", true},
		{"FIELDS, no header", "x\n", Section{Kind: SectionHeaderFields, Fields: []string{"A"}}, "", true},
		{"FIELDS, line that is none", "A: 1\nnone\n more\nB: 2\n\n", Section{Kind: SectionHeaderFields, Fields: []string{"A"}}, "A: 1\n\n", true},
		{"FIELDS.NOT, line that is none", "A: 1\nnone\n more\nB: 2\n\n", Section{Kind: SectionHeaderFieldsNot, Fields: []string{"A"}}, "none\n more\nB: 2\n\n", true},
		{"FIELDS, long line", "A: " + strings.Repeat("x", 100000) + "\nB: 2\n\n", Section{Kind: SectionHeaderFields, Fields: []string{"B"}}, "B: 2\n\n", true},
		{"FIELDS, empty name", "A: 1\nnone\n: x\n\n", Section{Kind: SectionHeaderFields, Fields: []string{""}}, "\n", true},
		{"FIELDS.NOT, one long line", "A: " + strings.Repeat("x", 100000) + "\nB: 2\n\n", Section{Kind: SectionHeaderFieldsNot, Fields: []string{"A"}}, "B: 2\n\n", true},
		{"FIELDS.NOT, long line", "A: " + strings.Repeat("x\n ", 50000) + "\nB: 2\n\n", Section{Kind: SectionHeaderFieldsNot, Fields: []string{"A"}}, "B: 2\n\n", true},
		{"multipart without boundary, 1", "Content-Type: multipart/mixed\n\nbody\n", Section{Path: path(1)}, "body\n", true},
		{"multipart without boundary, 1.MIME", "Content-Type: multipart/mixed\n\nbody\n", Section{Path: path(1), Kind: SectionMIME}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := section(t, crlf(tt.msg), tt.s)
			if got != crlf(tt.want) || ok != tt.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, crlf(tt.want), tt.ok)
			}
		})
	}
}

// The subset of the named fields and that of the others share the header out
// between them: only the blank line is in both.
func TestHeaderSubsetsPartitionHeader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.SampledFrom([]string{
			"A: 1\r\n", "b: 2\r\n", " fold\r\n", "junk\r\n", "C : 3\r\n", "A:\n", "\t\r\n", ": x\r\n", "a\x00: 1\r\n",
		})).Draw(t, "lines")
		msg := "First: 1\r\n" + strings.Join(lines, "") + "\r\nbody"
		names := rapid.SliceOf(rapid.SampledFrom([]string{"a", "B", "c", "D"})).Draw(t, "names")
		r := strings.NewReader(msg)
		p, err := Parse(r, int64(len(msg)), nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := make([]int, p.Header.Len)
		for _, kind := range []SectionKind{SectionHeaderFields, SectionHeaderFieldsNot} {
			rs, ok, err := p.Section(r, Section{Kind: kind, Fields: names})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			for _, x := range rs {
				for i := x.Off; i < x.End(); i++ {
					seen[i]++
				}
			}
		}
		for i, n := range seen {
			want := 1
			if i >= len(seen)-2 {
				want = 2
			}
			if n != want {
				t.Fatalf("byte %d of %q is in %d subsets, want %d", i, msg[:p.Header.Len], n, want)
			}
		}
	})
}

func TestSectionReadError(t *testing.T) {
	msg := "A: 1\r\nB: 2\r\n\r\n"
	p := parse(t, msg)
	_, ok, err := p.Section(strings.NewReader(msg[:5]), Section{Kind: SectionHeaderFields, Fields: []string{"B"}})
	if ok || err != io.ErrUnexpectedEOF {
		t.Errorf("got %v, %v, want io.ErrUnexpectedEOF", ok, err)
	}
}

// content is a message that writes ranges, as mailaccess.Content does.
type content string

func (c content) WriteRange(w io.Writer, off, n int64) (int64, error) {
	if off >= int64(len(c)) {
		return 0, errBad
	}
	k, err := io.WriteString(w, string(c[off:min(off+n, int64(len(c)))]))
	return int64(k), err
}

func TestRanges(t *testing.T) {
	const src = "0123456789"
	rs := Ranges{{0, 2}, {4, 3}, {8, 2}} // 0145689
	tests := []struct {
		off, n int64
		want   string
	}{
		{0, 100, "0145689"}, {0, 7, "0145689"}, {0, 6, "014568"}, {1, 2, "14"}, {2, 3, "456"}, {4, 2, "68"},
		{6, 5, "9"}, {7, 5, ""}, {100, 1, ""}, {0, 0, ""}, {-1, 5, ""}, {3, -1, ""}, {2, 1<<63 - 1, "45689"},
	}
	for _, tt := range tests {
		part := rs.Partial(tt.off, tt.n)
		var b bytes.Buffer
		n, err := part.WriteTo(&b, content(src))
		if err != nil || b.String() != tt.want || n != int64(len(tt.want)) || part.Size() != n {
			t.Errorf("Partial(%d, %d): %q, %d, %v, want %q", tt.off, tt.n, b.String(), n, err, tt.want)
		}
		got, err := io.ReadAll(part.Reader(strings.NewReader(src)))
		if err != nil || string(got) != tt.want {
			t.Errorf("Partial(%d, %d).Reader: %q, %v, want %q", tt.off, tt.n, got, err, tt.want)
		}
	}
	if want := (Ranges{{0, 2}, {4, 3}, {8, 2}}); len(rs) != 3 || rs[0] != want[0] || rs[1] != want[1] || rs[2] != want[2] {
		t.Errorf("Partial changed its receiver to %v", rs)
	}
	if n, err := (Ranges{{10, 0}, {0, 1}, {10, 0}}).WriteTo(io.Discard, content(src)); n != 1 || err != nil {
		t.Errorf("WriteTo of empty ranges at the end: %d, %v", n, err)
	}
	if n, err := (Ranges{{5, 3}, {9, 3}}).WriteTo(io.Discard, content(src)); n != 4 || err != io.ErrUnexpectedEOF {
		t.Errorf("WriteTo beyond the end: %d, %v, want 4 and io.ErrUnexpectedEOF", n, err)
	}
	if b, err := io.ReadAll(Ranges{{5, 30}}.Reader(strings.NewReader(src))); string(b) != "56789" || err != io.ErrUnexpectedEOF {
		t.Errorf("Reader beyond the end: %q, %v, want io.ErrUnexpectedEOF", b, err)
	}
}

// Many names are looked up and not compared one by one: fields and names are both the
// client's to choose. What is found is the same.
func TestManyFieldNames(t *testing.T) {
	long := strings.Repeat("x", 100)
	header := Header("Subject: s\r\nTo: t\r\n more\r\n" + long + ": l\r\nOther: o\r\n\r\n")
	few := []string{"TO", strings.ToUpper(long), "absent"}
	many := slices.Clone(few)
	for i := range manyNames {
		many = append(many, fmt.Sprint("absent-", i))
	}
	for _, not := range []bool{false, true} {
		want := header.AppendSubset(nil, 7, few, not)
		if got := header.AppendSubset(nil, 7, many, not); !slices.Equal(got, want) {
			t.Errorf("not %t: %v of many names, %v of few", not, got, want)
		}
	}
	if s := newSubset(nil, Range{}, many, false); len(s.set) != len(many) {
		t.Errorf("%d of %d names can be looked up", len(s.set), len(many))
	}
}
