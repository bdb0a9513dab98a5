package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Tokens is an authenticator that takes bearer tokens: by OAUTHBEARER and XOAUTH2. Who
// calls Authenticate can give one in place of a password, with the name of the user whom
// the token names; front-ends do not, as people would send their passwords there.
//
// Who the user is stands in one claim of the token, normalised as by
// [NormalizeUser]. A token that was right once gets [mailaccess.KindAuthExpired].
// Acting as somebody else is refused; see [Masters].
type Tokens struct {
	claims TokenClaims
	verify func(ctx context.Context, token string) (map[string]any, error)
}

// TokenClaims are what a token has to claim.
type TokenClaims struct {
	// User is the claim that names the user, a string. Default "email" for [JWT]
	// and "username" for [Introspection]. An email that the issuer says is not
	// verified (email_verified) is nobody's. Take no claim that users can set to
	// what they like.
	User string

	// Issuer and Audience are who made the token and for whom (iss and aud, RFC
	// 7519, section 4.1). [JWT] needs both; empty with [Introspection]: any.
	Issuer, Audience string

	// Scope is one that the token must have (scope, RFC 8693, section 4.2). Empty:
	// none.
	Scope string
}

var _ mailaccess.Authenticator = (*Tokens)(nil)

// Authenticate implements [mailaccess.Authenticator]: the password is a token.
func (t *Tokens) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	if l.Username == "" {
		return mailaccess.Identity{}, errAuthFailed()
	}
	authzid, name := l.Authzid, canonicalUser(l.Username)
	l.Authzid = ""
	id, err := t.bearer(ctx, l, l.Password)
	switch {
	case err != nil:
		return mailaccess.Identity{}, err
	case id.User != name:
		return mailaccess.Identity{}, errAuthFailed()
	case authzid != "" && canonicalUser(authzid) != id.User:
		return mailaccess.Identity{}, errForbidden()
	}
	return id, nil
}

// Abilities implements [Able].
func (t *Tokens) Abilities() Abilities { return Abilities{NoPasswords: true, Bearer: t.bearer} }

func (t *Tokens) bearer(ctx context.Context, l mailaccess.Login, token string) (none mailaccess.Identity, err error) {
	if err := ctx.Err(); err != nil {
		return none, errUnavailable(err)
	}
	if !validToken(token) {
		return none, errAuthFailed()
	}
	claims, err := t.verify(ctx, token)
	if err != nil {
		return none, err
	}
	user, err := t.claims.user(claims)
	if err != nil {
		return none, err
	}
	if l.Authzid != "" && canonicalUser(l.Authzid) != user {
		return none, errForbidden()
	}
	return mailaccess.Identity{User: user, Account: user}, nil
}

// user checks what does not depend on how a token was verified, and returns its
// user.
func (c *TokenClaims) user(claims map[string]any) (string, error) {
	name, _ := claims[c.User].(string)
	user, err := NormalizeUser(name)
	scope, _ := claims["scope"].(string)
	verified, told := claims["email_verified"]
	switch {
	case err != nil,
		c.Scope != "" && !slices.Contains(strings.Fields(scope), c.Scope),
		c.User == "email" && told && verified != true && verified != "true":
		return "", errAuthFailed()
	}
	return user, nil
}

func errExpired() error {
	return &mailaccess.Error{Kind: mailaccess.KindAuthExpired, Op: opAuthenticate, Err: errors.New("the token has expired")}
}

// JWTOptions are the options of [JWT].
type JWTOptions struct {
	TokenClaims

	// Keys is where the issuer's public keys are, a JWK set (RFC 7517, section 5):
	// an https URL, or the path of a file. They are read again when a token has
	// another key, at most every ten seconds, and once an hour. While they cannot
	// be, those that are known are used for a day.
	Keys string

	// Algorithms are those of signatures that are taken (RFC 7518, section 3.1).
	// Default RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and
	// EdDSA. Those with a shared secret never are.
	Algorithms []string

	// Leeway is how far clocks may differ. Default one minute.
	Leeway time.Duration

	// Timeout and Client are for the URL of the keys; see [CalloutOptions].
	Timeout time.Duration
	Client  *http.Client
}

