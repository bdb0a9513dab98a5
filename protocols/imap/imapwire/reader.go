package imapwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"sync"
)

// Limits bounds what a command may make the server hold. A zero field means
// the default; a negative one means no limit.
type Limits struct {
	// Line is the longest line in octets, its end and the data of literals
	// not counted. A command that has literals has several lines. Default
	// 64 KiB.
	Line int

	// Literal is the size in octets of the largest literal that is read into
	// memory as a string argument. Default 64 KiB.
	Literal int

	// NonSync is the size in octets of the largest non-synchronizing literal,
	// streamed ones included: 4096 for a server that advertises LITERAL-
	// (RFC 7888, section 5). Default no limit.
	NonSync int64

	// Command is the size in octets of a command's lines and of its literals
	// in memory taken together. A streamed literal is not counted and starts
	// the count again. It is checked where a literal begins. Default 256 KiB.
	Command int

	// Drain is how many octets at most are read and thrown away to get to the
	// end of one command. Default 64 MiB.
	Drain int64

	// Depth is how deep lists may be nested within each other; see also
	// [Reader.Enter]. Default 256.
	Depth int

	// ListItems is the number of items in all lists of a command taken
	// together. Default 8192.
	ListItems int

	// SetElements is the number of elements of one sequence set. Default
	// 32768.
	SetElements int
}

func (l Limits) withDefaults() Limits {
	l.Line = limit(l.Line, 64<<10, math.MaxInt32)
	l.Literal = limit(l.Literal, 64<<10, math.MaxInt32)
	l.NonSync = limit(l.NonSync, math.MaxInt64, math.MaxInt64)
	l.Command = limit(l.Command, 256<<10, math.MaxInt32)
	l.Drain = limit(l.Drain, 64<<20, math.MaxInt64)
	l.Depth = limit(l.Depth, 256, math.MaxInt32)
	l.ListItems = limit(l.ListItems, 8192, math.MaxInt32)
	l.SetElements = limit(l.SetElements, 32768, math.MaxInt32)
	return l
}

func limit[T int | int64](v, def, most T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return most
	}
	return v
}

// ReaderOptions configures a [Reader].
type ReaderOptions struct {
	// Limits; its zero value means the defaults.
	Limits Limits

	// Continue sends a command continuation request, "+ " text CRLF (RFC
	// 3501, section 7.5), and flushes it. It is called when a synchronizing
	// literal is accepted, from within the method that reads the literal. Its
	// error is returned by that method. nil sends nothing, which suits
	// clients that do not wait, such as a recorded stream.
	Continue func() error

	// Hold is called when a command proves to be longer than 8 KiB, once for each
	// such command, before more of it is kept. Its error is returned by the method
	// that reads, and refuses the command: [Reader.Skip] passes over the rest. nil
	// lets all pass.
	Hold func() error
}

// usualCommand is what a command holds before Hold is called.
const usualCommand = 8 << 10

const (
	smallSize  = 128
	pooledSize = 4096
)

// readPool is a cache; what is in it cannot be observed.
var readPool = sync.Pool{New: func() any { return new([pooledSize]byte) }}

// A Reader reads the commands of one connection. See the package comment for
// the manner of use. It is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	cont   func() error
	hold   func() error
	limits Limits
	utf8   bool

	// buf[pos:end] is read and not yet consumed. buf is nil, small[:], a
	// pooled array (then pooled is set), or larger for a token that needs it.
	// Tokens are looked at from pos on and consumed when complete, so that a
	// failed parse has consumed nothing of its token.
	buf      []byte
	pos, end int
	pooled   *[pooledSize]byte
	readErr  error // came with the last octets; due at the next read

	ended bool    // the present command's last line end is consumed
	lit   Literal // its fields are in use while lit.pending

	line  int  // octets consumed of the present line
	large bool // Hold was called
	held  int  // octets of earlier lines and literals, towards Limits.Command
	depth int
	items int

	tag      []byte
	tagArray [24]byte
	small    [smallSize]byte
}

