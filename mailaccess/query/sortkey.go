package query

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// The texts of a header that messages are sorted by, each prepared for comparison.
const (
	sortSubject = iota
	sortFrom
	sortTo
	sortCc
	sortDisplayFrom
	sortDisplayTo
	sortTexts
)

// maxSortText is how many octets of a prepared text count. Two that differ only
// behind them are equal.
const maxSortText = 1000

// MaxSortKey is how long a sort key gets.
const MaxSortKey = 1 + binary.MaxVarintLen64 + sortTexts*(maxSortText+2)

// AppendSortKey appends what a [Sorter] needs of a header, in a form to be kept; it
// depends on nothing else. It is the sent date and the prepared texts.
func AppendSortKey(b []byte, h message.Header) []byte {
	var (
		texts         [sortTexts]string
		date, subject bool
		seconds       int64
		sent          bool
		from, to, cc  bool
	)
	first := func(f message.Field, found *bool, mailbox int, display int) {
		a, ok := message.FirstAddress(f.Value())
		if *found = ok; !ok {
			return
		}
		texts[mailbox] = preparedOctets(a.Mailbox)
		if display >= 0 {
			texts[display] = displayText(a)
		}
	}
	for f := range h.Fields() {
		switch {
		case !date && f.Is("date"):
			date = true
			t, ok := message.ParseDate(f.Value())
			seconds, sent = t.Unix(), ok
		case !subject && f.Is("subject"):
			subject = true
			texts[sortSubject], _ = preparedSubject(f)
		// The envelope takes the first From that names somebody, and To and Cc
		// together, so that it is the same for them.
		case !from && f.Is("from"):
			first(f, &from, sortFrom, sortDisplayFrom)
		case !to && f.Is("to"):
			first(f, &to, sortTo, sortDisplayTo)
		case !cc && f.Is("cc"):
			first(f, &cc, sortCc, -1)
		}
	}
	b = appendSent(b, seconds, sent)
	for _, s := range texts {
		s = s[:min(len(s), maxSortText)]
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// displayText is the DISPLAY sort value of an address (RFC 5957, section 3). A group
// has no host, as in the envelope.
func displayText(a message.Address) string {
	if s := preparedText(a.Name); s != "" {
		return s
	}
	switch a.Kind {
	case message.Mailbox:
		return preparedOctets(a.Mailbox + "@" + a.Host)
	case message.GroupStart:
		return preparedOctets(a.Mailbox)
	}
	return ""
}

// preparedSubject is the base subject of a field, prepared, and whether it is that
// of a reply or a forward. The base is taken before it is prepared (RFC 5255,
// section 4.2).
func preparedSubject(f message.Field) (_ string, reply bool) {
	text, ok := message.TextOrOctets(f.Value())
	base, reply := BaseSubject(text)
	return prepare(base, ok), reply
}

// preparedText decodes a value and prepares it.
func preparedText(v string) string { return prepare(message.TextOrOctets(v)) }

// preparedOctets prepares a text in which nothing is encoded.
func preparedOctets(s string) string { return prepare(s, utf8.ValidString(s)) }

// prepare makes of a text what compares as octets: by i;unicode-casemap, and after
// everything else, by i;octet, what could not be decoded (RFC 5255, section 4.6).
// No prepared text that is valid begins with the octet 0xff, and an empty one comes
// before all.
func prepare(text string, ok bool) string {
	switch {
	case text == "":
		return ""
	case ok:
		return UnicodeCasemap(text)
	}
	return "\xff" + text
}

// appendSent appends the sent date, or that there is none.
func appendSent(b []byte, seconds int64, sent bool) []byte {
	if !sent {
		return append(b, 0)
	}
	return binary.AppendVarint(append(b, 1), seconds)
}

// cutSent takes off what appendSent appended.
func cutSent(b []byte) (seconds int64, sent bool, rest []byte, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return 0, false, nil, false
	}
	if b[0] == 0 {
		return 0, false, b[1:], true
	}
	seconds, n := binary.Varint(b[1:])
	if n <= 0 {
		return 0, false, nil, false
	}
	return seconds, true, b[1+n:], true
}

// sortFields is a sort key taken apart.
type sortFields struct {
	seconds int64
	sent    bool
	texts   [sortTexts][]byte // in the memory of the key
}

// read takes key apart and reports whether it is one.
func (s *sortFields) read(key []byte) (ok bool) {
	if s.seconds, s.sent, key, ok = cutSent(key); !ok {
		return false
	}
	for i := range s.texts {
		n, k := binary.Uvarint(key)
		if k <= 0 || n > maxSortText || n > uint64(len(key)-k) {
			return false
		}
		s.texts[i], key = key[k:k+int(n)], key[k+int(n):]
	}
	return len(key) == 0
}
