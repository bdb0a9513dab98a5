package auth

import (
	"errors"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A bearerServer is the server's side of a mechanism that sends a bearer token in
// one message: OAUTHBEARER (RFC 7628) and XOAUTH2, its predecessor.
type bearerServer struct {
	x       *exchange
	parse   func(string) (authzid, token string, err error)
	refused bool
}

func (s *bearerServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.refused:
		// RFC 7628, section 3.2.3: the client acknowledges the reason for the
		// failure, whose place is a challenge. What it says does not matter.
		return nil, true, s.x.refusal
	case response == nil:
		return []byte{}, false, nil
	}
	authzid, token, err := s.parse(string(response))
	if err != nil || !validName(authzid) {
		return nil, true, ErrMalformed
	}
	l := s.x.base
	l.Authzid = authzid
	if !validToken(token) {
		err = s.x.refuse(refused(s.x.ctx, s.x.inner, l, "bearer"))
	} else {
		err = s.x.decide(s.x.able.Bearer(s.x.ctx, l, token))
	}
	switch mailaccess.KindOf(err) {
	case mailaccess.KindAuthFailed, mailaccess.KindAuthExpired:
		s.refused = true
		// RFC 7628, section 3.2.2, with the status of RFC 6750, section 3.1.
		return []byte(`{"status":"invalid_token","schemes":"bearer"}`), false, nil
	}
	return nil, true, err
}

// parseOAuthBearer reads the client's message of RFC 7628, section 3.1. Which host
// and port it means to talk to is not looked at, nor is what is not known.
func parseOAuthBearer(s string) (authzid, token string, err error) {
	header, s, ok := strings.Cut(s, "\x01")
	flag, name, comma := strings.Cut(header, ",")
	name, end := strings.CutSuffix(name, ",")
	if !ok || !comma || !end || flag != "n" && flag != "y" {
		return "", "", errors.New("not a GS2 header")
	}
	if name != "" {
		if name, ok = strings.CutPrefix(name, "a="); !ok {
			return "", "", errors.New("not an authorization identity")
		}
		if authzid, err = unescapeSASLName(name); err != nil {
			return "", "", err
		}
	}
	token, err = parseBearerPairs(s)
	return authzid, token, err
}

// parseXOAuth2 reads what Google has published of XOAUTH2.
func parseXOAuth2(s string) (authzid, token string, err error) {
	user, s, ok := strings.Cut(s, "\x01")
	authzid, isUser := strings.CutPrefix(user, "user=")
	if !ok || !isUser {
		return "", "", errors.New("no user")
	}
	token, err = parseBearerPairs(s)
	return authzid, token, err
}

// parseBearerPairs reads "key=value\x01" any number of times and "\x01" after the
// last, and returns the token.
func parseBearerPairs(s string) (token string, err error) {
	pairs, ok := strings.CutSuffix(s, "\x01\x01")
	if !ok {
		return "", errors.New("no end")
	}
	found := false
	for pair := range strings.SplitSeq(pairs, "\x01") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return "", errors.New("no value")
		}
		if key != "auth" {
			continue
		}
		scheme, rest, _ := strings.Cut(value, " ")
		// RFC 7235, section 2.1: the scheme is in any case.
		if found || !strings.EqualFold(scheme, "Bearer") {
			return "", errors.New("not one bearer token")
		}
		token, found = strings.TrimLeft(rest, " "), true
	}
	if !found {
		return "", errors.New("no token")
	}
	return token, nil
}

// unescapeSASLName is RFC 5801, section 4: in names a comma is =2C, an equals sign
// =3D.
func unescapeSASLName(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, ok := strings.Cut(s, "=")
		b.WriteString(plain)
		switch {
		case !ok:
			return b.String(), nil
		case strings.HasPrefix(rest, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(rest, "3D"):
			b.WriteByte('=')
		default:
			return "", errors.New("not a name")
		}
		s = rest[2:]
	}
}

// validToken reports whether s is one by RFC 6750, section 2.1, and not longer
// than is taken.
func validToken(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" || len(s) > maxToken {
		return false
	}
	for i := range len(body) {
		switch c := body[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
