package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
)

// CalloutOptions are the options of [NewCallout]. Nil means the defaults.
type CalloutOptions struct {
	// Tokens says that the other server verifies bearer tokens too.
	Tokens bool

	// Header goes with each request, as for a secret by which the other server
	// knows this one.
	Header http.Header

	// Timeout is how long an answer may take. Default five seconds.
	Timeout time.Duration

	// Client sends the requests; redirections are not followed. Nil: one of its
	// own, with up to 32 connections.
	Client *http.Client
}

// Callout is an authenticator that asks another server over HTTP: the bridge to
// LDAP, to a database, to whatever a site has.
//
// The request is a POST of JSON. Of password and token there is one:
//
//	{
//	  "username": "alice",             missing with a token, which names the user
//	  "password": "secret",
//	  "token": "eyJhbGciOi...",
//	  "authzid": "bob",                as whom to act, where that is somebody else
//	  "protocol": "imap",
//	  "remote": "192.0.2.1:49152",
//	  "private": true                  whether nobody between can listen
//	}
//
// The status of the answer says what comes of it: 200 that they get in, 401 that
// the credentials are wrong in whatever way, 403 that they are right and do not
// permit this. With any other, and without an answer in time, nothing is decided
// ([mailaccess.KindUnavailable]). With 200 comes JSON:
//
//	{
//	  "user": "alice",                 missing: the username
//	  "account": "alice",              to open; missing: the user
//	  "authzid": "bob",                the request's, where it had one and that is
//	                                   permitted; account is then bob's
//	  "readonly": false,
//	  "attributes": {"name": "value"}  for the store
//	}
//
// Names are normalised as by [NormalizeUser]. Authorization identities that the
// answer does not repeat are refused, so that a server which knows nothing of them
// permits nothing.
//
// Put [Cache] in front of it.
type Callout struct {
	url    string
	tokens bool
	header http.Header
	asker
}

var _ mailaccess.Authenticator = (*Callout)(nil)

// NewCallout returns an authenticator that asks the server at url. It has to be
// HTTPS, or on this machine.
func NewCallout(url string, opts *CalloutOptions) (*Callout, error) {
	if opts == nil {
		opts = &CalloutOptions{}
	}
	if err := checkURL(url); err != nil {
		return nil, fmt.Errorf("callout: %w", err)
	}
	return &Callout{url: url, tokens: opts.Tokens, header: opts.Header.Clone(), asker: newAsker(opts.Client, opts.Timeout)}, nil
}

// Authenticate implements [mailaccess.Authenticator].
func (c *Callout) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	// JSON has no way to say what is not UTF-8.
	if l.Username == "" || !validName(l.Username) || !usablePassword(l.Password) || !utf8.ValidString(l.Password) {
		return mailaccess.Identity{}, errAuthFailed()
	}
	return c.decide(ctx, l, "")
}

// Abilities implements [Able].
func (c *Callout) Abilities() Abilities {
	if !c.tokens {
		return Abilities{}
	}
	return Abilities{Bearer: func(ctx context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
		if !validToken(token) {
			return mailaccess.Identity{}, errAuthFailed()
		}
		l.Username, l.Password = "", ""
		return c.decide(ctx, l, token)
	}}
}

type calloutRequest struct {
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
	Authzid  string `json:"authzid,omitempty"`
	Protocol string `json:"protocol"`
	Remote   string `json:"remote"`
	Private  bool   `json:"private"`
}

type calloutAnswer struct {
	User       string            `json:"user"`
	Account    string            `json:"account"`
	Authzid    string            `json:"authzid"`
	ReadOnly   bool              `json:"readonly"`
	Attributes map[string]string `json:"attributes"`
}

func (c *Callout) decide(ctx context.Context, l mailaccess.Login, token string) (none mailaccess.Identity, err error) {
	if !validName(l.Authzid) {
		return none, errAuthFailed()
	}
	if l.Username != "" && actsAsSelf(l) {
		l.Authzid = ""
	}
	question, err := json.Marshal(calloutRequest{l.Username, l.Password, token, l.Authzid, l.Protocol, l.Remote, l.Private})
	if err != nil {
		return none, errUnavailable(errors.New("callout: the request cannot be written"))
	}
	r, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(question))
	if err != nil {
		return none, errUnavailable(errors.New("callout: the request cannot be written"))
	}
	if c.header != nil {
		r.Header = c.header.Clone()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	status, body, err := c.ask(ctx, r)
	switch {
	case err != nil:
		return none, errUnavailable(fmt.Errorf("callout: %w", err))
	case status == http.StatusUnauthorized:
		return none, errAuthFailed()
	case status == http.StatusForbidden:
		return none, errForbidden()
	case status != http.StatusOK:
		return none, errUnavailable(fmt.Errorf("callout: the answer has status %d", status))
	}
	return c.identity(l, body)
}

// identity reads what comes with 200.
func (c *Callout) identity(l mailaccess.Login, body []byte) (none mailaccess.Identity, err error) {
	var a calloutAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return none, errUnavailable(errors.New("callout: the answer is not the JSON that it should be"))
	}
	if a.User == "" {
		a.User = l.Username
	}
	a.User = canonicalUser(a.User)
	if a.Account == "" {
		a.Account = a.User
	}
	a.Account = canonicalUser(a.Account)
	switch {
	case a.User == "":
		return none, errUnavailable(errors.New("callout: the answer has no user"))
	case l.Authzid != "" && canonicalUser(l.Authzid) != a.User && canonicalUser(a.Authzid) != canonicalUser(l.Authzid):
		return none, errForbidden()
	}
	id := mailaccess.Identity{User: a.User, Account: a.Account, Attributes: a.Attributes}
	if a.ReadOnly {
		id.Without = mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	}
	return id, nil
}
