package auth

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A cramServer is the server's side of CRAM-MD5 (RFC 2195, section 2).
type cramServer struct {
	x         *exchange
	challenge []byte
}

func (s *cramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.challenge == nil {
		if response != nil {
			return nil, true, ErrMalformed // the server speaks first
		}
		if s.x.nonce != nil {
			s.challenge = []byte(s.x.nonce())
		} else {
			s.challenge = []byte(Timestamp())
		}
		return s.challenge, false, nil
	}
	username, digest, ok := cutLast(string(response), " ")
	sum, err := hex.DecodeString(digest)
	if !ok || err != nil || len(sum) != md5.Size {
		return nil, true, ErrMalformed
	}
	l, err := s.x.named("", username)
	if err != nil {
		return nil, true, err
	}
	return nil, true, s.x.decide(s.x.able.Digest(s.x.ctx, l, func(secret string) bool {
		m := hmac.New(md5.New, []byte(secret))
		m.Write(s.challenge)
		return hmac.Equal(m.Sum(nil), sum)
	}))
}

// Timestamp returns a message id that never was, for the greeting of a server that
// offers APOP (RFC 1939, section 7), and for CRAM-MD5.
func Timestamp() string { return "<" + rand.Text() + "@localhost>" }

// CanAPOP reports whether a can verify what [VerifyAPOP] asks.
func CanAPOP(a mailaccess.Authenticator) bool { return AbilitiesOf(a).Digest != nil }

// VerifyAPOP asks a about the digest that a client has sent with APOP for the user
// whom l names; timestamp is the one that its connection was greeted with, from
// [Timestamp] (RFC 1939, section 7). What cannot be right is refused with
// [mailaccess.KindAuthFailed], and with [mailaccess.KindUnsupported] where
// [CanAPOP] does not hold.
func VerifyAPOP(ctx context.Context, a mailaccess.Authenticator, l mailaccess.Login, timestamp, digest string) (mailaccess.Identity, error) {
	able := AbilitiesOf(a)
	if able.Digest == nil {
		return mailaccess.Identity{}, ErrMechanism
	}
	l.Password = ""
	sum, err := hex.DecodeString(digest)
	if err != nil || len(sum) != md5.Size || timestamp == "" || l.Username == "" || !validName(l.Username) {
		return mailaccess.Identity{}, refused(ctx, a, l, "digest")
	}
	return able.Digest(ctx, l, func(secret string) bool {
		own := md5.Sum([]byte(timestamp + secret))
		return hmac.Equal(own[:], sum)
	})
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
