package imapwire

import (
	"bytes"
	"io"
	"sync"
)

// A Literal is a literal that is read as a stream: the message of an APPEND.
// It is valid until its last octet is read or the command ends.
//
// The first Read accepts it, which asks a client that waits for a continuation
// to send it. Not to read it is to refuse it: answer the command, for example
// with NO [TOOBIG], and call [Reader.Skip].
type Literal struct {
	Size    int64 // in octets, as announced
	NonSync bool  // "{n+}": the client does not wait (RFC 7888)
	Binary  bool  // "~{n}": may hold NUL (RFC 3516, section 4.4)

	r        *Reader
	left     int64
	accepted bool
	pending  bool // octets, or the decision to accept, are still to come
}

// ReadLiteral reads the header of a literal or literal8, "{n}" CRLF, of any
// size, for the data to be streamed. Calling any other method of the Reader
// before the data is read throws the rest of an accepted literal away.
func (r *Reader) ReadLiteral() (*Literal, error) {
	c, err := r.Peek()
	if err != nil {
		return nil, err
	}
	off := 0
	if c == '~' {
		off = 1
	}
	if err := r.literalHeader(off); err != nil {
		return nil, err
	}
	r.lit.Binary = off == 1
	r.held = 0
	return &r.lit, nil
}

// Accept asks the client for the data if it waits for that. Read does it on
// its own; Accept is for those who want its error apart.
func (l *Literal) Accept() error {
	if l.accepted || !l.pending {
		return nil
	}
	if !l.NonSync && l.r.cont != nil {
		if err := l.r.cont(); err != nil {
			return err
		}
	}
	l.accepted = true
	return nil
}

// Left returns how many octets are still to be read.
func (l *Literal) Left() int64 { return l.left }

// Read implements io.Reader. It returns io.EOF after exactly Size octets and
// io.ErrUnexpectedEOF when the connection ends before.
func (l *Literal) Read(p []byte) (int, error) {
	if err := l.Accept(); err != nil {
		return 0, err
	}
	if l.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	r := l.r
	var n int
	var err error
	switch {
	case len(p) == 0:
		return 0, nil
	case r.pos < r.end:
		n = copy(p, r.buf[r.pos:r.end])
		r.pos += n
	case r.readErr != nil:
		err, r.readErr = r.readErr, nil
	default:
		n, err = r.src.Read(p)
	}
	l.left -= int64(n)
	l.settle()
	if err != nil && n > 0 {
		r.readErr, err = err, nil
	}
	if err != nil {
		err = r.eof(err)
	}
	return n, err
}

// copyPool is a cache; what is in it cannot be observed.
var copyPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// WriteTo implements io.WriterTo: io.Copy uses it, and thereby a pooled
// buffer.
func (l *Literal) WriteTo(w io.Writer) (int64, error) {
	buf := copyPool.Get().(*[32 << 10]byte)
	defer copyPool.Put(buf)
	var total int64
	for {
		n, err := l.Read(buf[:])
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
			if m < n {
				return total, io.ErrShortWrite
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// settle ends the literal when nothing more is to come: a new line begins.
func (l *Literal) settle() {
	if l.accepted && l.left == 0 && l.pending {
		l.pending = false
		l.r.line = 0
	}
}

// drainLiteral reads the rest of the pending literal, which is
// non-synchronizing or accepted, and throws it away.
func (r *Reader) drainLiteral() error {
	l := &r.lit
	l.accepted = true
	for l.left > 0 {
		if r.pos == r.end {
			if err := r.fill(); err != nil {
				return err
			}
		}
		n := min(l.left, int64(r.end-r.pos))
		r.pos += int(n)
		l.left -= n
	}
	l.settle()
	return nil
}

// leaveLiteral is called before anything is parsed while a literal is
// pending.
func (r *Reader) leaveLiteral() error {
	if !r.lit.NonSync && !r.lit.accepted {
		return r.syntaxError("literal was not accepted")
	}
	if r.lit.left > r.limits.Drain {
		return &LimitError{Kind: LimitDrain, Max: r.limits.Drain}
	}
	return r.drainLiteral()
}

// literalHeader reads "{" number ["+"] "}" CRLF at off octets from pos and
// leaves the literal pending. It consumes all of it or nothing.
func (r *Reader) literalHeader(off int) error {
	var m literalMatcher
	for i := off; ; i++ {
		c, err := r.at(i)
		if err != nil {
			return err
		}
		if m.next(c); m.state == matchNone {
			return r.syntaxError("expected a literal")
		}
		if m.state != matchEnd {
			continue
		}
		r.held += r.line + i
		r.pos += i + 1
		r.line = 0
		r.lit = Literal{Size: m.size, NonSync: m.nonSync, r: r, left: m.size, pending: true}
		if m.nonSync && m.size > r.limits.NonSync {
			return &LimitError{Kind: LimitNonSync, Max: r.limits.NonSync}
		}
		return nil
	}
}

// memoryLiteral reads a literal and returns a view of its data.
func (r *Reader) memoryLiteral() ([]byte, error) {
	if err := r.literalHeader(0); err != nil {
		return nil, err
	}
	l := &r.lit
	if l.Size > int64(r.limits.Literal) {
		return nil, &LimitError{Kind: LimitLiteral, Max: int64(r.limits.Literal)}
	}
	if int64(r.held)+l.Size > int64(r.limits.Command) {
		return nil, &LimitError{Kind: LimitCommand, Max: int64(r.limits.Command)}
	}
	n := int(l.Size)
	if err := r.grows(n); err != nil {
		return nil, err
	}
	if err := l.Accept(); err != nil {
		return nil, err
	}
	for r.end-r.pos < n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	r.held += n
	l.left = 0
	l.settle()
	return b, nil
}

// literalMatcher recognises "{" number ["+"] "}" CRLF, one octet after the
// other: at the end of any line when skipping (RFC 7888, section 3), or where
// the grammar has a literal.
type literalMatcher struct {
	state   uint8
	nonSync bool
	size    int64
}

const (
	matchNone  = iota
	matchOpen  // "{"
	matchSize  // digits
	matchPlus  // "+"
	matchClose // "}"
	matchCR
	matchEnd
)

func (m *literalMatcher) complete() bool { return m.state == matchEnd }

func (m *literalMatcher) next(c byte) {
	switch {
	case c == '{':
		*m = literalMatcher{state: matchOpen}
	case '0' <= c && c <= '9' && (m.state == matchOpen || m.state == matchSize):
		// A size that does not fit 63 bits stays at the largest that does.
		const most = 1<<63 - 1
		d := int64(c - '0')
		if m.size > (most-d)/10 {
			m.size = most
		} else {
			m.size = m.size*10 + d
		}
		m.state = matchSize
	case c == '+' && m.state == matchSize:
		m.state, m.nonSync = matchPlus, true
	case c == '}' && (m.state == matchSize || m.state == matchPlus):
		m.state = matchClose
	case c == '\r' && m.state == matchClose:
		m.state = matchCR
	case c == '\n' && (m.state == matchClose || m.state == matchCR):
		m.state = matchEnd
	default:
		m.state = matchNone
	}
}

// endsInLiteral reports whether line, without its end, ends in the header of a
// non-synchronizing literal.
func endsInLiteral(line []byte) bool {
	i := bytes.LastIndexByte(line, '{')
	if i < 0 || line[len(line)-1] != '}' {
		return false
	}
	var m literalMatcher
	for _, c := range line[i:] {
		m.next(c)
	}
	return m.state == matchClose && m.nonSync
}
