//go:build interop

package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

// Clients log in by their certificates (EXTERNAL, RFC 4422, appendix A), with TLS from the
// first octet.
func TestExternal(t *testing.T) {
	const user, other = "demo@example.org", "bob@example.org"
	mails := letters("external", 4)
	own, err := protocols.SelfSigned()
	must(t, "certificate", err)
	ca := newAuthority(t)
	store := memory.New(nil)
	t.Cleanup(func() { store.Close() })
	for _, m := range mails {
		_, err := store.Deliver(t.Context(), user, mailaccess.Inbox, m, mailaccess.Flags{}, time.Time{})
		must(t, "deliver", err)
	}
	s, err := mailserver.New(store, auth.Certificates(nil), &mailserver.Options{TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.pool,
	}})
	must(t, "server", err)
	t.Cleanup(func() { s.Close() })
	d, _ := newDemo(t)
	for _, p := range []struct {
		addr *string
		s    *protocols.Server
	}{{&d.imaps, s.IMAP}, {&d.pop3s, s.POP3}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, "listen", err)
		*p.addr = l.Addr().String()
		go p.s.ServeTLS(l) //nolint:errcheck // it ends when the server is closed
	}
	trusted := (&client{dir: filepath.Dir(d.cert)}).write(t, "cert.pem", pemOf("CERTIFICATE", own.Certificate[0]))

	clients := map[string]func(cert, key string) (string, error){
		"mpop": func(cert, key string) (string, error) {
			f := emptyFetcher(t, d, "mpop")
			f.write(t, "rc", fmt.Appendf(nil, `account demo
host localhost
port %s
user %s
auth external
timeout 20
tls on
tls_starttls off
tls_trust_file %s
received_header off
keep on
uidls_file %s
%sdelivery maildir %s
`, port(d.pop3s), user, trusted, filepath.Join(f.dir, "uidls"), certificateOf(cert, key), f.dir))
			out, err := f.try("--file=rc", "demo")
			if err == nil {
				sameMail(t, "mpop", f.got(t), mails)
			}
			return out, err
		},
	}
	for protocol, url := range map[string]string{"imap": "imaps://localhost:" + port(d.imaps) + "/INBOX;MAILINDEX=[1-4]", "pop3": "pop3s://localhost:" + port(d.pop3s) + "/[1-4]"} {
		clients["curl "+protocol] = func(cert, key string) (string, error) {
			c := d.tool(t, "curl")
			args := []string{"--disable", "--silent", "--show-error", "--max-time", "20", "--fail-early", "--cacert", trusted,
				"--user", user + ":", "--login-options", "AUTH=EXTERNAL", "--output", "got-#1", url}
			if cert != "" {
				args = append(args, "--cert", cert, "--key", key)
			}
			out, err := c.try(args...)
			if err == nil {
				var got [][]byte
				for n := range mails {
					got = append(got, readFile(t, fmt.Sprintf("%s/got-%d", c.dir, n+1)))
				}
				sameMailInOrder(t, "curl", got, mails)
			}
			return out, err
		}
	}
	for name, try := range clients {
		for what, cert := range map[string]struct {
			files [2]string
			in    bool
		}{
			"the user's":           {ca.issue(t, user), true},
			"somebody else's":      {ca.issue(t, other), false},
			"by another authority": {newAuthority(t).issue(t, user), false},
			"none":                 {[2]string{}, false},
		} {
			if out, err := try(cert.files[0], cert.files[1]); (err == nil) != cert.in {
				t.Errorf("%s, certificate %s: %v\n%s", name, what, err, out)
			}
		}
	}
}

// certificateOf is mpop's configuration of a client's certificate.
func certificateOf(cert, key string) string {
	if cert == "" {
		return ""
	}
	return fmt.Sprintf("tls_cert_file %s\ntls_key_file %s\n", cert, key)
}

// An authority certifies clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "key", err)
	a := &authority{key: key, pool: x509.NewCertPool(), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	must(t, "certificate", err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, "certificate", err)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns the files of a user's certificate and key.
func (a *authority) issue(t *testing.T, user string) [2]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "key", err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		EmailAddresses: []string{user}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	must(t, "certificate", err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, "key", err)
	c := &client{dir: t.TempDir()}
	return [2]string{c.write(t, "cert.pem", pemOf("CERTIFICATE", der)), c.write(t, "key.pem", pemOf("PRIVATE KEY", pkcs8))}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