// JWT returns an authenticator of tokens that are JSON Web Tokens (RFC 7519, RFC
// 9068), which it verifies by the issuer's keys. Those in a file have to be there; from a URL
// they are not fetched yet.
func JWT(o JWTOptions) (*Tokens, error) {
	if o.Issuer == "" || o.Audience == "" || o.Keys == "" {
		return nil, errors.New("jwt: Issuer, Audience and Keys are needed")
	}
	o.User, o.Leeway = cmp.Or(o.User, "email"), cmp.Or(o.Leeway, time.Minute)
	algorithms := []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
	if len(o.Algorithms) > 0 {
		var chosen []jose.SignatureAlgorithm
		for _, a := range o.Algorithms {
			if !slices.Contains(algorithms, jose.SignatureAlgorithm(a)) {
				return nil, fmt.Errorf("jwt: the algorithm %q is not one that is taken", a)
			}
			chosen = append(chosen, jose.SignatureAlgorithm(a))
		}
		algorithms = chosen
	}
	keys, err := newKeySet(o.Keys, newAsker(o.Client, o.Timeout))
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return &Tokens{o.TokenClaims, func(ctx context.Context, token string) (map[string]any, error) {
		return verifyJWT(ctx, token, &o, algorithms, keys)
	}}, nil
}

func verifyJWT(ctx context.Context, token string, o *JWTOptions, algorithms []jose.SignatureAlgorithm, keys *keySet) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return nil, errAuthFailed()
	}
	header := parsed.Headers[0]
	candidates, err := keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, errUnavailable(fmt.Errorf("jwt: the issuer's keys: %w", err))
	}
	for _, key := range candidates {
		var standard jwt.Claims
		var claims map[string]any
		if key.Algorithm != "" && key.Algorithm != header.Algorithm || parsed.Claims(key.Key, &standard, &claims) != nil {
			continue
		}
		err := standard.ValidateWithLeeway(jwt.Expected{Issuer: o.Issuer, AnyAudience: jwt.Audience{o.Audience}, Time: time.Now()}, o.Leeway)
		switch {
		case errors.Is(err, jwt.ErrExpired):
			return nil, errExpired()
		case err != nil, standard.Expiry == nil:
			return nil, errAuthFailed()
		}
		return claims, nil
	}
	return nil, errAuthFailed()
}

// IntrospectionOptions are the options of [Introspection].
type IntrospectionOptions struct {
	TokenClaims

	// ClientID and ClientSecret are how the issuer knows who asks (HTTP's Basic).
	ClientID, ClientSecret string

	// Timeout and Client are as in [CalloutOptions].
	Timeout time.Duration
	Client  *http.Client
}

// Introspection returns an authenticator of tokens that asks the issuer about each
// (RFC 7662), at a URL that is HTTPS or on this machine. Put [Cache] in front of
// it.
func Introspection(endpoint string, o IntrospectionOptions) (*Tokens, error) {
	if err := checkURL(endpoint); err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	o.User = cmp.Or(o.User, "username")
	a := newAsker(o.Client, o.Timeout)
	return &Tokens{o.TokenClaims, func(ctx context.Context, token string) (map[string]any, error) {
		claims, err := introspect(ctx, a, endpoint, token, &o)
		if err != nil {
			return nil, err
		}
		return claims, o.matches(claims)
	}}, nil
}

func introspect(ctx context.Context, a asker, endpoint, token string, o *IntrospectionOptions) (map[string]any, error) {
	// RFC 7662, section 2.1.
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errUnavailable(errors.New("introspection: the request cannot be written"))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if o.ClientID != "" {
		// RFC 6749, section 2.3.1: both are encoded as in a form first.
		r.SetBasicAuth(url.QueryEscape(o.ClientID), url.QueryEscape(o.ClientSecret))
	}
	status, body, err := a.ask(ctx, r)
	switch {
	case err != nil:
		return nil, errUnavailable(fmt.Errorf("introspection: %w", err))
	case status != http.StatusOK: // a 401 is about this server, not about the token
		return nil, errUnavailable(fmt.Errorf("introspection: the answer has status %d", status))
	}
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		return nil, errUnavailable(errors.New("introspection: the answer is not JSON"))
	}
	if claims["active"] != true {
		return nil, errAuthFailed()
	}
	return claims, nil
}

// matches checks issuer, audience and time of what an issuer says of a token, each
// where it is said or asked for.
func (c *TokenClaims) matches(claims map[string]any) error {
	if expires, ok := claims["exp"].(float64); ok && float64(time.Now().Unix()) >= expires {
		return errExpired()
	}
	if c.Issuer != "" && claims["iss"] != c.Issuer {
		return errAuthFailed()
	}
	if c.Audience == "" || claims["aud"] == c.Audience {
		return nil
	}
	if list, ok := claims["aud"].([]any); ok && slices.Contains(list, any(c.Audience)) {
		return nil
	}
	return errAuthFailed()
}
