package auth

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xdg-go/scram"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
)

// TestUsersFileExtras: what extra fields permit and forbid, in a Dovecot
// passwd-file and in the short form.
func TestUsersFileExtras(t *testing.T) {
	f := openUsersFile(t, usersFile(t,
		"alice:"+hashed(t, "own")+":1000:1000::/home/alice::userdb_quota=1G allow_nets=192.0.2.0/24,2001:db8::/32",
		"alice:"+hashed(t, "phone")+":app=phone protocols=imap",
		"alice:"+hashed(t, "backup")+":::::: app=backup readonly",
		"bob:"+hashed(t, "bob")+":account=shared",
		"carol:"+hashed(t, "carol")+":::::nologin", // the shell
		"dave:"+hashed(t, "dave")+"::::::nologin",
		"eve:"+hashed(t, "eve")+":acts_for=alice,@example.org",
		"eve:"+hashed(t, "app")+":app=x acts_for=*",
		"root:"+hashed(t, "root")+":acts_for=*",
		"frank@example.org:"+hashed(t, "frank"),
		"grace:"+hashed(t, "grace")+":nologin",
		"heidi:"+hashed(t, "heidi")+":ReadOnly",
		"ivan:"+hashed(t, "ivan")+"::::::fail=y",
		"judy:"+hashed(t, "judy")+"::::::allow_nets=local,::ffff:192.0.2.0/120,::ffff:203.0.113.1",
		"ken:"+hashed(t, "ken")+"::::::user=Alice",
		"nologin:"+hashed(t, "nologin")+":vmail:nologin",
	), nil)
	const near, far = "192.0.2.7:143", "198.51.100.7:143"
	readOnly := mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	for _, tt := range []struct {
		user, password, authzid, protocol, remote string
		want                                      any // an identity, or a kind
	}{
		{"alice", "own", "", "imap", near, mailaccess.Identity{User: "alice", Account: "alice"}},
		{"alice", "own", "", "pop3", "[2001:db8::1]:110", mailaccess.Identity{User: "alice", Account: "alice"}},
		{"alice", "own", "", "pop3", "::ffff:192.0.2.1", mailaccess.Identity{User: "alice", Account: "alice"}},
		{"alice", "own", "", "imap", far, mailaccess.KindForbidden},
		{"alice", "own", "", "imap", "pipe", mailaccess.KindForbidden},
		{"alice", "wrong", "", "imap", far, mailaccess.KindAuthFailed},
		{"alice", "phone", "", "IMAP", far, mailaccess.Identity{User: "alice", Account: "alice"}},
		{"alice", "phone", "", "pop3", far, mailaccess.KindForbidden},
		{"alice", "backup", "", "pop3", far, mailaccess.Identity{User: "alice", Account: "alice", Without: readOnly}},
		{"bob", "bob", "", "imap", far, mailaccess.Identity{User: "bob", Account: "shared"}},
		{"bob", "bob", "alice", "imap", far, mailaccess.KindForbidden},
		{"carol", "carol", "", "imap", far, mailaccess.Identity{User: "carol", Account: "carol"}},
		{"dave", "dave", "", "imap", far, mailaccess.KindForbidden},
		{"dave", "wrong", "", "imap", far, mailaccess.KindAuthFailed},
		{"eve", "eve", "Alice", "imap", far, mailaccess.Identity{User: "eve", Account: "alice"}},
		{"eve", "eve", "frank@example.org", "imap", far, mailaccess.Identity{User: "eve", Account: "frank@example.org"}},
		{"eve", "eve", "bob", "imap", far, mailaccess.KindForbidden},
		{"eve", "eve", "nobody@example.org", "imap", far, mailaccess.KindForbidden},
		{"eve", "app", "alice", "imap", far, mailaccess.KindForbidden},
		{"root", "root", "bob", "imap", far, mailaccess.Identity{User: "root", Account: "shared"}},
		{"root", "root", "nobody", "imap", far, mailaccess.KindForbidden},
		{"root", "wrong", "bob", "imap", far, mailaccess.KindAuthFailed},
		{"grace", "grace", "", "imap", far, mailaccess.KindForbidden},
		{"heidi", "heidi", "", "imap", far, mailaccess.Identity{User: "heidi", Account: "heidi", Without: readOnly}},
		{"ivan", "ivan", "", "imap", far, mailaccess.KindForbidden},
		{"judy", "judy", "", "imap", near, mailaccess.Identity{User: "judy", Account: "judy"}},
		{"judy", "judy", "", "imap", "203.0.113.1:1", mailaccess.Identity{User: "judy", Account: "judy"}},
		{"judy", "judy", "", "imap", "@", mailaccess.Identity{User: "judy", Account: "judy"}},
		{"judy", "judy", "", "imap", far, mailaccess.KindForbidden},
		{"ken", "ken", "", "imap", far, mailaccess.Identity{User: "ken", Account: "alice"}},
		{"nologin", "nologin", "", "imap", far, mailaccess.Identity{User: "nologin", Account: "nologin"}},
	} {
		id, err := f.Authenticate(t.Context(), mailaccess.Login{
			Username: tt.user, Password: tt.password, Authzid: tt.authzid, Protocol: tt.protocol, Remote: tt.remote,
		})
		var got any = id
		if err != nil {
			got = mailaccess.KindOf(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt, diff)
		}
	}
}

