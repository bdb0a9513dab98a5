package mailserver_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

// scramClient is the library's client of SCRAM as one of SASL.
type scramClient struct {
	mech string
	*scram.ClientConversation
}

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.Step("")
	return c.mech, []byte(first), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	response, err := c.Step(string(challenge))
	return []byte(response), err
}

// clientCertificate returns one that certifies a mail address, and its authority.
func clientCertificate(t *testing.T, email string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), EmailAddresses: []string{email}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestMechanisms: clients of each mechanism get in, by both protocols, over TLS;
// and what is offered is what can be used.
func TestMechanisms(t *testing.T) {
	own, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf)
	certificate, authority := clientCertificate(t, "ann@example.org")
	path := filepath.Join(t.TempDir(), "users")
	if err := auth.SetUser(path, "ann@example.org", "secret", &auth.SetUserOptions{Scheme: auth.SchemePlain}); err != nil {
		t.Fatal(err)
	}
	users, err := auth.OpenUsersFile(path, &auth.UsersFileOptions{Digests: true})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(nil)
	defer store.Close()
	s, err := mailserver.New(store, auth.Combine(auth.Cache(users, nil), auth.Certificates(nil)), &mailserver.Options{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: authority},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dial := func(p *protocols.Server) *tls.Conn {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go p.ServeTLS(l)
		t.Cleanup(func() { l.Close() })
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{certificate}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	mechanisms := []string{
		"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN",
	}
	// clients returns a client of each mechanism, for one connection, and what it
	// must not get in with.
	clients := func(c *tls.Conn, password string) map[string]sasl.Client {
		state := c.ConnectionState()
		exporter, err := scram.NewTLSExporterBinding(&state)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, err := scram.NewTLSServerEndpointBinding(&state)
		if err != nil {
			t.Fatal(err)
		}
		client := func(h scram.HashGeneratorFcn) *scram.Client {
			c, err := h.NewClient("ann@example.org", password, "")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		return map[string]sasl.Client{
			"EXTERNAL":           sasl.NewExternalClient(map[string]string{"secret": "", "wrong": "bob"}[password]),
			"SCRAM-SHA-256-PLUS": &scramClient{"SCRAM-SHA-256-PLUS", client(scram.SHA256).NewConversationWithChannelBinding(exporter)},
			"SCRAM-SHA-256":      &scramClient{"SCRAM-SHA-256", client(scram.SHA256).NewConversation()},
			"SCRAM-SHA-1-PLUS":   &scramClient{"SCRAM-SHA-1-PLUS", client(scram.SHA1).NewConversationWithChannelBinding(endpoint)},
			"SCRAM-SHA-1":        &scramClient{"SCRAM-SHA-1", client(scram.SHA1).NewConversation()},
			"PLAIN":              sasl.NewPlainClient("", "ann@example.org", password),
			"LOGIN":              sasl.NewLoginClient("ann@example.org", password),
		}
	}
	for _, password := range []string{"secret", "wrong"} {
		for _, mech := range mechanisms {
			conn := dial(s.IMAP)
			c := imapclient.New(conn, nil)
			defer c.Close()
			caps, err := c.Capability().Wait()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range mechanisms {
				if !caps.Has(goimap.AuthCap(m)) {
					t.Errorf("IMAP does not offer %s: %v", m, caps)
				}
			}
			client, ok := clients(conn, password)[mech]
			if !ok {
				continue
			}
			if err := c.Authenticate(client); (err == nil) != (password == "secret") {
				t.Errorf("IMAP, %s, %s: %v", mech, password, err)
			}
		}
		for _, mech := range mechanisms {
			conn := dial(s.POP3)
			c := &conversation{t, conn, bufio.NewReader(conn)}
			c.expect("", "+OK")
			if client, ok := clients(conn, password)[mech]; ok {
				if in := authenticatePOP3(t, c, client); in != (password == "secret") {
					t.Errorf("POP3, %s, %s: in %v", mech, password, in)
				}
				c.expect("QUIT\r\n", "+OK") // which unlocks the maildrop
			}
		}
	}
	conn := dial(s.POP3)
	c := &conversation{t, conn, bufio.NewReader(conn)}
	c.expect("", "+OK")
	if err := writeLine(conn, "CAPA"); err != nil {
		t.Fatal(err)
	}
	for line := ""; line != "."; {
		line = readLine(t, c.r)
		if words := strings.Fields(line); len(words) > 0 && words[0] == "SASL" && !slices.Equal(words[1:], mechanisms) {
			t.Errorf("POP3 offers %v", words)
		}
	}
}

// TestNoPasswords: where nobody gets in by a password none is asked for, by whatever
// command or mechanism, though the channel would bear it.
func TestNoPasswords(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	s, err := mailserver.New(store, auth.Certificates(nil), &mailserver.Options{AllowPlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dial := func(p *protocols.Server) *conversation {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go p.Serve(l)
		t.Cleanup(func() { l.Close() })
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return &conversation{t, c, bufio.NewReader(c)}
	}
	c := dial(s.IMAP)
	if line := readLine(t, c.r); !strings.Contains(line, " LOGINDISABLED") || strings.Contains(line, "AUTH=") {
		t.Errorf("IMAP offers %s", line)
	}
	c.expect("a LOGIN ann secret\r\n", "a NO ")
	c.expect("b AUTHENTICATE PLAIN\r\n", "b NO ")
	c = dial(s.POP3)
	c.expect("", "+OK")
	if err := writeLine(c.conn, "CAPA"); err != nil {
		t.Fatal(err)
	}
	for line := ""; line != "."; {
		if line = readLine(t, c.r); line == "USER" || strings.HasPrefix(line, "SASL") {
			t.Errorf("POP3 offers %s", line)
		}
	}
	c.expect("USER ann\r\n", "-ERR")
	c.expect("AUTH PLAIN\r\n", "-ERR")
}

// authenticatePOP3 runs AUTH (RFC 5034, section 4) and reports whether the client
// got in.
func authenticatePOP3(t *testing.T, c *conversation, client sasl.Client) bool {
	t.Helper()
	mech, initial, err := client.Start()
	if err != nil {
		t.Fatal(err)
	}
	line := "AUTH " + mech + " ="
	if len(initial) > 0 {
		line = "AUTH " + mech + " " + base64.StdEncoding.EncodeToString(initial)
	}
	for {
		if err := writeLine(c.conn, line); err != nil {
			t.Fatal(err)
		}
		answer := readLine(t, c.r)
		challenge, more := strings.CutPrefix(answer, "+ ")
		if !more {
			return strings.HasPrefix(answer, "+OK")
		}
		raw, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Next(raw)
		if err != nil {
			t.Fatal(err)
		}
		line = base64.StdEncoding.EncodeToString(response)
	}
}

func writeLine(c net.Conn, s string) error {
	_, err := c.Write([]byte(s + "\r\n"))
	return err
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(line, "\r\n")
}
