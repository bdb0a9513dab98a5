package mailaccess

import (
	"context"
	"errors"
)

// Kind says what went wrong in words that belong to no protocol; each protocol
// has one table from kinds to its answers. A Kind is an error too, so that
// errors.Is(err, KindNotFound) works on any error that wraps an [*Error].
type Kind uint8

// The kinds.
const (
	KindInternal    Kind = iota // a defect, here or below
	KindNotFound                // no such mailbox, message or account
	KindExists                  // the name is taken
	KindInvalid                 // an argument that can never be right, such as a mailbox name the store cannot keep
	KindUnsupported             // the store cannot do it at all
	KindForbidden               // the identity may not do it
	KindInUse                   // somebody holds it exclusively
	KindOverQuota               // no room under the quota
	KindLimit                   // over another limit: too many, too long
	KindTooBig                  // the message is larger than the store takes
	KindHasChildren             // the mailbox has mailboxes below it
	KindContentGone             // the content is no longer there; the message may still be shown
	KindHistoryGone             // the store no longer knows what changed since then
	KindCorrupt                 // what is stored cannot be right
	KindUnavailable             // not now: overload, lost connection, closing; trying again may help
	KindUncertain               // it happened whole or not at all, and nobody can tell which; read again
	KindAuthFailed              // unknown user or wrong password
	KindAuthExpired             // the credentials were right once

	kindEnd
)

var kindNames = [kindEnd]string{
	"internal error", "not found", "already exists", "invalid", "not supported", "not permitted", "in use",
	"over quota", "limit exceeded", "message too big", "has inferior mailboxes", "content gone", "history gone",
	"corrupt", "unavailable", "outcome uncertain", "authentication failed", "credentials expired",
}

// Error returns the kind in words.
func (k Kind) Error() string {
	if k >= kindEnd {
		return "unknown kind"
	}
	return kindNames[k]
}

// Kinds returns every kind, for tests that a table is complete.
func Kinds() []Kind {
	ks := make([]Kind, kindEnd)
	for i := range ks {
		ks[i] = Kind(i)
	}
	return ks
}

// Error is the error that stores and authenticators return.
type Error struct {
	Kind Kind
	// Op is what was being done, as "append".
	Op string
	// Mailbox is the mailbox concerned, by name or id, if any.
	Mailbox string
	// Err is the cause, if any. It holds no credentials and no content.
	Err error
}

// Error returns operation, mailbox, kind and cause.
func (e *Error) Error() string {
	s := e.Op
	if e.Mailbox != "" {
		s += " " + e.Mailbox
	}
	if s != "" {
		s += ": "
	}
	s += e.Kind.Error()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is e's kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf returns the kind of err: that of the outermost [*Error] or Kind in its
// chain, KindUnavailable for an ended context, KindInternal for anything else.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return KindUnavailable
	}
	return KindInternal
}

// ErrSkip is returned by an optional way of doing something that declines this
// time: the caller takes the ordinary way instead. It is never shown to anybody.
var ErrSkip = errors.New("mailaccess: not this way")
