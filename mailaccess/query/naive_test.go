package query

import (
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hashmail/mailaccess/mailaccess"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"pgregory.net/rapid"
)

// written is a message together with what its writer meant by it.
type written struct {
	raw    string
	fields [][2]string // of the message: name and text
	header string      // of the message, as text
	inner  []string    // headers of embedded messages
	mime   []string    // headers of parts
	texts  []string    // texts
}

type charsetOf struct {
	name    string
	enc     encoding.Encoding // nil: UTF-8
	letters string
}

var charsets = []charsetOf{
	{"us-ascii", nil, "aAbBcC =\r"},
	{"utf-8", nil, "aAbBéÉe\u0301\u01C4\uFF41각\U00010428\u017F\r ="},
	{"x-nobody-knows", nil, "aAbBé\r "},
	{"ISO-8859-1", charmap.ISO8859_1, "aAbBéÉßü\r ="},
	{"koi8-r", charmap.KOI8R, "aAбБвВ\r "},
	{"iso-2022-jp", japanese.ISO2022JP, "aA日本語アイ\r "},
}

// drawText draws a text of letters; CR stands for a line end.
func drawText(t *rapid.T, c charsetOf, label string) string {
	s := rapid.StringOfN(rapid.SampledFrom([]rune(c.letters)), 0, 12, -1).Draw(t, label)
	return strings.ReplaceAll(s, "\r", "\r\n")
}

func encode(t *rapid.T, c charsetOf, s string) string {
	if c.enc == nil {
		return s
	}
	b, err := c.enc.NewEncoder().String(s)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return b
}

// drawPart draws a part at most that deep: the fields it needs and its body.
func (w *written) drawPart(t *rapid.T, depth int) (fields [][2]string, body string) {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	switch {
	case depth > 0 && kind == 0:
		boundary := fmt.Sprintf("b%d", depth)
		var b strings.Builder
		b.WriteString("aab preamble\r\n")
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			f, part := w.drawPartLater(t, depth-1)
			b.WriteString("--" + boundary + "\r\n" + rawHeader(f) + "\r\n" + part + "\r\n")
		}
		b.WriteString("--" + boundary + "--\r\naab epilogue")
		return [][2]string{{"Content-Type", "multipart/mixed; boundary=" + boundary}}, b.String()
	case depth > 0 && kind == 1:
		own, header := w.drawHeader(t)
		at := len(w.inner)
		w.inner = append(w.inner, "")
		f, part := w.drawPart(t, depth-1)
		w.inner[at] = textHeader(append(own, f...))
		return [][2]string{{"Content-Type", "message/rfc822"}}, header + rawHeader(f) + "\r\n" + part
	case kind == 2:
		text := drawText(t, charsets[1], "attachment")
		return [][2]string{{"Content-Type", "image/png; name=aab.png"}, {"Content-Transfer-Encoding", "base64"}}, wrap(text)
	}
	c := rapid.SampledFrom(charsets).Draw(t, "charset")
	text := drawText(t, c, "text")
	if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
		line := strings.Repeat("x", 70) + "\r\n"
		text = strings.Repeat(line, rapid.IntRange(400, 500).Draw(t, "lines")) + text
	}
	w.texts = append(w.texts, text)
	b := encode(t, c, text)
	enc := rapid.SampledFrom([]string{"base64", "quoted-printable", "8bit", ""}).Draw(t, "encoding")
	switch enc {
	case "base64":
		b = wrap(b)
	case "quoted-printable":
		var s strings.Builder
		q := quotedprintable.NewWriter(&s)
		_, _ = q.Write([]byte(b))
		_ = q.Close()
		b = s.String()
	}
	fields = [][2]string{{"Content-Type", "text/plain; charset=" + c.name}}
	if enc != "" {
		fields = append(fields, [2]string{"Content-Transfer-Encoding", enc})
	}
	return fields, b
}

// drawPartLater draws a part of a multipart, whose header comes before it.
func (w *written) drawPartLater(t *rapid.T, depth int) ([][2]string, string) {
	f, part := w.drawPart(t, depth)
	w.mime = append(w.mime, textHeader(f))
	return f, part
}

