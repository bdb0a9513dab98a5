package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A rawScram is the client's side of SCRAM written from RFC 5802, section 3, and from
// nothing else, for clients that do not keep to it.
type rawScram struct {
	hash             crypto.Hash
	password         string
	header, binding  string // the GS2 header that is sent, and what follows it in c=
	bound            string // the header that c= holds; empty: the one that is sent
	bare, extensions string // the rest of the first message; what follows the nonce in the last
}

func (c *rawScram) mac(key []byte, s string) []byte {
	m := hmac.New(c.hash.New, key)
	m.Write([]byte(s))
	return m.Sum(nil)
}

func (c *rawScram) first() string { return c.header + c.bare }

// final answers the server's first message.
func (c *rawScram) final(t testing.TB, challenge string) string {
	t.Helper()
	nonce, salt, iterations := splitChallenge(t, challenge)
	salted, err := pbkdf2.Key(c.hash.New, c.password, salt, iterations, c.hash.Size())
	if err != nil {
		t.Fatal(err)
	}
	key := c.mac(salted, "Client Key")
	stored := c.hash.New()
	stored.Write(key)
	header := c.header
	if c.bound != "" {
		header = c.bound
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(header+c.binding)) + ",r=" + nonce + c.extensions
	proof := make([]byte, len(key))
	subtle.XORBytes(proof, key, c.mac(stored.Sum(nil), c.bare+","+challenge+","+without))
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof)
}

func splitChallenge(t testing.TB, challenge string) (nonce string, salt []byte, iterations int) {
	t.Helper()
	m := regexp.MustCompile(`^r=([^,]+),s=([^,]+),i=4096$`).FindStringSubmatch(challenge)
	if m == nil {
		t.Fatalf("the server's first message is %q", challenge)
	}
	salt, err := base64.StdEncoding.DecodeString(m[2])
	if err != nil {
		t.Fatal(err)
	}
	return m[1], salt, 4096
}

// TestScramForged: proofs that are right for messages that are not.
func TestScramForged(t *testing.T) {
	u := scramUser(t, "user", "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==")
	for what, tt := range map[string]struct {
		c    rawScram
		edit func(final string) string
		want error
	}{
		"as it should be":     {rawScram{header: "n,,", bare: "n=user,r=abc"}, nil, nil},
		"authzid":             {rawScram{header: "n,a=user,", bare: "n=user,r=abc"}, nil, nil},
		"extensions":          {rawScram{header: "n,,", bare: "n=user,r=abc,x=1,y=2", extensions: ",z=3"}, nil, nil},
		"no binding and y":    {rawScram{header: "y,,", bare: "n=user,r=abc"}, nil, nil},
		"another flag in c=":  {rawScram{header: "n,,", bound: "y,,", bare: "n=user,r=abc"}, nil, mailaccess.KindAuthFailed},
		"no authzid in c=":    {rawScram{header: "n,a=user,", bound: "n,,", bare: "n=user,r=abc"}, nil, mailaccess.KindAuthFailed},
		"an authzid in c=":    {rawScram{header: "n,,", bound: "n,a=bob,", bare: "n=user,r=abc"}, nil, mailaccess.KindAuthFailed},
		"binding after all":   {rawScram{header: "n,,", binding: "octets", bare: "n=user,r=abc"}, nil, mailaccess.KindAuthFailed},
		"wrong password":      {rawScram{header: "n,,", bare: "n=user,r=abc", password: "pencils"}, nil, mailaccess.KindAuthFailed},
		"no nonce":            {rawScram{header: "n,,", bare: "n=user,r="}, nil, ErrMalformed},
		"a control in it":     {rawScram{header: "n,,", bare: "n=user,r=a\x07c"}, nil, ErrMalformed},
		"a space in it":       {rawScram{header: "n,,", bare: "n=user,r=a c"}, nil, ErrMalformed},
		"a letter beyond it":  {rawScram{header: "n,,", bare: "n=user,r=aé"}, nil, ErrMalformed},
		"mandatory extension": {rawScram{header: "n,,", bare: "m=1,n=user,r=abc"}, nil, ErrMalformed},
		"another first":       {rawScram{header: "n,,", bare: "r=abc,n=user"}, nil, ErrMalformed},
		"a shorter nonce": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string {
			return regexp.MustCompile(`.,p=`).ReplaceAllString(s, ",p=")
		}, ErrMalformed},
		"the client's nonce": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string {
			return regexp.MustCompile(`r=.*,p=`).ReplaceAllString(s, "r=abc,p=")
		}, ErrMalformed},
		"added after the proof was made": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string {
			return strings.Replace(s, ",p=", ",x=1,p=", 1)
		}, mailaccess.KindAuthFailed},
		"a longer proof": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string {
			return strings.Replace(s, "=", "A=", 1)
		}, ErrMalformed},
		"no proof": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string {
			s, _, _ = strings.Cut(s, ",p=")
			return s
		}, ErrMalformed},
		"something after it": {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(s string) string { return s + ",x=1" }, ErrMalformed},
		"a server's error":   {rawScram{header: "n,,", bare: "n=user,r=abc"}, func(string) string { return "e=other-error" }, ErrMalformed},
	} {
		tt.c.hash = crypto.SHA256
		if tt.c.password == "" {
			tt.c.password = "pencil"
		}
		s := newServer(t, "SCRAM-SHA-256", u)
		challenge, _, err := s.Next([]byte(tt.c.first()))
		if err == nil {
			final := tt.c.final(t, string(challenge))
			if tt.edit != nil {
				final = tt.edit(final)
			}
			if _, _, err = s.Next([]byte(final)); err == nil {
				_, _, err = s.Next([]byte{})
			}
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", what, err, tt.want)
		}
		if _, ok := s.Identity(); ok != (tt.want == nil) {
			t.Errorf("%s: identity %v", what, ok)
		}
	}
}

