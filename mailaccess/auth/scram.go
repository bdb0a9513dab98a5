package auth

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A scramServer is the server's side of SCRAM (RFC 5802, section 3; RFC 7677),
// with channel binding where the mechanism's name ends in -PLUS.
type scramServer struct {
	x    *exchange
	hash crypto.Hash
	plus bool

	conversation *scram.ServerConversation
	user         *ScramUser
	next         scramStep
}

// A scramStep is what the client has to send next.
type scramStep int

const (
	scramFirst scramStep = iota // who it is
	scramFinal                  // the proof
	scramLast                   // nothing, having seen the server's
)

func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch s.next {
	case scramFirst:
		if response == nil {
			return []byte{}, false, nil
		}
		s.next = scramFinal
		challenge, err = s.first(string(response))
	case scramFinal:
		s.next = scramLast
		challenge, err = s.final(string(response))
	default:
		// The protocols have no room for the server's signature beside their
		// success: it goes as a challenge, which the client answers with nothing
		// (RFC 4422, section 3).
		if len(response) > 0 {
			return nil, true, ErrMalformed
		}
		return nil, true, nil
	}
	return challenge, false, err
}

// first takes the client-first-message and returns the server-first-message
// (RFC 5802, section 7).
func (s *scramServer) first(message string) ([]byte, error) {
	if !utf8.ValidString(message) || !validNonce(message) {
		return nil, ErrMalformed
	}
	binding, err := s.binding(message)
	if mailaccess.KindOf(err) == mailaccess.KindAuthFailed {
		return nil, s.unbound(message, err)
	}
	if err != nil {
		return nil, s.x.refuse(err)
	}
	server, err := scram.HashGeneratorFcn(s.hash.New).NewServer(s.lookup)
	if err != nil {
		return nil, s.x.refuse(err)
	}
	if s.x.nonce != nil {
		server.WithNonceGenerator(s.x.nonce)
	}
	s.conversation = server.NewConversationWithChannelBinding(binding)
	challenge, err := s.conversation.Step(message)
	if err != nil {
		return nil, err
	}
	return []byte(challenge), nil
}

// validNonce reports whether the nonce of a client-first-message is printable and there (RFC
// 5802, section 7).
func validNonce(message string) bool {
	fields := strings.Split(message, ",") // two of the GS2 header, the name, the nonce
	if len(fields) < 4 {
		return false
	}
	nonce, ok := strings.CutPrefix(fields[3], "r=")
	return ok && nonce != "" && !strings.ContainsFunc(nonce, func(r rune) bool { return r <= ' ' || r > '~' })
}

// binding returns what the channel has to be bound to, nothing for a client that
// does not bind. RFC 5802, section 6: a client that could bind and was told that
// the server cannot, though the server said that it can, was lied to.
func (s *scramServer) binding(message string) (none scram.ChannelBinding, err error) {
	flag, _, _ := strings.Cut(message, ",")
	kind, binds := strings.CutPrefix(flag, "p=")
	switch {
	case !binds && flag != "n" && flag != "y", binds != s.plus:
		return none, ErrMalformed
	case flag == "y" && len(s.x.bindings) > 0:
		return none, &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: opSASL, Err: errDowngrade}
	case !binds:
		return none, nil
	}
	for _, b := range s.x.bindings {
		if string(b.Type) == kind {
			return b, nil
		}
	}
	return none, &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: opSASL, Err: errBindingType}
}

// unbound ends an exchange that is not bound as it should be with why, as a failed login of
// the user whom the client names: somebody in between may be trying, and who counts failures
// or writes them down has to know.
func (s *scramServer) unbound(message string, why error) error {
	fields := strings.Split(message, ",") // see validNonce
	authzid, err1 := unescapeSASLName(strings.TrimPrefix(fields[1], "a="))
	name, err2 := unescapeSASLName(strings.TrimPrefix(fields[2], "n="))
	l, err3 := s.x.named(authzid, name)
	if errors.Join(err1, err2, err3) != nil {
		return s.x.refuse(ErrMalformed)
	}
	user, err := s.x.able.Scram(s.x.ctx, l, s.hash)
	if err == nil {
		_, err = user.Decide(s.x.ctx, false)
	}
	if err != nil && mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
		return s.x.refuse(err)
	}
	return s.x.refuse(why)
}

// lookup finds what is known of the user whom the client names.
func (s *scramServer) lookup(username string) (c scram.StoredCredentials, err error) {
	l, err := s.x.named(s.conversation.AuthzID(), username)
	if err != nil {
		return c, err
	}
	if s.user, err = s.x.able.Scram(s.x.ctx, l, s.hash); err != nil {
		return c, s.x.refuse(err)
	}
	return s.user.stored(), nil
}

// final takes the client-final-message and returns the server-final-message. After a
// failure there is none: RFC 5802, section 7, leaves it to the server whether it sends an
// error (e=) first, which would take a round trip more, and clients that do not expect a
// challenge then, while the protocols say no all the same.
func (s *scramServer) final(message string) ([]byte, error) {
	challenge, err := s.conversation.Step(message)
	if err != nil {
		switch challenge {
		case scram.ErrInvalidProof, scram.ErrChannelBindingsDontMatch:
			if err = s.x.decide(s.user.Decide(s.x.ctx, false)); err == nil {
				err = s.x.refuse(errAuthFailed())
			}
		}
		return nil, err
	}
	if err := s.x.decide(s.user.Decide(s.x.ctx, true)); err != nil {
		return nil, err
	}
	return []byte(challenge), nil
}

// channelBindings returns what a client can bind SCRAM to on a channel, best
// first: nothing where it is not TLS.
//
// tls-exporter is RFC 9266, which is for TLS 1.3, and for TLS 1.2 with extended
// master secrets; crypto/tls has no exporter otherwise.
func channelBindings(o *ServerOptions) []scram.ChannelBinding {
	if o.TLS == nil || !o.TLS.HandshakeComplete {
		return nil
	}
	var bindings []scram.ChannelBinding
	if b, err := scram.NewTLSExporterBinding(o.TLS); err == nil {
		bindings = append(bindings, b)
		// RFC 5802, section 6.1: what old clients know. TLS 1.3 has none.
		if len(o.TLS.TLSUnique) > 0 {
			bindings = append(bindings, scram.NewTLSUniqueBinding(o.TLS.TLSUnique))
		}
	}
	// RFC 7677, section 4: what resumes a session must not have been able to
	// graft it on another handshake.
	if o.Certificate != nil && (len(bindings) > 0 || !o.TLS.DidResume) {
		// The library takes the client's side, whose peer is the server.
		own := tls.ConnectionState{PeerCertificates: []*x509.Certificate{o.Certificate}}
		if b, err := scram.NewTLSServerEndpointBinding(&own); err == nil {
			bindings = append(bindings, b)
		}
	}
	return bindings
}
