package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

const somebodysHash = "{ARGON2ID}$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4" // of "password"

// usersFile writes a users file and returns its path.
func usersFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	writeFile(t, path, strings.Join(lines, "\n"))
	return path
}

func writeFile(t testing.TB, path, contents string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openUsersFile(t testing.TB, path string, opts *UsersFileOptions) *UsersFile {
	t.Helper()
	f, err := OpenUsersFile(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// kindOfLogin returns the kind of the error of a login, and -1 for none.
func kindOfLogin(t testing.TB, a mailaccess.Authenticator, name, password string) mailaccess.Kind {
	t.Helper()
	_, err := a.Authenticate(t.Context(), mailaccess.Login{Username: name, Password: password})
	if err == nil {
		return gotIn
	}
	return mailaccess.KindOf(err)
}

const gotIn = mailaccess.Kind(255)

func TestUsersFile(t *testing.T) {
	f := openUsersFile(t, usersFile(t,
		"# The users of this server.",
		"",
		"  \t",
		"alice:"+hashed(t, "secret"),
		"Bob@Example.ORG:"+strings.Replace(hashed(t, "p:w"), "ARGON2ID", "argon2id", 1)+":1000:1000::/home/bob::userdb_quota=1G\r",
		"carol:"+strings.TrimPrefix(somebodysHash, "{ARGON2ID}"),
		"jörg:"+hashed(t, "geheim"),
	), nil)
	for _, tt := range []struct{ name, password, user string }{
		{"alice", "secret", "alice"},
		{"Alice", "secret", "alice"},
		{"ALICE", "Secret", ""},
		{"alice", "p:w", ""},
		{"bob@example.org", "p:w", "bob@example.org"},
		{"bob", "p:w", ""},
		{"carol", "password", "carol"},
		{"JO\u0308RG", "geheim", "jörg"},
		{"# The users of this server.", "", ""},
		{"", "secret", ""},
	} {
		id, err := f.Authenticate(t.Context(), mailaccess.Login{Username: tt.name, Password: tt.password})
		if tt.user == "" {
			if mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
				t.Errorf("%q with %q: identity %v, error %v", tt.name, tt.password, id, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q with %q: %v", tt.name, tt.password, err)
		}
		if diff := cmp.Diff(mailaccess.Identity{User: tt.user, Account: tt.user}, id); diff != "" {
			t.Errorf("%q with %q: identity (-want +got):\n%s", tt.name, tt.password, diff)
		}
	}
}

func TestUsersFileBroken(t *testing.T) {
	good := hashed(t, "secret")
	for what, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"no colon":         {[]string{"# users", "alice"}, "line 2: no colon after the user name"},
		"only a hash":      {[]string{good}, "line 1: no colon after the user name"},
		"no name":          {[]string{":" + good}, "line 1: the name is empty"},
		"a bad name":       {[]string{"a b:" + good}, "line 1: the name has a character that is not"},
		"a user twice":     {[]string{"alice:" + good, "bob:" + good, "Alice:" + good}, "line 3: user alice stands already on line 1"},
		"an app alone":     {[]string{"alice:" + good + ":app=x"}, "line 1: user alice has an app password and no line before it"},
		"an app twice":     {[]string{"alice:" + good, "alice:" + good + ":app=x", "alice:" + good + ":app=x"}, "line 3: user alice stands already on line 2"},
		"a long line":      {[]string{"alice:" + good + ":" + strings.Repeat("x", maxUsersLine)}, "line 1: longer than 8192 octets"},
		"not text":         {[]string{"alice:" + good, "\x00\x01"}, "line 2: not text in UTF-8"},
		"not UTF-8":        {[]string{"alice:" + good + ":hunter2\xff"}, "line 1: not text in UTF-8"},
		"a name in quotes": {[]string{`"hunter2":` + good}, `line 1: the name has the character '"'`},
	} {
		path := usersFile(t, tt.lines...)
		_, err := OpenUsersFile(path, nil)
		if err == nil {
			t.Errorf("%s: opened", what)
			continue
		}
		if want := "users file " + path + ": " + tt.want; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: the error is %q, not %q", what, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "$m=") {
			t.Errorf("%s: the error tells a secret: %v", what, err)
		}
	}
}

func TestUsersFileCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenUsersFile(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "none") {
		t.Errorf("no file: %v", err)
	}
	if _, err := OpenUsersFile(dir, nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	path := filepath.Join(dir, "large")
	writeFile(t, path, "")
	if err := os.Truncate(path, maxUsersFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenUsersFile(path, nil); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a large file: %v", err)
	}
}

func TestUsersFileFollowsChanges(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	path := usersFile(t, "alice:"+hashed(t, "first-password"))
	f := openUsersFile(t, path, &UsersFileOptions{Logger: zap.New(core)})
	expect := func(when, password string, version uint64, messages ...string) {
		t.Helper()
		for _, p := range []string{"first-password", "second-password"} {
			want := mailaccess.KindAuthFailed
			if p == password {
				want = gotIn
			}
			if got := kindOfLogin(t, f, "alice", p); got != want {
				t.Errorf("%s: login with %s: %v, want %v", when, p, got, want)
			}
		}
		if got := f.Version(); got != version {
			t.Errorf("%s: version %d, want %d", when, got, version)
		}
		var got []string
		for _, entry := range logs.TakeAll() {
			got = append(got, entry.Message)
			if line := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(line, "-password") || strings.Contains(line, "$") {
				t.Errorf("%s: the log tells a secret: %s", when, line)
			}
		}
		if diff := cmp.Diff(messages, got); diff != "" {
			t.Errorf("%s: log (-want +got):\n%s", when, diff)
		}
	}
	const (
		again  = "users file read again"
		broken = "users file is broken, the last good one stays in force"
		gone   = "users file cannot be read, the last good one stays in force"
	)
	expect("at first", "first-password", 1)

	writeFile(t, path, "alice:"+hashed(t, "second-password"))
	expect("written in place", "second-password", 2, again)

	if err := SetUser(path, "alice", "first-password", &SetUserOptions{Replace: true, Argon2id: cheap}); err != nil {
		t.Fatal(err)
	}
	expect("replaced", "first-password", 3, again)

	writeFile(t, path, "alice second-password")
	expect("broken", "first-password", 3, broken)
	expect("still broken", "first-password", 3)

	writeFile(t, path, "alice:"+hashed(t, "second-password"))
	expect("mended", "second-password", 4, again)

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("gone", "second-password", 4, gone)
	expect("still gone", "second-password", 4)

	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("a directory", "second-password", 4, gone)
	expect("still a directory", "second-password", 4)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	writeFile(t, path, "bob:"+hashed(t, "first-password"))
	expect("the user is gone", "", 5, again)

	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, "alice:"+hashed(t, "first-password"))
	expect("readable by all", "first-password", 6, "users file is open to every user of this machine", again)
}

// TestUsersFileSameTime: a file written twice within what its file system can
// tell apart is read twice.
func TestUsersFileSameTime(t *testing.T) {
	for what, stamp := range map[string]time.Time{"now": time.Now(), "long ago": time.Now().Add(-time.Hour)} {
		one, two := "alice:"+hashed(t, "first"), "alice:"+hashed(t, "second")
		if len(one) != len(two) {
			t.Fatal("the sizes must be equal")
		}
		path := usersFile(t, one)
		write := func(s string) {
			writeFile(t, path, s)
			if err := os.Chtimes(path, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		write(one)
		f := openUsersFile(t, path, nil)
		write(two)
		// An old time that is put back deliberately hides the change: that much
		// trust is what makes a login cheap.
		want := gotIn
		if what == "long ago" {
			want = mailaccess.KindAuthFailed
		}
		if got := kindOfLogin(t, f, "alice", "second"); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
}

func TestUsersFileWhileItChanges(t *testing.T) {
	path := usersFile(t, "alice:"+hashed(t, "secret"))
	f := openUsersFile(t, path, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got := kindOfLogin(t, f, "alice", "secret"); got != gotIn {
					t.Errorf("alice: %v", got)
				}
				if got := kindOfLogin(t, f, "nobody", "secret"); got != mailaccess.KindAuthFailed {
					t.Errorf("nobody: %v", got)
				}
			}
		})
	}
	for i := range 20 {
		if err := SetUser(path, fmt.Sprint("user", i), "secret", &SetUserOptions{Argon2id: cheap}); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if got := kindOfLogin(t, f, "user19", "secret"); got != gotIn {
		t.Errorf("the last user: %v", got)
	}
}

// TestUsersFileUnknownUserCosts: an unknown user, a name that none can have, and
// a wrong password all take a turn in the pool, for a hash of the same costs.
func TestUsersFileUnknownUserCosts(t *testing.T) {
	pool := NewPool(1)
	f := openUsersFile(t, usersFile(t, "alice:"+somebodysHash), &UsersFileOptions{Pool: pool})
	pool.Do(t.Context(), func() {
		for _, name := range []string{"alice", "nobody", "a b", ""} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err := f.Authenticate(ctx, mailaccess.Login{Username: name, Password: "wrong"})
			cancel()
			if mailaccess.KindOf(err) != mailaccess.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%q does not wait for the pool: %v", name, err)
			}
		}
	})

	users, err := parseUsers([]byte("alice:" + somebodysHash + "\nbob:" + strings.Replace(somebodysHash, "m=256", "m=512", 1)))
	if err != nil {
		t.Fatal(err)
	}
	costs := map[string]int{}
	for i := range 100 {
		name := fmt.Sprint("nobody", i)
		u, known := users.find(name, []byte("secret"))
		if again, _ := users.find(name, []byte("secret")); known || again != u {
			t.Fatalf("%s: known %v, the work of %s and then of %s", name, known, u.name, again.name)
		}
		costs[u.name]++
	}
	if len(costs) != 2 || costs["alice"]+costs["bob"] != 100 {
		t.Errorf("the costs of unknown users are not those of the known: %v", costs)
	}
	// The other user's password is nobody's.
	for i := range 10 {
		if got := kindOfLogin(t, f, fmt.Sprint("nobody", i), "password"); got != mailaccess.KindAuthFailed {
			t.Errorf("nobody with somebody's password: %v", got)
		}
	}
	u, known := (&userTable{}).find("nobody", nil)
	if h := u.hashed(); known || len(h) != 1 || h[0].hash.(argon2Hash).Memory != defaultMemory {
		t.Errorf("without users: known %v, %+v", known, h)
	}
}

