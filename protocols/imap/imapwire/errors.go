package imapwire

import (
	"errors"
	"strconv"
)

// A SyntaxError says that the octets read do not follow the grammar. The
// answer to it is a tagged BAD (an untagged one when the tag could not be
// read), and [Reader.Skip] brings the connection back in step.
//
// Msg never repeats what the client sent: it may hold a password.
type SyntaxError struct {
	Pos int // octets of the line before the token that is wrong
	Msg string
}

func (e *SyntaxError) Error() string {
	return e.Msg + " (at octet " + strconv.Itoa(e.Pos) + ")"
}

// A LimitKind names a field of [Limits].
type LimitKind uint8

const (
	LimitLine        LimitKind = iota + 1 // Limits.Line
	LimitLiteral                          // Limits.Literal
	LimitNonSync                          // Limits.NonSync
	LimitCommand                          // Limits.Command
	LimitDrain                            // Limits.Drain
	LimitDepth                            // Limits.Depth
	LimitListItems                        // Limits.ListItems
	LimitSetElements                      // Limits.SetElements
)

func (k LimitKind) String() string {
	switch k {
	case LimitLine:
		return "command line too long"
	case LimitLiteral:
		return "literal too big"
	case LimitNonSync:
		return "non-synchronizing literal too big"
	case LimitCommand:
		return "command too big"
	case LimitDrain:
		return "too much to skip"
	case LimitDepth:
		return "nested too deeply"
	case LimitListItems:
		return "too many list items"
	case LimitSetElements:
		return "too many elements in the set"
	}
	return "limit exceeded"
}

// A LimitError says that a command is larger than the [Limits] allow. It is
// answered with BAD, or with NO and the LIMIT or TOOBIG response code (RFC
// 5530, section 3; RFC 4469, section 4.2), and [Reader.Skip] brings the
// connection back in step, unless [LimitError.MustClose].
type LimitError struct {
	Kind LimitKind
	Max  int64 // the limit that was exceeded
}

func (e *LimitError) Error() string {
	return e.Kind.String() + " (limit " + strconv.FormatInt(e.Max, 10) + ")"
}

// MustClose reports whether more is on its way than the server is willing to
// read and throw away: say BYE and close the connection, which is the second
// of the two choices in RFC 7888, section 4.
func (e *LimitError) MustClose() bool { return e.Kind == LimitDrain }

// A NameError says that a mailbox name or pattern was read whole, and is in
// step, but is not valid modified UTF-7 (or UTF-8, see [Reader.SetUTF8]). The
// parser may go on with the next argument and answer NO [CANNOT].
type NameError struct {
	Raw string // as the client sent it
	Err error  // utf7.ErrInvalid or ErrUTF8
}

func (e *NameError) Error() string { return "mailbox name: " + e.Err.Error() }

func (e *NameError) Unwrap() error { return e.Err }

var (
	// ErrUTF8 says that a name is not valid UTF-8.
	ErrUTF8 = errors.New("not valid UTF-8")

	// ErrLiteralSize is the sticky error of a [Writer] after a literal got
	// fewer or more octets than announced. The client cannot be brought back
	// in step: close the connection.
	ErrLiteralSize = errors.New("literal has not the size announced")
)

// InStep reports whether the connection can go on after err once
// [Reader.Skip] has been called: err is a *SyntaxError, a *NameError or a
// *LimitError that does not ask for the connection to be closed.
func InStep(err error) bool {
	var (
		syntax *SyntaxError
		name   *NameError
		limit  *LimitError
	)
	switch {
	case errors.As(err, &limit):
		return !limit.MustClose()
	case errors.As(err, &syntax), errors.As(err, &name):
		return true
	}
	return false
}
