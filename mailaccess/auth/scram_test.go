package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xdg-go/scram"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
)

// scramUsers knows one user by SCRAM keys, and everybody by any password.
type scramUsers struct {
	recorder
	name    string
	keys    map[crypto.Hash]ScramKeys
	decided []bool
}

func (u *scramUsers) Abilities() Abilities {
	return Abilities{
		ScramHashes: []crypto.Hash{crypto.SHA1, crypto.SHA256},
		Scram: func(_ context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error) {
			u.logins = append(u.logins, l)
			if u.err != nil {
				return nil, u.err
			}
			user := FakeScramUser([]byte("secret"), hash, l.Username, 0, 0)
			fake := user.Decide
			if l.Username == u.name {
				user.ScramKeys = u.keys[hash]
			}
			user.Decide = func(ctx context.Context, proved bool) (mailaccess.Identity, error) {
				u.decided = append(u.decided, proved)
				if !proved || l.Username != u.name {
					return fake(ctx, proved)
				}
				return mailaccess.Identity{User: l.Username, Account: "account"}, nil
			}
			return user, nil
		},
	}
}

func scramUser(t testing.TB, name, password, salt string) *scramUsers {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil {
		t.Fatal(err)
	}
	u := &scramUsers{name: name, keys: map[crypto.Hash]ScramKeys{}}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		if u.keys[hash], err = NewScramKeys(hash, password, raw, 4096); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// RFC 5802, section 5, and RFC 7677, section 3: the examples, octet for octet.
func TestScramVectors(t *testing.T) {
	for _, tt := range []struct{ mech, nonce, salt, first, challenge, final, outcome string }{
		{
			"SCRAM-SHA-1", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		{
			"SCRAM-SHA-256", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		u := scramUser(t, "user", "pencil", tt.salt)
		s := newServer(t, tt.mech, u)
		s.x.nonce = func() string { return tt.nonce }
		for _, step := range []struct {
			response, challenge string
			done                bool
		}{{tt.first, tt.challenge, false}, {tt.final, tt.outcome, false}, {"", "", true}} {
			if _, ok := s.Identity(); ok {
				t.Errorf("%s: an identity before the end", tt.mech)
			}
			challenge, done, err := s.Next([]byte(step.response))
			if err != nil || done != step.done || string(challenge) != step.challenge {
				t.Fatalf("%s: %s is answered with %s, %v, %v", tt.mech, step.response, challenge, done, err)
			}
		}
		if id, ok := s.Identity(); !ok || id.User != "user" || !slices.Equal(u.decided, []bool{true}) {
			t.Errorf("%s: %v, %v, decided %v", tt.mech, id, ok, u.decided)
		}
	}
}

// converse runs an exchange of the library's client with a server.
func converse(c *scram.ClientConversation, s *Server) error {
	response, err := c.Step("")
	for err == nil {
		var challenge []byte
		var done bool
		challenge, done, err = s.Next([]byte(response))
		if done || err != nil {
			return err
		}
		response, err = c.Step(string(challenge))
	}
	return err
}

// clientOf returns a client that neither binds nor thinks of it.
func clientOf(t testing.TB, hash scram.HashGeneratorFcn, name, password, authzid string) *scram.Client {
	t.Helper()
	c, err := hash.NewClient(name, password, authzid)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestScram(t *testing.T) {
	const salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
	for what, tt := range map[string]struct {
		name, password, authzid string
		want                    error
	}{
		"right":         {"a,b=c", "pencil", "", nil},
		"self":          {"a,b=c", "pencil", "A,b=c", nil},
		"wrong":         {"a,b=c", "pencils", "", mailaccess.KindAuthFailed},
		"unknown":       {"nobody", "pencil", "", mailaccess.KindAuthFailed},
		"authzid":       {"a,b=c", "pencil", "x=y", nil}, // the recorder permits it
		"name of names": {strings.Repeat("n", maxLoginName+1), "pencil", "", ErrMalformed},
	} {
		u := scramUser(t, "a,b=c", "pencil", salt)
		s := newServer(t, "scram-sha-256", u)
		err := converse(clientOf(t, scram.SHA256, tt.name, tt.password, tt.authzid).NewConversation(), s)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", what, err)
		}
		if _, ok := s.Identity(); ok != (tt.want == nil) {
			t.Errorf("%s: identity %v", what, ok)
		}
		if tt.want == ErrMalformed {
			continue
		}
		want := mailaccess.Login{Username: tt.name, Protocol: private.Protocol, Remote: private.Remote, Private: true}
		if tt.authzid == "x=y" {
			want.Authzid = tt.authzid
		}
		if diff := cmp.Diff([]mailaccess.Login{want}, u.logins); diff != "" || !slices.Equal(u.decided, []bool{tt.want == nil}) {
			t.Errorf("%s: decided %v, login (-want +got):\n%s", what, u.decided, diff)
		}
	}
	// What the authenticator says of a lookup comes out as it is.
	down := &mailaccess.Error{Kind: mailaccess.KindUnavailable}
	u := scramUser(t, "a", "pencil", salt)
	u.err = down
	if _, _, err := newServer(t, "SCRAM-SHA-1", u).Next([]byte("n,,n=a,r=x")); err != error(down) {
		t.Errorf("lookup: %v", err)
	}
	for _, first := range []string{
		"", "n,,", "n,,n=a", "n,,m=x,n=a,r=x", "x,,n=a,r=x", "p=tls-exporter,,n=a,r=x", "p=tls-unique,,n=a,r=x",
		"n,,n=a=,r=x", "n,a=,,n=a,r=x", "n,b=c,n=a,r=x", "n,,n=\xff,r=x", "n,,n=,r=x", "n,,n=a\x00,r=x",
	} {
		u := scramUser(t, "a", "pencil", salt)
		if _, done, err := newServer(t, "SCRAM-SHA-1", u).Next([]byte(first)); !done || !errors.Is(err, ErrMalformed) || len(u.logins) != 0 {
			t.Errorf("%q: %v, %v, %d lookups", first, done, err, len(u.logins))
		}
	}
	for _, final := range []string{"", "c=biws", "c=biws,r=y,p=AAAA", "c=!,r=x,p=AAAA", "c=biws,r=x"} {
		u := scramUser(t, "a", "pencil", salt)
		s := newServer(t, "SCRAM-SHA-1", u)
		if _, _, err := s.Next([]byte("n,,n=a,r=x")); err != nil {
			t.Fatal(err)
		}
		if _, done, err := s.Next([]byte(final)); !done || !errors.Is(err, ErrMalformed) || len(u.decided) != 0 {
			t.Errorf("%q: %v, %v, decided %v", final, done, err, u.decided)
		}
	}
}

// TestFakeScramUser: names that are unknown look alike, each always the same.
func TestFakeScramUser(t *testing.T) {
	a := FakeScramUser([]byte("s"), crypto.SHA256, "Alice", 5000, 12)
	if again := FakeScramUser([]byte("s"), crypto.SHA256, "alice", 5000, 12); !bytes.Equal(a.Salt, again.Salt) {
		t.Error("two spellings of one name get two salts")
	}
	if len(a.Salt) != 12 || a.Iterations != 5000 || len(a.StoredKey) != 32 {
		t.Errorf("%+v", a.ScramKeys)
	}
	for what, other := range map[string]*ScramUser{
		"name":   FakeScramUser([]byte("s"), crypto.SHA256, "bob", 5000, 12),
		"secret": FakeScramUser([]byte("t"), crypto.SHA256, "alice", 5000, 12),
		"hash":   FakeScramUser([]byte("s"), crypto.SHA1, "alice", 5000, 12),
	} {
		if bytes.Equal(a.Salt, other.Salt) {
			t.Errorf("another %s, and the same salt", what)
		}
	}
	for _, proved := range []bool{true, false} {
		if _, err := a.Decide(t.Context(), proved); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("proved %v: %v", proved, err)
		}
	}
}

// tlsChannel returns both ends' view of one TLS connection, and the certificates
// of server and client.
func tlsChannel(t testing.TB, version uint16) (server, client *tls.ConnectionState, own, theirs *x509.Certificate) {
	t.Helper()
	cert := func(email string) (tls.Certificate, *x509.Certificate) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, EmailAddresses: []string{email},
			Subject: pkix.Name{CommonName: "Somebody"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
	}
	serverCert, own := cert("root@example.org")
	clientCert, theirs := cert("alice@example.org")
	roots, clients := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(own)
	clients.AddCert(theirs)
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	s := tls.Server(a, &tls.Config{
		Certificates: []tls.Certificate{serverCert}, MinVersion: version, MaxVersion: version,
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients, SessionTicketsDisabled: true,
	})
	c := tls.Client(b, &tls.Config{RootCAs: roots, ServerName: "localhost", MaxVersion: version, Certificates: []tls.Certificate{clientCert}})
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	ss, cs := s.ConnectionState(), c.ConnectionState()
	return &ss, &cs, own, theirs
}

// RFC 5802, section 6; RFC 9266; RFC 5929, section 4.
func TestScramPlus(t *testing.T) {
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		server, client, own, _ := tlsChannel(t, version)
		other, otherClient, _, _ := tlsChannel(t, version)
		opts := &ServerOptions{TLS: server, Certificate: own}
		u := scramUser(t, "user", "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==")
		if got, want := Mechanisms(u, private, opts), []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN", "LOGIN"}; !slices.Equal(got, want) {
			t.Errorf("TLS %s: offered %v", name, got)
		}
		exporter, err := scram.NewTLSExporterBinding(client)
		if err != nil {
			t.Fatal(err)
		}
		endpoint, err := scram.NewTLSServerEndpointBinding(client)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := scram.NewTLSExporterBinding(otherClient)
		if err != nil {
			t.Fatal(err)
		}
		c := clientOf(t, scram.SHA256, "user", "pencil", "")
		// crypto/tls shows both ends of TLS 1.2 the same first Finished message.
		unique, wantUnique := scram.NewTLSUniqueBinding(client.TLSUnique), error(nil)
		if version == tls.VersionTLS13 {
			unique, wantUnique = scram.NewTLSUniqueBinding([]byte("anything")), errBindingType
		}
		for what, tt := range map[string]struct {
			mech string
			opts *ServerOptions
			conv *scram.ClientConversation
			want error
		}{
			"exporter":          {"SCRAM-SHA-256-PLUS", opts, c.NewConversationWithChannelBinding(exporter), nil},
			"endpoint":          {"SCRAM-SHA-256-PLUS", opts, c.NewConversationWithChannelBinding(endpoint), nil},
			"unique":            {"SCRAM-SHA-256-PLUS", opts, c.NewConversationWithChannelBinding(unique), wantUnique},
			"not bound":         {"SCRAM-SHA-256", opts, c.NewConversation(), nil},
			"man in the middle": {"SCRAM-SHA-256-PLUS", opts, c.NewConversationWithChannelBinding(elsewhere), mailaccess.KindAuthFailed},
			"another server":    {"SCRAM-SHA-256-PLUS", &ServerOptions{TLS: other}, c.NewConversationWithChannelBinding(exporter), mailaccess.KindAuthFailed},
			"not offered":       {"SCRAM-SHA-256-PLUS", &ServerOptions{TLS: server}, c.NewConversationWithChannelBinding(endpoint), errBindingType},
			"downgraded":        {"SCRAM-SHA-256", opts, c.NewConversationAdvertisingChannelBinding(), errDowngrade},
			"truly not there":   {"SCRAM-SHA-256", nil, c.NewConversationAdvertisingChannelBinding(), nil},
			"PLUS without":      {"SCRAM-SHA-256-PLUS", opts, c.NewConversation(), ErrMalformed},
			"without and PLUS":  {"SCRAM-SHA-256", opts, c.NewConversationWithChannelBinding(exporter), ErrMalformed},
		} {
			core, logs := observer.New(zapcore.InfoLevel)
			s, err := NewServer(t.Context(), tt.mech, Logged(u, zap.New(core)), private, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if err := converse(tt.conv, s); !errors.Is(err, tt.want) {
				t.Errorf("TLS %s, %s: %v, want %v", name, what, err, tt.want)
			}
			if _, ok := s.Identity(); ok != (tt.want == nil) {
				t.Errorf("TLS %s, %s: identity %v", name, what, ok)
			}
			// Each is told of as a failed login of the user, whatever it failed by.
			told := logs.FilterMessage("login refused").FilterField(zap.String("credentials", "scram")).Len()
			if fails := tt.want != nil && tt.want != ErrMalformed; fails != (told == 1) || told > 1 {
				t.Errorf("TLS %s, %s: %d lines of a refusal", name, what, told)
			}
		}
	}
}

func TestScramHash(t *testing.T) {
	keys, err := NewScramKeys(crypto.SHA256, "pencil", []byte("0123456789abcdef"), 4096)
	if err != nil {
		t.Fatal(err)
	}
	text := scramHash{keys, crypto.SHA256}.String()
	h, err := parseScramHash(crypto.SHA256, text)
	if err != nil || !h.matches("pencil") || h.matches("pencils") || h.String() != text {
		t.Errorf("%s: %v", text, err)
	}
	// SASLprep makes one of the two spellings.
	if soft, _ := NewScramKeys(crypto.SHA256, "pen\u00adcil", keys.Salt, 4096); !bytes.Equal(soft.StoredKey, keys.StoredKey) {
		t.Error("the password is not prepared")
	}
	if _, err := NewScramKeys(crypto.SHA256, "\xff\u0007", keys.Salt, 4096); err != nil {
		t.Errorf("a password that cannot be prepared: %v", err)
	}
	for _, bad := range []string{
		"", "4096", strings.Replace(text, "4096", "4095", 1), strings.Replace(text, "4096", "99999999", 1), strings.Replace(text, "4096", "-1", 1),
		text + ",", text + "A", strings.Replace(text, "=", "", 1), "4096,,AAAA,AAAA", text + "\n",
	} {
		if _, err := parseScramHash(crypto.SHA256, bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := parseScramHash(crypto.SHA1, text); err == nil {
		t.Error("keys of SHA-256 count for SHA-1")
	}
}