// NewReader returns a reader of src. opts may be nil.
func NewReader(src io.Reader, opts *ReaderOptions) *Reader {
	if opts == nil {
		opts = &ReaderOptions{}
	}
	return &Reader{src: src, cont: opts.Continue, hold: opts.Hold, limits: opts.Limits.withDefaults(), ended: true}
}

// Reset throws away everything buffered and reads from src from now on, as
// after STARTTLS or COMPRESS. Limits, UTF-8 mode and Continue stay.
func (r *Reader) Reset(src io.Reader) {
	r.DiscardBuffered()
	r.src, r.readErr = src, nil
	r.endCommand()
}

// SetLimits replaces the limits, for example after authentication.
func (r *Reader) SetLimits(l Limits) { r.limits = l.withDefaults() }

// SetUTF8 says whether the client has enabled UTF8=ACCEPT or IMAP4rev2 (RFC
// 6855, section 3; RFC 9051, section 5.1). Then mailbox names are UTF-8
// instead of modified UTF-7, and quoted strings must be valid UTF-8.
func (r *Reader) SetUTF8(on bool) { r.utf8 = on }

// Buffered returns the number of octets read from the connection and not yet
// consumed. After the CRLF of STARTTLS anything but 0 means that the client,
// or somebody in between, has sent commands in plain text that would be taken
// as protected (RFC 3501, section 6.2.1: the client must wait for the answer).
func (r *Reader) Buffered() int { return r.end - r.pos }

// LineBuffered reports whether the end of a line is among what
// [Reader.Buffered] counts: whether the client has pipelined another command, or
// the beginning of one.
func (r *Reader) LineBuffered() bool { return bytes.IndexByte(r.buf[r.pos:r.end], '\n') >= 0 }

// DiscardBuffered throws away what [Reader.Buffered] counts and returns how
// many octets that was.
func (r *Reader) DiscardBuffered() int {
	n := r.end - r.pos
	r.pos = r.end
	r.Park()
	return n
}

// Park gives the buffer back unless something is buffered. [Reader.Wait] and
// [Reader.CRLF] do it on their own.
func (r *Reader) Park() {
	if r.pos < r.end {
		return
	}
	if r.pooled != nil {
		readPool.Put(r.pooled)
		r.pooled = nil
	}
	r.buf, r.pos, r.end = nil, 0, 0
}

// Wait blocks until something can be read: the first octet of the next
// command, or of a line such as DONE. While it waits no buffer is held but a
// small one that is part of the Reader. It consumes nothing. After an error,
// such as a deadline set to interrupt it, it can be called again.
func (r *Reader) Wait() error {
	if r.pos < r.end {
		return nil
	}
	r.Park()
	return r.fill()
}

// Command reads the tag and the name of the next command (RFC 3501, section
// 2.2.1). What is left of the command before is skipped.
//
// The tag is valid until the next call of Command; it is empty when there is
// none, and set also when err says that the name is missing. The name is an
// atom in upper case, valid until the next call of any method. Arguments
// follow, each after [Reader.SP], and then [Reader.CRLF].
func (r *Reader) Command() (tag, name []byte, err error) {
	r.tag = r.tagArray[:0]
	if err := r.Skip(); err != nil {
		return nil, nil, err
	}
	if err := r.Wait(); err != nil {
		return nil, nil, err
	}
	r.ended = false
	b, err := r.token(classTag, "expected a tag")
	if err != nil {
		return nil, nil, err
	}
	r.tag = append(r.tag, b...)
	if err := r.SP(); err != nil {
		return r.tag, nil, err
	}
	name, err = r.ReadKeyword()
	return r.tag, name, err
}

// Tag returns the tag that Command has returned last.
func (r *Reader) Tag() []byte { return r.tag }