// drawHeader draws fields of a message: what they mean and how they stand.
func (w *written) drawHeader(t *rapid.T) (fields [][2]string, raw string) {
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		name := rapid.SampledFrom([]string{"Subject", "subject", "From", "X-A"}).Draw(t, "name")
		c := rapid.SampledFrom(charsets).Draw(t, "charset")
		text := strings.Trim(strings.Map(func(r rune) rune {
			if r == '\r' || r == '\n' || r == '=' {
				return -1
			}
			return r
		}, drawText(t, c, "value")), " ")
		if c.name == "x-nobody-knows" {
			c = charsets[1]
		}
		stands := text
		switch {
		case text == "" || strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) < 0:
		case c.enc == nil && rapid.Bool().Draw(t, "raw"):
		case rapid.Bool().Draw(t, "B"):
			stands = "=?" + c.name + "?B?" + base64.StdEncoding.EncodeToString([]byte(encode(t, c, text))) + "?="
		default:
			stands = mime.QEncoding.Encode("utf-8", text)
		}
		fold := rapid.SampledFrom([]string{" ", "", "\r\n ", " \r\n\t"}).Draw(t, "fold")
		if text == "" {
			fold = "" // a line of nothing but space is no folding
		}
		fields = append(fields, [2]string{name, text})
		raw += name + ":" + fold + stands + "\r\n"
	}
	return fields, raw
}

func rawHeader(fields [][2]string) string {
	var s string
	for _, f := range fields {
		s += f[0] + ": " + f[1] + "\r\n"
	}
	return s
}

// textHeader is a header as it is searched.
func textHeader(fields [][2]string) string { return rawHeader(fields) }

func wrap(s string) string {
	b := base64.StdEncoding.EncodeToString([]byte(s))
	var lines []string
	for len(b) > 76 {
		lines, b = append(lines, b[:76]), b[76:]
	}
	return strings.Join(append(lines, b), "\r\n")
}

func drawMessage(t *rapid.T) *written {
	w := &written{}
	own, header := w.drawHeader(t)
	f, body := w.drawPart(t, 3)
	w.fields = append(own, f...)
	w.header = textHeader(w.fields)
	w.raw = header + rawHeader(f) + "\r\n" + body
	return w
}

// naive evaluates e with everything in memory.
func (w *written) naive(e mailaccess.Expr, msg *mailaccess.Message) bool {
	in := func(needle string, texts ...[]string) bool {
		if needle == "" {
			return true
		}
		for _, list := range texts {
			for _, s := range list {
				if strings.Contains(naiveCasemap(s), naiveCasemap(needle)) {
					return true
				}
			}
		}
		return false
	}
	switch e := e.(type) {
	case mailaccess.And:
		for _, x := range e {
			if !w.naive(x, msg) {
				return false
			}
		}
		return true
	case mailaccess.Or:
		for _, x := range e {
			if w.naive(x, msg) {
				return true
			}
		}
		return false
	case mailaccess.Not:
		return !w.naive(e.X, msg)
	case mailaccess.HasFlags:
		return msg.Flags.System&e.Flags.System == e.Flags.System
	case mailaccess.Larger:
		return msg.Size > e.Than
	case mailaccess.UIDIn:
		return e.UIDs.Contains(msg.UID)
	case mailaccess.Header:
		for _, f := range w.fields {
			if strings.EqualFold(f[0], e.Name) && in(e.Text, []string{f[1]}) {
				return true
			}
		}
		return false
	case mailaccess.Body:
		return in(e.Text, w.texts, w.inner)
	case mailaccess.FullText:
		return in(e.Text, w.texts, w.inner, w.mime, []string{w.header})
	}
	panic(fmt.Sprintf("%T", e))
}

// drawNeedle draws a piece of what stands in the message, in any case, or
// anything else.
func (w *written) drawNeedle(t *rapid.T) string {
	all := append(append(append([]string{w.header}, w.texts...), w.inner...), w.mime...)
	for _, f := range w.fields {
		all = append(all, f[1])
	}
	s := []rune(rapid.SampledFrom(all).Draw(t, "from"))
	if len(s) == 0 || rapid.IntRange(0, 3).Draw(t, "other") == 0 {
		return drawText(t, rapid.SampledFrom(charsets).Draw(t, "charset"), "needle")
	}
	// Rather from the end, where long texts have what is worth finding.
	i := max(0, len(s)-1-rapid.IntRange(0, 40).Draw(t, "i"))
	needle := string(s[i:min(len(s), i+rapid.IntRange(1, 6).Draw(t, "n"))])
	switch rapid.IntRange(0, 2).Draw(t, "case") {
	case 0:
		return strings.ToUpper(needle)
	case 1:
		return strings.ToLower(needle)
	}
	return needle
}

