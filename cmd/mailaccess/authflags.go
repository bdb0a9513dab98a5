package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// authentication are the flags that say who gets in.
type authentication struct {
	users   string
	digests bool

	http        string // the URL of a callout
	httpHeaders string // a file
	httpTokens  bool

	oauth2 oauth2

	certificateUser string
	masters         []string

	timeout time.Duration
	cache   time.Duration // 0: none
}

// oauth2 are the flags for bearer tokens.
type oauth2 struct {
	keys, introspection      string // one of the two, or neither
	claims                   auth.TokenClaims
	clientID, clientSecretIn string
}

func newAuthentication() authentication {
	return authentication{timeout: 5 * time.Second, cache: time.Minute}
}

// register adds the flags. What the fields hold are the defaults.
func (a *authentication) register(f *pflag.FlagSet) {
	f.StringVar(&a.users, "users", "", "users `file`")
	f.BoolVar(&a.digests, "auth-digests", false, "offer CRAM-MD5 and APOP where the users file has every password as it is; they are weak")
	f.StringVar(&a.http, "auth-http", "", "`URL` of a server that is asked about user names and passwords")
	f.StringVar(&a.httpHeaders, "auth-http-header-file", "", "`file` of header lines for its requests, as Authorization: Bearer SECRET")
	f.BoolVar(&a.httpTokens, "auth-http-tokens", false, "ask it about OAuth tokens too")
	f.StringVar(&a.oauth2.keys, "auth-oauth2-keys", "", "`URL` or file of the JWK set of an issuer of OAuth tokens that are JWTs")
	f.StringVar(&a.oauth2.introspection, "auth-oauth2-introspection", "", "`URL` at which an issuer of OAuth tokens is asked about each")
	f.StringVar(&a.oauth2.claims.Issuer, "auth-oauth2-issuer", "", "`issuer` that tokens must name (iss)")
	f.StringVar(&a.oauth2.claims.Audience, "auth-oauth2-audience", "", "`audience` that tokens must be for (aud)")
	f.StringVar(&a.oauth2.claims.Scope, "auth-oauth2-scope", "", "`scope` that tokens must have")
	f.StringVar(&a.oauth2.claims.User, "auth-oauth2-user-claim", "", "`claim` that names the user (default email with keys, username with introspection)")
	f.StringVar(&a.oauth2.clientID, "auth-oauth2-client-id", "", "`name` of this server at the issuer, for introspection")
	f.StringVar(&a.oauth2.clientSecretIn, "auth-oauth2-client-secret-file", "", "`file` with its secret")
	f.StringVar(&a.certificateUser, "auth-certificate-user", "", "take clients by their certificates, whose user is in this `name`: email or cn (default not at all)")
	f.StringSliceVar(&a.masters, "auth-masters", nil, "`users` who may act as anybody with a token or a certificate")
	f.DurationVar(&a.timeout, "auth-request-timeout", a.timeout, "how long another server may take to answer about a login")
	f.DurationVar(&a.cache, "auth-cache", a.cache, "how long a password or token counts as right after it was; 0: not at all")
}

// check says what is wrong with the flags, and with the users file, before anything is
// opened.
func (a *authentication) check() error {
	o := &a.oauth2
	tokens := o.keys != "" || o.introspection != ""
	for _, f := range []struct {
		given bool
		flag  string
		has   bool
		needs string
	}{
		{a.digests, "--auth-digests", a.users != "", "--users"},
		{a.httpHeaders != "", "--auth-http-header-file", a.http != "", "--auth-http"},
		{a.httpTokens, "--auth-http-tokens", a.http != "", "--auth-http"},
		{o.claims.Issuer != "", "--auth-oauth2-issuer", tokens, "--auth-oauth2-keys or --auth-oauth2-introspection"},
		{o.claims.Audience != "", "--auth-oauth2-audience", tokens, "--auth-oauth2-keys or --auth-oauth2-introspection"},
		{o.claims.Scope != "", "--auth-oauth2-scope", tokens, "--auth-oauth2-keys or --auth-oauth2-introspection"},
		{o.claims.User != "", "--auth-oauth2-user-claim", tokens, "--auth-oauth2-keys or --auth-oauth2-introspection"},
		{o.keys != "", "--auth-oauth2-keys", o.claims.Issuer != "" && o.claims.Audience != "", "--auth-oauth2-issuer and --auth-oauth2-audience"},
		// Or a token that was given to anybody for anything would do.
		{o.introspection != "", "--auth-oauth2-introspection", o.claims.Audience != "" || o.claims.Scope != "", "--auth-oauth2-audience or --auth-oauth2-scope"},
		{o.clientID != "", "--auth-oauth2-client-id", o.introspection != "", "--auth-oauth2-introspection"},
		{o.clientSecretIn != "", "--auth-oauth2-client-secret-file", o.clientID != "", "--auth-oauth2-client-id"},
		{len(a.masters) > 0, "--auth-masters", tokens || a.certificateUser != "", "--auth-oauth2-keys, --auth-oauth2-introspection or --auth-certificate-user"},
	} {
		if f.given && !f.has {
			return fmt.Errorf("%s needs %s", f.flag, f.needs)
		}
	}
	switch {
	case a.users == "" && a.http == "" && !tokens && a.certificateUser == "":
		return errors.New("nobody could log in: give --users FILE (see mailaccess user add --help), or another of --auth-http, --auth-oauth2-keys, --auth-oauth2-introspection and --auth-certificate-user")
	case a.users != "" && a.http != "":
		return errors.New("--users and --auth-http: both are for passwords, and only one can be asked")
	case o.keys != "" && o.introspection != "":
		return errors.New("--auth-oauth2-keys and --auth-oauth2-introspection: only one can be asked about a token")
	case a.httpTokens && tokens:
		return errors.New("--auth-http-tokens and --auth-oauth2-...: only one can be asked about a token")
	case !slices.Contains([]string{"", "email", "cn"}, a.certificateUser):
		return fmt.Errorf("--auth-certificate-user %q: not email or cn", a.certificateUser)
	case a.timeout <= 0:
		return fmt.Errorf("--auth-request-timeout %v: no time at all", a.timeout)
	case a.cache < 0:
		return fmt.Errorf("--auth-cache %v: less than nothing", a.cache)
	}
	_, err := a.authenticator(nil, nil, nil)
	return err
}

