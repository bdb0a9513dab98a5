package message

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PreviewLength is the most characters that a preview has (RFC 8970, section 3.3).
const PreviewLength = 200

// Preview returns how the message p, whose bytes are r, begins: the text of the first
// part that has any, as one line without markup, of PreviewLength characters at most
// (RFC 8970). It is valid UTF-8 without control characters. It is empty when there is
// nothing to show: no text, or an encrypted message. The only errors are those of r.
//
// What a reply quotes is left out, unless it says nothing else; and so is a signature. Only the
// beginning of a text is looked at, 256 KiB of all together, so that a message
// costs little whatever is in it.
func (p *Part) Preview(r io.ReaderAt) (string, error) {
	v := previewer{r: r, left: previewLimit}
	err := v.part(p)
	return v.found, err
}

const (
	// previewLimit is how many octets of decoded text are looked at.
	previewLimit = 256 << 10
	// previewFirst is how many are at first: mostly they suffice.
	previewFirst = 8 << 10
	// previewPart is what looking at a part costs of previewLimit at least.
	previewPart = 1 << 10
)

// previewer looks for the part to show.
type previewer struct {
	r     io.ReaderAt
	left  int // of previewLimit
	found string
	done  bool // found is the answer, even if it is empty
}

// part looks at p and what is below it, in order: the first alternative is the
// plainest (RFC 2046, section 5.1.4), and the first part of related ones is what
// the others belong to (RFC 2387).
func (v *previewer) part(p *Part) error {
	switch {
	case v.done:
		return nil
	case p.IsMultipart():
		if p.Subtype == "encrypted" { // RFC 1847
			v.done = true
			return nil
		}
		for _, c := range p.Children {
			if err := v.part(c); err != nil || v.done {
				return err
			}
		}
		return nil
	case p.Message != nil:
		return v.part(p.Message)
	case p.Is("application", "pkcs7-mime"), p.Is("application", "x-pkcs7-mime"):
		// RFC 8551: encrypted, or signed in a way that hides it.
		v.done = true
		return nil
	case p.Disposition == "attachment":
		return nil
	case p.Is("text", "plain"), p.Is("text", "html"), p.Is("text", "markdown"):
		return v.text(p)
	}
	return nil
}

// text reads the beginning of a text, more of it as long as that shows too little.
func (v *previewer) text(p *Part) error {
	var text []byte
	r := p.Text(v.r)
	// A character of one octet has three in UTF-8 at most.
	for n := int(min(previewFirst, 3*p.Body.Len+1)); ; n *= 8 {
		n = min(n, v.left)
		had := len(text)
		if n <= had {
			break // no more may be looked at
		}
		text = append(text, make([]byte, n-had)...)
		k, err := io.ReadFull(r, text[had:])
		text = text[:had+k]
		ended := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !ended {
			return err
		}
		var l previewLine
		if p.Subtype == "html" {
			l.html(wholeRunes(text, ended))
		} else if l.plain(wholeRunes(text, ended)) {
			v.done = true
			return nil
		}
		if v.found = l.String(); l.full() || ended {
			break
		}
	}
	v.left -= max(len(text), previewPart)
	v.done = v.found != "" || v.left <= 0
	return nil
}

// wholeRunes is text without the beginning of a character that was cut.
func wholeRunes(text []byte, ended bool) []byte {
	for i := 1; !ended && i < utf8.UTFMax && i <= len(text); i++ {
		if b := text[len(text)-i:]; utf8.RuneStart(b[0]) {
			if !utf8.FullRune(b) {
				return text[:len(text)-i]
			}
			break
		}
	}
	return text
}

