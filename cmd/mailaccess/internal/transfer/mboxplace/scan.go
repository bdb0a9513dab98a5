package mboxplace

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// found is a message in a file.
type found struct {
	key      string
	start    int64 // of its From_ line
	body     int64 // of the message, behind what export put before it
	end      int64 // of the message; an empty line may follow
	received time.Time
	flags    mailaccess.Flags
	ours     bool // export wrote it
	noEnd    bool // the message ends without the last line's end
	plain    bool // no From_ line in it is quoted
	cut      bool // it is shorter than export made it
}

// The header fields in which programs keep flags in a mbox; they are not part of what a
// message is known by.
const (
	fieldOurs     = "X-Mailaccess-Mbox"
	fieldStatus   = "Status"
	fieldXStatus  = "X-Status"
	fieldKeywords = "X-Keywords"
)

// changing reports whether programs change a field of a message in place.
func changing(name string) bool {
	for _, f := range []string{fieldStatus, fieldXStatus, fieldKeywords, "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"} {
		if strings.EqualFold(name, f) {
			return true
		}
	}
	return false
}

// scanner goes through a file.
type scanner struct {
	in   *bufio.Reader
	at   int64
	m    *found
	sum  hash.Hash
	seen map[string]int

	header   bool  // the lines are of the header
	ahead    int   // lines of ours that may follow
	text     int64 // where the header ended
	length   int64 // Content-Length, or -1
	size     int64 // as export has noted it, or -1
	internal bool
	ends     int    // of lines, that were not hashed yet
	skip     bool   // the field goes on on the next line
	mailer   bool   // the From_ line is as export writes it
	first    string // line behind it
	emit     func(found) error
}

