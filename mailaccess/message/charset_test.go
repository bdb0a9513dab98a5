package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"pgregory.net/rapid"
)

// charsetNames are names by which charsets are known, and some by which none is.
var charsetNames = strings.Fields(`
	us-ascii ascii utf-8 utf8 UTF-8 x-utf_8j unicode-1-1-utf-8 cp65001
	iso-8859-1 ISO-8859-1 latin1 l1 cp819 iso8859-1 iso_8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6
	iso-8859-6-e iso-8859-6-i iso-8859-7 iso-8859-8 iso-8859-8-e iso-8859-8-i iso-8859-9 iso-8859-10 iso-8859-11
	iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 ansi_x3.110-1983 ansi_x3.4-1968 hebrew greek arabic cyrillic
	windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258
	windows-874 windows-31j cp1250 cp1251 cp1252 x-cp1252 cp437 cp850 cp852 cp855 cp858 cp860 cp862 cp863 cp865 cp866 ibm037 ibm1047
	ibm866 koi8-r KOI8-R koi8-u macintosh mac x-mac-roman x-mac-cyrillic tis-620
	gb2312 gbk gb18030 hz-gb-2312 euc-cn big5 big5-hkscs shift_jis shift-jis sjis euc-jp iso-2022-jp ISO-2022-JP iso-2022-kr
	iso-2022-cn euc-kr ks_c_5601-1987 cp949 windows-949 utf-16 utf-16be utf-16le utf-32 utf-7 x-user-defined replacement
	x-unknown unknown-8bit default 8bit binary -`)

// inCharset is what package charset makes of b.
func inCharset(name string, b []byte) (text []byte, known bool) {
	if !isUTF8(lower(name)) {
		r, err := charset.Reader(name, bytes.NewReader(b))
		if known = err == nil; known {
			b, _ = io.ReadAll(r)
		}
	}
	return []byte(string([]rune(string(b)))), known || isUTF8(lower(name))
}

// Each charset is decoded as package charset decodes it, at once and in pieces.
func TestCharsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(charsetNames).Draw(t, "charset")
		b := rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 40),
			rapid.Map(rapid.StringMatching(`(\x1b\$B[!-~]{2,6}|\x1b\([BJ]|~\{[!-~]{2}|~\}|[a-z]|[à-ÿ])*`), func(s string) []byte { return []byte(s) }),
		).Draw(t, "text")
		want, known := inCharset(name, b)
		c := findCharset(name)
		if known != (c != nil) {
			t.Fatalf("known: %v, want %v", c != nil, known)
		}
		if got := toUTF8(b, name); got != string(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		p := &Part{Type: "text", Params: []Param{{"charset", name}}, Encoding: "8bit", Body: Range{0, int64(len(b))}}
		got, err := io.ReadAll(p.Text(bytes.NewReader(b)))
		if err != nil || string(got) != string(want) {
			t.Fatalf("text %q, %v, want %q", got, err, want)
		}
		if known && !c.utf8 {
			d := c.decoder()
			defer d.release()
			var pieces []byte
			for rest := b; ; {
				n := min(rapid.IntRange(1, 9).Draw(t, "piece"), len(rest))
				pieces = d.decode(pieces, rest[:n], n == len(rest))
				if rest = rest[n:]; len(rest) == 0 {
					break
				}
			}
			if string([]rune(string(pieces))) != string(want) {
				t.Fatalf("in pieces %q, want %q", pieces, want)
			}
		}
	})
}