// authenticator is what the flags ask for: what verifies passwords, and beside it what
// verifies tokens and certificates. Passwords are hashed in the pool; nil: one of its own.
// The secret is for [auth.UsersFileOptions]. A client with many connections hashes once.
func (a *authentication) authenticator(log *zap.Logger, pool *auth.Pool, secret []byte) (mailaccess.Authenticator, error) {
	var all []mailaccess.Authenticator
	if a.users != "" {
		users, err := auth.OpenUsersFile(a.users, &auth.UsersFileOptions{Logger: log, Pool: pool, Secret: secret, Digests: a.digests})
		if err != nil {
			return nil, err
		}
		if a.digests && log != nil && !auth.CanAPOP(users) {
			log.Warn("CRAM-MD5 and APOP are not offered: not every user's password is stored as it is", zap.String("path", a.users))
		}
		all = append(all, users)
	}
	if a.http != "" {
		callout, err := a.callout()
		if err != nil {
			return nil, err
		}
		all = append(all, callout)
	}
	masters, err := a.mastersOf()
	if err != nil {
		return nil, err
	}
	if a.oauth2.keys != "" || a.oauth2.introspection != "" {
		tokens, err := a.oauth2.tokens(a.timeout)
		if err != nil {
			return nil, err
		}
		all = append(all, masters(tokens))
	}
	if a.certificateUser != "" {
		var user func(*x509.Certificate) (string, error) // nil: the mail address
		if a.certificateUser == "cn" {
			user = func(c *x509.Certificate) (string, error) { return c.Subject.CommonName, nil }
		}
		all = append(all, masters(auth.Certificates(user)))
	}
	if len(all) == 0 {
		return nil, errors.New("nobody could log in")
	}
	combined := auth.Combine(all[0], all[1:]...)
	if a.cache == 0 {
		return combined, nil
	}
	return auth.Cache(combined, &auth.CacheOptions{TTL: a.cache}), nil
}

// mastersOf lets those who may act as anybody do so, where the authenticator itself permits
// it to nobody.
func (a *authentication) mastersOf() (func(mailaccess.Authenticator) mailaccess.Authenticator, error) {
	var names []string
	for _, m := range a.masters {
		name, err := auth.NormalizeUser(m)
		if err != nil {
			return nil, fmt.Errorf("--auth-masters %q: %w", m, err)
		}
		names = append(names, name)
	}
	return func(inner mailaccess.Authenticator) mailaccess.Authenticator {
		if len(names) == 0 {
			return inner
		}
		return auth.Masters(inner, func(_ context.Context, user, _ string) (bool, error) { return slices.Contains(names, user), nil }, nil)
	}, nil
}

func (a *authentication) callout() (*auth.Callout, error) {
	header, err := readHeader(a.httpHeaders)
	if err != nil {
		return nil, err
	}
	c, err := auth.NewCallout(a.http, &auth.CalloutOptions{Tokens: a.httpTokens, Header: header, Timeout: a.timeout})
	if err != nil {
		return nil, fmt.Errorf("--auth-http: %w", err)
	}
	return c, nil
}

// readHeader reads lines of a header, of which errors repeat nothing.
func readHeader(path string) (http.Header, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--auth-http-header-file: %w", err)
	}
	text = append(bytes.TrimSpace(text), "\r\n\r\n"...)
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(text))).ReadMIMEHeader()
	if err != nil {
		return nil, fmt.Errorf("--auth-http-header-file %s: not lines as NAME: VALUE", path)
	}
	return http.Header(header), nil
}

func (o *oauth2) tokens(timeout time.Duration) (*auth.Tokens, error) {
	if o.keys != "" {
		tokens, err := auth.JWT(auth.JWTOptions{TokenClaims: o.claims, Keys: o.keys, Timeout: timeout})
		if err != nil {
			return nil, fmt.Errorf("--auth-oauth2-keys: %w", err)
		}
		return tokens, nil
	}
	secret, err := readSecret(o.clientSecretIn)
	if err != nil {
		return nil, fmt.Errorf("--auth-oauth2-client-secret-file: %w", err)
	}
	tokens, err := auth.Introspection(o.introspection, auth.IntrospectionOptions{
		TokenClaims: o.claims, ClientID: o.clientID, ClientSecret: secret, Timeout: timeout,
	})
	if err != nil {
		return nil, fmt.Errorf("--auth-oauth2-introspection: %w", err)
	}
	return tokens, nil
}

// readSecret reads what a file holds, without the end of its line; without a file there is
// none.
func readSecret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