// Skip reads to the end of the present command and throws it away. It does
// nothing when [Reader.CRLF] has been read.
//
// Non-synchronizing literals are honoured wherever a line ends in one, even
// where the grammar has none (RFC 7888, section 3). A synchronizing literal
// that was not accepted ends the command: the client sees the tagged answer
// instead of a continuation, and does not send it (RFC 3501, section 2.2.1).
//
// When Limits.Drain would be exceeded the error is a *[LimitError] for which
// MustClose is true; a literal announced as larger than that is not read at
// all.
func (r *Reader) Skip() error {
	if r.ended {
		return nil
	}
	budget := r.limits.Drain
	for {
		if r.lit.pending {
			if !r.lit.NonSync && !r.lit.accepted {
				r.endCommand()
				return nil
			}
			n := r.lit.left
			if n > budget {
				return &LimitError{Kind: LimitDrain, Max: r.limits.Drain}
			}
			budget -= n
			if err := r.drainLiteral(); err != nil {
				return err
			}
		}
		more, err := r.skipLine(&budget)
		if err != nil {
			return err
		}
		if !more {
			r.endCommand()
			return nil
		}
	}
}

// skipLine throws away the rest of the line. more says that it ends in the
// header of a literal, which is then pending.
func (r *Reader) skipLine(budget *int64) (more bool, err error) {
	var m literalMatcher
	for {
		for i, c := range r.buf[r.pos:r.end] {
			m.next(c)
			if c != '\n' {
				continue
			}
			r.pos += i + 1
			r.line = 0
			if m.complete() {
				r.lit = Literal{Size: m.size, NonSync: m.nonSync, r: r, left: m.size, pending: true}
				return true, nil
			}
			return false, nil
		}
		if *budget -= int64(r.end - r.pos); *budget < 0 {
			return false, &LimitError{Kind: LimitDrain, Max: r.limits.Drain}
		}
		r.pos = r.end
		if err := r.fill(); err != nil {
			return false, err
		}
	}
}

// endCommand makes ready for the next command.
func (r *Reader) endCommand() {
	r.ended = true
	r.lit = Literal{}
	r.line, r.held, r.depth, r.items, r.large = 0, 0, 0, 0, false
}

// fill reads more octets behind buf[pos:end]. That may move: what callers
// know are offsets from pos.
func (r *Reader) fill() error {
	if err := r.readErr; err != nil {
		r.readErr = nil
		return r.eof(err)
	}
	r.makeRoom()
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		if n > 0 {
			r.end += n
			r.readErr = err
			return nil
		}
		if err != nil {
			return r.eof(err)
		}
	}
	return io.ErrNoProgress
}

// makeRoom leaves free space behind end: in the array within the Reader until
// that has been full, then in a pooled one, and for a token larger than that
// in one of twice the size.
func (r *Reader) makeRoom() {
	if r.buf == nil {
		r.buf = r.small[:]
		return
	}
	if r.pos == r.end && (r.pooled != nil || r.end < smallSize) {
		r.pos, r.end = 0, 0
		return
	}
	if free := len(r.buf) - r.end; free > len(r.buf)/4 {
		return
	}
	kept := r.buf[r.pos:r.end]
	next, pooled := r.buf, r.pooled
	switch {
	case len(kept) <= pooledSize/2:
		if pooled == nil {
			pooled = readPool.Get().(*[pooledSize]byte)
		}
		next = pooled[:]
	case len(kept) > len(r.buf)/2:
		next, pooled = make([]byte, 2*len(r.buf)), nil
	}
	r.end = copy(next, kept)
	r.pos, r.buf = 0, next
	if r.pooled != nil && pooled == nil {
		readPool.Put(r.pooled)
	}
	r.pooled = pooled
}

func (r *Reader) eof(err error) error {
	if errors.Is(err, io.EOF) && (!r.ended || r.pos < r.end) {
		return io.ErrUnexpectedEOF
	}
	return err
}
