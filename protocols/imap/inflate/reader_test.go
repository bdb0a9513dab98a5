package inflate

import (
	"bytes"
	stdflate "compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/flate"
	"pgregory.net/rapid"
)

// chunks is a source that gives the pieces one by one, and is quiet before each that
// quiet says.
type chunks struct {
	pieces [][]byte
	quiet  func() bool
	asked  bool
	reads  int
}

func (c *chunks) Read(p []byte) (int, error) {
	c.reads++
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	if !c.asked && c.quiet != nil && c.quiet() {
		c.asked = true
		return 0, ErrQuiet
	}
	c.asked = false
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

// conversation draws the messages of a peer: alike, repetitive, or without any
// sense.
func conversation(t *rapid.T) [][]byte {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	var all [][]byte
	for range rapid.IntRange(1, 8).Draw(t, "messages") {
		n := rapid.SampledFrom([]int{1, 5, 100, 3000, 40_000}).Draw(t, "size")
		m := make([]byte, n)
		alphabet := rapid.SampledFrom([]int{1, 3, 20, 256}).Draw(t, "alphabet")
		for i := range m {
			m[i] = byte(r.IntN(alphabet))
		}
		all = append(all, m)
	}
	return all
}

// deflated compresses messages at a level, flushed after each, and says where each
// ends.
func deflated(t interface{ Fatal(...any) }, messages [][]byte, level int) (stream []byte, ends []int) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if _, err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, b.Len())
	}
	return b.Bytes(), ends
}

// TestReader: what was compressed comes out, whatever the pieces in which it comes
// and wherever the reader was parked.
func TestReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := conversation(t)
		stream, _ := deflated(t, messages, rapid.SampledFrom([]int{0, 1, 5, 9, flate.HuffmanOnly}).Draw(t, "level"))
		src := &chunks{quiet: func() bool { return rapid.IntRange(0, 3).Draw(t, "quiet") == 0 }}
		for piece := 0; len(stream) > 0; stream = stream[piece:] {
			piece = min(rapid.SampledFrom([]int{1, 2, 3, 60, 5000, 100_000}).Draw(t, "piece"), len(stream))
			if len(stream) > 20_000 {
				piece = max(piece, 1000)
			}
			src.pieces = append(src.pieces, stream[:piece])
		}
		r := NewReader(src)
		got, err := io.ReadAll(r)
		if want := bytes.Join(messages, nil); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d octets and %v, want %d", len(got), err, len(want))
		}
		r.Close()
	})
}

// TestGivesWhatHasCome: a message is given although nothing follows its flush.
func TestGivesWhatHasCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		messages := conversation(t)
		stream, ends := deflated(t, messages, rapid.SampledFrom([]int{1, 9}).Draw(t, "level"))
		var src chunks
		r := NewReader(&src)
		from := 0
		for i, m := range messages {
			src.pieces = [][]byte{stream[from:ends[i]]}
			from = ends[i]
			got := make([]byte, len(m))
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, m) {
				t.Fatalf("message %d: %v", i, err)
			}
			if len(src.pieces) > 0 && len(src.pieces[0]) > 5 {
				t.Fatalf("message %d: %d octets were not needed", i, len(src.pieces[0]))
			}
		}
	})
}

// partial are two commands as zlib sends them with Z_PARTIAL_FLUSH, which is how
// NeoMutt talks: the first in a dynamic block, the second in a fixed one.
var partial = [...]struct{ stream, says string }{
	{"\x44\x4f\x31\x6e\x03\x31\x0c\xdb\x0b\xf4\x0f\x1a\x93\xc1\x07\x27\x4b\x8b\x6e\x3e\x9b\xbe\xa8\x75\x6c\xc3\xd2\x01\xb9\x16\x19\xf2\xff\x4f\x54\x4d\x80\x74\x92\x48\x89\xa4\x74\xf3\xde\xbf\xd1\xca\x89\x32\x34\x9e\xe8\xf0\x71\xf0\x9e\x76\x77\xa2\x84\x45\x88\xab\x62\xd4\x50\x52\x50\xd0\xc8\xf1\xfd\x78\x9c\x84\xbf\x41\x73\x4b\xdb\xd4\x81\xaf\x9f\x13\x42\xc2\x98\x32\xa3\x24\xa1\xdd\x7d\x33\x8f\x76\x26\x41\xb5\x01\xc9\x3a\x7f\x22\x2a\x69\xa3\x18\xe9\x0c\x91\xb0\xc0\x59\xc2\x40\xc6\x40\x8d\x10\x8a\xcd\x72\xaa\x3a\xdd\x3a\x9e\x20\x41\xe2\xe0\xae\xdc\xaa\xdd\xe1\x06\x7a\xd9\x9c\xb9\x3c\x9b\xc2\xd5\xb4\x85\x45\x5d\x6f\xa2\x8f\xce\xe2\xfe\x64\x33\x1e\x70\xad\xff\xc4\xc5\x95\x30\xa3\x58\x6d\x83\x17\xb6\xb7\xcc\x65\x7f\xdd\xbf\xbe\xfc\x0a",
		"a0007 UID FETCH 1:100 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SENDER SUBJECT TO CC MESSAGE-ID REFERENCES CONTENT-TYPE CONTENT-DESCRIPTION IN-REPLY-TO REPLY-TO LINES LIST-POST LIST-SUBSCRIBE LIST-UNSUBSCRIBE X-LABEL X-ORIGINAL-TO)])\r\n"},
	{"\xa0\x44\x60\x38\x58\x28\xf8\xf9\xfb\x07\xf0\x72\x01\x04",
		"a0008 NOOP\r\n"},
}