func (w *written) drawExpr(t *rapid.T, depth int) mailaccess.Expr {
	kind := rapid.IntRange(0, 8).Draw(t, "expr")
	if depth == 0 {
		kind = max(kind, 3)
	}
	kids := func() []mailaccess.Expr {
		var k []mailaccess.Expr
		for range rapid.IntRange(0, 3).Draw(t, "kids") {
			k = append(k, w.drawExpr(t, depth-1))
		}
		return k
	}
	switch kind {
	case 0:
		return mailaccess.And(kids())
	case 1:
		return mailaccess.Or(kids())
	case 2:
		return mailaccess.Not{X: w.drawExpr(t, depth-1)}
	case 3:
		name := rapid.SampledFrom([]string{"subject", "FROM", "x-a", "X-None", "Content-Type"}).Draw(t, "name")
		return mailaccess.Header{Name: name, Text: w.drawNeedle(t)}
	case 4, 5:
		return mailaccess.Body{Text: w.drawNeedle(t)}
	case 6, 7:
		return mailaccess.FullText{Text: w.drawNeedle(t)}
	}
	return rapid.SampledFrom([]mailaccess.Expr{
		mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagSeen}},
		mailaccess.Larger{Than: 10},
		mailaccess.UIDIn{UIDs: mailaccess.UIDSetOf(2)},
	}).Draw(t, "metadata")
}

// The evaluator agrees with a naive one that knows what the message was written
// to mean.
func TestAgreesWithNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawMessage(t)
		msg := &mailaccess.Message{
			UID: mailaccess.UID(rapid.IntRange(1, 2).Draw(t, "uid")), Size: int64(len(w.raw)), Received: time.Unix(0, 0),
			Flags: mailaccess.Flags{System: mailaccess.SystemFlags(rapid.IntRange(0, 1).Draw(t, "flags"))},
		}
		e := w.drawExpr(t, 3)
		m, err := Compile(e, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time with what the first left in the pool
			src := newSource(w.raw)
			got, err := m.Match(t.Context(), msg, src)
			if err != nil {
				t.Fatal(err)
			}
			if want := w.naive(e, msg); got != want {
				t.Fatalf("got %v, want %v\nexpression %+q\nmessage %+q", got, want, e, w.raw)
			}
			if src.opened > 1 || src.closed != src.opened || src.opened == 1 && !m.NeedsContent() {
				t.Fatalf("opened %d times, closed %d times", src.opened, src.closed)
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, needle := range []string{"grüße", "inner", "\xff", "", "GIF", "\uFFFD"} {
		f.Add(letter, needle)
	}
	f.Add("", "a")
	f.Add("a: =?utf-8?q?=ff?=\r\n\r\n\xf0\x90\x90", "\uFFFD\uFFFD")
	f.Fuzz(func(t *testing.T, raw, text string) {
		const octets = 4 << 10
		for _, e := range []mailaccess.Expr{mailaccess.Header{Name: "Subject", Text: text}, mailaccess.Body{Text: text}, mailaccess.FullText{Text: text}} {
			m, err := Compile(e, &Options{Octets: octets})
			if err != nil {
				continue // a needle over the limit
			}
			src := newSource(raw)
			got, err := m.Match(t.Context(), &mailaccess.Message{}, src)
			if err != nil {
				t.Fatal(err)
			}
			if src.closed != src.opened {
				t.Error("left open")
			}
			n, err := Compile(mailaccess.Not{X: e}, &Options{Octets: octets})
			if err != nil {
				t.Fatal(err)
			}
			if not, err := n.Match(t.Context(), &mailaccess.Message{}, src); not == got || err != nil {
				t.Errorf("%T of %+q: %v, its negation: %v, %v", e, text, got, not, err)
			}
		}
	})
}