// plain adds a plain text, line by line. It reports whether the text is encrypted.
func (l *previewLine) plain(text []byte) (encrypted bool) {
	for i := 0; len(text) > 0 && !l.full(); i++ {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		line = bytes.TrimRight(line, "\r")
		switch {
		case bytes.Equal(line, []byte("-- ")): // RFC 3676
			return false
		case bytes.Equal(line, []byte("-----BEGIN PGP MESSAGE-----")): // RFC 9580
			return l.empty()
		case bytes.Equal(line, []byte("-----BEGIN PGP SIGNED MESSAGE-----")):
			text = afterBlankLine(text) // headers of the armour
			continue
		case bytes.Equal(line, []byte("-----BEGIN PGP SIGNATURE-----")):
			return false
		}
		quoted := false
		for bytes.HasPrefix(line, []byte{'>'}) { // RFC 3676
			quoted = true
			line = bytes.TrimPrefix(line[1:], []byte{' '})
		}
		l.quoting = quoted
		l.add(line)
		l.space()
	}
	return false
}

func afterBlankLine(text []byte) []byte {
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		if len(bytes.TrimRight(line, "\r")) == 0 {
			break
		}
	}
	return text
}

// previewLine collects a preview: words with one space between.
type previewLine struct {
	said, quoted collapsed
	quoting      bool // what is added is quoted
}

func (l *previewLine) to() *collapsed {
	if l.quoting {
		return &l.quoted
	}
	return &l.said
}

func (l *previewLine) add(text []byte) { l.to().add(text) }
func (l *previewLine) space()          { l.to().spaced = true }

// full reports whether more text would change nothing.
func (l *previewLine) full() bool  { return l.said.full }
func (l *previewLine) empty() bool { return l.said.n == 0 && l.quoted.n == 0 }

func (l *previewLine) String() string {
	if l.said.n > 0 {
		return l.said.b.String()
	}
	return l.quoted.b.String()
}

// collapsed is text in which what is white is one space, and what cannot be seen is
// left out.
type collapsed struct {
	b      strings.Builder
	n      int  // characters in b
	last   rune // of b
	start  int  // where in b the last character begins that is not part of another
	spaced bool // white space came since
	joiner rune // a joiner came since, which counts only between two that can be seen
	full   bool
}

func (c *collapsed) add(text []byte) {
	for len(text) > 0 && !c.full {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Z, r):
			c.spaced = true
		case r == zwnj || r == zwj:
			c.joiner = r
		case !unseen(r):
			c.put(r)
		}
	}
}

const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// unseen characters fill up what advertisers want to be short, mark what a line break
// may do, or turn the direction of what follows.
func unseen(r rune) bool {
	switch {
	case r == '\u00ad', r == '\u034f', r == '\u061c', r == '\u115f', r == '\u1160', r == '\u17b4', r == '\u17b5', r == '\u180e', r == '\u3164', r == '\ufeff':
		return true
	}
	return '\u200b' <= r && r <= '\u200f' || '\u202a' <= r && r <= '\u202e' || '\u2060' <= r && r <= '\u206f'
}

// put adds a character that can be seen, with what must stand before it.
func (c *collapsed) put(r rune) {
	switch {
	case c.n == 0:
	case c.spaced:
		c.write(' ')
	case c.joiner != 0:
		c.write(c.joiner)
	}
	c.spaced, c.joiner = false, 0
	c.write(r)
}

// write adds a character, or finds that there is no room for it. Then the last one
// goes too if this would be a part of it.
func (c *collapsed) write(r rune) {
	switch part := continues(r) || c.last == zwj; {
	case c.full:
		return
	case c.n == PreviewLength:
		c.full = true
		if text := c.b.String(); part && c.start > 0 {
			c.b.Reset()
			c.b.WriteString(strings.TrimRight(text[:c.start], " "))
		} else if c.last == ' ' {
			c.b.Reset()
			c.b.WriteString(text[:len(text)-1])
		}
		return
	case !part:
		c.start = c.b.Len()
	}
	c.b.WriteRune(r)
	c.n++
	c.last = r
}

// continues reports whether r is a part of the character before it.
func continues(r rune) bool {
	return unicode.Is(unicode.M, r) || r == zwj || r == zwnj || '\U0001f3fb' <= r && r <= '\U0001f3ff' || '\U000e0020' <= r && r <= '\U000e007f'
}
