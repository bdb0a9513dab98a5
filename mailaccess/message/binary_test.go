package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// encodeBinary puts in through a BinaryEncoder in pieces of n octets.
func encodeBinary(t interface{ Fatal(...any) }, in string, n int) string {
	var out bytes.Buffer
	e := NewBinaryEncoder(&out)
	for rest := in; rest != ""; {
		k := min(n, len(rest))
		if m, err := e.Write([]byte(rest[:k])); m != k || err != nil {
			t.Fatal(m, err)
		}
		rest = rest[k:]
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestBinaryEncoder: RFC 3516, sections 4.4 and 6: parts that are labelled binary are
// base64 afterwards, and nothing else changes.
func TestBinaryEncoder(t *testing.T) {
	long := strings.Repeat("\x00\n\xff", 40)
	for _, tt := range []struct{ in, want string }{
		{"Subject: x\r\n\r\nplain\nlines", "Subject: x\r\n\r\nplain\nlines"},
		{"", ""},
		{"Content-Transfer-Encoding: binary\r\n\r\n", "Content-Transfer-Encoding: base64\r\n\r\n"},
		{"Content-Transfer-Encoding: binary", "Content-Transfer-Encoding: binary"},
		{"content-transfer-encoding:\r\n Binary (x)\r\nA: b\r\n\r\na\x00\n", "Content-Transfer-Encoding: base64\r\nA: b\r\n\r\nYQAK\r\n"},
		{"Content-Transfer-Encoding: binary\r\n\r\n" + long,
			"Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(strings.Repeat("AAr/", 19)+"\r\n", 2) + "AAr/AAr/\r\n"},
		{"Content-Transfer-Encoding: 8bit\r\n\r\na\x00\n", "Content-Transfer-Encoding: 8bit\r\n\r\na\x00\n"},
		// Of several fields the first counts.
		{"Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00", "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00"},
		{
			"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\npre\n--b\r\n" +
				"Content-Transfer-Encoding: binary\r\n\r\n\x00\n-\n--c\r\n\r\n--b \r\n\r\n\x00\n--b\r\n" +
				"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00--b\r\n" +
				"--b\r\nContent-Transfer-Encoding: binary\r\n\r\n--b--\r\nepi\n",
			"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\npre\n--b\r\n" +
				"Content-Transfer-Encoding: base64\r\n\r\nAAotCi0tYw0K\r\n--b \r\n\r\n\x00\n--b\r\n" +
				"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nContent-Transfer-Encoding: base64\r\n\r\nAC0tYg==\r\n" +
				"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b--\r\nepi\n",
		},
		// A header too long to be held is left as it is, and so is its part.
		{"Content-Transfer-Encoding: binary\r\nA: " + strings.Repeat("x", maxEncodedHeader) + "\r\n\r\n\x00\n",
			"Content-Transfer-Encoding: binary\r\nA: " + strings.Repeat("x", maxEncodedHeader) + "\r\n\r\n\x00\n"},
	} {
		for _, n := range []int{1, 2, 3, 7, 1 << 20} {
			if n < 7 && len(tt.in) > 1000 {
				continue
			}
			if got := encodeBinary(t, tt.in, n); got != tt.want {
				t.Errorf("%.200q in pieces of %d:\n got %.300q\nwant %.300q", tt.in, n, got, tt.want)
			}
		}
	}
}

// TestBinaryEncoderKeepsAll: whatever a part holds, it is what base64 gives back, and
// the result does not depend on the pieces.
func TestBinaryEncoderKeepsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"\r", "\n", "\r\n", "-", "--", "--b", "--b\r\n", "a", "\x00", "\r\n--", " ", strings.Repeat("y", 200)})
		body := strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "body"), "")
		in := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body + "\r\n--b--\r\n"
		whole := encodeBinary(t, in, len(in))
		if got := encodeBinary(t, in, rapid.IntRange(1, 9).Draw(t, "n")); got != whole {
			t.Fatalf("%q in pieces: %q, want %q", in, got, whole)
		}
		want, got := firstPart(t, in), firstPart(t, whole)
		if want != got {
			t.Fatalf("%q: the part is %q, and was %q", whole, got, want)
		}
	})
}

func firstPart(t *rapid.T, in string) string {
	r := strings.NewReader(in)
	p, err := Parse(r, int64(len(in)), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, _ := p.Children[0].Decoded(r)
	b, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBinaryEncoderFails(t *testing.T) {
	wrong := errors.New("wrong")
	e := NewBinaryEncoder(failingWriter{wrong})
	if _, err := e.Write([]byte("a: b\r\n\r\nc")); err != wrong {
		t.Error(err)
	}
	if _, err := e.Write([]byte("d")); err != wrong {
		t.Error(err)
	}
	if err := e.Close(); err != wrong {
		t.Error(err)
	}
}

// FuzzBinaryEncoder: whatever comes, the pieces do not matter, and what is no part that is
// labelled binary stays as it is.
func FuzzBinaryEncoder(f *testing.F) {
	for _, seed := range []string{
		"", "Content-Transfer-Encoding: binary\r\n\r\na\x00\n", "Content-Transfer-Encoding:\n\tBINARY\n\n\r\n\r",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\r\n--b\r\n\r\n--b--",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: binary\n--b\n\n-\n--b--\n--b\n",
		"Content-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00",
	} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		whole := encodeBinary(t, in, max(1, len(in)))
		if got := encodeBinary(t, in, 1+(n&15)); got != whole {
			t.Fatalf("%q in pieces: %q, want %q", in, got, whole)
		}
		if !strings.Contains(strings.ToLower(in), "binary") && whole != in {
			t.Fatalf("%q became %q", in, whole)
		}
	})
}
