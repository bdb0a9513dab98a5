package imap

import (
	"context"
	"encoding/base64"
	"errors"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// plaintextAllowed reports whether a password may cross this channel.
func (c *conn) plaintextAllowed() bool {
	o := &c.srv.opts
	return c.nc.Private() || o.AllowPlaintext || o.PlaintextOnLoopback && c.nc.Loopback()
}

// takesPasswords reports whether the authenticator has a use for them.
func (c *conn) takesPasswords() bool { return auth.TakesPasswords(c.srv.opts.Engine.Authenticator()) }

func (c *conn) saslOptions() *auth.ServerOptions {
	return &auth.ServerOptions{AllowPlaintext: c.plaintextAllowed(), TLS: c.nc.TLS(), Certificate: c.nc.Certificate()}
}

// login0 is a login as far as it is known before the client says who it is.
func (c *conn) login0() mailaccess.Login {
	return mailaccess.Login{Protocol: "imap", Remote: c.nc.RemoteAddr().String(), Private: c.nc.Private()}
}

// noop is RFC 3501, section 6.1.2: the updates come after every command.
func noop(context.Context, *conn) error { return nil }

// logout is RFC 3501, section 6.1.3.
func logout(_ context.Context, c *conn) error {
	c.closeView()
	c.state = logoutState
	_, err := c.w.WriteString("* BYE logging out\r\n")
	return err
}

// parseID is RFC 2971. Of what the client says of itself its name is kept, to which
// adjustments may apply.
func parseID(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	next, err := c.r.Peek()
	if err != nil {
		return nil, err
	}
	if next != '(' {
		if _, ok, err := c.r.ReadNString(); err != nil {
			return nil, err
		} else if ok {
			return nil, bad("expected a list or NIL")
		}
		return clientID(nil).run, c.r.CRLF()
	}
	var id clientID
	words := 0
	err = c.r.ReadList(func() error {
		// RFC 2971, section 3.3: 30 pairs, a string and an nstring each.
		if words++; words%2 == 1 {
			if len(id) == 30 {
				return bad("more than 30 fields")
			}
			field, err := c.r.ReadStringBytes()
			id = append(id, idField{name: bounded(field)})
			return err
		}
		value, _, err := c.r.ReadNString()
		id[len(id)-1].value = bounded([]byte(value))
		return err
	})
	if err != nil {
		return nil, err
	}
	if words%2 != 0 {
		return nil, bad("a field without a value")
	}
	return id.run, c.r.CRLF()
}

func (id clientID) run(_ context.Context, c *conn) error {
	id.heed(c)
	b := append(c.w.Begin(), `* ID ("name" "mailaccess"`...)
	if v := c.srv.opts.Version; v != "" {
		b = imapwire.AppendString(append(b, ` "version" `...), v, false)
	}
	return c.w.End(append(b, ")\r\n"...))
}

// startTLS is RFC 3501, section 6.2.1.
func startTLS(ctx context.Context, c *conn) error {
	if !c.nc.CanStartTLS() {
		return bad("TLS is not available or already on")
	}
	if err := c.tagged(c.r.Tag(), "OK", "", "begin TLS negotiation now"); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	// A shutdown waits for nobody who is not logged in.
	c.nc.SetBusy(false)
	err := c.nc.StartTLS(ctx)
	c.nc.SetBusy(true)
	if err != nil {
		c.broken = err
		return err
	}
	// What came before the handshake was not protected: it must not be taken
	// for the client's, nor what it said of itself.
	c.r.Reset((*source)(c))
	c.w.Reset(c.nc)
	c.client = ""
	return errAnswered
}

// errAnswered says that the command has written its tagged answer itself.
var errAnswered = errors.New("imap: already answered")

// parseAuthenticate is RFC 3501, section 6.2.2, with the initial response of
// RFC 4959.
func parseAuthenticate(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	mech, err := c.r.ReadAtom()
	if err != nil {
		return nil, err
	}
	name := string(mech)
	var initial []byte
	if more, err := c.r.Accept(' '); err != nil {
		return nil, err
	} else if more {
		if initial, err = c.r.ReadBase64(); err != nil {
			return nil, err
		}
	}
	if err := c.r.CRLF(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error { return c.authenticate(ctx, name, initial) }, nil
}

func (c *conn) authenticate(ctx context.Context, mech string, response []byte) error {
	exchange, err := auth.NewServer(ctx, mech, c.srv.opts.Engine.Authenticator(), c.login0(), c.saslOptions())
	switch {
	case errors.Is(err, auth.ErrPrivacyRequired):
		return no(goimap.ResponseCodePrivacyRequired, "use TLS first")
	case errors.Is(err, auth.ErrMechanism):
		return no(goimap.ResponseCodeCannot, "no such mechanism")
	case err != nil:
		return err
	}
	for {
		challenge, done, err := exchange.Next(response)
		switch {
		case errors.Is(err, auth.ErrMalformed):
			return bad("malformed response")
		case err != nil:
			return c.loginFailed(err)
		case done:
			id, ok := exchange.Identity()
			if !ok {
				return c.loginFailed(&mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: "authenticate"})
			}
			return c.loggedIn(ctx, id)
		}
		if response, err = c.challenge(challenge); err != nil {
			return err
		}
	}
}

// challenge sends a challenge and reads the response to it.
func (c *conn) challenge(challenge []byte) ([]byte, error) {
	b := append(c.w.Begin(), "+ "...)
	b = base64.StdEncoding.AppendEncode(b, challenge)
	if err := c.w.End(append(b, "\r\n"...)); err != nil {
		return nil, err
	}
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	c.nc.SetBusy(false) // as in startTLS
	response, cancelled, err := c.r.ReadAuthLine()
	c.nc.SetBusy(true)
	if err == nil && cancelled {
		return nil, bad("cancelled")
	}
	return response, err
}

// parseLogin is RFC 3501, section 6.2.3.
func parseLogin(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	user, err := c.r.ReadAString()
	if err != nil {
		return nil, err
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	password, err := c.r.ReadAString()
	if err != nil {
		return nil, err
	}
	if err := c.r.CRLF(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		if !c.plaintextAllowed() {
			return no(goimap.ResponseCodePrivacyRequired, "use TLS first")
		}
		if !c.takesPasswords() {
			return no("", "no passwords are taken, use AUTHENTICATE")
		}
		l := c.login0()
		l.Username, l.Password = user, password
		id, err := auth.Verify(ctx, c.srv.opts.Engine.Authenticator(), l)
		if err != nil {
			return c.loginFailed(err)
		}
		return c.loggedIn(ctx, id)
	}, nil
}

// maxLoginFailures is how often a client may fail to log in on one connection.
const maxLoginFailures = 5

// loginFailed is the answer to credentials that were refused. Trying on and on
// takes a connection each few times, which the limits count.
func (c *conn) loginFailed(err error) error {
	switch mailaccess.KindOf(err) {
	case mailaccess.KindAuthFailed, mailaccess.KindForbidden, mailaccess.KindAuthExpired:
		if c.loginFailures++; c.loginFailures >= maxLoginFailures {
			return errTooManyLogins
		}
	}
	if mailaccess.KindOf(err) == mailaccess.KindForbidden {
		return no(goimap.ResponseCodeAuthorizationFailed, "not permitted") // RFC 5530, section 3
	}
	return err
}

var errTooManyLogins = errors.New("imap: too many failed logins")

// loggedIn opens the account and answers with what is possible now, which saves
// the client a round trip.
func (c *conn) loggedIn(ctx context.Context, id mailaccess.Identity) error {
	if err := c.login(ctx, id); err != nil {
		return err
	}
	c.answer = answer{code: string(c.appendCapabilities(nil)), text: "logged in"}
	return nil
}

// parseEnable is RFC 5161, section 3.1. What is not known is passed over.
func parseEnable(c *conn) (action, error) {
	var want enabled
	for {
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		name, err := c.r.ReadKeyword()
		if err != nil {
			return nil, err
		}
		for _, e := range enableable {
			if imapwire.EqualFold(name, e.name) {
				want |= e.bit
			}
		}
		if end, err := c.r.AtEnd(); err != nil {
			return nil, err
		} else if end {
			break
		}
	}
	return func(_ context.Context, c *conn) error {
		b := append(c.w.Begin(), "* ENABLED"...)
		for _, e := range enableable {
			// RFC 5161, section 3.2: those that were newly enabled.
			if want&^c.enabled&e.bit != 0 {
				b = append(append(b, ' '), e.name...)
			}
		}
		if err := c.w.End(append(b, "\r\n"...)); err != nil {
			return err
		}
		return c.enable(want)
	}, c.r.CRLF()
}