// TestUsersFileProblems: what is wrong with one user keeps nobody else out.
func TestUsersFileProblems(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	f := openUsersFile(t, usersFile(t,
		"alice:{MD5}hunter2",
		"bob:"+hashed(t, "secret"),
		"carol:",
		"carol:"+hashed(t, "secret")+":app=x",
		"dave:"+hashed(t, "secret")+":allow_nets=hunter2",
		"eve:"+hashed(t, "secret")+":protocols=",
		"frank:"+hashed(t, "secret")+":account=a/b",
		"grace:"+hashed(t, "secret")+":acts_for=a/b",
		"heidi:"+strings.Replace(somebodysHash, "m=256", "m=4194304", 1),
		"ivan:"+hashed(t, "secret")+"::::::allow_real_nets=192.0.2.0/24",
	), &UsersFileOptions{Logger: zap.New(core)})
	for name, want := range map[string]mailaccess.Kind{
		"alice": mailaccess.KindAuthFailed, "bob": gotIn, "carol": gotIn, "dave": mailaccess.KindAuthFailed,
		"eve": mailaccess.KindAuthFailed, "frank": mailaccess.KindAuthFailed, "grace": mailaccess.KindAuthFailed, "heidi": mailaccess.KindAuthFailed,
		"ivan": mailaccess.KindAuthFailed,
	} {
		if got := kindOfLogin(t, f, name, "secret"); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	problems := f.Problems()
	for i, want := range []string{
		"line 1: user alice: the scheme of the password is none of ARGON2ID,", "line 3: user carol: no password hash",
		"line 5: user dave: allow_nets: not a network", "line 6: user eve: protocols: no protocol",
		"line 7: user frank: account: the name has", "line 8: user grace: acts_for: the name has", "line 9: user heidi: argon2id: m must be",
		"line 10: user ivan: allow_real_nets: not known",
	} {
		if i >= len(problems) || !strings.HasPrefix(problems[i].Error(), want) || strings.Contains(problems[i].Error(), "hunter2") {
			t.Errorf("problem %d is not %q: %v", i, want, problems)
		}
	}
	if n := len(problems); n != 8 || logs.Len() != n {
		t.Errorf("%d problems, %d log lines", n, logs.Len())
	}
}

func TestUsersFileMechanisms(t *testing.T) {
	scram256, err := newPasswordField(SchemeScramSHA256, "secret", cheap)
	if err != nil {
		t.Fatal(err)
	}
	passwords := []string{"PLAIN", "LOGIN"}
	for what, tt := range map[string]struct {
		lines []string
		opts  *UsersFileOptions
		want  []string
	}{
		"hashes":            {[]string{"a:" + hashed(t, "x")}, nil, nil},
		"no users":          {nil, &UsersFileOptions{OfferForSome: true, Digests: true}, nil},
		"keys":              {[]string{"a:" + scram256}, nil, []string{"SCRAM-SHA-256"}},
		"keys of all":       {[]string{"a:" + scram256, "b:{PLAIN}x", "c:{MD5}unusable", "d:" + hashed(t, "x") + ":nologin=y"}, nil, []string{"SCRAM-SHA-256"}},
		"keys of some":      {[]string{"a:" + scram256, "b:" + hashed(t, "x")}, nil, nil},
		"asked for":         {[]string{"a:" + scram256, "b:" + hashed(t, "x")}, &UsersFileOptions{OfferForSome: true}, []string{"SCRAM-SHA-256"}},
		"keys of an app":    {[]string{"a:" + hashed(t, "x"), "a:" + scram256 + ":app=x"}, nil, []string{"SCRAM-SHA-256"}},
		"recoverable":       {[]string{"a:{PLAIN}x"}, nil, []string{"SCRAM-SHA-256", "SCRAM-SHA-1"}},
		"digests":           {[]string{"a:{PLAIN}x"}, &UsersFileOptions{Digests: true}, []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"}},
		"digests of some":   {[]string{"a:{PLAIN}x", "b:" + scram256}, &UsersFileOptions{Digests: true}, []string{"SCRAM-SHA-256"}},
		"digests asked for": {[]string{"a:{PLAIN}x", "b:" + scram256}, &UsersFileOptions{Digests: true, OfferForSome: true}, []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"}},
	} {
		f := openUsersFile(t, usersFile(t, tt.lines...), tt.opts)
		if diff := cmp.Diff(append(tt.want, passwords...), Mechanisms(f, private, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestUsersFileScram(t *testing.T) {
	keys, err := newPasswordField(SchemeScramSHA256, "secret", cheap)
	if err != nil {
		t.Fatal(err)
	}
	f := openUsersFile(t, usersFile(t,
		"alice:"+hashed(t, "other")+":acts_for=bob",
		"alice:"+keys+":app=pop protocols=pop3",
		"alice:{PLAIN}plain:app=imap protocols=imap",
		"bob:{PLAIN}bob",
		"carol:"+hashed(t, "secret"),
		"dave:{PLAIN}dave:nologin acts_for=*",
		"root:{PLAIN}root:acts_for=*",
	), &UsersFileOptions{OfferForSome: true})
	for _, tt := range []struct {
		user, password, authzid, protocol string
		want                              error
	}{
		{"alice", "plain", "", "imap", nil},
		{"ALICE", "plain", "alice", "imap", nil},
		{"alice", "secret", "", "pop3", nil},
		{"alice", "secret", "", "imap", mailaccess.KindAuthFailed},
		{"alice", "other", "", "imap", mailaccess.KindAuthFailed},
		{"alice", "plain", "bob", "imap", mailaccess.KindForbidden},
		{"bob", "bob", "", "imap", nil},
		{"bob", "BOB", "", "imap", mailaccess.KindAuthFailed},
		{"carol", "secret", "", "imap", mailaccess.KindAuthFailed},
		{"dave", "dave", "", "imap", mailaccess.KindForbidden},
		{"root", "root", "bob", "imap", nil},
		{"root", "root", "nobody", "imap", mailaccess.KindForbidden},
		{"root", "bad", "bob", "imap", mailaccess.KindAuthFailed},
		{"nobody", "bob", "", "imap", mailaccess.KindAuthFailed},
	} {
		base := private
		base.Protocol = tt.protocol
		s, err := NewServer(t.Context(), "SCRAM-SHA-256", f, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = converse(clientOf(t, scram.SHA256, tt.user, tt.password, tt.authzid).NewConversation(), s)
		id, ok := s.Identity()
		if !errors.Is(err, tt.want) || ok != (tt.want == nil) {
			t.Errorf("%+v: %v, %v", tt, err, id)
		}
		if ok && tt.authzid == "bob" && id.Account != "bob" {
			t.Errorf("%+v: %v", tt, id)
		}
	}
}

// TestUsersFileTellsNoUsers: what SCRAM says before a proof tells nothing of who
// there is, not over time, and not after a restart.
func TestUsersFileTellsNoUsers(t *testing.T) {
	keys, err := newPasswordField(SchemeScramSHA256, "secret", cheap)
	if err != nil {
		t.Fatal(err)
	}
	path := usersFile(t, "alice:"+keys, "bob:"+hashed(t, "x"))
	look := func(f *UsersFile, name string) *ScramUser {
		t.Helper()
		u, err := f.Abilities().Scram(t.Context(), mailaccess.Login{Username: name}, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	opts := &UsersFileOptions{OfferForSome: true}
	f := openUsersFile(t, path, opts)
	alice := look(f, "alice")
	again := openUsersFile(t, path, opts)
	for _, name := range []string{"bob", "nobody", "someone", "A B"} {
		u := look(f, name)
		if u.Iterations != alice.Iterations || len(u.Salt) != len(alice.Salt) || len(u.StoredKey) != len(alice.StoredKey) {
			t.Errorf("%s: %+v, not like %+v", name, u.ScramKeys, alice.ScramKeys)
		}
		if !bytes.Equal(u.Salt, look(f, name).Salt) || !bytes.Equal(u.Salt, look(again, name).Salt) {
			t.Errorf("%s: the salt does not stay", name)
		}
		for _, proved := range []bool{false, true} {
			if _, err := u.Decide(t.Context(), proved); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
				t.Errorf("%s, proved %v: %v", name, proved, err)
			}
		}
	}
	other := openUsersFile(t, path, &UsersFileOptions{OfferForSome: true, Secret: []byte("a secret")})
	if bytes.Equal(look(other, "nobody").Salt, look(f, "nobody").Salt) || !bytes.Equal(look(other, "alice").Salt, alice.Salt) {
		t.Error("the secret of the options is not what counts")
	}
}

func TestUsersFileDigest(t *testing.T) {
	f := openUsersFile(t, usersFile(t,
		"mrose:{PLAIN}wrong", "mrose:{PLAIN}tanstaaf:app=x", "bob:"+hashed(t, "tanstaaf"), "eve:{PLAIN}tanstaaf:nologin=y",
	), &UsersFileOptions{Digests: true, OfferForSome: true})
	for name, want := range map[string]error{
		"mrose": nil, "bob": mailaccess.KindAuthFailed, "nobody": mailaccess.KindAuthFailed, "eve": mailaccess.KindForbidden,
	} {
		id, err := VerifyAPOP(t.Context(), f, mailaccess.Login{Username: name}, apopTimestamp, apopDigest)
		if !errors.Is(err, want) || want == nil && id.Account != "mrose" {
			t.Errorf("%s: %v, %v", name, id, err)
		}
	}
	// Somebody is always tried.
	for _, name := range []string{"mrose", "bob", "nobody"} {
		tried := 0
		f.Abilities().Digest(context.Background(), mailaccess.Login{Username: name}, func(string) bool { tried++; return false })
		if tried == 0 {
			t.Errorf("%s: nothing is tried", name)
		}
	}
}

// TestSetUserApp: app passwords are added, replaced and limited.
func TestSetUserApp(t *testing.T) {
	path := usersFile(t, "alice:"+hashed(t, "own")+":1:2\n")
	set := func(name, password string, o SetUserOptions) error {
		o.Argon2id = cheap
		return SetUser(path, name, password, &o)
	}
	if err := set("bob", "x", SetUserOptions{App: "phone"}); !errors.Is(err, mailaccess.KindNotFound) {
		t.Errorf("an app password for nobody: %v", err)
	}
	for _, o := range []SetUserOptions{{App: "a b"}, {App: "a:b"}, {App: "x", Protocols: []string{"a,b"}}, {Protocols: []string{"imap"}}} {
		if err := set("alice", "x", o); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := set("alice", "phone", SetUserOptions{App: "phone", Protocols: []string{"imap"}, Scheme: SchemeScramSHA256}); err != nil {
		t.Fatal(err)
	}
	if err := set("alice", "other", SetUserOptions{App: "phone"}); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("twice: %v", err)
	}
	if err := set("alice", "phone-2", SetUserOptions{App: "phone", Replace: true}); err != nil {
		t.Fatal(err)
	}
	if err := set("alice", "own-2", SetUserOptions{Replace: true, Scheme: SchemePlain}); err != nil {
		t.Fatal(err)
	}
	text := readFile(t, path)
	lines := strings.Split(text, "\n")
	if len(lines) != 3 || lines[0] != "alice:{PLAIN}own-2:1:2" || !strings.HasSuffix(lines[1], ":app=phone protocols=imap") {
		t.Errorf("the file is\n%s", text)
	}
	f := openUsersFile(t, path, nil)
	var got []mailaccess.Kind
	for _, p := range []string{"own-2", "phone-2", "own", "phone"} {
		_, err := f.Authenticate(t.Context(), mailaccess.Login{Username: "alice", Password: p, Protocol: "imap"})
		if got = append(got, gotIn); err != nil {
			got[len(got)-1] = mailaccess.KindOf(err)
		}
	}
	if want := []mailaccess.Kind{gotIn, gotIn, mailaccess.KindAuthFailed, mailaccess.KindAuthFailed}; !slices.Equal(got, want) {
		t.Errorf("logins: %v, want %v", got, want)
	}
}