// What is kept to decode with serves texts of any charsets one after another.
func TestTextReaderAgain(t *testing.T) {
	var reader TextReader
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("=\r\n AQz/+\x1b$B"))), 0, 90).Draw(t, "body")
		p := &Part{
			Type:     rapid.SampledFrom([]string{"text", "message"}).Draw(t, "type"),
			Params:   []Param{{"charset", rapid.SampledFrom(charsetNames).Draw(t, "charset")}},
			Encoding: rapid.SampledFrom([]string{"7bit", "base64", "quoted-printable", "x"}).Draw(t, "encoding"),
			Body:     Range{0, int64(len(b))},
		}
		want, err := io.ReadAll(p.Text(bytes.NewReader(b)))
		if err != nil {
			t.Fatal(err)
		}
		reader.Reset(p, bytes.NewReader(b))
		var got []byte
		most := rapid.IntRange(0, 90).Draw(t, "read")
		for piece := make([]byte, 7); len(got) < most; {
			n, err := reader.Read(piece)
			if got = append(got, piece[:n]...); err == io.EOF {
				if string([]rune(string(got))) != string(want) {
					t.Fatalf("got %q, want %q", got, want)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// naiveText is DecodeText without its care for memory.
func naiveText(v string) string {
	var out strings.Builder
	var run []byte
	name := ""
	flush := func() {
		if len(run) > 0 {
			text, _ := inCharset(name, run)
			out.Write(text)
		}
		run = nil
	}
	plain, word := 0, false
	for i := 0; i < len(v); {
		n := encodedWord(v[i:])
		if n == 0 {
			i++
			continue
		}
		if between := v[plain:i]; !word || strings.Trim(between, " \t") != "" {
			flush()
			out.WriteString(strings.ToValidUTF8(between, "\uFFFD"))
		}
		f := strings.SplitN(v[i+2:i+n-2], "?", 3)
		of, _, _ := strings.Cut(strings.ToLower(f[0]), "*")
		if of != name {
			flush()
			name = of
		}
		if f[1] == "b" || f[1] == "B" {
			run = append(run, naiveBase64(f[2])...)
		} else {
			for s := strings.ReplaceAll(f[2], "_", " "); s != ""; {
				if len(s) > 2 && s[0] == '=' && unhex(s[1]) >= 0 && unhex(s[2]) >= 0 {
					run, s = append(run, byte(unhex(s[1])<<4|unhex(s[2]))), s[3:]
				} else {
					run, s = append(run, s[0]), s[1:]
				}
			}
		}
		i += n
		plain, word = i, true
	}
	flush()
	out.WriteString(strings.ToValidUTF8(v[plain:], "\uFFFD"))
	return out.String()
}

func naiveBase64(s string) (b []byte) {
	for run := range strings.SplitSeq(s, "=") {
		letters := strings.Map(func(r rune) rune {
			if r < utf8.RuneSelf && base64Value[r]&noBase64 == 0 {
				return r
			}
			return -1
		}, run)
		some, _ := base64.RawStdEncoding.DecodeString(letters)
		b = append(b, some...)
	}
	return b
}

func TestDecodeTextIsThat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var v strings.Builder
		for range rapid.IntRange(1, 5).Draw(t, "pieces") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				v.Write(rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "octets"))
			case 1:
				v.WriteString(rapid.StringMatching(`[ \ta=?_é]{0,5}`).Draw(t, "text"))
			default:
				v.WriteString("=?" + rapid.SampledFrom(charsetNames).Draw(t, "charset") + rapid.SampledFrom([]string{"", "", "*en"}).Draw(t, "language") +
					"?" + rapid.SampledFrom([]string{"B", "q", "Q", "b", "x"}).Draw(t, "encoding") + "?" +
					rapid.StringMatching(`([a-zA-Z0-9+/]{0,8}=?|(=[0-9A-F]{2}|_|[a-z]|\x1b\$B)*)`).Draw(t, "word") + "?=")
			}
		}
		value := v.String()
		want := naiveText(value)
		if got := DecodeText(value); got != want {
			t.Fatalf("%q: got %q, want %q", value, got, want)
		}
		f := Field{Raw: []byte("Subject: " + value + "\r\n")}
		if got := f.AppendText([]byte("> ")); string(got) != "> "+f.Text() {
			t.Fatalf("%q: got %q, want %q", value, got, f.Text())
		}
		if text, ok := f.Plain(); ok && string(text) != f.Text() {
			t.Fatalf("%q: plain %q, want %q", value, text, f.Text())
		}
		if text, ok := TextOrOctets(value); ok && text != want {
			t.Fatalf("%q: got %q, want %q", value, text, want)
		}
	})
}

func TestBase64InPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([A-Za-z0-9+/]{0,9}[=\r\n é-]{0,2}){0,6}`).Draw(t, "base64")
		var d base64Decoder
		var got []byte
		for rest := []byte(s); ; {
			n := min(rapid.IntRange(1, 9).Draw(t, "piece"), len(rest))
			got = d.decode(got, rest[:n], n == len(rest))
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		if want := naiveBase64(s); !bytes.Equal(got, want) {
			t.Fatalf("%q: got %x, want %x", s, got, want)
		}
	})
}

// Decoding takes no memory for each text, whatever its charset.
func TestDecodingAllocates(t *testing.T) {
	var fields []Field
	var parts []*Part
	for _, name := range []string{"utf-8", "iso-8859-1", "ISO-2022-JP", "koi8-r", "gb18030"} {
		fields = append(fields, Field{Raw: []byte("Subject: =?" + name + "?Q?some=41text?=\r\n =?" + name + "?B?QUJDREVG?= and more\r\n")})
		for _, encoding := range []string{"7bit", "base64", "quoted-printable"} {
			parts = append(parts, &Part{Type: "text", Params: []Param{{"charset", lower(name)}}, Encoding: encoding, Body: Range{0, 8}})
		}
	}
	var b []byte
	var text TextReader
	source := bytes.NewReader([]byte("QUJDREVG"))
	into := make([]byte, 64)
	for what, do := range map[string]func(){
		"fields": func() {
			for _, f := range fields {
				b = f.AppendText(b[:0])
			}
		},
		"parts": func() {
			for _, p := range parts {
				text.Reset(p, source)
				for {
					if _, err := text.Read(into); err == io.EOF {
						break
					}
				}
			}
			text.Close()
		},
	} {
		// Now and then the garbage collector takes what lay in a pool, and the race detector
		// has it thrown away.
		if n := testing.AllocsPerRun(500, do); n > 1 && !raceEnabled {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
