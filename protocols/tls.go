package protocols

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
)

// NewTLSConfig returns a configuration for servers of mail, with the certificates:
// TLS 1.2 or newer (RFC 8314, section 4.1), and with TLS 1.2 the suites alone that
// have forward secrecy and authenticated encryption (RFC 9325, section 4.2).
// Renegotiation crypto/tls never accepts from a client.
func NewTLSConfig(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: certificates,
		MinVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
			tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

// ALPN is implemented by protocols that have identifiers for Application-Layer
// Protocol Negotiation (RFC 7301). A client that offers others only is refused, so
// that nobody can lead the client of another protocol here, whose certificate is
// right for this one too; a client that offers none is served.
type ALPN interface {
	// ALPN returns the identifiers, the preferred one first.
	ALPN() []string
}

// maxBound is for how many certificates a secured keeps configurations; one that it
// has not is made again.
const maxBound = 256

// A secured makes the handshakes of a server's TLSConfig.
//
// It chooses the certificate where the handshake begins, and goes on with a
// configuration that belongs to that certificate: so the certificate is known of
// each connection, and a session is resumed only under the certificate that it was
// made with. Otherwise nobody could say what a resumed session is bound to by
// tls-server-end-point (RFC 5929, section 4: the certificate of the server's
// Certificate message, which a resumption does not have), and sessions would live on
// when a certificate was replaced because its key was stolen. The keys of session
// tickets are those of TLSConfig, which rotates them: they outlive certificates, and
// all servers that share a TLSConfig share them.
type secured struct {
	given *tls.Config
	base  *tls.Config // given, with what is said here

	mu    sync.Mutex
	bound map[fingerprint]*tls.Config
}

type fingerprint [sha256.Size]byte

// handshakeKey is the key of the *Conn in the context of its handshake.
type handshakeKey struct{}

func secure(given *tls.Config, p Protocol) *secured {
	s := &secured{given: given, base: given.Clone(), bound: make(map[fingerprint]*tls.Config)}
	s.base.NextProtos = protocolsOf(given, p)
	s.base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, _ := hello.Context().Value(handshakeKey{}).(*Conn)
		if err := c.Step(); err != nil { // what follows is long work
			return nil, err
		}
		return s.forClient(hello, c, p)
	}
	return s
}

// protocolsOf returns what is negotiated by ALPN: what config says, or else the
// protocol.
func protocolsOf(config *tls.Config, p Protocol) []string {
	if a, ok := p.(ALPN); ok && len(config.NextProtos) == 0 {
		return a.ALPN()
	}
	return config.NextProtos
}

// server begins the handshake of c over its wire.
func (s *secured) server(c *Conn) *tls.Conn { return tls.Server(&c.wire, s.base) }

// withConn returns the context for the handshake of c.
func withConn(ctx context.Context, c *Conn) context.Context {
	return context.WithValue(ctx, handshakeKey{}, c)
}

func (s *secured) forClient(hello *tls.ClientHelloInfo, c *Conn, p Protocol) (*tls.Config, error) {
	if f := s.given.GetConfigForClient; f != nil {
		other, err := f(hello)
		if err != nil {
			return nil, err
		}
		if other != nil && other != s.given {
			return foreign(other, c, p), nil
		}
	}
	cert, err := choose(s.given, hello)
	if err != nil || cert == nil || len(cert.Certificate) == 0 {
		return nil, err // crypto/tls has the right alert for a server without certificate
	}
	c.own = cert
	return s.boundTo(cert), nil
}

// foreign returns the configuration that TLSConfig has chosen for one client. Its
// session tickets, and their keys, are its own affair.
func foreign(config *tls.Config, c *Conn, p Protocol) *tls.Config {
	clone := config.Clone()
	clone.NextProtos = protocolsOf(config, p)
	clone.Certificates = nil
	clone.GetCertificate = func(hello *tls.ClientHelloInfo) (cert *tls.Certificate, err error) {
		c.own, err = choose(config, hello)
		return c.own, err
	}
	c.foreign = true
	return clone
}

// choose returns the certificate of config for a client, as crypto/tls chooses it.
func choose(config *tls.Config, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if config.GetCertificate != nil && (len(config.Certificates) == 0 || hello.ServerName != "") {
		if cert, err := config.GetCertificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	return firstSupported(config.Certificates, hello), nil
}

// firstSupported returns the first certificate that the client supports and asks
// for, otherwise the first; nil: there is none.
func firstSupported(certs []tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(certs) == 0 {
		return nil
	}
	if len(certs) > 1 {
		for i := range certs {
			if hello.SupportsCertificate(&certs[i]) == nil {
				return &certs[i]
			}
		}
	}
	return &certs[0]
}

// boundTo returns the configuration for connections that use the certificate.
func (s *secured) boundTo(cert *tls.Certificate) *tls.Config {
	print := fingerprint(sha256.Sum256(cert.Certificate[0]))
	s.mu.Lock()
	defer s.mu.Unlock()
	if config, ok := s.bound[print]; ok {
		return config
	}
	if len(s.bound) >= maxBound {
		for old := range s.bound {
			delete(s.bound, old)
			break
		}
	}
	config := s.bind(print)
	s.bound[print] = config
	return config
}

func (s *secured) bind(print fingerprint) *tls.Config {
	config := s.base.Clone()
	config.GetConfigForClient = nil
	config.Certificates = nil
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, _ := hello.Context().Value(handshakeKey{}).(*Conn)
		return c.own, nil
	}
	wrap, unwrap := s.given.WrapSession, s.given.UnwrapSession
	if wrap == nil {
		wrap = s.given.EncryptTicket
	}
	if unwrap == nil {
		unwrap = s.given.DecryptTicket
	}
	mark := append([]byte("mailaccess certificate 1 "), print[:]...)
	config.WrapSession = func(cs tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, mark)
		return wrap(cs, session)
	}
	config.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		session, err := unwrap(ticket, cs)
		if err != nil || session == nil {
			return nil, err
		}
		if !slices.ContainsFunc(session.Extra, func(e []byte) bool { return bytes.Equal(e, mark) }) {
			return nil, nil // a full handshake
		}
		return session, nil
	}
	return config
}

// Certificate returns the certificate with which the server has identified itself
// on a TLS channel, now or when the session began that the channel resumes, for
// binding to it (RFC 5929, section 4). It is nil when the channel is plain, when the
// TLS is not this server's, and of a session that was resumed under a configuration
// of TLSConfig.GetConfigForClient.
func (c *Conn) Certificate() *x509.Certificate {
	if !c.secure.Load() || c.own == nil {
		return nil
	}
	if c.own.Leaf != nil {
		return c.own.Leaf
	}
	leaf, err := x509.ParseCertificate(c.own.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}