// isFrom reports whether a line begins a message, and of what date: "From ", an address, and
// a date in the form of asctime, with a zone perhaps. Lines of text that begin so have none.
func isFrom(line []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	if !ok {
		return time.Time{}, false
	}
	fields := strings.Fields(string(rest))
	for i := range fields {
		// The weekday begins it; an address may have spaces in quotes.
		if len(fields[i]) == 3 && len(fields) >= i+5 && strings.Contains("MonTueWedThuFriSatSun", fields[i]) {
			if t, ok := parseDate(fields[i:]); ok {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// parseDate reads what follows a weekday. A date without a zone is in UTC (RFC 4155, appendix
// A).
func parseDate(f []string) (time.Time, bool) {
	for _, layout := range []string{
		"Jan 2 15:04:05 2006 -0700", "Jan 2 15:04:05 2006", "Jan 2 15:04 2006", "Jan 2 15:04:05 -0700 2006", "Jan 2 15:04:05 MST 2006",
	} {
		if n := strings.Count(layout, " ") + 2; len(f) >= n {
			if t, err := time.Parse(layout, strings.Join(f[1:n], " ")); err == nil {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// fromOurs begins each message that export writes.
const fromOurs = "From MAILER-DAEMON "

// isCut reports whether a line without an end is the beginning of a message, of which a run
// wrote no more.
func isCut(line []byte) bool {
	n := min(len(line), len(fromOurs))
	return string(line[:n]) == fromOurs[:n] && len(line) < len(fromOurs)+len(time.ANSIC)+1
}

// scan calls emit for each message of a mbox, and returns where the beginning of another is of which
// a run wrote no more, or -1. It fails with errNoMbox when the file does not
// begin like one, unless it is empty.
func scan(r io.Reader, emit func(found) error) (rest int64, err error) {
	s := &scanner{in: bufio.NewReaderSize(r, 64<<10), seen: make(map[string]int), emit: emit}
	first := true
	blank := 0 // how long the empty line before was
	for {
		// A long line comes in pieces, of which only the first one can mean something.
		line, err := s.in.ReadSlice('\n')
		whole := err == nil
		if len(line) == 0 && err != nil {
			if err == io.EOF { //nolint:errorlint // ReadSlice returns it as it is
				return -1, s.finish(s.at, blank, true)
			}
			return -1, err
		}
		start := s.at
		s.at += int64(len(line))
		if err == io.EOF && blank > 0 && s.m.ours && isCut(line) { //nolint:errorlint // as above
			s.at = start
			return start, s.finish(start, blank, true)
		}
		if first || blank > 0 {
			if t, ok := isFrom(line); ok && whole {
				if err := s.finish(start, blank, false); err != nil {
					return -1, err
				}
				s.begin(start, t)
				s.mailer, s.first = bytes.HasPrefix(line, []byte(fromOurs)), ""
				blank, first = 0, false
				continue
			}
		}
		if first {
			return -1, errNoMbox
		}
		s.line(line, start)
		if blank = 0; whole && len(bytes.TrimRight(line, "\r\n")) == 0 {
			blank = len(line)
		}
		for !whole && err == bufio.ErrBufferFull { //nolint:errorlint // ReadSlice returns it as it is
			line, err = s.in.ReadSlice('\n')
			s.at += int64(len(line))
			s.hash(line)
		}
	}
}

// isMark reports whether all there is of a message is the beginning of what export puts
// before one.
func (s *scanner) isMark(m *found) bool {
	n := min(len(s.first), len(fieldOurs))
	return m.body+int64(len(s.first)) == s.at && s.first[:n] == fieldOurs[:n] && !strings.HasSuffix(s.first, "\n")
}

func (s *scanner) begin(start int64, received time.Time) {
	s.m = &found{start: start, body: s.at, received: received}
	s.sum, s.header, s.ahead, s.length, s.size, s.internal = sha256.New(), true, -1, -1, -1, false
	s.skip, s.text, s.ends = false, 0, 0
}

// line takes a line of a message.
func (s *scanner) line(line []byte, start int64) {
	if start == s.m.body && !s.m.ours {
		s.first = string(line)
	}
	if !s.header {
		s.hash(line)
		return
	}
	text := string(bytes.TrimRight(line, "\r\n"))
	if text == "" {
		s.header, s.text = false, s.at
		s.hash(line)
		return
	}
	if text[0] == ' ' || text[0] == '\t' {
		if !s.skip {
			s.hash(line)
		}
		return
	}
	name, value, _ := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	if !s.m.ours && start == s.m.body && name == fieldOurs && s.ours(value) {
		s.m.body = s.at
		return
	}
	mine := s.ahead > 0 && start == s.m.body && (name == fieldStatus || name == fieldXStatus || name == fieldKeywords)
	if mine {
		s.ahead--
		s.m.body = s.at
	}
	// Once ours told the flags, what the message itself says of such is its own, unless
	// another program has taken ours out.
	if !s.m.ours || mine || s.ahead > 0 {
		s.flag(name, value)
	}
	if s.skip = changing(name); !s.skip {
		s.hash(line)
	}
	switch {
	case strings.EqualFold(name, "Content-Length"):
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 {
			s.length = n
		}
	case name == "Subject" && strings.HasPrefix(value, "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"):
		s.internal = true
	}
}

// hash takes octets into what the message is known by. What ends the last line, and an empty
// line behind it, belong to the file: they come and go with the next message.
func (s *scanner) hash(line []byte) {
	if s.m == nil {
		return
	}
	text := bytes.TrimRight(line, "\r\n")
	if len(text) > 0 {
		for ; s.ends > 0; s.ends-- {
			s.sum.Write([]byte{'\n'})
		}
		s.sum.Write(text)
	}
	if bytes.HasSuffix(line, []byte{'\n'}) {
		s.ends++
	}
}

// ours reads what export put before a message.
func (s *scanner) ours(value string) bool {
	var lines int
	var size int64
	var key, end string
	if n, err := fmt.Sscanf(value, "1 %d %d %s %s", &lines, &size, &end, &key); n != 4 || err != nil || len(key) != keyLen || lines != 3 {
		return false
	}
	s.m.ours, s.m.key, s.m.noEnd, s.ahead, s.size = true, key, end == "noend", lines, size
	return true
}

// flag reads a field with flags, as mutt, Dovecot and others write them.
func (s *scanner) flag(name, value string) {
	f := &s.m.flags
	switch {
	case strings.EqualFold(name, fieldStatus), strings.EqualFold(name, fieldXStatus):
		for _, c := range value {
			switch c {
			case 'R':
				f.System |= mailaccess.FlagSeen
			case 'A':
				f.System |= mailaccess.FlagAnswered
			case 'F':
				f.System |= mailaccess.FlagFlagged
			case 'D':
				f.System |= mailaccess.FlagDeleted
			case 'T':
				f.System |= mailaccess.FlagDraft
			}
		}
	case strings.EqualFold(name, fieldKeywords):
		for w := range strings.FieldsSeq(value) {
			if k, err := mailaccess.NewKeywords(w); err == nil && f.Keywords.Len() < mailaccess.MaxKeywords {
				f.Keywords = f.Keywords.Union(k)
			}
		}
	}
}

// finish ends the message before end, where the file ends too if last says so. An empty line of
// so many octets is before it.
func (s *scanner) finish(end int64, blank int, last bool) error {
	m := s.m
	if m == nil || s.internal {
		return nil
	}
	m.end = max(m.body, end-int64(blank))
	if last && !m.ours && s.mailer && s.isMark(m) {
		m.cut = true
	}
	if m.ours {
		m.cut = last && m.end-m.body < s.size
	} else {
		sum := s.sum.Sum(nil)
		m.key = fmt.Sprintf("%x", sum[:keyLen/2])
		// mboxcl2 quotes nothing. Its length says where the message ends.
		m.plain = s.length >= 0 && m.end-s.text == s.length
	}
	s.seen[m.key]++
	if n := s.seen[m.key]; n > 1 {
		m.key = fmt.Sprintf("%s-%d", m.key, n)
	}
	return s.emit(*m)
}