// TestUsersFileRoundTrip: what is added to a file is found in it, and all that
// stood there before still stands there.
func TestUsersFileRoundTrip(t *testing.T) {
	line := rapid.OneOf(
		rapid.Just(""), rapid.Just("# comment\r"), rapid.Just("\t"),
		rapid.Map(rapid.StringMatching(`[a-z]{1,6}`), func(name string) string { return name + ":" + somebodysHash + ":1:2:x" }),
	)
	rapid.Check(t, func(t *rapid.T) {
		data := []byte(strings.Join(rapid.SliceOf(line).Draw(t, "lines"), "\n"))
		users, err := parseUsers(data)
		if err != nil {
			t.Skip("a user twice")
		}
		name := rapid.StringMatching(`[a-z]{1,6}`).Draw(t, "name")
		const field = "{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
		u := users.line(name, "")
		after, err := parseUsers(withPassword(data, u, name, field))
		if err != nil {
			t.Fatal(err)
		}
		want := len(users.users)
		if u == nil {
			want++
		}
		if len(after.users) != want || after.line(name, "") == nil || after.line(name, "").hash.(argon2Hash).Memory != 64 {
			t.Fatalf("%q is not in the file, or others are not", name)
		}
		for _, other := range users.users {
			if l := after.line(other.name, ""); other.name != name && (l == nil || !reflect.DeepEqual(l.hash, other.lines[0].hash)) {
				t.Fatalf("%q was changed", other.name)
			}
		}
	})
}

