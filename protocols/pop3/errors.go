package pop3

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// Response codes, without brackets (RFC 2449, section 8; RFC 3206).
const (
	codeInUse      = "IN-USE"
	codeLoginDelay = "LOGIN-DELAY"
	codeTemp       = "SYS/TEMP"
	codePerm       = "SYS/PERM"
	codeAuth       = "AUTH"
)

// refusal is an answer of -ERR.
type refusal struct {
	code string // the response code, without brackets; may be empty
	text string // printable ASCII, not beginning with [
	// syntax: the command makes no sense, which counts against the client.
	syntax bool
}

func (r *refusal) Error() string { return "-ERR " + r.text }

// refuse is the answer to a command that makes sense but cannot be done.
func refuse(code, text string) error { return &refusal{code: code, text: text} }

// refuseSyntax is the answer to a command that makes no sense.
func refuseSyntax(text string) error { return &refusal{text: text, syntax: true} }

// hangUp ends the conversation without another word, since it would be taken for
// something else: part of a message, or of a handshake. Its cause is out of reach
// of errors.Is and errors.As on purpose: it must not become an answer.
type hangUp struct {
	doing string
	cause error
}

func (e *hangUp) Error() string { return "pop3: " + e.doing + ": " + e.cause.Error() }

// Errors that end the conversation with a last word.
var (
	errTooManyBad    = errors.New("pop3: too many invalid commands")
	errTooManyLogins = errors.New("pop3: too many failed logins")
	errLeaseLost     = errors.New("pop3: the lock on the maildrop was lost")
)

// kindAnswers is the answer to each kind of error. Texts are for people; what
// counts is the code. Those without a code are neither the system's fault nor
// that of the credentials.
var kindAnswers = map[mailaccess.Kind]refusal{
	mailaccess.KindInternal:    {code: codePerm, text: "internal error"},
	mailaccess.KindNotFound:    {code: codePerm, text: "maildrop not found"},
	mailaccess.KindExists:      {code: codePerm, text: "already exists"},
	mailaccess.KindInvalid:     {code: codePerm, text: "not possible"},
	mailaccess.KindUnsupported: {code: codePerm, text: "not supported for this maildrop"},
	mailaccess.KindForbidden:   {code: codePerm, text: "not permitted"},
	mailaccess.KindInUse:       {code: codeInUse, text: "maildrop in use by another session"},
	mailaccess.KindOverQuota:   {code: codeTemp, text: "over quota"},
	mailaccess.KindLimit:       {code: codeTemp, text: "limit exceeded"},
	mailaccess.KindTooBig:      {code: codePerm, text: "message too big"},
	mailaccess.KindHasChildren: {code: codePerm, text: "there are mailboxes below it"},
	mailaccess.KindContentGone: {code: codeTemp, text: "message no longer available"},
	mailaccess.KindHistoryGone: {code: codeTemp, text: "history not available"},
	mailaccess.KindCorrupt:     {code: codePerm, text: "stored data are damaged"},
	mailaccess.KindUnavailable: {code: codeTemp, text: "temporarily unavailable"},
	mailaccess.KindUncertain:   {code: codeTemp, text: "outcome not known"},
	mailaccess.KindAuthFailed:  {code: codeAuth, text: "authentication failed"},
	mailaccess.KindAuthExpired: {code: codeAuth, text: "credentials expired"},
}

// answerTo turns the error of a command into an answer, or returns nil when the
// error is the connection's and there is nobody to be answered.
func (c *conn) answerTo(err error) *refusal {
	var (
		broken *hangUp
		ref    *refusal
		stored *mailaccess.Error
		kind   mailaccess.Kind
	)
	switch {
	case errors.As(err, &broken):
		return nil
	case errors.As(err, &ref):
		return ref
	case errors.As(err, &stored), errors.As(err, &kind),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return c.kindAnswer(err)
	}
	return nil
}

// kindAnswer is the answer to an error from below. What somebody should look
// after is logged.
func (c *conn) kindAnswer(err error) *refusal {
	answer := kindAnswers[mailaccess.KindOf(err)]
	if engine.IsFault(err) {
		c.log().Error("command failed", zap.Error(err))
	}
	return &answer
}
