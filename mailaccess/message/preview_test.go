package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func previewOf(t testing.TB, msg string) string {
	t.Helper()
	p, err := Parse(strings.NewReader(msg), int64(len(msg)), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.Preview(strings.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPreview(t *testing.T) {
	const mixed, alternative = "Content-Type: multipart/mixed; boundary=b\r\n\r\n", "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
	html := func(s string) string { return "Content-Type: text/html; charset=utf-8\r\n\r\n" + s }
	part := func(s string) string { return "--b\r\n" + s + "\r\n" }
	for _, tt := range []struct{ name, msg, want string }{
		{"plain", "Subject: x\r\n\r\nHello,\r\n\r\n\tthis  is \r\nit.\r\n", "Hello, this is it."},
		{"empty", "Subject: x\r\n\r\n", ""},
		{"blank", "Subject: x\r\n\r\n \r\n\t\r\n", ""},
		{"header alone", "Subject: x\r\n", ""},
		{"quoted-printable", "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve caf=\r\n=E9\r\n", "naïve café"},
		{"base64", "Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: base64\r\n\r\nGyRCRnxLXBsoQg==\r\n", "日本"},
		{"no UTF-8", "Content-Type: text/plain; charset=utf-8\r\n\r\na\xffb\r\n", "a\ufffdb"},
		{"controls", "Subject: x\r\n\r\na\x00b\x07c\rd\x7fe\r\n", "a b c d e"},
		{"unseen", "Content-Type: text/plain; charset=utf-8\r\n\r\n\ufeffa\u00adb\u200bc\u202ed \u00a0\u2003 e \u034f\u200c \u200c f\u200dg\r\n", "abcd e f\u200dg"},
		{"reply below", "Subject: x\r\n\r\n> was it?\r\n>> no\r\nIt was.\r\n> and?\r\n", "It was."},
		{"only quoted", "Subject: x\r\n\r\n> was it?\r\n>> no\r\n", "was it? no"},
		{"signature", "Subject: x\r\n\r\nYes.\r\n-- \r\nMe\r\n", "Yes."},
		{"PGP encrypted", "Subject: x\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n", ""},
		{"PGP signed", "Subject: x\r\n\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nYes.\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\niQ\r\n", "Yes."},

		{"HTML", html("<!DOCTYPE html><html><head><title>T</title><style>p > a { }</style></head><body><p>Hello,<br>you&nbsp;&amp;&#32;<b>m</b>e &eacute;</p></body>"), "Hello, you & me é"},
		{"HTML comments", html("a<!-- > b -->c<!---->d<?x y?>e<![if !mso]>f<![endif]>"), "acdef"},
		{"HTML cut comment", html("a<!-- b"), "a"},
		{"HTML scripts", html("a<script>if (a</b>) '</scripts>' + '</' </SCRIPT x>b<STYLE>c</style/>d"), "abd"},
		{"HTML attributes", html("a<img alt='x > y' src=\"a'>b\" title = '>'>b<p id=it's>c</p>"), "a b c"},
		{"HTML no tags", html("1 < 2 <3 a<>b &lt;p&gt; &unknown; &"), "1 < 2 <3 a<>b <p> &unknown; &"},
		{"HTML cells", html("<table><tr><td>a</td><td>b</td></tr></table><ul><li>c<li>d</ul>"), "a b c d"},
		{"HTML quoted", html("<blockquote>was <i>it</i>?</blockquote>It was.<BLOCKQUOTE>x<blockquote>y</blockquote>z</blockquote></blockquote> Yes"), "It was. Yes"},
		{"HTML only quoted", html("<blockquote>was <i>it</i>?</blockquote><p>"), "was it?"},
		{"HTML cut", html("a <b"), "a"},
		{"markup in plain", "Subject: x\r\n\r\n<b>a</b> &amp; b\r\n", "<b>a</b> &amp; b"},

		{"alternatives", alternative + part("\r\nplain") + part(html("html")) + "--b--", "plain"},
		{"an empty alternative", alternative + part("\r\n \r\n") + part(html("<p>html")) + "--b--", "html"},
		{"attachment first", mixed + part("Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nfile") + part("\r\nbody") + "--b--", "body"},
		{"image first", mixed + part("Content-Type: image/png\r\n\r\nx") + part("\r\nbody") + "--b--", "body"},
		{"no text", mixed + part("Content-Type: image/png\r\n\r\nx") + part("Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR") + "--b--", ""},
		{"forwarded", mixed + part("\r\n") + part("Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\ninner") + "--b--", "inner"},
		{"an embedded HTML", mixed + part("Content-Type: message/rfc822\r\n\r\n"+html("<p>inner")) + "--b--", "inner"},
		{"encrypted", "Content-Type: multipart/encrypted; boundary=b\r\n\r\n" + part("Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1") + part("\r\nx") + "--b--", ""},
		{"encrypted with a footer", mixed + part("Content-Type: multipart/encrypted; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--") + part("\r\nfooter") + "--b--", ""},
		{"S/MIME", "Content-Type: application/pkcs7-mime\r\n\r\nMIIC", ""},
		{"signed", "Content-Type: multipart/signed; boundary=b\r\n\r\n" + part("\r\nbody") + part("Content-Type: application/pgp-signature\r\n\r\nx") + "--b--", "body"},

		{"long", "Subject: x\r\n\r\n" + strings.Repeat("0123456789", 30), strings.Repeat("0123456789", 20)},
		{"long, a space last", "Subject: x\r\n\r\n" + strings.Repeat("x", 199) + " yz", strings.Repeat("x", 199)},
		{"long, just so", "Subject: x\r\n\r\n" + strings.Repeat("x", 200) + "\r\n", strings.Repeat("x", 200)},
		{"long, characters", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("é", 300), strings.Repeat("é", 200)},
		{"a mark is not cut off", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("x", 199) + "e\u0301z", strings.Repeat("x", 199)},
		{"nor a family", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("x", 198) + "👩\u200d👧 z", strings.Repeat("x", 198)},
		{"nothing but marks", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("\u0301", 300), strings.Repeat("\u0301", 200)},
		{"a long style", html("<style>" + strings.Repeat("p { color: red }\r\n", 5000) + "</style>Hi"), "Hi"},
		{"too long a style", html("<style>" + strings.Repeat("p { color: red }\r\n", 50000) + "</style>Hi"), ""},
		{"a long quotation", "Subject: x\r\n\r\n" + strings.Repeat("> was it?\r\n", 5000) + "It was.\r\n", "It was."},
		{"references in a long text", html(strings.Repeat("&eacute; ", 5) + strings.Repeat("\u00a0é&nbsp;", 3000) + "x"), strings.Repeat("é ", 100)[:299]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := previewOf(t, tt.msg); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What reading fails with is told, and a failure is no preview.
func TestPreviewFails(t *testing.T) {
	msg := "Subject: x\r\n\r\nHello.\r\n"
	p, err := Parse(strings.NewReader(msg), int64(len(msg)), nil)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if text, err := p.Preview(brokenReader{broken}); err != broken || text != "" {
		t.Errorf("%q, %v", text, err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

// However large a message is, and of however many parts, a preview reads little of it.
func TestPreviewReadsLittle(t *testing.T) {
	const size = 64 << 20
	for name, p := range map[string]pattern{
		"a text":     {"Subject: x\r\n\r\n", "word after word\r\n", "", size},
		"no text":    {"Subject: x\r\n\r\n", " \r\n", "", size},
		"a quote":    {"Subject: x\r\n\r\n", "> a\r\n", "", size},
		"HTML":       {"Content-Type: text/html\r\n\r\n", "<p style='x'>\r\n", "", size},
		"open tags":  {"Content-Type: text/html\r\n\r\n", "<p a=' ", "", size},
		"style":      {"Content-Type: text/html\r\n\r\n<style>", "</stylex ", "", size},
		"empty HTML": {"Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n", "", 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := Parse(p, p.size, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := &countingReader{r: p}
			if _, err := root.Preview(r); err != nil {
				t.Fatal(err)
			}
			if r.n > 2*previewLimit {
				t.Errorf("%d octets were read", r.n)
			}
		})
	}
}

type countingReader struct {
	r io.ReaderAt
	n int
}

func (c *countingReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(b, off)
	c.n += n
	return n, err
}

// FuzzPreview: whatever the message is, its preview is one short line of UTF-8.
func FuzzPreview(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	for _, s := range []string{
		"<p>a &amp b<style>x</style>c<!-- -->d", "<blockquote>a</blockquote>b</blockquote>", "<a href='>'>x</a", "</", "<!", "&#x110000;&#0;&#128;\u200d",
		strings.Repeat("e\u0301", 150), "\xff\xfe<b>",
	} {
		f.Add([]byte("Content-Type: text/html\r\n\r\n" + s))
		f.Add([]byte("Content-Type: text/plain\r\n\r\n" + s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		p := NewParser(nil)
		p.Write(msg)
		text, err := p.Finish().Preview(bytes.NewReader(msg))
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > PreviewLength {
			t.Fatalf("%q", text)
		}
		if strings.TrimSpace(text) != text || strings.Contains(text, "  ") || strings.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("not one line: %q", text)
		}
	})
}
