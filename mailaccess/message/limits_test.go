package message

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// pattern is a message that is a head, as many times a line as fit into size,
// and a tail: large, and nowhere in memory.
type pattern struct {
	head, line, tail string
	size             int64
}

func (p pattern) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		at := off + int64(n)
		switch tail := p.size - int64(len(p.tail)); {
		case at >= p.size:
			return n, io.EOF
		case at < int64(len(p.head)):
			n += copy(b[n:], p.head[at:])
		case at >= tail:
			n += copy(b[n:], p.tail[at-tail:])
		default:
			i := int((at - int64(len(p.head))) % int64(len(p.line)))
			n += copy(b[n:min(len(b), n+int(tail-at))], p.line[i:])
		}
	}
	return n, nil
}

// allocated returns how many bytes f allocates in total, which bounds what it
// holds at any time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLargeMessages(t *testing.T) {
	const size = 100 << 20
	mixed := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
	lines := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 100)
	long := func(s string) string { return strings.Repeat(s, 10000) }
	tests := []struct {
		name string
		p    pattern
		want func(p *Part) error
	}{
		{"body", pattern{"Subject: x\r\n\r\n", lines, "end", size}, func(p *Part) error {
			body := int64(size - len("Subject: x\r\n\r\n"))
			if p.Body.Len != body || p.Lines != (body-3)/78 {
				return fmt.Errorf("body %d, lines %d", p.Body.Len, p.Lines)
			}
			return nil
		}},
		{"body in a multipart", pattern{mixed, lines, "\r\n--b--\r\n", size}, func(p *Part) error {
			if c := p.Children[0]; len(p.Children) != 1 || c.Body.Len != size-int64(len(mixed))-9 {
				return fmt.Errorf("%d children, the first of %d octets", len(p.Children), c.Body.Len)
			}
			return nil
		}},
		{"lines like delimiters", pattern{mixed, long("--a\r\n"), "\r\n--b--\r\n", size / 10}, func(p *Part) error {
			if c := p.Children[0]; len(p.Children) != 1 || c.Body.Len != size/10-int64(len(mixed))-9 {
				return fmt.Errorf("%d children, the first of %d octets", len(p.Children), c.Body.Len)
			}
			return nil
		}},
		{"one line", pattern{mixed, long("-"), "\r\n--b--\r\n", size}, func(p *Part) error {
			if c := p.Children[0]; c.Lines != 0 || c.Body.Len != size-int64(len(mixed))-9 {
				return fmt.Errorf("%d lines, %d octets", c.Lines, c.Body.Len)
			}
			return nil
		}},
		{"header line", pattern{"X: ", long("x"), "\r\nContent-Type: image/png\r\n\r\nbody", size}, func(p *Part) error {
			if !p.Is("image", "png") || p.Body.Len != 4 {
				return fmt.Errorf("%s/%s, body %d", p.Type, p.Subtype, p.Body.Len)
			}
			return nil
		}},
		{"header fields", pattern{"A: 1\r\n", long("X: y\r\n"), "Content-Type: image/png\r\n\r\nbody", size/6*6 + 6 + 33}, func(p *Part) error {
			if p.Body.Len != 4 {
				return fmt.Errorf("body %d", p.Body.Len)
			}
			return nil
		}},
		{"MIME field", pattern{"Content-Type: image/png; name=", long("x\r\n "), "\r\nA: b\r\n\r\nbody", size}, func(p *Part) error {
			if !p.Is("image", "png") || p.Body.Len != 4 {
				return fmt.Errorf("%s/%s, body %d", p.Type, p.Subtype, p.Body.Len)
			}
			return nil
		}},
		{"no header", pattern{"", long("xyz\r\n"), "", size}, func(p *Part) error {
			if p.Header.Len != 0 || p.Body.Len != size || p.Lines != size/5 {
				return fmt.Errorf("header %d, body %d, lines %d", p.Header.Len, p.Body.Len, p.Lines)
			}
			return nil
		}},
		{"parts", pattern{mixed, "\r\n--b\r\n\r\n", "", size / 10}, func(p *Part) error {
			if n := len(p.Children); n != defaultParts-1 {
				return fmt.Errorf("%d children", n)
			}
			return nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p *Part
			used := allocated(func() {
				var err error
				if p, err = Parse(tt.p, tt.p.size, nil); err != nil {
					t.Fatal(err)
				}
			})
			if err := tt.want(p); err != nil {
				t.Error(err)
			}
			if err := check(p); err != nil {
				t.Error(err)
			}
			if limit := uint64(16 << 20); used > limit {
				t.Errorf("allocated %d bytes, more than %d", used, limit)
			}
		})
	}

	t.Run("header subset", func(t *testing.T) {
		r := pattern{"A: 1\r\n", "X: y\r\nA: 2\r\n", "\r\nbody", 12e6 + 12}
		p, err := Parse(r, r.size, nil)
		if err != nil {
			t.Fatal(err)
		}
		used := allocated(func() {
			rs, ok, err := p.Section(r, Section{Kind: SectionHeaderFields, Fields: []string{"A"}})
			last := rs[len(rs)-1]
			if err != nil || !ok || len(rs) > maxRanges+1 || last != (Range{p.Header.End() - 2, 2}) {
				t.Errorf("%d ranges, the last %v, %v, %v", len(rs), last, ok, err)
			}
		})
		if limit := uint64(4 << 20); used > limit {
			t.Errorf("allocated %d bytes, more than %d", used, limit)
		}
	})
}

