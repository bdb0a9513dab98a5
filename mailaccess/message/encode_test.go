package message

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEncodedTree(t *testing.T) {
	for _, in := range []string{
		"", "Subject: x\n\nhello\n", rfcMessage,
		"Content-Type: multipart/mixed\n\nx",
		"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nx",
		"Content-Type: image/png; name=\"a\"; x=\nContent-ID: <1@example.org>\nContent-Description: d\n" +
			"Content-Transfer-Encoding: x-y\nContent-MD5: m\nContent-Disposition: inline; filename=f\n" +
			"Content-Language: de, en\nContent-Location: l\n\nx",
	} {
		p := parse(t, crlf(in))
		b, err := p.AppendBinary([]byte("before"))
		if err != nil || string(b[:6]) != "before" {
			t.Fatalf("AppendBinary: %q, %v", b, err)
		}
		got, err := Decode(b[6:])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Errorf("%q: -want +got\n%s", in, diff)
		}
	}
}

// A part of a message encodes to a tree of its own, whose offsets are still
// those of the message.
func TestEncodedSubtree(t *testing.T) {
	p, ok := parse(t, crlf(rfcMessage)).Find([]int{4, 2})
	if !ok {
		t.Fatal("no part 4.2")
	}
	b, _ := p.AppendBinary(nil)
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDecodeCorrupt(t *testing.T) {
	good, _ := parse(t, crlf(rfcMessage)).AppendBinary(nil)
	bad := func(name string, b []byte) {
		t.Helper()
		if p, err := Decode(b); p != nil || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, %v, want ErrCorrupt", name, p, err)
		}
	}
	bad("nothing", nil)
	bad("trailing byte", append(good[:len(good):len(good)], 0))
	for i := range good {
		bad("cut short", good[:i])
		for bit := range 8 {
			b := append([]byte(nil), good...)
			b[i] ^= 1 << bit
			bad("a bit turned", b)
		}
	}
	// With its checksum right, what is inside is checked all the same.
	for name, p := range map[string]*Part{
		"multipart without children": {Type: "multipart"},
		"child outside its parent": {Type: "multipart", Body: Range{0, 1},
			Children: []*Part{{Body: Range{0, 2}}}},
		"children over each other": {Type: "multipart", Body: Range{0, 4},
			Children: []*Part{{Body: Range{0, 2}}, {Body: Range{0, 2}}}},
		"more lines than octets": {Body: Range{0, 1}, Lines: 2},
		"negative length":        {Body: Range{0, -1}},
	} {
		b, _ := p.AppendBinary(nil)
		bad(name, b)
	}
	deep := &Part{Type: "text"}
	for range maxDepth + 10 {
		deep = &Part{Type: "message", Subtype: "rfc822", Message: deep}
	}
	b, _ := deep.AppendBinary(nil)
	bad("too deep", b)
}
