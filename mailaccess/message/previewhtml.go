package message

import (
	"bytes"
	"html"
)

// html adds the text of an HTML document. It is read the way browsers begin to: tags
// are taken out and character references replaced, whatever is wrong with their
// order.
func (l *previewLine) html(text []byte) {
	quotes := 0
	for len(text) > 0 && !l.full() {
		i := bytes.IndexByte(text, '<')
		if i != 0 {
			if i < 0 {
				i = len(text)
			}
			l.quoting = quotes > 0
			l.references(text[:i])
			text = text[i:]
			continue
		}
		name, end, rest := tag(text)
		switch {
		case name == "":
			if len(rest) == len(text) { // no tag but a character
				l.add(text[:1])
				rest = text[1:]
			}
		case hiddenElements[name] && !end:
			rest = afterElement(rest, name)
		case name == "blockquote":
			if end {
				quotes = max(0, quotes-1)
			} else {
				quotes++
			}
			l.space()
		case !inlineElements[name]:
			l.space()
		}
		text = rest
	}
}

// references adds text with its character references replaced. A long text is taken in
// pieces, which are cut where no reference is.
func (l *previewLine) references(text []byte) {
	const piece = 4 << 10
	for len(text) > 0 && !l.full() {
		n := len(text)
		if n > piece {
			n = piece
			if i := bytes.LastIndexByte(text[piece-64:piece], '&'); i >= 0 {
				n = piece - 64 + i
			}
			for n > 1 && text[n]&0xc0 == 0x80 { // within a character
				n--
			}
		}
		l.add([]byte(html.UnescapeString(string(text[:n]))))
		text = text[n:]
	}
}

// tag reads a tag or comment at the beginning of text. The name of a comment is empty;
// when there is neither, rest is all of text.
func tag(text []byte) (name string, end bool, rest []byte) {
	if bytes.HasPrefix(text, []byte("<!--")) {
		_, rest, _ = bytes.Cut(text[len("<!--"):], []byte("-->"))
		return "", false, rest
	}
	i := 1
	if end = i < len(text) && text[i] == '/'; end {
		i++
	}
	switch {
	case i == len(text):
		return "", false, nil // cut
	case text[i] == '!' || text[i] == '?':
		_, rest, _ = bytes.Cut(text, []byte{'>'})
		return "", false, rest
	case !isLetter(text[i]):
		return "", false, text
	}
	from := i
	for i < len(text) && !isTagSpace(text[i]) && text[i] != '>' && text[i] != '/' {
		i++
	}
	name = lower(string(text[from:min(i, from+maxTagName)]))
	// A quote counts at the beginning of a value alone.
	for value := false; i < len(text); i++ {
		switch c := text[i]; {
		case c == '>':
			return name, end, text[i+1:]
		case c == '=':
			value = true
		case value && (c == '"' || c == '\''):
			k := bytes.IndexByte(text[i+1:], c)
			if k < 0 {
				return name, end, nil
			}
			i += 1 + k
			value = false
		case !isTagSpace(c):
			value = false
		}
	}
	return name, end, nil
}

const maxTagName = 32

func isTagSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// afterElement is what follows the end tag of an element whose content is no text.
func afterElement(text []byte, name string) []byte {
	for {
		i := bytes.Index(text, []byte("</"))
		if i < 0 {
			return nil
		}
		text = text[i+2:]
		if len(text) < len(name) || !equalFold(text[:len(name)], name) {
			continue
		}
		if rest := text[len(name):]; len(rest) == 0 || isTagSpace(rest[0]) || rest[0] == '>' || rest[0] == '/' {
			_, rest, _ = bytes.Cut(rest, []byte{'>'})
			return rest
		}
	}
}

// hiddenElements have no text that is shown.
var hiddenElements = map[string]bool{
	"script": true, "style": true, "title": true, "template": true, "iframe": true, "noembed": true, "noframes": true, "xml": true, "svg": true, "math": true,
}

// inlineElements separate no words.
var inlineElements = map[string]bool{
	"a": true, "abbr": true, "acronym": true, "b": true, "bdi": true, "bdo": true, "big": true, "cite": true, "code": true, "del": true,
	"dfn": true, "em": true, "font": true, "i": true, "ins": true, "kbd": true, "label": true, "mark": true, "nobr": true, "o:p": true, "q": true, "s": true,
	"samp": true, "small": true, "span": true, "strike": true, "strong": true, "sub": true, "sup": true, "time": true, "tt": true, "u": true,
	"var": true, "wbr": true,
}
