// Package imapplace is an account of an IMAP server as a place of mail.
package imapplace

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// Security is how a connection is protected.
type Security int

// The ways.
const (
	ImplicitTLS Security = iota
	StartTLS
	Plaintext
)

// Config says which account it is, and how it is reached.
type Config struct {
	Address  string // host:port
	Security Security
	// TLS is the configuration of TLS; its ServerName is set.
	TLS  *tls.Config
	User string
	// Password is asked for whenever a connection is made.
	Password func(ctx context.Context) (string, error)
	// Token: the password is an OAuth 2.0 access token.
	Token bool
	// Silence is how long the server may say nothing before it is given up; 0: 5 minutes.
	Silence time.Duration
}

// Place is an account of an IMAP server. A connection that is lost is made anew when the
// place is used next.
type Place struct {
	cfg Config
	c   *imapclient.Client
	raw *patient // below c

	delim    rune   // 0: there are no levels
	prefix   string // before the names of all mailboxes but INBOX
	foreign  []string
	selected string // by its own name, when it is selected for writing
	examined string // or for reading
	keywords func(string) bool
	next     imap.UID // UIDNEXT of the selected mailbox, before what is in the queue
	queue    []queued
}

var _ transfer.Destination = (*Place)(nil)

// New returns the place that cfg says. It connects when it is used.
func New(cfg *Config) *Place {
	p := &Place{cfg: *cfg}
	if p.cfg.Silence == 0 {
		p.cfg.Silence = 5 * time.Minute
	}
	return p
}

// Close implements transfer.Source.
func (p *Place) Close() error {
	if p.c == nil {
		return nil
	}
	c := p.c
	p.c = nil
	if err := c.Logout().Wait(); err != nil {
		c.Close() //nolint:errcheck // it ends in any case
	}
	c.Close() //nolint:errcheck // the server has closed it
	return nil
}

// drop gives the connection up.
func (p *Place) drop() {
	if p.c != nil {
		p.c.Close() //nolint:errcheck // it is of no use any more
		p.c = nil
	}
}

// use returns the connection, which is made if there is none. When ctx ends before done is
// called it is closed.
func (p *Place) use(ctx context.Context) (c *imapclient.Client, done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if p.c != nil {
		select {
		case <-p.c.Closed():
			p.c = nil
		default:
		}
	}
	if p.c == nil {
		if err := p.connect(ctx); err != nil {
			return nil, nil, err
		}
	}
	c = p.c
	stop := context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // whoever waits is told
	return c, func() { stop() }, nil
}

// connect makes a connection and logs in.
func (p *Place) connect(ctx context.Context) (err error) {
	p.selected, p.examined = "", ""
	secret, err := p.cfg.Password(ctx)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: 30 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", p.cfg.Address)
	if err != nil {
		return lost("connect", err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) //nolint:errcheck // whoever waits is told
	defer stop()
	conn := &patient{Conn: raw, silence: p.cfg.Silence}
	var c *imapclient.Client
	opts := &imapclient.Options{TLSConfig: p.cfg.TLS}
	switch p.cfg.Security {
	case ImplicitTLS:
		shake := tls.Client(conn, p.cfg.TLS)
		if err := shake.HandshakeContext(ctx); err != nil {
			return errors.Join(p.tlsError(err), raw.Close())
		}
		c = imapclient.New(shake, opts)
	case StartTLS:
		if c, err = imapclient.NewStartTLS(conn, opts); err != nil {
			raw.Close() //nolint:errcheck // it is closed already, mostly
			return p.tlsError(err)
		}
	case Plaintext:
		c = imapclient.New(conn, opts)
	}
	if err := c.WaitGreeting(); err != nil {
		return errors.Join(failed("greeting", err), closed(c))
	}
	if err := p.login(c, secret); err != nil {
		return errors.Join(err, closed(c))
	}
	p.c, p.raw = c, conn
	return nil
}

// closed closes a connection that is of no use.
func closed(c *imapclient.Client) error {
	c.Close() //nolint:errcheck // what it failed with was told
	return nil
}

func (p *Place) login(c *imapclient.Client, secret string) error {
	caps := c.Caps()
	var err error
	switch {
	case c.State() == imap.ConnStateAuthenticated: // PREAUTH
		return nil
	case p.cfg.Token && caps.Has(imap.AuthCap("OAUTHBEARER")):
		host, _, _ := net.SplitHostPort(p.cfg.Address)
		err = c.Authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: p.cfg.User, Token: secret, Host: host}))
	case p.cfg.Token:
		err = c.Authenticate(&xoauth2{user: p.cfg.User, token: secret})
	case caps.Has(imap.AuthCap(sasl.Plain)):
		err = c.Authenticate(sasl.NewPlainClient("", p.cfg.User, secret))
	case caps.Has(imap.CapLoginDisabled):
		return &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: "log in", Err: errors.New("the server takes no password here")}
	default:
		err = c.Login(p.cfg.User, secret).Wait()
	}
	if err == nil {
		return nil
	}
	err = failed("log in", err)
	if k := mailaccess.KindOf(err); k != mailaccess.KindUnavailable {
		return &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: "log in", Err: reason(err)}
	}
	return err
}

