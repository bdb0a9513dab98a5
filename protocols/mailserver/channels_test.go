package mailserver_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

// named returns a certificate for the name, with a key on the curve, which says by
// which hash it is signed: that of tls-server-end-point.
func named(t *testing.T, name string, curve elliptic.Curve) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// scramServer serves ann, whose password is secret, with the configuration, and
// returns the addresses of IMAP and POP3 over TLS.
func scramServer(t *testing.T, config *tls.Config) (imap, pop3 string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := auth.SetUser(path, "ann", "secret", &auth.SetUserOptions{Scheme: auth.SchemePlain}); err != nil {
		t.Fatal(err)
	}
	users, err := auth.OpenUsersFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(nil)
	s, err := mailserver.New(store, users, &mailserver.Options{TLSConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		store.Close()
	})
	var addrs []string
	for _, p := range []*protocols.Server{s.IMAP, s.POP3} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go p.ServeTLS(l)
		addrs = append(addrs, l.Addr().String())
	}
	return addrs[0], addrs[1]
}

// SCRAM binds to the certificate that the client sees, whichever of several that is,
// and in sessions that are resumed to that of the first one (RFC 5929, section 4).
func TestScramBindsToTheCertificate(t *testing.T) {
	certs := []tls.Certificate{named(t, "a.test", elliptic.P256()), named(t, "b.test", elliptic.P384())}
	addr, _ := scramServer(t, protocols.NewTLSConfig(certs...))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cache := tls.NewLRUClientSessionCache(2)
		for i, name := range []string{"a.test", "b.test", "a.test", "b.test"} {
			conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: cache})
			if err != nil {
				t.Fatal(err)
			}
			c := imapclient.New(conn, nil)
			if err := c.WaitGreeting(); err != nil {
				t.Fatal(err)
			}
			state := conn.ConnectionState()
			if state.PeerCertificates[0].DNSNames[0] != name {
				t.Errorf("the certificate for %v", state.PeerCertificates[0].DNSNames)
			}
			if state.DidResume != (i >= 2) {
				t.Errorf("TLS %x, connection %d, resumed %v", version, i, state.DidResume)
			}
			binding, err := scram.NewTLSServerEndpointBinding(&state)
			if err != nil {
				t.Fatal(err)
			}
			if name == "b.test" {
				if want := sha512.Sum384(certs[1].Certificate[0]); string(binding.Data) != string(want[:]) {
					t.Error("the client binds to something else")
				}
			}
			client, err := scram.SHA256.NewClient("ann", "secret", "")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Authenticate(&scramClient{"SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(binding)}); err != nil {
				t.Errorf("TLS %x, %s, resumed %v: %v", version, name, state.DidResume, err)
			}
			c.Close()
			other := state
			other.PeerCertificates = nil
			for _, cert := range certs {
				if leaf, err := x509.ParseCertificate(cert.Certificate[0]); err == nil && leaf.DNSNames[0] != name {
					other.PeerCertificates = append(other.PeerCertificates, leaf)
				}
			}
			if binding, err = scram.NewTLSServerEndpointBinding(&other); err != nil {
				t.Fatal(err)
			}
			conn, err = tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			c = imapclient.New(conn, nil)
			if err := c.Authenticate(&scramClient{"SCRAM-SHA-256-PLUS", client.NewConversationWithChannelBinding(binding)}); err == nil {
				t.Errorf("TLS %x, %s: bound to the other certificate", version, name)
			}
			c.Close()
		}
	}
}

// Each port speaks its own protocol only, and resumes sessions of the other.
func TestALPNByPort(t *testing.T) {
	imap, pop3 := scramServer(t, protocols.NewTLSConfig(named(t, "a.test", elliptic.P256())))
	cache := tls.NewLRUClientSessionCache(1)
	for i, tt := range []struct{ addr, id, other, greeting string }{
		{imap, "imap", "pop3", "* OK"}, {pop3, "pop3", "imap", "+OK"}, {imap, "imap", "http/1.1", "* OK"},
	} {
		config := &tls.Config{ServerName: "a.test", InsecureSkipVerify: true, NextProtos: []string{tt.other}}
		if _, err := tls.Dial("tcp", tt.addr, config); err == nil || err.Error() != "remote error: tls: no application protocol" {
			t.Errorf("%s offered for %s: %v", tt.other, tt.id, err)
		}
		config.NextProtos = []string{tt.other, tt.id}
		config.ClientSessionCache = cache
		conn, err := tls.Dial("tcp", tt.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		(&conversation{t, conn, bufio.NewReader(conn)}).expect("", tt.greeting)
		if state := conn.ConnectionState(); state.NegotiatedProtocol != tt.id || state.DidResume != (i > 0) {
			t.Errorf("%s: %q, resumed %v", tt.id, state.NegotiatedProtocol, state.DidResume)
		}
		conn.Close()
	}
}
