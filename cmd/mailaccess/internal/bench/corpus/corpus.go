// Package corpus makes mail to measure servers with: any number of messages, the same octets for the
// same seed, each of which can be made without those before it.
//
// Sizes follow what mailboxes hold: most messages are a few KiB of text, one in seven has an
// attachment, and few of these make up most of the octets. Shapes are plain text, text with HTML,
// attachments, inline images and forwarded messages; charsets are US-ASCII, UTF-8, ISO-8859-1,
// ISO-2022-JP and KOI8-R, in headers as in bodies. Somewhat more than half of the messages answer an
// earlier one.
package corpus

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// A Corpus is a number of messages made from a seed. Messages are numbered from 0.
type Corpus struct {
	Seed     uint64
	Messages int
	Small    bool // each has a few hundred octets, in plain text: for more messages than memory would have room for
}

// What some messages have, for searches whose answers are known: see [Corpus.Subject] and
// [Corpus.HasWord].
const (
	SubjectWord = "quarterly" // in the subject
	BodyWord    = "zephyrine" // in the text, encoded as the text is
)

// Flags are the flags of a message.
type Flags struct {
	Seen, Answered, Flagged bool
}

// String is f as IMAP writes it, without the parentheses.
func (f Flags) String() string {
	var s []string
	if f.Seen {
		s = append(s, `\Seen`)
	}
	if f.Answered {
		s = append(s, `\Answered`)
	}
	if f.Flagged {
		s = append(s, `\Flagged`)
	}
	return strings.Join(s, " ")
}

// letters is f as the name of a file in a Maildir has it.
func (f Flags) letters() string {
	s := ""
	if f.Flagged {
		s += "F"
	}
	if f.Answered {
		s += "R"
	}
	if f.Seen {
		s += "S"
	}
	return s
}

// What is drawn for a message has streams of its own, so that the thread of a message can be told
// without its body.
const (
	streamThread = iota + 1
	streamHead
	streamFlags
	streamBody
)

func (c Corpus) random(i int, stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.Seed<<3|stream, uint64(i)))
}

// parent returns which message i answers; false: none.
func (c Corpus) parent(i int) (int, bool) {
	r := c.random(i, streamThread)
	if i == 0 || r.Float64() >= 0.55 {
		return 0, false
	}
	return i - 1 - r.IntN(min(i, 60)), true
}

// ancestors returns the messages of the thread of i up to it, the root first.
func (c Corpus) ancestors(i int) []int {
	var up []int
	for p, ok := c.parent(i); ok; p, ok = c.parent(p) {
		up = append(up, p)
	}
	for a, b := 0, len(up)-1; a < b; a, b = a+1, b-1 {
		up[a], up[b] = up[b], up[a]
	}
	return up
}