func depth(p *Part) int {
	d := 0
	if p.Message != nil {
		d = depth(p.Message)
	}
	for _, c := range p.Children {
		d = max(d, depth(c))
	}
	return d + 1
}

func TestDepth(t *testing.T) {
	var multi strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&multi, "Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n--b%d\r\n", i, i)
	}
	nested := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 10000)
	digest := strings.Repeat("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n", 10000)
	for name, msg := range map[string]string{"multipart": multi.String(), "message": nested, "digest": digest} {
		for _, lim := range []*Limits{nil, {Depth: 1}, {Depth: 7}, {Depth: 1 << 30}} {
			p, err := Parse(strings.NewReader(msg), int64(len(msg)), lim)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(p); err != nil {
				t.Error(err)
			}
			if got, want := depth(p), lim.withDefaults().Depth; got != want {
				t.Errorf("%s: depth %d, want %d", name, got, want)
			}
			var last *Part
			for last = range p.All() {
			}
			if !last.Is("application", "octet-stream") {
				t.Errorf("%s: the innermost part is %s/%s", name, last.Type, last.Subtype)
			}
			b, _ := p.AppendBinary(nil)
			if _, err := Decode(b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestPartLimits(t *testing.T) {
	part := "--b\r\nContent-Type: image/png; name=abcdefghij\r\n\r\nx\r\n"
	msg := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat(part, 10) + "--b--\r\n"
	count := func(p *Part) (n, named int) {
		for c := range p.All() {
			n++
			if c.Param("name") != "" {
				named++
			}
		}
		return n, named
	}
	tests := []struct {
		lim         Limits
		parts, name int
	}{
		{Limits{}, 11, 10},
		{Limits{Parts: 11}, 11, 10},
		{Limits{Parts: 5}, 5, 4},
		{Limits{Parts: 1}, 1, 0},
		{Limits{Text: 100}, 11, 3}, // 27 and 26 each, until 100 is reached
		{Limits{Field: 10}, 1, 0},  // " multipart", which is no media type
	}
	for _, tt := range tests {
		p, err := Parse(strings.NewReader(msg), int64(len(msg)), &tt.lim)
		if err != nil {
			t.Fatal(err)
		}
		if n, named := count(p); n != tt.parts || named != tt.name {
			t.Errorf("%+v: %d parts, %d with a name, want %d, %d", tt.lim, n, named, tt.parts, tt.name)
		}
		if err := check(p); err != nil {
			t.Errorf("%+v: %v", tt.lim, err)
		}
	}
}

func TestParseReadError(t *testing.T) {
	if p, err := Parse(strings.NewReader("A: 1\r\n"), 7, nil); p != nil || err != io.ErrUnexpectedEOF {
		t.Errorf("short reader: %v, %v, want io.ErrUnexpectedEOF", p, err)
	}
	if p, err := Parse(badReaderAt{}, 7, nil); p != nil || err != errBad {
		t.Errorf("bad reader: %v, %v, want its error", p, err)
	}
	if p, err := Parse(badReaderAt{}, -1, nil); err != nil || p.Size() != 0 {
		t.Errorf("nothing to read: %v, %v", p, err)
	}
}

var errBad = errors.New("input/output error")

type badReaderAt struct{}

func (badReaderAt) ReadAt([]byte, int64) (int, error) { return 0, errBad }