// TestPartialFlush: the end of zlib's empty block is not waited for.
func TestPartialFlush(t *testing.T) {
	var src chunks
	r := NewReader(&src)
	for _, p := range partial {
		src.pieces, src.reads = [][]byte{[]byte(p.stream)}, 0
		got := make([]byte, len(p.says))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != p.says {
			t.Fatalf("%q and %v, want %q", got, err, p.says)
		}
	}
}

// TestErrors: what is no stream, and errors of the source, are told.
func TestErrors(t *testing.T) {
	sick := errors.New("sick")
	for _, test := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"nothing", strings.NewReader(""), nil},
		{"a source that fails", iotest.ErrReader(sick), sick},
		{"a reserved type", strings.NewReader("\x07"), ErrCorrupt},
		{"a wrong length", strings.NewReader("\x00\x01\x00\x00\x00"), ErrCorrupt},
		{"a distance before the beginning", strings.NewReader("\x03\x02\x00"), ErrCorrupt},
		{"plain text", strings.NewReader("a NOOP\r\n"), ErrCorrupt},
		{"too many literal codes", strings.NewReader("\xfd\xff\xff\xff"), ErrCorrupt},
	} {
		_, err := io.ReadAll(NewReader(test.src))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// TestTimeout: after an error of the source that passes, reading goes on.
func TestTimeout(t *testing.T) {
	stream, _ := deflated(t, [][]byte{[]byte("a NOOP\r\n")}, 5)
	r := NewReader(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(stream))))
	var got []byte
	for len(got) < len("a NOOP\r\n") {
		var p [10]byte
		n, err := r.Read(p[:])
		if err != nil && err != iotest.ErrTimeout {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if string(got) != "a NOOP\r\n" {
		t.Errorf("%q", got)
	}
}

// TestFinish: the stream ends at its last block or at a flush, and what comes after
// it is plain.
func TestFinish(t *testing.T) {
	flushed, _ := deflated(t, [][]byte{[]byte("a UNAUTHENTICATE\r\n")}, 5)
	closed := func() []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 5)
		w.Write([]byte("a UNAUTHENTICATE\r\n"))
		w.Close()
		return b.Bytes()
	}()
	for name, stream := range map[string][]byte{"flushed": flushed, "closed": closed} {
		for _, one := range []bool{true, false} {
			var src io.Reader = strings.NewReader(string(stream) + "b LOGIN")
			if one {
				src = iotest.OneByteReader(src)
			}
			r := NewReader(src)
			got := make([]byte, len("a UNAUTHENTICATE\r\n"))
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			if err := r.Finish(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(r.Rest()), src))
			if err != nil || string(rest) != "b LOGIN" {
				t.Errorf("%s: after the end: %q, %v", name, rest, err)
			}
		}
	}
}