// A vault verifies all sorts of credentials. It counts how often it is asked.
type vault struct {
	keys  map[crypto.Hash]ScramKeys
	asked int
}

// Whom the vault knows. Each may act as the shared account.
const (
	vaultUser, vaultPassword = "user", "pencil" // the one of the vectors of SCRAM
	vaultDigest, vaultSecret = "tim", "tanstaaftanstaaf"
	vaultBearer, vaultToken  = "bea", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
	vaultHolder              = "alice@example.org" // of the client's certificate
	vaultShared              = "shared"
)

func (v *vault) is(user string, right bool) (mailaccess.Identity, error) {
	v.asked++
	if !right {
		return mailaccess.Identity{}, errAuthFailed()
	}
	return mailaccess.Identity{User: user, Account: user}, nil
}

func (v *vault) Authenticate(_ context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return v.is(vaultUser, canonicalUser(l.Username) == vaultUser && l.Password == vaultPassword)
}

func (v *vault) Abilities() Abilities {
	return Abilities{
		ScramHashes: []crypto.Hash{crypto.SHA1, crypto.SHA256},
		Scram: func(_ context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error) {
			known := canonicalUser(l.Username) == vaultUser
			user := FakeScramUser([]byte("secret"), hash, l.Username, 0, 0)
			if known {
				user.ScramKeys = v.keys[hash]
			}
			user.Decide = func(_ context.Context, proved bool) (mailaccess.Identity, error) {
				return v.is(vaultUser, proved && known)
			}
			return user, nil
		},
		Bearer: func(_ context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			return v.is(vaultBearer, token == vaultToken)
		},
		Certificate: func(_ context.Context, l mailaccess.Login, chain []*x509.Certificate) (mailaccess.Identity, error) {
			return v.is(vaultHolder, len(chain) == 1 && chain[0].EmailAddresses[0] == vaultHolder)
		},
		Digest: func(_ context.Context, l mailaccess.Login, match func(string) bool) (mailaccess.Identity, error) {
			return v.is(vaultDigest, match(vaultSecret) && canonicalUser(l.Username) == vaultDigest)
		},
	}
}

// A saslRig is a vault with all that stands before an authenticator in a server, and the
// channels over which it can be asked.
type saslRig struct {
	vault    *vault
	all      mailaccess.Authenticator
	log      bytes.Buffer
	channels []saslChannel
}

type saslChannel struct {
	base mailaccess.Login
	opts *ServerOptions
	peer *tls.ConnectionState // the client's view
}