// reason is what err says besides its kind.
func reason(err error) error {
	var e *mailaccess.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// xoauth2 is the client's side of XOAUTH2 (https://developers.google.com/gmail/imap/xoauth2-protocol).
type xoauth2 struct{ user, token string }

func (x *xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the server's account of an error, which ends with NO then.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// lost is the error of a connection.
func lost(op string, err error) error {
	return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op, Err: err}
}

// tlsError tells a certificate that is not trusted, which no second try mends, from a
// connection that failed.
func (p *Place) tlsError(err error) error {
	op := "connect to " + p.cfg.Address
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return fmt.Errorf("%s: %w", op, err)
	}
	return failed(op, err)
}

// failed is the error of a command: the server's answer, or a connection that was lost.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var answer *imap.Error
	if !errors.As(err, &answer) {
		return lost(op, err)
	}
	kind := mailaccess.KindInvalid
	switch answer.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeServerBug, "THROTTLED":
		kind = mailaccess.KindUnavailable
	case imap.ResponseCodeOverQuota:
		kind = mailaccess.KindOverQuota
	case imap.ResponseCodeTooBig:
		kind = mailaccess.KindTooBig
	case imap.ResponseCodeLimit:
		kind = mailaccess.KindLimit
	case imap.ResponseCodeNoPerm:
		kind = mailaccess.KindForbidden
	case imap.ResponseCodeNonExistent, imap.ResponseCodeTryCreate:
		kind = mailaccess.KindNotFound
	case imap.ResponseCodeAlreadyExists:
		kind = mailaccess.KindExists
	case imap.ResponseCodeCannot:
		kind = mailaccess.KindUnsupported
	}
	if answer.Type == imap.StatusResponseTypeBye {
		kind = mailaccess.KindUnavailable
	}
	return &mailaccess.Error{Kind: kind, Op: op, Err: errors.New("the server says " + strings.TrimPrefix(answer.Error(), "imap: "))}
}

// patient is a connection on which each step may take as long as silence: a message that
// takes long as a whole is no reason to give up.
type patient struct {
	net.Conn
	silence time.Duration
	ended   atomic.Bool // reading has failed: the connection was lost
}

func (p *patient) Read(b []byte) (n int, err error) {
	if err = p.Conn.SetReadDeadline(time.Now().Add(p.silence)); err == nil {
		n, err = p.Conn.Read(b)
	}
	if err != nil {
		p.ended.Store(true)
	}
	return n, err
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.Conn.SetWriteDeadline(time.Now().Add(p.silence)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// What others set is shorter.
func (p *patient) SetDeadline(time.Time) error      { return nil }
func (p *patient) SetReadDeadline(time.Time) error  { return nil }
func (p *patient) SetWriteDeadline(time.Time) error { return nil }

// literal is the content of a message on its way from the server.
type literal struct{ r io.Reader }

func (l literal) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // a reader's end is that value
		err = lost("fetch", err)
	}
	return n, err
}

// exact fails when a reader ends early.
func exact(r io.Reader, size int64) io.Reader { return &counted{r: literal{r}, left: size} }

type counted struct {
	r    io.Reader
	left int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.left -= int64(n)
	if err == io.EOF && c.left > 0 { //nolint:errorlint // a reader's end is that value
		err = lost("fetch", fmt.Errorf("%d octets are missing: %w", c.left, io.ErrUnexpectedEOF))
	}
	return n, err
}