// TestParkedSize: what a parked reader holds is small, however much was said.
func TestParkedSize(t *testing.T) {
	var said bytes.Buffer
	w, err := flate.NewWriter(&said, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if _, err := w.Write(command(i)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	src := &chunks{pieces: [][]byte{said.Bytes(), {0}}}
	src.quiet = func() bool { return len(src.pieces) == 1 }
	r := NewReader(src)
	if _, err := io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	src.pieces, src.asked = [][]byte{nil}, false
	r.err = nil
	r.park()
	if r.w != nil || r.in != nil {
		t.Error("a parked reader holds its work")
	}
	if len(r.packed) > 6<<10 {
		t.Errorf("a parked reader holds %d octets", len(r.packed))
	}
}

// command is one of many that a client says.
func command(i int) []byte {
	return []byte(strings.Join([]string{"a", strings.Repeat("1", i%5), " UID FETCH ", strings.Repeat("7", i%7), ":* (UID FLAGS)\r\n"}, ""))
}

// FuzzReader: any stream gives what the standard library's reader gives.
func FuzzReader(f *testing.F) {
	for _, m := range []string{"", "a NOOP\r\n", strings.Repeat("a1 UID FETCH 1:* (FLAGS)\r\n", 100)} {
		for _, level := range []int{0, 1, 9, flate.HuffmanOnly} {
			stream, _ := deflated(f, [][]byte{[]byte(m), []byte(m)}, level)
			f.Add(stream, uint8(3))
			f.Add(append(stream, 3, 0), uint8(100))
		}
	}
	f.Add([]byte("\x05\xe0\x81\x08"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		const most = 64 << 10
		want, wantErr := io.ReadAll(io.LimitReader(stdflate.NewReader(bytes.NewReader(stream)), most))
		pieces := 0
		src := &chunks{quiet: func() bool { pieces++; return pieces%16 == 1 }}
		for rest := stream; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			src.pieces = append(src.pieces, rest[:n])
			rest = rest[n:]
		}
		r := NewReader(src)
		defer r.Close()
		got, err := io.ReadAll(io.LimitReader(r, most))
		var corrupt stdflate.CorruptInputError
		switch {
		case wantErr == nil && (err != nil || !bytes.Equal(got, want)):
			t.Errorf("%d octets and %v, want %d", len(got), err, len(want))
		case errors.As(wantErr, &corrupt) && r.stage == ended:
			t.Errorf("a good end, want %v", wantErr)
		case !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got):
			t.Errorf("%d octets, want those %d", len(got), len(want))
		}
	})
}

// BenchmarkReader decompresses a long upload, beside the library's reader.
func BenchmarkReader(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = "etaoin shrdlu\r\n"[r.IntN(15)]
	}
	stream, _ := deflated(b, [][]byte{text}, 5)
	for name, open := range map[string]func(io.Reader) io.Reader{
		"inflate":    func(r io.Reader) io.Reader { return NewReader(r) },
		"klauspost":  func(r io.Reader) io.Reader { return flate.NewReader(r) },
		"compress/…": func(r io.Reader) io.Reader { return stdflate.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				n, _ := io.Copy(io.Discard, open(bytes.NewReader(stream)))
				if n != int64(len(text)) {
					b.Fatal(n)
				}
			}
		})
	}
}

// steps is a source that gives pieces and errors in turn.
type steps []struct {
	piece []byte
	err   error
}

func (s *steps) Read(p []byte) (int, error) {
	for len(*s) > 0 && len((*s)[0].piece) == 0 && (*s)[0].err == nil {
		*s = (*s)[1:]
	}
	if len(*s) == 0 {
		return 0, io.EOF
	}
	step := &(*s)[0]
	n := copy(p, step.piece)
	step.piece = step.piece[n:]
	err := step.err
	if err != nil {
		*s = (*s)[1:]
	}
	return n, err
}

// TestParkedAndFailed: a reader that was parked in the middle of a block bears an error of
// its source that its owner survives, wherever it comes, and goes on.
func TestParkedAndFailed(t *testing.T) {
	// A block with the fixed codes (RFC 1951, section 3.2.6): its head and five octets
	// above 143, of 9 bits each, fill 6 octets.
	var stream bytes.Buffer
	bits, n := 0, 0
	put := func(bit int) {
		if bits |= bit << n; n == 7 {
			stream.WriteByte(byte(bits))
			bits, n = 0, -1
		}
		n++
	}
	code := func(v, length int) {
		for i := length - 1; i >= 0; i-- {
			put(v >> i & 1)
		}
	}
	code(0b010, 3)
	want := []byte("\xc3\xa9\xc3\xa9\xff\r\nb NOOP\r\n")
	for _, c := range want {
		if c < 144 {
			code(0b00110000+int(c), 8)
		} else {
			code(0b110010000+int(c)-144, 9)
		}
	}
	code(0, 7) // the end of the block
	for n > 0 {
		put(0)
	}
	failure := errors.New("for now")
	for cut := range stream.Len() {
		src := &steps{{stream.Bytes()[:cut], nil}, {nil, ErrQuiet}, {nil, failure}, {stream.Bytes()[cut:], nil}}
		r := NewReader(src)
		var got []byte
		for len(got) < len(want) {
			var p [64]byte
			n, err := r.Read(p[:])
			got = append(got, p[:n]...)
			if err != nil && !errors.Is(err, failure) && !errors.Is(err, ErrQuiet) {
				t.Fatalf("cut at %d: %v after %q", cut, err, got)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("cut at %d: %q", cut, got)
		}
	}
}