// Subject returns the subject of message i as its header has it, and whether SubjectWord is in it.
func (c Corpus) Subject(i int) (subject string, has bool) {
	root := i
	if up := c.ancestors(i); len(up) > 0 {
		root = up[0]
	}
	r := c.random(root, streamHead)
	r.IntN(len(people)) // whose message it is
	var b strings.Builder
	if root != i {
		b.WriteString("Re: ")
	}
	has = r.IntN(20) == 0
	if has {
		b.WriteString(SubjectWord + " ")
	}
	if r.IntN(5) == 0 {
		b.WriteString(encodedSubjects[r.IntN(len(encodedSubjects))])
	}
	for n := 2 + r.IntN(6); n > 0; n-- {
		if b.Len() > 0 && !strings.HasSuffix(b.String(), " ") {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String(), has
}

// Date returns when message i was sent and arrived: in ascending order, some minutes apart.
func (c Corpus) Date(i int) time.Time {
	return time.Date(2021, 1, 4, 8, 0, 0, 0, time.UTC).Add(time.Duration(i)*7*time.Minute + time.Duration(i%59)*time.Second)
}

// Flags returns the flags of message i.
func (c Corpus) Flags(i int) Flags {
	r := c.random(i, streamFlags)
	f := Flags{Seen: r.IntN(10) < 7, Flagged: r.IntN(30) == 0}
	f.Answered = f.Seen && r.IntN(8) == 0
	return f
}

// HasWord says whether BodyWord is in the text of message i.
func (c Corpus) HasWord(i int) bool { return c.random(i, streamBody).IntN(100) == 0 }

// AppendMessage appends message i to dst, its lines ended by CRLF.
func (c Corpus) AppendMessage(dst []byte, i int) []byte {
	up := c.ancestors(i)
	head := c.random(i, streamHead)
	from := people[head.IntN(len(people))]
	subject, _ := c.Subject(i)
	r := c.random(i, streamBody)
	if c.Small {
		return c.appendSmall(dst, i, from, up, r.IntN(100) == 0)
	}
	dst = fmt.Appendf(dst, "Return-Path: <%s>\r\nDelivered-To: bench@example.org\r\n", from.address)
	for hop := range 2 + i%3 {
		dst = fmt.Appendf(dst, "Received: from relay%d.example.net (relay%d.example.net [192.0.2.%d])\r\n\tby mx%d.example.org (Postfix) with ESMTPS id %010X\r\n\tfor <bench@example.org>; %s\r\n",
			hop, hop, 1+head.IntN(250), hop, head.Uint64()>>24, c.Date(i).Format(time.RFC1123Z))
	}
	dst = fmt.Appendf(dst, "Date: %s\r\nFrom: %s <%s>\r\nTo: bench@example.org\r\n", c.Date(i).Format(time.RFC1123Z), from.name, from.address)
	if head.IntN(4) == 0 {
		cc := people[head.IntN(len(people))]
		dst = fmt.Appendf(dst, "Cc: %s <%s>,\r\n\tteam@example.org\r\n", cc.name, cc.address)
	}
	dst = fmt.Appendf(dst, "Message-ID: <%s>\r\n", c.id(i))
	if n := len(up); n > 0 {
		dst = fmt.Appendf(dst, "In-Reply-To: <%s>\r\nReferences:", c.id(up[n-1]))
		for _, a := range up[max(0, n-10):] {
			dst = fmt.Appendf(dst, " <%s>\r\n", c.id(a))
		}
	}
	dst = fmt.Appendf(dst, "Subject: %s\r\nMIME-Version: 1.0\r\n", subject)
	if head.IntN(5) == 0 {
		dst = append(dst, "List-Id: <announce.example.net>\r\nList-Unsubscribe: <https://example.net/unsubscribe>\r\nPrecedence: list\r\n"...)
	}
	dst = append(dst, "User-Agent: Mail/7.2\r\n"...)
	word := r.IntN(100) == 0
	b := body{r: r, out: dst, boundary: fmt.Sprintf("=_%08x_%x", c.Seed, i)}
	b.write(word)
	return b.out
}

// appendSmall appends a message of little more than what threads and lists need.
func (c Corpus) appendSmall(dst []byte, i int, from person, up []int, word bool) []byte {
	subject, _ := c.Subject(i)
	dst = fmt.Appendf(dst, "Date: %s\r\nFrom: %s <%s>\r\nTo: bench@example.org\r\nMessage-ID: <%s>\r\n", c.Date(i).Format(time.RFC1123Z), from.name, from.address, c.id(i))
	if n := len(up); n > 0 {
		dst = fmt.Appendf(dst, "In-Reply-To: <%s>\r\nReferences: <%s>\r\n", c.id(up[n-1]), c.id(up[n-1]))
	}
	dst = fmt.Appendf(dst, "Subject: %s\r\n\r\n", subject)
	if word {
		dst = append(dst, BodyWord+"\r\n"...)
	}
	return append(dst, "Thanks, that will do.\r\n"...)
}

func (c Corpus) id(i int) string { return fmt.Sprintf("%x.%x@mail.example.net", i, c.Seed) }

// body appends the fields of the content and the content.
type body struct {
	r        *rand.Rand
	out      []byte
	boundary string
	parts    int // multiparts so far
}

func (b *body) write(word bool) {
	switch n := b.r.IntN(100); {
	case n < 45:
		b.text("plain", b.textSize(), word)
	case n < 50:
		b.text("html", 3*b.textSize(), word)
	case n < 83:
		b.alternative(word)
	case n < 96: // with attachments
		b.multipart("mixed", func(next func()) {
			next()
			if b.r.IntN(2) == 0 {
				b.alternative(word)
			} else {
				b.text("plain", b.textSize(), word)
			}
			for n := 1 + b.r.IntN(3)/2; n > 0; n-- {
				next()
				b.binary("application/pdf", fmt.Sprintf("attachment; filename=\"%s.pdf\"", words[b.r.IntN(len(words))]), b.logNormal(40<<10, 1.2, 4<<20))
			}
		})
	case n < 98: // HTML with an image in it
		b.multipart("related", func(next func()) {
			next()
			b.text("html", 2*b.textSize(), word)
			next()
			b.binary("image/png", "inline; filename=\"logo.png\"\r\nContent-ID: <logo>", b.logNormal(8<<10, 0.7, 1<<20))
		})
	default: // a forwarded message
		b.multipart("mixed", func(next func()) {
			next()
			b.text("plain", b.textSize(), word)
			next()
			b.out = append(b.out, "Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n"...)
			b.out = append(b.out, "Date: Mon, 04 Jan 2021 07:00:00 +0000\r\nFrom: Bob <bob@example.org>\r\nTo: ann@example.org\r\nSubject: Inner message\r\nMIME-Version: 1.0\r\n"...)
			b.text("plain", b.textSize(), false)
		})
	}
}

func (b *body) alternative(word bool) {
	b.multipart("alternative", func(next func()) {
		size := b.textSize()
		next()
		b.text("plain", size, word)
		next()
		b.text("html", 2*size, false)
	})
}

// multipart appends a multipart; parts calls next before each of its parts.
func (b *body) multipart(subtype string, parts func(next func())) {
	b.parts++
	boundary := fmt.Sprintf("%s_%d", b.boundary, b.parts)
	b.out = fmt.Appendf(b.out, "Content-Type: multipart/%s;\r\n\tboundary=\"%s\"\r\n\r\n", subtype, boundary)
	parts(func() { b.out = fmt.Appendf(b.out, "\r\n--%s\r\n", boundary) })
	b.out = fmt.Appendf(b.out, "\r\n--%s--\r\n", boundary)
}

// textSize is a number of octets, 2 KiB in the middle.
func (b *body) textSize() int { return b.logNormal(2<<10, 0.9, 256<<10) }

// logNormal draws a size whose logarithm is normally distributed around that of the median.
func (b *body) logNormal(median, sigma float64, most int) int {
	return min(most, 1+int(median*math.Exp(sigma*b.r.NormFloat64())))
}

// text appends a text of about size octets before it is encoded.
func (b *body) text(subtype string, size int, word bool) {
	l := languages[b.pickLanguage()]
	text := make([]byte, 0, size+128)
	if subtype == "html" {
		text = append(text, "<html><head><title>Mail</title></head><body>\r\n<p>"...)
	}
	if word {
		text = append(text, BodyWord...)
		text = append(text, ' ')
	}
	for line := 0; len(text) < size; {
		w := words[b.r.IntN(len(words))]
		if b.r.IntN(8) == 0 && len(l.words) > 0 {
			w = l.words[b.r.IntN(len(l.words))]
		}
		text = append(text, w...)
		if line += len(w) + 1; line < 68 {
			text = append(text, ' ')
			continue
		}
		line = 0
		text = append(text, "\r\n"...)
		switch {
		case subtype == "html" && b.r.IntN(6) == 0:
			text = append(text, `</p><p style="margin: 0; font-family: sans-serif">`...)
		case subtype != "html" && b.r.IntN(12) == 0:
			text = append(text, "\r\n> "...)
		}
	}
	text = append(text, "\r\n"...)
	b.out = fmt.Appendf(b.out, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, l.charset, l.encoding)
	switch l.encoding {
	case "base64":
		b.base64(text)
	case "quoted-printable":
		b.quotedPrintable(text)
	default:
		b.out = append(b.out, text...)
	}
}

// pickLanguage draws a language: six texts in ten are US-ASCII.
func (b *body) pickLanguage() int {
	if n := b.r.IntN(10); n >= 6 {
		return 1 + (n-6+b.r.IntN(2))%(len(languages)-1)
	}
	return 0
}

// binary appends size random octets in base64.
func (b *body) binary(mediaType, disposition string, size int) {
	b.out = fmt.Appendf(b.out, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: %s\r\n\r\n", mediaType, disposition)
	raw := make([]byte, 0, size+8)
	for len(raw) < size {
		n := b.r.Uint64()
		raw = append(raw, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), byte(n>>32), byte(n>>40), byte(n>>48), byte(n>>56))
	}
	b.base64(raw[:size])
}

// base64 appends data in lines of 76 octets.
func (b *body) base64(data []byte) {
	for len(data) > 0 {
		n := min(len(data), 57)
		b.out = base64.StdEncoding.AppendEncode(b.out, data[:n])
		b.out = append(b.out, "\r\n"...)
		data = data[n:]
	}
}

// quotedPrintable appends text, whose lines end in CRLF and are short.
func (b *body) quotedPrintable(text []byte) {
	const digits = "0123456789ABCDEF"
	column := 0
	for i, o := range text {
		switch {
		case o == '\r':
			continue
		case o == '\n':
			b.out = append(b.out, "\r\n"...)
			column = 0
			continue
		case column >= 72:
			b.out = append(b.out, "=\r\n"...)
			column = 0
		}
		if o == '=' || o < 32 || o > 126 || o == ' ' && i+1 < len(text) && text[i+1] == '\r' {
			b.out = append(b.out, '=', digits[o>>4], digits[o&15])
			column += 3
		} else {
			b.out = append(b.out, o)
			column++
		}
	}
}
