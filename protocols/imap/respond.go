package imap

import (
	"context"
	"errors"

	goimap "github.com/emersion/go-imap/v2"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// action does a command that was parsed. A nil error is answered with OK.
type action func(ctx context.Context, c *conn) error

// answer is what a command that succeeds is answered with.
type answer struct {
	code string // the response code, without brackets
	text string // empty: "done"
}

// statusError is an answer that is not OK.
type statusError struct {
	status string              // NO or BAD
	code   goimap.ResponseCode // without brackets; may be empty
	text   string
}

func (e *statusError) Error() string { return e.status + " " + e.text }

// bad is the answer to a command that makes no sense.
func bad(text string) error { return &statusError{"BAD", "", text} }

// no is the answer to a command that makes sense but cannot be done.
func no(code goimap.ResponseCode, text string) error { return &statusError{"NO", code, text} }

// respond writes the tagged answer. Its error ends the connection.
func (c *conn) respond(err error) error {
	tag := c.r.Tag()
	if err == nil {
		if after(c) {
			c.bad = 0
		}
		text := c.answer.text
		if text == "" {
			text = "done"
		}
		return c.tagged(tag, "OK", c.answer.code, text)
	}
	st, fatal := c.status(err)
	if fatal != nil {
		return fatal
	}
	c.logFailed(st, err)
	if st.status == "BAD" {
		if !errors.Is(err, errNoMessage) {
			c.bad++
		}
		if len(tag) == 0 {
			tag = append(tag, '*')
		}
	}
	if err := c.tagged(tag, st.status, string(st.code), st.text); err != nil {
		return err
	}
	if c.bad > c.nc.Limits().BadCommands {
		return errTooManyBad
	}
	return nil
}

func (c *conn) tagged(tag []byte, status, code, text string) error {
	b := append(c.w.Begin(), tag...)
	b = append(b, ' ')
	b = append(b, status...)
	b = append(b, ' ')
	if code != "" {
		b = append(b, '[')
		b = append(b, code...)
		b = append(b, "] "...)
	}
	b = imapwire.AppendText(b, text, false)
	return c.w.End(append(b, "\r\n"...))
}

// status turns an error into an answer, or says that it ends the connection.
func (c *conn) status(err error) (st *statusError, fatal error) {
	var (
		syntax  *imapwire.SyntaxError
		limit   *imapwire.LimitError
		badName *imapwire.NameError
	)
	switch {
	case c.broken != nil, errors.Is(err, engine.ErrViewInvalid), errors.Is(err, errTooManyLogins):
		return nil, err
	case errors.As(err, &st):
		return st, nil
	case errors.As(err, &syntax):
		return &statusError{"BAD", "", syntax.Msg}, nil
	case errors.As(err, &limit):
		if limit.MustClose() {
			return nil, errTooMuch
		}
		if limit.Kind == imapwire.LimitNonSync {
			// RFC 7888, section 5.
			return &statusError{"BAD", goimap.ResponseCodeTooBig, limit.Error()}, nil
		}
		return &statusError{"BAD", goimap.ResponseCodeLimit, limit.Error()}, nil
	case errors.As(err, &badName):
		return &statusError{"NO", goimap.ResponseCodeCannot, badName.Error()}, nil
	}
	return storeStatus(err), nil
}

// storeStatus is the answer to an error from below.
func storeStatus(err error) *statusError {
	st := kindStatus[mailaccess.KindOf(err)]
	return &st
}

// logFailed logs an error that is answered with st if the client cannot help it: by
// command, without arguments.
func (c *conn) logFailed(st *statusError, err error) {
	// What the command itself is told is no failure, though it has no kind.
	var below *mailaccess.Error
	if st.code == goimap.ResponseCodeServerBug || errors.As(err, &below) && engine.IsFault(err) {
		c.log().Error("command failed", zap.ByteString("command", c.name), zap.Error(err))
	}
}

// codeExpungeIssued is RFC 5530, section 3: some of the messages are gone.
const codeExpungeIssued goimap.ResponseCode = "EXPUNGEISSUED"

// codeUseAttr is RFC 6154, section 3: a special use cannot be given.
const codeUseAttr goimap.ResponseCode = "USEATTR"

// kindStatus is the answer to each kind of error (RFC 5530, section 3).
var kindStatus = map[mailaccess.Kind]statusError{
	mailaccess.KindInternal:    {"NO", goimap.ResponseCodeServerBug, "internal error"},
	mailaccess.KindNotFound:    {"NO", goimap.ResponseCodeNonExistent, "no such mailbox"},
	mailaccess.KindExists:      {"NO", goimap.ResponseCodeAlreadyExists, "mailbox already exists"},
	mailaccess.KindInvalid:     {"NO", goimap.ResponseCodeCannot, "not possible with these arguments"},
	mailaccess.KindUnsupported: {"NO", goimap.ResponseCodeCannot, "not supported for this account"},
	mailaccess.KindForbidden:   {"NO", goimap.ResponseCodeNoPerm, "not permitted"},
	mailaccess.KindInUse:       {"NO", goimap.ResponseCodeInUse, "in use by another session"},
	mailaccess.KindOverQuota:   {"NO", goimap.ResponseCodeOverQuota, "over quota"},
	mailaccess.KindLimit:       {"NO", goimap.ResponseCodeLimit, "limit exceeded"},
	// RFC 7889, section 4; RFC 4469, section 4.2.
	mailaccess.KindTooBig: {"NO", goimap.ResponseCodeTooBig, "message too big"},
	// RFC 5530 has no code for it; HASCHILDREN is RFC 9051's, section 7.1.
	mailaccess.KindHasChildren: {"NO", goimap.ResponseCodeHasChildren, "there are mailboxes below it"},
	mailaccess.KindContentGone: {"NO", codeExpungeIssued, "some messages are no longer there"},
	mailaccess.KindHistoryGone: {"NO", goimap.ResponseCodeUnavailable, "history not available"},
	mailaccess.KindCorrupt:     {"NO", goimap.ResponseCodeCorruption, "stored data are damaged"},
	mailaccess.KindUnavailable: {"NO", goimap.ResponseCodeUnavailable, "temporarily unavailable"},
	mailaccess.KindUncertain:   {"NO", goimap.ResponseCodeUnavailable, "the outcome is not known; it was done whole or not at all"},
	mailaccess.KindAuthFailed:  {"NO", goimap.ResponseCodeAuthenticationFailed, "authentication failed"},
	mailaccess.KindAuthExpired: {"NO", goimap.ResponseCodeExpired, "credentials expired"},
}
