package message

import (
	"fmt"
	"strings"
	"testing"
)

// crlf turns the line ends of a test message into CRLF.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func parse(t testing.TB, s string) *Part {
	t.Helper()
	p, err := Parse(strings.NewReader(s), int64(len(s)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// outline renders a tree: type, lines, and the body of each leaf.
func outline(msg string, p *Part) string {
	var b strings.Builder
	var walk func(p *Part, indent string)
	walk = func(p *Part, indent string) {
		fmt.Fprintf(&b, "%s%s/%s", indent, p.Type, p.Subtype)
		if p.Message == nil && p.Children == nil {
			fmt.Fprintf(&b, " %d %q", p.Lines, msg[p.Body.Off:p.Body.End()])
		}
		b.WriteByte('\n')
		if p.Message != nil {
			walk(p.Message, indent+"  ")
		}
		for _, c := range p.Children {
			walk(c, indent+"  ")
		}
	}
	walk(p, "")
	return b.String()
}

func TestParseStructure(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	long := strings.Repeat("b", maxBoundary+1)
	tests := []struct {
		name string
		in   string // LF means CRLF
		want string
	}{
		{"plain", "Subject: x\n\nhello\nworld\n", `text/plain 2 "hello\r\nworld\r\n"`},
		{"empty message", "", `text/plain 0 ""`},
		{"empty body", "Subject: x\n\n", `text/plain 0 ""`},
		{"header without blank line", "Subject: x\n", `text/plain 0 ""`},
		{"header without line end", "Subject: x", `text/plain 0 ""`},
		{"blank line only", "\n", `text/plain 0 ""`},
		{"body after blank line", "\nhello", `text/plain 0 "hello"`},
		{"no header at all", "hello\nworld\n", `text/plain 2 "hello\r\nworld\r\n"`},
		{"no header, blank line later", "hello\n\nworld\n", `text/plain 3 "hello\r\n\r\nworld\r\n"`},
		{"mbox line before header", "From a@example.org Mon\nContent-Type: text/html\n\nx", `text/html 0 "x"`},
		{"line without colon amid header", "Subject: x\nbroken\n more\nContent-Type: text/html\n\nx", `text/html 0 "x"`},
		{"space before colon", "Content-Type : text/html\n\nx", `text/html 0 "x"`},
		{"folded type", "Content-Type:\n text\n /html;\n charset=utf-8\n\nx", `text/html 0 "x"`},
		{"first of two types", "Content-Type: text/html\nContent-Type: image/png\n\nx", `text/html 0 "x"`},
		{"8-bit header", "Subject: gr\xfc\xdfe\nContent-Type: text/html\n\nx", `text/html 0 "x"`},
		{"NUL in header and body", "Subject: \x00\nContent-Type: text/html\n\n\x00", `text/html 0 "\x00"`},

		{"multipart", mixed + "preamble\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n\n--b--\nepilogue\n",
			"multipart/mixed\n  text/plain 0 \"one\"\n  text/html 1 \"two\\r\\n\""},
		{"padding after delimiter", mixed + "--b \t\n\none\n--b-- \t\n", "multipart/mixed\n  text/plain 0 \"one\""},
		{"close without line end", mixed + "--b\n\none\n--b--", "multipart/mixed\n  text/plain 0 \"one\""},
		{"missing close", mixed + "--b\n\none\n", "multipart/mixed\n  text/plain 1 \"one\\r\\n\""},
		{"empty parts", mixed + "--b\n--b\n\n--b\n\n\n--b--\n",
			"multipart/mixed\n  text/plain 0 \"\"\n  text/plain 0 \"\"\n  text/plain 0 \"\""},
		{"part with header only", mixed + "--b\nContent-Type: text/html\n--b--\n", "multipart/mixed\n  text/html 0 \"\""},
		{"part without header or blank line", mixed + "--b\nhello there\n--b--\n", "multipart/mixed\n  text/plain 0 \"hello there\""},
		{"delimiter not at line start", mixed + "--b\n\none --b\n --b\n--b--\n", "multipart/mixed\n  text/plain 1 \"one --b\\r\\n --b\""},
		{"delimiter followed by more", mixed + "--b\n\none\n--bogus\n\ntwo\n--b--\n",
			"multipart/mixed\n  text/plain 0 \"one\"\n  text/plain 0 \"two\""},
		{"space at the end of the boundary", "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b\n\none\n--b --\n--b--\n",
			"multipart/mixed\n  text/plain 0 \"one\"\n  text/plain 0 \"\""},
		{"long padding", mixed + "--b" + strings.Repeat(" ", 5000) + "\n\none\n--b--" + strings.Repeat(" ", 5000) + "\n\ntwo",
			"multipart/mixed\n  text/plain 0 \"one\""},
		{"boundary too long", "Content-Type: multipart/mixed; boundary=" + long + "\n\n--" + long + "\n\none",
			"multipart/mixed\n  text/plain 2 \"--" + long + "\\r\\n\\r\\none\""},
		{"after the close", mixed + "--b\n\none\n--b--\n--b\n\ntwo\n", "multipart/mixed\n  text/plain 0 \"one\""},

		{"no boundary", "Content-Type: multipart/mixed\n\n--b\n\none\n",
			"multipart/mixed\n  text/plain 3 \"--b\\r\\n\\r\\none\\r\\n\""},
		{"boundary never found", mixed + "one\n", "multipart/mixed\n  text/plain 1 \"one\\r\\n\""},
		{"closed at once", mixed + "--b--\n", "multipart/mixed\n  text/plain 1 \"--b--\\r\\n\""},

		{"nested, same boundary", mixed + "--b\n" + mixed + "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
			"multipart/mixed\n  multipart/mixed\n    text/plain 0 \"one\"\n  text/plain 0 \"two\""},
		{"nested, outer is prefix", mixed + "--b\nContent-Type: multipart/x; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--\n",
			"multipart/mixed\n  multipart/x\n    text/plain 0 \"one\"\n  text/plain 0 \"two\""},
		{"nested, inner is prefix", "Content-Type: multipart/mixed; boundary=bb\n\n--bb\nContent-Type: multipart/x; boundary=b\n\n--b\n\none\n--b--\n--bb\n\ntwo\n--bb--\n",
			"multipart/mixed\n  multipart/x\n    text/plain 0 \"one\"\n  text/plain 0 \"two\""},
		{"inner looks like outer's close", mixed + "--b\nContent-Type: multipart/x; boundary=\"b--\"\n\n--b--\n\none\n--b----\n--b--\n",
			"multipart/mixed\n  multipart/x\n    text/plain 0 \"one\""},
		{"inner not closed", mixed + "--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n",
			"multipart/mixed\n  multipart/x\n    text/plain 0 \"one\"\n  text/plain 0 \"two\""},
		{"nested message", mixed + "--b\nContent-Type: message/rfc822\n\nSubject: in\nContent-Type: multipart/x; boundary=c\n\n--c\n\none\n--c--\n--b--\n",
			"multipart/mixed\n  message/rfc822\n    multipart/x\n      text/plain 0 \"one\""},
		{"nested message, header cut", mixed + "--b\nContent-Type: message/rfc822\n\nSubject: in\n--b--\n",
			"multipart/mixed\n  message/rfc822\n    text/plain 0 \"\""},
		{"message is a message", "Content-Type: MESSAGE/RFC822\n\nSubject: in\n\nhi\n", "message/rfc822\n  text/plain 1 \"hi\\r\\n\""},
		{"message/global", "Content-Type: message/global\n\nSubject: in\n\nhi\n", "message/global\n  text/plain 1 \"hi\\r\\n\""},
		{"message/rfc822 cut after its header", "Content-Type: message/rfc822\n", "message/rfc822\n  text/plain 0 \"\""},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\nhi\n--b\nContent-Type: text/plain\n\nx\n--b\nno header\n--b--\n",
			"multipart/digest\n  message/rfc822\n    text/plain 0 \"hi\"\n  text/plain 0 \"x\"\n  message/rfc822\n    text/plain 0 \"no header\""},
		{"malformed type", "Content-Type: text\n\nx", `text/plain 0 "x"`},
		{"malformed type in digest", "Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: rubbish\n\nx\n--b--\n",
			"multipart/digest\n  text/plain 0 \"x\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			msg := crlf(tt.in)
			if got := strings.TrimSpace(outline(msg, parse(t, msg))); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			// Bare LF is not canonical, but must give the same structure.
			got := strings.ReplaceAll(outline(tt.in, parse(t, tt.in)), `\n`, `\r\n`)
			if got = strings.TrimSpace(got); got != tt.want {
				t.Errorf("with LF: got\n%s\nwant\n%s", got, tt.want)
			}
			// So must any way of writing it to a Parser.
			p := NewParser(nil)
			for _, c := range []byte(msg) {
				p.Write([]byte{c})
			}
			if got := strings.TrimSpace(outline(msg, p.Finish())); got != tt.want {
				t.Errorf("byte by byte: got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
