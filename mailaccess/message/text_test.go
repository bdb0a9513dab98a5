package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"encoding/base64"
	"mime/quotedprintable"
)

func TestNewDecoder(t *testing.T) {
	tests := []struct {
		name, encoding, in, want string
		known                    bool
	}{
		{"none", "", "a=20b", "a=20b", true},
		{"7bit", "7BIT", "a=20b", "a=20b", true},
		{"unknown", "x-uuencode", "a=20b", "a=20b", false},
		{"base64", "base64", "aGVsbG8gd29ybGQ=", "hello world", true},
		{"base64 in lines", "BASE64", "aGVs\r\nbG8g\r\nd29y\r\nbGQ=\r\n", "hello world", true},
		{"base64 split anywhere", "base64", "aG\r\nVsbG\r\n8=", "hello", true},
		{"base64 without padding", "base64", "aGVsbG8", "hello", true},
		{"base64 with junk", "base64", "aG!Vs\x00bG\xff8=", "hello", true},
		{"base64, two runs", "base64", "aGVsbG8=IHdvcmxk", "hello world", true},
		{"base64, six bits left", "base64", "aGVsb", "hel", true},
		{"base64, only padding", "base64", "====", "", true},
		{"base64, nothing", "base64", "", "", true},
		{"qp", "quoted-printable", "gr=C3=BC=c3=9fe", "grüße", true},
		{"qp soft break", "quoted-printable", "a=\r\nb", "ab", true},
		{"qp soft break, LF", "quoted-printable", "a=\nb", "ab", true},
		{"qp soft break, padded", "quoted-printable", "a= \t\r\nb", "ab", true},
		{"qp soft break at the end", "quoted-printable", "a=", "a", true},
		{"qp space before line end", "quoted-printable", "a \t \r\nb \nc ", "a\r\nb\nc", true},
		{"qp space inside", "quoted-printable", "a b\tc  d", "a b\tc  d", true},
		{"qp encoded space at line end", "quoted-printable", "a=20\r\n", "a \r\n", true},
		{"qp bad escapes", "quoted-printable", "a=b=XY==41=4", "a=b=XY=A=4", true},
		{"qp lone CR", "quoted-printable", "a \rb=\rc", "a \rb=\rc", true},
		{"qp 8-bit", "quoted-printable", "\xff=FF", "\xff\xff", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
			} {
				r, known := NewDecoder(wrap(strings.NewReader(tt.in)), tt.encoding)
				got, err := io.ReadAll(r)
				if err != nil || string(got) != tt.want || known != tt.known {
					t.Errorf("%s: got %q, %v, %v, want %q, %v", name, got, known, err, tt.want, tt.known)
				}
			}
		})
	}
}

// White space before a line end is dropped, however it is cut, and however
// long it is within the limit on what is held.
func TestQuotedPrintableSpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{" ", "\t", "=", "\r", "\n", "a", "=20", strings.Repeat(" \t", 600)})
		in := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
		whole, _ := NewDecoder(strings.NewReader(in), "quoted-printable")
		want, _ := io.ReadAll(whole)
		bytewise, _ := NewDecoder(iotest.OneByteReader(strings.NewReader(in)), "quoted-printable")
		if got, err := io.ReadAll(bytewise); err != nil || string(got) != string(want) {
			t.Fatalf("%q: byte by byte %q, %v, want %q", in, got, err, want)
		}
	})
}

// Whatever the standard encoders write comes back.
func TestDecoderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Byte(), 0, 30000).Draw(t, "in")
		var b strings.Builder
		encoding := rapid.SampledFrom([]string{"base64", "quoted-printable"}).Draw(t, "encoding")
		var w io.WriteCloser
		if encoding == "base64" {
			w = base64.NewEncoder(base64.StdEncoding, &b)
		} else {
			qp := quotedprintable.NewWriter(&b)
			qp.Binary = true
			w = qp
		}
		_, _ = w.Write(in)
		_ = w.Close()
		r, _ := NewDecoder(strings.NewReader(b.String()), encoding)
		got, err := io.ReadAll(r)
		if err != nil || string(got) != string(in) {
			t.Fatalf("%s: %d bytes became %d, %v", encoding, len(in), len(got), err)
		}
	})
}

func TestNewCharsetReader(t *testing.T) {
	tests := []struct{ charset, in, want string }{
		{"", "grüße", "grüße"},
		{"us-ascii", "grüße", "grüße"},
		{"utf-8", "a\xffb\xc3", "a\uFFFDb\uFFFD"},
		{"ISO-8859-1", "gr\xfc\xdfe", "grüße"},
		{"windows-1252", "\x80", "€"},
		{"koi8-r", "\xf0\xf2\xe9\xf7\xe5\xf4", "ПРИВЕТ"},
		{"iso-2022-jp", "\x1b$BF|K\\8l\x1b(B", "日本語"},
		{"gb2312", "\xc4\xe3\xba\xc3", "你好"},
		{"utf-16be", "\x00a\x20\xac", "a€"},
		{"no-such-charset", "gr\xfc\xc3\xbc", "gr\uFFFDü"},
	}
	for _, tt := range tests {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			got, err := io.ReadAll(NewCharsetReader(wrap(strings.NewReader(tt.in)), tt.charset))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s %q: got %q, %v, want %q", tt.charset, tt.in, got, err, tt.want)
			}
		}
	}
}

func TestPartText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "\nhello\n", "hello\r\n"},
		{"base64 and latin1", "Content-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: BASE64\n\nZ3L832U=\n", "grüße"},
		{"quoted-printable", "Content-Type: text/html; charset=\"utf-8\"\nContent-Transfer-Encoding: Quoted-Printable\n\ngr=C3=BC=\n=C3=9Fe", "grüße"},
		{"charset in RFC 2231 form", "Content-Type: text/plain; charset*=us-ascii'en'iso-8859-1\n\ngr\xfc\xdfe", "grüße"},
		{"charset of what is no text", "Content-Type: application/x; charset=iso-8859-1\n\ngrüße", "grüße"},
		{"encoding with a comment", "Content-Transfer-Encoding: (why) base64 (indeed)\n\naGk=", "hi"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			msg := crlf(tt.in)
			got, err := io.ReadAll(parse(t, msg).Text(strings.NewReader(msg)))
			if err != nil || string(got) != tt.want || !utf8.Valid(got) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	msg := "\r\nhello"
	if b, err := io.ReadAll(parse(t, msg).Text(strings.NewReader(msg[:4]))); string(b) != "he" || err != io.ErrUnexpectedEOF {
		t.Errorf("message cut short: %q, %v, want io.ErrUnexpectedEOF", b, err)
	}
}