func newSASLRig(t testing.TB) *saslRig {
	r := &saslRig{vault: &vault{keys: make(map[crypto.Hash]ScramKeys)}}
	for hash, salt := range map[crypto.Hash]string{crypto.SHA1: "QSXCR+Q6sek8bf92", crypto.SHA256: "W22ZaJ0SNY7soEsUEjb6gQ=="} {
		r.vault.keys[hash] = scramUser(t, vaultUser, vaultPassword, salt).keys[hash]
	}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&r.log), zap.DebugLevel))
	masters := Masters(Cache(r.vault, nil), func(_ context.Context, _, account string) (bool, error) { return account == vaultShared, nil }, nil)
	r.all = Logged(Guard(masters, &GuardOptions{Free: math.MaxInt, BanAfter: -1, Logger: log}), log)
	local := mailaccess.Login{Protocol: "imap", Remote: "127.0.0.1:1", Private: true}
	open := local
	open.Private = false
	r.channels = []saslChannel{{base: local}, {base: open, opts: &ServerOptions{}}, {base: open, opts: &ServerOptions{AllowPlaintext: true}}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server, client, own, _ := tlsChannel(t, version)
		r.channels = append(r.channels, saslChannel{local, &ServerOptions{TLS: server, Certificate: own}, client})
	}
	return r
}

