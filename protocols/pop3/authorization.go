package pop3

import (
	"context"
	"encoding/base64"
	"errors"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
)

// maxLoginFailures is how often a client may fail to log in on one connection.
// Trying on and on takes a connection each few times, which the limits count.
const maxLoginFailures = 5

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

// login is a login as far as it is known before the client says who it is.
func (c *conn) login() mailaccess.Login {
	return mailaccess.Login{Protocol: "pop3", Remote: c.nc.RemoteAddr().String(), Private: c.nc.Private()}
}

// stls is RFC 2595, section 4.
func stls(ctx context.Context, c *conn, _ *request) error {
	if !c.nc.CanStartTLS() {
		return refuse("", "TLS is not available or already on")
	}
	c.ok("begin TLS negotiation")
	if err := c.flush(); err != nil {
		return err
	}
	// What came before the handshake was not protected: it must not be taken
	// for the client's.
	c.in.release()
	// Whoever is not logged in must not be able to hold up a shutdown.
	c.nc.SetBusy(false)
	if err := c.nc.StartTLS(ctx); err != nil {
		return &hangUp{"handshake", err}
	}
	return nil
}

// user is RFC 1939, section 7. Whether there is such a user shows only with the
// password (RFC 3206, section 5).
func user(_ context.Context, c *conn, rq *request) error {
	switch {
	case !c.plaintextAllowed():
		return refuseSyntax("use STLS first")
	case !c.takesPasswords():
		return refuseSyntax("no passwords are taken, use AUTH")
	}
	c.user = string(rq.text)
	c.ok("send PASS")
	return nil
}

// pass is RFC 1939, section 7.
func pass(ctx context.Context, c *conn, rq *request) error {
	switch {
	case !c.plaintextAllowed():
		return refuseSyntax("use STLS first")
	case rq.user == "":
		return refuseSyntax("send USER first")
	}
	l := c.login()
	l.Username, l.Password = rq.user, string(rq.text)
	id, err := auth.Verify(ctx, c.srv.opts.Engine.Authenticator(), l)
	if err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(ctx, id)
}

// greet greets, where APOP is offered with the timestamp for its digest (RFC 1939, section
// 7): its brackets are what offers it (RFC 2449, section 3).
func (c *conn) greet() {
	if !auth.CanAPOP(c.srv.opts.Engine.Authenticator()) {
		c.ok("mailaccess ready")
		return
	}
	c.timestamp = auth.Timestamp()
	c.ok("mailaccess ready " + c.timestamp)
}

// apop is RFC 1939, section 7.
func apop(ctx context.Context, c *conn, rq *request) error {
	if c.timestamp == "" {
		return refuseSyntax("APOP is not offered")
	}
	l := c.login()
	l.Username = string(rq.text)
	id, err := auth.VerifyAPOP(ctx, c.srv.opts.Engine.Authenticator(), l, c.timestamp, string(rq.initial))
	if err != nil {
		return c.loginFailed(err)
	}
	return c.loggedIn(ctx, id)
}

// authenticate is RFC 5034, section 4.
func authenticate(ctx context.Context, c *conn, rq *request) error {
	exchange, err := auth.NewServer(ctx, string(rq.text), c.srv.opts.Engine.Authenticator(), c.login(), c.saslOptions())
	switch {
	case errors.Is(err, auth.ErrPrivacyRequired):
		return refuseSyntax("use STLS first")
	case errors.Is(err, auth.ErrMechanism):
		return refuseSyntax("no such mechanism")
	case err != nil:
		return err
	}
	response, err := initialResponse(rq.initial)
	for err == nil {
		var (
			challenge []byte
			done      bool
		)
		challenge, done, err = exchange.Next(response)
		switch {
		case errors.Is(err, auth.ErrMalformed):
			return refuseSyntax("malformed response")
		case err != nil:
			return c.loginFailed(err)
		case done:
			id, ok := exchange.Identity()
			if !ok {
				return c.loginFailed(mailaccess.KindAuthFailed)
			}
			return c.loggedIn(ctx, id)
		}
		response, err = c.challenge(challenge)
	}
	return err
}

// initialResponse decodes the initial response: nil when there is none, empty
// but not nil when it is "=".
func initialResponse(b []byte) ([]byte, error) {
	switch {
	case b == nil:
		return nil, nil
	case string(b) == "=":
		return []byte{}, nil
	case len(b) == 0:
		return nil, refuseSyntax("malformed response")
	}
	return decodeResponse(b)
}

// challenge sends a challenge and reads the response to it.
func (c *conn) challenge(challenge []byte) ([]byte, error) {
	w := c.out()
	b := append(w.AvailableBuffer(), "+ "...)
	b = base64.StdEncoding.AppendEncode(b, challenge)
	w.Write(append(b, "\r\n"...)) //nolint:errcheck // see out
	c.nc.SetBusy(false)           // as in stls
	line, err := c.in.next()
	c.nc.SetBusy(true)
	if err != nil {
		return nil, err
	}
	if string(line) == "*" {
		return nil, refuseSyntax("cancelled")
	}
	return decodeResponse(line)
}

// decodeResponse decodes base64 as RFC 5034, section 4 demands: nothing outside
// the alphabet, padding at the end only.
func decodeResponse(b []byte) ([]byte, error) {
	out := make([]byte, 0, base64.StdEncoding.DecodedLen(len(b)))
	out, err := base64.StdEncoding.Strict().AppendDecode(out, b)
	if err != nil {
		return nil, refuseSyntax("not base64")
	}
	return out, nil
}

// loginFailed is the answer to credentials that were refused.
func (c *conn) loginFailed(err error) error {
	switch mailaccess.KindOf(err) {
	case mailaccess.KindAuthFailed, mailaccess.KindAuthExpired:
		c.loginFailures++
	case mailaccess.KindForbidden:
		c.loginFailures++
		// RFC 3206, section 5: policy is told like a wrong password.
		return refuse(codeAuth, "not permitted")
	}
	return err
}

// loggedIn opens the maildrop (RFC 1939, section 4).
func (c *conn) loggedIn(ctx context.Context, id mailaccess.Identity) error {
	if err := c.nc.SetUser(id.User); err != nil {
		if errors.Is(err, protocols.ErrTooManyConnections) {
			return refuse(codeTemp, "too many connections of this user")
		}
		return err
	}
	wait := c.srv.opts.Policy.LoginDelay
	if !c.srv.delays.over(id.Account, wait, time.Now()) {
		return errors.Join(refuse(codeLoginDelay, "too soon after the last login"), c.nc.SetUser(""))
	}
	drop, err := openMaildrop(ctx, c.srv.opts.Engine, id, &c.srv.opts.Policy, c.nc.Keep, c.nc.Step, c.nc.Rest)
	if err != nil {
		c.nc.Keep(0)
		return errors.Join(err, c.nc.SetUser(""))
	}
	c.srv.delays.note(id.Account, wait, time.Now())
	c.drop, c.state = drop, transaction
	c.ok("maildrop locked and ready")
	return nil
}
