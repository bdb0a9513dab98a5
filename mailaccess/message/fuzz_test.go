package message

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// check verifies what the package comment promises about any tree.
func check(p *Part) error {
	if p.Header.Off < 0 || p.Header.Len < 0 || p.Body.Len < 0 || p.Lines < 0 || p.Lines > p.Body.Len {
		return fmt.Errorf("negative range, or more lines than octets: %+v", *p)
	}
	if p.Header.End() != p.Body.Off {
		return fmt.Errorf("header %v and body %v are apart", p.Header, p.Body)
	}
	if p.IsMultipart() != (len(p.Children) > 0) || p.IsMessage() != (p.Message != nil) {
		return fmt.Errorf("%s/%s has %d children and message %v", p.Type, p.Subtype, len(p.Children), p.Message != nil)
	}
	texts := append([]string{p.Type, p.Subtype, p.ID, p.Description, p.Encoding, p.MD5, p.Disposition, p.Location}, p.Language...)
	for _, q := range append(p.Params[:len(p.Params):len(p.Params)], p.DispositionParams...) {
		texts = append(texts, q.Name, q.Value)
	}
	for _, s := range texts {
		if strings.ContainsAny(s, "\r\n\x00") {
			return fmt.Errorf("CR, LF or NUL in %q", s)
		}
	}
	if p.Encoding == "" || p.Type == "" || p.Subtype == "" {
		return fmt.Errorf("no default for %q/%q %q", p.Type, p.Subtype, p.Encoding)
	}
	if m := p.Message; m != nil {
		if m.Whole() != p.Body {
			return fmt.Errorf("message %v does not span body %v", m.Whole(), p.Body)
		}
		return check(m)
	}
	at := p.Body.Off
	for _, c := range p.Children {
		if c.Header.Off < at || !p.Body.Contains(c.Whole()) {
			return fmt.Errorf("child %v is not in body %v from %d on", c.Whole(), p.Body, at)
		}
		at = c.Body.End()
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

// eachSection calls f for every section of every part, and some that are not
// there.
func eachSection(p *Part, path []int, f func(Section)) {
	for kind := SectionWhole; kind <= SectionMIME; kind++ {
		f(Section{Path: path, Kind: kind, Fields: []string{"subject", "Content-Type"}})
	}
	if len(path) > 12 {
		return
	}
	for n := 1; ; n++ {
		next := append(path[:len(path):len(path)], n)
		if _, ok := p.Find(next); !ok {
			return
		}
		eachSection(p, next, f)
	}
}

func seeds() []string {
	return []string{
		"", "\r\n", "Subject: x\r\n\r\nhello\r\n", "no header", crlf(rfcMessage), rfcMessage,
		"Content-Type: multipart/digest; boundary=\"b\"\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b\r\nx\r\n--b--",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b--\n--b--\n",
		"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n--bb--",
		"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n",
		"Content-Type: text/plain; charset*0*=utf-8''gr%C3; charset*1*=%BC\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=\r\nb=C3=\r\n",
		"A: \x00\rb\r\n \r\n\xff: x\r\nContent-Language: a,,b\r\n\r\n\x00",
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s), uint16(3))
	}
	f.Fuzz(func(t *testing.T, msg []byte, cut uint16) {
		r := bytes.NewReader(msg)
		p, err := Parse(r, int64(len(msg)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Whole() != (Range{0, int64(len(msg))}) {
			t.Fatalf("the tree spans %v of %d octets", p.Whole(), len(msg))
		}
		if err := check(p); err != nil {
			t.Fatal(err)
		}
		for c := range p.All() {
			body := msg[c.Body.Off:c.Body.End()]
			if n := bytes.Count(body, []byte{'\n'}); int64(n) != c.Lines {
				t.Fatalf("%d lines in %q, want %d", c.Lines, body, n)
			}
		}

		if n, ok := HeaderLen(msg); ok && n != p.Header.Len {
			t.Fatalf("a header of %d octets, the tree has %d", n, p.Header.Len)
		}
		names := []string{"subject", "content-type"}
		for _, not := range []bool{false, true} {
			want, err := headerSubset(r, p.Header, names, not)
			got := Header(msg[:p.Header.Len]).AppendSubset(nil, 0, names, not)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("subset %v, %v; want %v", got, err, want)
			}
		}

		// However it is written, with limits or without.
		k := min(int(cut), len(msg))
		w := NewParser(nil)
		w.Write(msg[:k])
		w.Write(msg[k:])
		if q := w.Finish(); !reflect.DeepEqual(p, q) {
			t.Fatalf("written in two: %+v, want %+v", q, p)
		}
		small := NewParser(&Limits{Depth: 3, Parts: 5, Field: 20, Text: 40})
		for len(msg) > 0 {
			k = min(1+int(cut)%7, len(msg))
			small.Write(msg[:k])
			msg = msg[k:]
		}
		q := small.Finish()
		if err := check(q); err != nil {
			t.Fatalf("with limits: %v", err)
		}
		if d := depth(q); d > 3+1 {
			t.Fatalf("with limits: depth %d", d)
		}

		eachSection(p, nil, func(s Section) {
			rs, ok, err := p.Section(r, s)
			if err != nil {
				t.Fatal(err)
			}
			if !ok && len(rs) > 0 {
				t.Fatalf("%v is not there and has ranges", s)
			}
			at := int64(0)
			for _, x := range rs {
				if x.Off < at || x.Len < 0 || !p.Whole().Contains(x) {
					t.Fatalf("%v: %v in %v", s, x, rs)
				}
				at = x.End()
			}
			b, err := io.ReadAll(rs.Reader(r))
			if err != nil || int64(len(b)) != rs.Size() {
				t.Fatalf("%v: read %d of %d, %v", s, len(b), rs.Size(), err)
			}
			part := rs.Partial(2, 5)
			b2, err := io.ReadAll(part.Reader(r))
			if want := b[min(2, len(b)):min(7, len(b))]; err != nil || !bytes.Equal(b2, want) {
				t.Fatalf("%v<2.5>: %q, %v, want %q", s, b2, err, want)
			}
		})

		enc, _ := p.AppendBinary(nil)
		if q, err := Decode(enc); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("encoded and decoded: %+v, %v", q, err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Add([]byte("From: A <@a,@b:c@d>, G: \"x\" (y) <z@[1.2.3.4]>;, =?utf-8?q?,?= <a@b>\r\nDate: Mon, 7 Feb 94 21:52:25 EST\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := Header(b)
		e := h.Envelope()
		texts := []string{e.Date.Value, e.Subject.Value, e.InReplyTo.Value, e.MessageID.Value}
		for _, list := range [][]Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
			group := false
			for _, a := range list {
				texts = append(texts, a.Name, a.Route, a.Mailbox, a.Host)
				switch a.Kind {
				case GroupStart, GroupEnd:
					if group = !group; group != (a.Kind == GroupStart) {
						t.Fatalf("groups do not alternate: %+v", list)
					}
				}
			}
			if group {
				t.Fatalf("group without end: %+v", list)
			}
		}
		for _, s := range texts {
			if strings.ContainsAny(s, "\r\n\x00") {
				t.Fatalf("CR, LF or NUL in %q", s)
			}
		}
		for fld := range h.Fields() {
			if !bytes.HasPrefix(fld.Raw, fld.Name) || len(fld.Name) == 0 {
				t.Fatalf("field %q of name %q", fld.Raw, fld.Name)
			}
			if text, ok := fld.Plain(); ok && string(text) != fld.Text() {
				t.Fatalf("plain text %q of %q, want %q", text, fld.Raw, fld.Text())
			}
			if s := fld.Text(); !utf8.ValidString(s) {
				t.Fatalf("text %q is not UTF-8", s)
			}
			ParseAddresses(fld.Value())
			if at, ok := ParseDate(fld.Value()); ok && (at.Year() < 0 || at.Year() > 10000) {
				t.Fatalf("date %v out of %q", at, fld.Value())
			}
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, tt := range canonicalTests {
		f.Add([]byte(tt.in), uint16(1), uint16(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut1, cut2 uint16) {
		want := canonical(b)
		i := min(int(cut1), len(b))
		j := min(i+int(cut2), len(b))
		var out bytes.Buffer
		w := NewCanonicalWriter(&out)
		for _, piece := range [][]byte{b[:i], b[i:j], b[j:]} {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(out.Bytes(), want) || w.Size() != int64(len(want)) {
			t.Fatalf("cut at %d and %d: wrote %q, size %d, want %q", i, j, out.Bytes(), w.Size(), want)
		}
		r := NewCanonicalReader(io.MultiReader(bytes.NewReader(b[:i]), bytes.NewReader(b[i:j]), bytes.NewReader(b[j:])))
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d and %d: read %q, %v, want %q", i, j, got, err, want)
		}
		if again := canonical(want); !bytes.Equal(again, want) {
			t.Fatalf("canonical form of %q is %q", want, again)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, s := range seeds() {
		p := NewParser(nil)
		p.Write([]byte(s))
		b, _ := p.Finish().AppendBinary(nil)
		f.Add(b[1 : len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Decode(b)
		d := newTreeDecoder(b) // behind the checksum, which a fuzzer does not guess
		p := d.part(Range{0, 1<<63 - 1}, 1)
		if d.bad {
			return
		}
		enc, _ := p.AppendBinary(nil)
		q, err := Decode(enc)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v became %+v, %v", p, q, err)
		}
		for c := range q.All() {
			if c.Header.End() != c.Body.Off || c.Body.Len < 0 || c.IsMultipart() && len(c.Children) == 0 || c.IsMessage() && c.Message == nil {
				t.Fatalf("decoded %+v", c)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s), uint16(5))
	}
	for _, cs := range []string{"iso-2022-jp", "utf-16", "gb18030", "koi8-r", "utf-7", "big5", "euc-kr", "hz-gb-2312", "replacement", "x-user-defined"} {
		f.Add([]byte("Content-Type: text/plain; charset="+cs+"\r\nContent-Transfer-Encoding: base64\r\n\r\nGyRCRnwbKEI=\r\n"), uint16(9))
	}
	f.Fuzz(func(t *testing.T, msg []byte, cut uint16) {
		p := NewParser(nil)
		p.Write(msg)
		k := min(int(cut), len(msg))
		for c := range p.Finish().All() {
			got, err := io.ReadAll(c.Text(bytes.NewReader(msg)))
			if err != nil {
				t.Fatal(err)
			}
			if !utf8.Valid(got) {
				t.Fatalf("%q is not UTF-8", got)
			}
			_ = c.Filename()
		}
		for _, encoding := range []string{"base64", "quoted-printable"} {
			whole, _ := NewDecoder(bytes.NewReader(msg), encoding)
			split, _ := NewDecoder(io.MultiReader(bytes.NewReader(msg[:k]), bytes.NewReader(msg[k:])), encoding)
			a, err1 := io.ReadAll(whole)
			b, err2 := io.ReadAll(split)
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Fatalf("%s: %q, %v and, cut at %d, %q, %v", encoding, a, err1, k, b, err2)
			}
		}
	})
}