// FuzzParseUsers: what is accepted is consistent, and no error tells what stands
// in a password field.
func FuzzParseUsers(f *testing.F) {
	f.Add([]byte("alice:" + somebodysHash + ":1000:1000\n# comment\n\nbob:" + somebodysHash + "\r\n"))
	f.Add([]byte("alice:{PLAIN}secret-1\nalice:secret-1:app=x protocols=imap\nalice:{X}secret-1:::::::app=y acts_for=secret-1:"))
	f.Add([]byte("alice:{SCRAM-SHA-256}4096,QUFB,QUFB,secret-1\nbob:{SSHA.hex}00:allow_nets=::1,10.0.0.0/8 nologin\n"))
	f.Add([]byte(":::\n\n:\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := parseUsers(data)
		if err != nil {
			if users != nil {
				t.Fatal("users beside an error")
			}
			return
		}
		if len(users.users) != len(users.byName) {
			t.Fatalf("%d users, %d names", len(users.users), len(users.byName))
		}
		for _, u := range users.users {
			for _, l := range u.lines {
				h, err := parsePasswordField(string(data[l.from:l.to]))
				if (err == nil && l.problem == nil) != (l.hash != nil) || l.hash != nil && !reflect.DeepEqual(h, l.hash) {
					t.Fatalf("the password of %q is not at %d to %d", u.name, l.from, l.to)
				}
				if users.line(u.name, l.app) != l {
					t.Fatalf("%q has two lines of %q", u.name, l.app)
				}
			}
			if n, err := NormalizeUser(u.name); err != nil || n != u.name {
				t.Fatalf("%q is not normalised", u.name)
			}
		}
		for _, u := range users.users {
			for _, l := range u.lines {
				if l.problem != nil && strings.Contains(l.problem.Error(), "secret-1") {
					t.Fatalf("a secret is told: %v", l.problem)
				}
			}
		}
	})
}
