package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Flags for TLS and proxies that make no sense are refused.
func TestServeChannelErrors(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	addUser(t, users, "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	tlsPair := " --tls-cert " + filepath.Join(dir, "cert.pem") + " --tls-key " + filepath.Join(dir, "key.pem")
	for _, test := range []struct{ args, want string }{
		{tlsPair + " --tls-cert other.pem", "--tls-cert is given 2 times, and --tls-key 1 times"},
		{tlsPair + " --tls-cert missing.pem --tls-key missing.key", "certificate missing.pem with key missing.key: open missing.pem"},
		{tlsPair + " --tls-client-ca " + users, "--tls-client-ca needs --auth-certificate-user"},
		{tlsPair + " --auth-certificate-user cn", "--auth-certificate-user needs --tls-client-ca"},
		{tlsPair + " --auth-certificate-user cn --tls-client-ca missing", "--tls-client-ca: open missing"},
		{tlsPair + " --auth-certificate-user cn --tls-client-ca " + users, "no certificate in PEM"},
		{"--imaps= --pop3s= --auth-certificate-user cn --tls-client-ca " + users, "--tls-client-ca needs --tls-cert and --tls-key"},
		{tlsPair + " --proxy-listeners imap", "--proxy-listeners needs --proxy-from"},
		{tlsPair + " --proxy-from 127.0.0.1 --proxy-listeners imap,smtp", `--proxy-listeners "smtp": not imap, imaps, pop3 or pop3s`},
		{tlsPair + " --proxy-from 192.0.2.1/24", "the network is 192.0.2.0/24"},
	} {
		code, _, stderr := runIn(t, "", append([]string{"serve", "--store", "memory:", "--users", users}, strings.Fields(test.args)...)...)
		last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
		if code == 0 || !strings.HasPrefix(last, "mailaccess: ") || !strings.Contains(last, test.want) {
			t.Errorf("%s: %d, %s", test.args, code, stderr)
		}
	}
}

// Behind a proxy, clients are where it says, on the listeners that are behind it.
func TestServeBehindProxy(t *testing.T) {
	dir := t.TempDir()
	users, cert, key := filepath.Join(dir, "users"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	addUser(t, users, "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	p := start(t, true, "serve", "--store", "memory:", "--users", users, "--tls-cert", cert, "--tls-key", key,
		"--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0",
		"--proxy-from", "127.0.0.1,2001:db8::/32", "--proxy-listeners", "imap,pop3s")
	at := addresses{imap: p.served("imap"), imaps: p.served("imaps"), pop3: p.served("pop3"), pop3s: p.served("pop3s")}
	config := trust(t, cert)
	for _, from := range []string{"192.0.2.7", "127.0.0.1"} {
		c := dial(t, at.imap, nil)
		c.send("PROXY TCP4 " + from + " 192.0.2.1 40000 143")
		c.expect(`\* OK .* STARTTLS LOGINDISABLED`) // a claim to be on this machine opens nothing
		c.do("a starttls", `a OK`)
		c.upgrade(config)
		c.do("b login alice wrong", `b NO`)
		p.line(`"login refused".*"remote":"` + from + `:40000"`)
		c.do("c login alice sesame", `c OK`)
	}
	pop := dial(t, at.pop3s, nil)
	pop.send("PROXY TCP6 2001:db8::7 2001:db8::1 40000 995")
	pop.upgrade(config)
	pop.expect(`\+OK`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS wrong", `-ERR`)
	p.line(`"login refused".*"remote":"\[2001:db8::7\]:40000"`)
	// The other listeners know of no proxy.
	dial(t, at.imaps, config).expect(`\* OK`)
	dial(t, at.pop3, nil).expect(`\+OK`)
	dial(t, at.imap, nil).send("a capability") // which is no header
	p.line(`"reason":"protocols: no PROXY header"`)
}

// Clients log in by certificates of the authority, and those without one by password.
func TestServeClientCertificates(t *testing.T) {
	dir := t.TempDir()
	users, cert, key, ca := filepath.Join(dir, "users"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	addUser(t, users, "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), EmailAddresses: []string{"alice@example.org"},
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, true, "serve", "--store", "memory:", "--users", users, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca,
		"--auth-certificate-user", "email", "--imap", "", "--imaps", "127.0.0.1:0", "--pop3", "", "--pop3s", "")
	addr := p.served("imaps")
	without := trust(t, cert)
	c := dial(t, addr, without)
	if line := c.expect(`\* OK.*`)[0]; strings.Contains(line, "EXTERNAL") {
		t.Errorf("without a certificate: %s", line)
	}
	c.do("a login alice sesame", `a OK`)
	with := trust(t, cert)
	with.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}
	c = dial(t, addr, with)
	c.expect(`\* OK .*AUTH=EXTERNAL`)
	c.do("a authenticate external =", `a OK`)
	c.do("b logout", `b OK`)
	p.line(`"connection end".*"user":"alice@example.org"`)
}