// nonce is the server's part, as in the vectors.
func (r *saslRig) nonce(mechanism string) string {
	switch strings.TrimSuffix(strings.ToUpper(mechanism), "-PLUS") {
	case "SCRAM-SHA-1":
		return "3rfcNHYJY1ZVvWVs7j"
	case "SCRAM-SHA-256":
		return "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	}
	return cramChallenge
}

// A saslTranscript is what one client says, response by response with line feeds between
// them, over one of the channels.
type saslTranscript struct {
	mechanism string
	said      string
	initial   bool // whether the first goes with the command
	channel   uint8
}

// seeds are exchanges that succeed: the examples of the RFCs, and with channel binding.
func (r *saslRig) seeds(t testing.TB) []saslTranscript {
	bearer := "\x01host=server.example.com\x01port=143\x01auth=Bearer " + vaultToken + "\x01\x01"
	all := []saslTranscript{
		{"PLAIN", "\x00user\x00pencil", true, 0},
		{"PLAIN", "shared\x00user\x00pencil", false, 3},
		{"LOGIN", "user\npencil", false, 2},
		{"LOGIN", "User\npencil", true, 4},
		{"SCRAM-SHA-1", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL\nc=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=\n", true, 1},
		{"SCRAM-SHA-256", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO\nc=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=\n", false, 0},
		{"OAUTHBEARER", "n,a=bea," + bearer, true, 0},
		{"OAUTHBEARER", "y,a=shared," + bearer, false, 3},
		{"XOAUTH2", "user=bea\x01auth=bearer " + vaultToken + "\x01\x01", true, 2},
		{"CRAM-MD5", cramResponse, false, 1},
		{"EXTERNAL", "", true, 3},
		{"EXTERNAL", vaultShared, false, 4},
	}
	for i, c := range r.channels {
		if c.peer == nil {
			continue
		}
		bindings := map[string]func() (scram.ChannelBinding, error){
			"tls-exporter":         func() (scram.ChannelBinding, error) { return scram.NewTLSExporterBinding(c.peer) },
			"tls-server-end-point": func() (scram.ChannelBinding, error) { return scram.NewTLSServerEndpointBinding(c.peer) },
		}
		for kind, bind := range bindings {
			b, err := bind()
			if err != nil {
				t.Fatal(err)
			}
			for name, hash := range map[string]crypto.Hash{"SCRAM-SHA-1-PLUS": crypto.SHA1, "SCRAM-SHA-256-PLUS": crypto.SHA256} {
				raw := rawScram{hash: hash, password: vaultPassword, header: "p=" + kind + ",a=shared,", binding: string(b.Data), bare: "n=user,r=abc"}
				challenge := "r=abc" + r.nonce(name) + ",s=" + base64.StdEncoding.EncodeToString(r.vault.keys[hash].Salt) + ",i=4096"
				all = append(all, saslTranscript{name, raw.first() + "\n" + raw.final(t, challenge) + "\n", true, uint8(i)})
			}
		}
	}
	return all
}

// run lets a client talk, and holds what comes of it against what it could prove.
func (r *saslRig) run(t *testing.T, x saslTranscript) (in bool) {
	t.Helper()
	r.log.Reset()
	r.vault.asked = 0
	channel := r.channels[int(x.channel)%len(r.channels)]
	s, err := NewServer(t.Context(), x.mechanism, r.all, channel.base, channel.opts)
	if err != nil {
		if !errors.Is(err, ErrMechanism) && !errors.Is(err, ErrPrivacyRequired) {
			t.Fatalf("%q cannot begin: %v", x.mechanism, err)
		}
		return false
	}
	s.x.nonce = func() string { return r.nonce(x.mechanism) }
	said := strings.Split(x.said, "\n")
	responses := [][]byte{}
	if !x.initial {
		responses = append(responses, nil)
	}
	for _, s := range said[:min(len(said), 6)] {
		responses = append(responses, []byte(s))
	}
	over := false
	for i, response := range responses {
		challenge, done, err := s.Next(response)
		if over {
			if !done || err != ErrMalformed || challenge != nil {
				t.Fatalf("after the end: %q, %v, %v", challenge, done, err)
			}
			continue
		}
		id, ok := s.Identity()
		switch kind := mailaccess.KindOf(err); {
		case err != nil && (!done || challenge != nil || ok):
			t.Fatalf("an error beside something else: %q, %v, %v, identity %v", challenge, done, err, ok)
		case err != nil && err != ErrMalformed && kind != mailaccess.KindAuthFailed && kind != mailaccess.KindForbidden:
			t.Fatalf("an error that is none of ours: %v", err)
		case err != nil && (strings.Contains(err.Error(), vaultPassword) || strings.Contains(err.Error(), vaultToken)):
			t.Fatalf("a secret is in %v", err)
		case done && err == nil && !ok, ok && !done:
			t.Fatalf("done %v, identity %v", done, ok)
		case ok:
			in = true
			user, authzid := r.proved(s, said, channel)
			account := user
			if authzid != "" && authzid != user {
				account = vaultShared
			}
			if user == "" || id.User != user || id.Account != account || authzid != "" && authzid != user && authzid != vaultShared {
				t.Fatalf("%+v got in, who is %q and may act as %q", id, user, account)
			}
		case !done && i >= 3:
			t.Fatalf("after %d responses it is not over", i+1)
		case len(challenge) > 2*maxScram:
			t.Fatalf("a challenge of %d octets", len(challenge))
		}
		over = done
	}
	if r.vault.asked > 1 {
		t.Fatalf("one exchange asks %d times", r.vault.asked)
	}
	for _, secret := range []string{vaultPassword, vaultSecret, vaultToken} {
		if strings.Contains(r.log.String(), secret) {
			t.Fatalf("a secret is in the log: %s", &r.log)
		}
	}
	return in
}

// proved returns whose secret the responses of an exchange hold, read without the code that
// is tested, and as whom they ask to act; nobody where there is none.
func (r *saslRig) proved(s *Server, said []string, channel saslChannel) (user, authzid string) {
	is := func(name string, pattern string, groups ...*string) bool {
		m := regexp.MustCompile(`(?s)^(?:` + pattern + `)$`).FindStringSubmatch(name)
		for i, g := range groups {
			if m != nil {
				*g = m[1+i]
			}
		}
		return m != nil
	}
	if s.mechanism.plaintext && !channel.base.Private && !channel.opts.AllowPlaintext {
		return "", ""
	}
	unescape := strings.NewReplacer("=2C", ",", "=3D", "=")
	var name, secret string
	token := "(?:[^\x01]*\x01)*auth=(?i:bearer) +" + regexp.QuoteMeta(vaultToken) + "\x01(?:[^\x01]+\x01)*\x01"
	switch s.Name() {
	case "PLAIN":
		if is(said[0], `([^\x00]*)\x00([^\x00]*)\x00([^\x00]*)`, &authzid, &name, &secret) && canonicalUser(name) == vaultUser && secret == vaultPassword {
			user = vaultUser
		}
	case "LOGIN":
		if len(said) > 1 && canonicalUser(said[0]) == vaultUser && said[1] == vaultPassword {
			user = vaultUser
		}
	case "OAUTHBEARER":
		if is(said[0], "[ny],(?:a=([^,]*))?,\x01"+token, &authzid) {
			user, authzid = vaultBearer, unescape.Replace(authzid)
		}
	case "XOAUTH2":
		if is(said[0], "user=([^\x01]*)\x01"+token, &authzid) {
			user = vaultBearer
		}
	case "CRAM-MD5":
		var digest string
		m := hmac.New(md5.New, []byte(vaultSecret))
		m.Write([]byte(cramChallenge))
		if is(said[0], `(.*) ([0-9a-fA-F]{32})`, &name, &digest) && canonicalUser(name) == vaultDigest && strings.ToLower(digest) == hex.EncodeToString(m.Sum(nil)) {
			user = vaultDigest
		}
	case "EXTERNAL":
		if channel.peer != nil {
			user, authzid = vaultHolder, said[0]
		}
	default:
		user, authzid = r.provedScram(s.Name(), said, channel, is)
	}
	return user, canonicalUser(authzid)
}

// provedScram is RFC 5802, section 3, from the server's side: the proof has to be the
// password's, over these messages and this channel.
func (r *saslRig) provedScram(mechanism string, said []string, channel saslChannel, is func(string, string, ...*string) bool) (user, authzid string) {
	var header, flag, bare, name, nonce, without, bound, proof string
	plus := strings.HasSuffix(mechanism, "-PLUS")
	if len(said) < 3 || said[2] != "" ||
		!is(said[0], `((n|y|p=[^,]*),(?:a=([^,]*))?,)(n=([^,]+),r=([^,]+).*)`, &header, &flag, &authzid, &bare, &name, &nonce) ||
		!is(said[1], `(c=([^,]*),r=([^,]*).*),p=([^,]*)`, &without, &bound, &nonce, &proof) ||
		strings.HasPrefix(flag, "p=") != plus || flag == "y" && channel.peer != nil || canonicalUser(name) != vaultUser {
		return "", ""
	}
	hash := crypto.SHA256
	if strings.HasPrefix(mechanism, "SCRAM-SHA-1") {
		hash = crypto.SHA1
	}
	keys := r.vault.keys[hash]
	challenge := "r=" + nonce + ",s=" + base64.StdEncoding.EncodeToString(keys.Salt) + ",i=4096"
	if !strings.HasSuffix(nonce, r.nonce(mechanism)) {
		return "", ""
	}
	// One of the bindings that the client can see has to be in c=.
	binds := [][]byte{nil}
	if plus {
		binds = nil
		if b, err := scram.NewTLSExporterBinding(channel.peer); err == nil && flag == "p=tls-exporter" {
			binds = append(binds, b.Data)
		}
		if b, err := scram.NewTLSServerEndpointBinding(channel.peer); err == nil && flag == "p=tls-server-end-point" {
			binds = append(binds, b.Data)
		}
		if len(channel.peer.TLSUnique) > 0 && flag == "p=tls-unique" {
			binds = append(binds, channel.peer.TLSUnique)
		}
	}
	raw := rawScram{hash: hash}
	got, err := base64.StdEncoding.DecodeString(proof)
	key := make([]byte, hash.Size())
	if err != nil || len(got) != len(key) {
		return "", ""
	}
	subtle.XORBytes(key, got, raw.mac(keys.StoredKey, bare+","+challenge+","+without))
	stored := hash.New()
	stored.Write(key)
	for _, b := range binds {
		c, err := base64.StdEncoding.DecodeString(bound)
		if err == nil && string(c) == header+string(b) && bytes.Equal(stored.Sum(nil), keys.StoredKey) {
			return vaultUser, strings.NewReplacer("=2C", ",", "=3D", "=").Replace(authzid)
		}
	}
	return "", ""
}

// TestSASLSeeds: where the fuzzing begins everybody gets in, and nobody does with any one
// octet of it changed to another that is not the same to the mechanism.
func TestSASLSeeds(t *testing.T) {
	r := newSASLRig(t)
	for _, x := range r.seeds(t) {
		if !r.run(t, x) {
			t.Errorf("%+v does not get in", x)
		}
		for i := range x.said {
			for _, bit := range []byte{1, 0x20, 0x80} {
				y := x
				y.said = x.said[:i] + string([]byte{x.said[i] ^ bit}) + x.said[i+1:]
				r.run(t, y)
			}
		}
	}
}

// FuzzSASL: whatever a client says, with whatever mechanism, it gets in only by the right
// secret, as whom that secret is, and never panics the server, has it ask twice, or keeps it
// talking.
func FuzzSASL(f *testing.F) {
	r := newSASLRig(f)
	for _, x := range r.seeds(f) {
		f.Add(x.mechanism, x.said, x.initial, x.channel)
		f.Add(strings.ToLower(x.mechanism), x.said+"\nx", !x.initial, x.channel+1)
	}
	f.Fuzz(func(t *testing.T, mechanism, said string, initial bool, channel uint8) {
		r.run(t, saslTranscript{mechanism, said, initial, channel})
	})
}
