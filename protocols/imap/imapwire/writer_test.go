package imapwire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recorder keeps each Write apart.
type recorder struct {
	writes []string
	from   int // calls of ReadFrom
	err    error
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	r.writes = append(r.writes, string(p))
	return len(p), nil
}

type fastRecorder struct {
	recorder
	limited bool // src was an *io.LimitedReader over a file
}

func (r *fastRecorder) ReadFrom(src io.Reader) (int64, error) {
	r.from++
	if lr, ok := src.(*io.LimitedReader); ok {
		_, r.limited = lr.R.(*os.File)
	}
	b, err := io.ReadAll(src)
	r.writes = append(r.writes, string(b))
	return int64(len(b)), err
}

func TestWriterHoldsNoBufferWhenFlushed(t *testing.T) {
	var rec recorder
	w := NewWriter(&rec)
	if w.pooled != nil || w.Buffered() != 0 {
		t.Error("holds a buffer before anything is written")
	}
	if err := w.Flush(); err != nil || len(rec.writes) != 0 {
		t.Error("an empty flush writes")
	}
	b := w.Begin()
	b = append(b, "* 1 "...)
	if err := w.End(append(b, "EXISTS\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("a OK done\r\n"); err != nil {
		t.Fatal(err)
	}
	if len(rec.writes) != 0 || w.Buffered() == 0 {
		t.Errorf("wrote %q before the flush", rec.writes)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(rec.writes) != 1 || rec.writes[0] != "* 1 EXISTS\r\na OK done\r\n" {
		t.Errorf("wrote %q", rec.writes)
	}
	if w.pooled != nil || w.buf != nil || w.Buffered() != 0 {
		t.Error("holds a buffer after the flush")
	}
}

func TestWriterSendsWhenLarge(t *testing.T) {
	var rec recorder
	w := NewWriter(&rec)
	var want strings.Builder
	for range 1000 {
		line := strings.Repeat("x", 98) + "\r\n"
		want.WriteString(line)
		if err := w.End(append(w.Begin(), line...)); err != nil {
			t.Fatal(err)
		}
		if w.Buffered() >= flushSize {
			t.Fatalf("%d octets wait", w.Buffered())
		}
	}
	outgrown := strings.Repeat("y", 3*writeSize)
	want.WriteString(outgrown)
	if err := w.End(append(w.Begin(), outgrown...)); err != nil {
		t.Fatal(err)
	}
	if cap(w.Begin()) != writeSize {
		t.Error("keeps a buffer that has outgrown the pool")
	}
	for range 2 {
		want.WriteString(outgrown)
		if n, err := w.Write([]byte(outgrown)); n != len(outgrown) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rec.writes, ""); got != want.String() {
		t.Errorf("wrote %d octets that differ from the %d wanted", len(got), want.Len())
	}
}

func TestWriterErrorSticks(t *testing.T) {
	gone := errors.New("gone")
	rec := recorder{err: gone}
	w := NewWriter(&rec)
	if _, err := w.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != gone {
		t.Fatal(err)
	}
	rec.err = nil
	_, err1 := w.WriteString("y")
	_, err2 := w.Write(make([]byte, 2*flushSize))
	err3 := w.WriteLiteral(1, LiteralText, func(io.Writer) error { t.Error("asked for data"); return nil })
	if err1 != gone || err2 != gone || err3 != gone || w.End(w.Begin()) != gone || w.Flush() != gone || w.Err() != gone || len(rec.writes) != 0 {
		t.Errorf("got %v, %v, %v; wrote %q", err1, err2, err3, rec.writes)
	}
	if w.buf != nil {
		t.Error("holds a buffer")
	}
	var fresh recorder
	w.Reset(&fresh)
	if _, err := w.WriteString("z"); err != nil || w.Flush() != nil || len(fresh.writes) != 1 {
		t.Errorf("after Reset: %v, %q", err, fresh.writes)
	}
}

func TestWriteLiteral(t *testing.T) {
	big := strings.Repeat("0123456789abcde\x00", 10000)
	clean := strings.ReplaceAll(big, "\x00", "\x80")
	for _, tt := range []struct {
		name       string
		kind       LiteralKind
		data, want string
	}{
		{"empty", LiteralText, "", "{0}\r\n"},
		{"small", LiteralText, "a\x00b", "{3}\r\na\x80b"},
		{"small literal8", LiteralBinary, "a\x00b", "~{3}\r\na\x00b"},
		{"small clean", LiteralClean, "abc", "{3}\r\nabc"},
		{"big", LiteralText, big, "{160000}\r\n" + clean},
		{"big without NUL", LiteralText, clean, "{160000}\r\n" + clean},
		{"big literal8", LiteralBinary, big, "~{160000}\r\n" + big},
		{"big clean", LiteralClean, clean, "{160000}\r\n" + clean},
	} {
		writes := map[string]func(io.Writer) error{
			"at once":   func(w io.Writer) error { _, err := w.Write([]byte(tt.data)); return err },
			"by copy":   func(w io.Writer) error { _, err := io.Copy(w, strings.NewReader(tt.data)); return err },
			"read from": func(w io.Writer) error { _, err := io.Copy(w, onlyReader{strings.NewReader(tt.data)}); return err },
			"in pieces": func(w io.Writer) error {
				for _, c := range []byte(tt.data) {
					if _, err := w.Write([]byte{c}); err != nil {
						return err
					}
				}
				return nil
			},
		}
		for how, write := range writes {
			for _, dst := range []interface {
				io.Writer
				all() string
			}{&recorder{}, &fastRecorder{}} {
				w := NewWriter(dst)
				_, err0 := w.WriteString("* 1 FETCH (BODY[] ")
				err1 := w.WriteLiteral(int64(len(tt.data)), tt.kind, write)
				_, err2 := w.WriteString(")\r\n")
				if err := errors.Join(err0, err1, err2, w.Flush()); err != nil {
					t.Errorf("%s, %s: %v", tt.name, how, err)
				}
				if dst.all() != "* 1 FETCH (BODY[] "+tt.want+")\r\n" {
					t.Errorf("%s, %s: wrote %.80q", tt.name, how, dst.all())
				}
			}
		}
	}
}

func (r *recorder) all() string { return strings.Join(r.writes, "") }

type onlyReader struct{ io.Reader }

// The argument of Write is the caller's and is not changed.
func TestWriteLiteralKeepsItsArgument(t *testing.T) {
	data := bytes.Repeat([]byte{'a', 0}, flushSize)
	want := bytes.Clone(data)
	err := NewWriter(io.Discard).WriteLiteral(int64(len(data)), LiteralText, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil || !bytes.Equal(data, want) {
		t.Error("data was changed", err)
	}
}

// A file reaches the connection in the form from which the kernel copies.
func TestWriteLiteralOfFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(name, make([]byte, 100000), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rec fastRecorder
	w := NewWriter(&rec)
	err = w.WriteLiteral(90000, LiteralBinary, func(dst io.Writer) error {
		_, err := io.CopyN(dst, f, 90000)
		return err
	})
	if err != nil || rec.from != 1 || !rec.limited || len(rec.all()) != len("~{90000}\r\n")+90000 {
		t.Errorf("%v, ReadFrom %d times, from a file: %v, %d octets", err, rec.from, rec.limited, len(rec.all()))
	}
}

func TestWriteLiteralOfWrongSize(t *testing.T) {
	broken := errors.New("disk broken")
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
		want  error
	}{
		{"too short", func(w io.Writer) error { _, err := io.WriteString(w, "abc"); return err }, ErrLiteralSize},
		{"too long", func(w io.Writer) error { _, err := io.WriteString(w, "abcde"); return err }, ErrLiteralSize},
		{"far too long", func(w io.Writer) error { _, err := io.WriteString(w, strings.Repeat("e", 3*flushSize)); return err }, ErrLiteralSize},
		{"too long, unheeded", func(w io.Writer) error { _, _ = io.WriteString(w, "abcd"); _, _ = io.WriteString(w, "e"); return nil }, ErrLiteralSize},
		{"error", func(w io.Writer) error { return broken }, broken},
		{"error at the end", func(w io.Writer) error { _, _ = io.WriteString(w, "abcd"); return broken }, broken},
	} {
		for _, kind := range []LiteralKind{LiteralText, LiteralClean, LiteralBinary} {
			var rec recorder
			w := NewWriter(&rec)
			if err := w.WriteLiteral(4, kind, tt.write); err != tt.want || w.Err() != tt.want || w.Flush() != tt.want {
				t.Errorf("%s: got %v", tt.name, err)
			}
			if strings.Contains(rec.all(), "e") {
				t.Errorf("%s: sent more than announced: %q", tt.name, rec.all())
			}
		}
	}
}

func TestWriteLiteralKeptTooLong(t *testing.T) {
	for _, kind := range []LiteralKind{LiteralText, LiteralClean} {
		var kept io.Writer
		w := NewWriter(io.Discard)
		if err := w.WriteLiteral(0, kind, func(dst io.Writer) error { kept = dst; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Write([]byte("x")); err == nil {
			t.Error("wrote after the literal")
		}
		if _, err := io.Copy(kept, onlyReader{strings.NewReader("x")}); err == nil {
			t.Error("copied after the literal")
		}
	}
}

// Whether there was a NUL is told of each literal that was looked at, and how much went
// out of everything.
func TestWriterTells(t *testing.T) {
	var out strings.Builder
	w := NewWriter(&out)
	for _, test := range []struct {
		text string
		nul  bool
	}{{"a\x00", true}, {"a", false}, {strings.Repeat("x", 3*lookSize) + "\x00", true}, {"\x00" + strings.Repeat("x", 3*lookSize), true}, {"", false}} {
		err := w.WriteLiteral(int64(len(test.text)), LiteralText, func(w io.Writer) error {
			_, err := io.WriteString(w, test.text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if w.NUL() != test.nul {
			t.Errorf("%.5q...: NUL %t", test.text, w.NUL())
		}
		if w.Sent() != int64(out.Len()) {
			t.Errorf("%d octets went out, %d are told", out.Len(), w.Sent())
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if w.Sent() != int64(out.Len()) || strings.Contains(out.String(), "\x00") {
		t.Errorf("%d octets went out, %d are told", out.Len(), w.Sent())
	}
}
