package auth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// names returns what is in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSetUserCreates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := SetUser(path, "Alice", "secret", nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, not 0600", info.Mode())
	}
	if got, want := readFile(t, path), "alice:{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(got, want) {
		t.Errorf("the file does not begin with %q", want)
	}
	if got := kindOfLogin(t, openUsersFile(t, path, nil), "alice", "secret"); got != gotIn {
		t.Errorf("login: %v", got)
	}
	if diff := cmp.Diff([]string{"users", "users.lock"}, names(t, filepath.Dir(path))); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
}

func TestSetUserKeepsTheRest(t *testing.T) {
	const before = "# users\r\n\n  \nbob:" + somebodysHash + ":1:2\r\nCarol:" + somebodysHash + ":3:4:x:/home/carol\n# end"
	opts := &SetUserOptions{Argon2id: cheap}

	path := usersFile(t, before)
	if err := SetUser(path, "alice", "secret", opts); err != nil {
		t.Fatal(err)
	}
	after := readFile(t, path)
	if added, ok := strings.CutPrefix(after, before+"\n"); !ok || !strings.HasPrefix(added, "alice:{ARGON2ID}$") || strings.Count(added, "\n") != 1 {
		t.Errorf("after adding alice the file is\n%s", after)
	}

	// Another's password, in the middle of the file.
	path = usersFile(t, before)
	opts.Replace = true
	if err := SetUser(path, "CAROL", "secret", opts); err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(before, "Carol:"+somebodysHash)
	after = readFile(t, path)
	if !strings.HasPrefix(after, head+"Carol:{ARGON2ID}$") || !strings.HasSuffix(after, tail) ||
		strings.Count(after, "\n") != strings.Count(before, "\n") {
		t.Errorf("after replacing carol the file is\n%s", after)
	}
	f := openUsersFile(t, path, nil)
	for _, tt := range []struct {
		name, password string
		want           mailaccess.Kind
	}{
		{"carol", "secret", gotIn},
		{"carol", "password", mailaccess.KindAuthFailed},
		{"bob", "password", gotIn},
	} {
		if got := kindOfLogin(t, f, tt.name, tt.password); got != tt.want {
			t.Errorf("%s with %s: %v, want %v", tt.name, tt.password, got, tt.want)
		}
	}
}

func TestSetUserRefuses(t *testing.T) {
	const password = "hunter2-hunter2"
	good := "alice:" + somebodysHash + "\n"
	for what, tt := range map[string]struct {
		before, name, password string
		kind                   error
		want                   string
	}{
		"a user who exists":  {"\n" + good, "Alice", password, mailaccess.KindExists, "set user alice: already exists: on line 2 of "},
		"a bad name":         {good, "a b", password, mailaccess.KindInvalid, "set user: invalid: the name has"},
		"an empty password":  {good, "bob", "", mailaccess.KindInvalid, "set user bob: invalid: the password is empty"},
		"a password of two":  {good, "bob", password + "\n", mailaccess.KindInvalid, "set user bob: invalid: the password has a line break"},
		"a password as blob": {good, "bob", password + "\xff", mailaccess.KindInvalid, "set user bob: invalid: the password is not valid UTF-8"},
		"a long password":    {good, "bob", strings.Repeat(password, 300), mailaccess.KindInvalid, "set user bob: invalid: the password is longer"},
		"a broken file":      {good + "bob\n", "carol", password, nil, "line 2: no colon"},
	} {
		path := usersFile(t, tt.before)
		err := SetUser(path, tt.name, tt.password, &SetUserOptions{Argon2id: cheap})
		if err == nil || tt.kind != nil && !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: the error is %v, not %q", what, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the error tells the password: %v", what, err)
		}
		if got := readFile(t, path); got != tt.before {
			t.Errorf("%s: the file was changed to\n%s", what, got)
		}
	}
}

// TestSetUserNeverBreaksTheFile: a line that grows beyond what is read is not
// written.
func TestSetUserNeverBreaksTheFile(t *testing.T) {
	line := "alice:" + somebodysHash + ":"
	before := line + strings.Repeat("x", maxUsersLine-len(line))
	path := usersFile(t, before)
	openUsersFile(t, path, nil)
	err := SetUser(path, "alice", "secret", &SetUserOptions{Replace: true})
	if err == nil || !strings.Contains(err.Error(), "would be broken: line 1: longer than") {
		t.Errorf("the error is %v", err)
	}
	if readFile(t, path) != before {
		t.Error("the file was changed")
	}
}

func TestSetUserKeepsModeAndLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes, and links only for administrators")
	}
	path := usersFile(t, "alice:"+somebodysHash)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := SetUser(link, "bob", "secret", &SetUserOptions{Argon2id: cheap}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is replaced: %v, %v", info, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is not kept: %v, %v", info, err)
	}
	if got := kindOfLogin(t, openUsersFile(t, path, nil), "bob", "secret"); got != gotIn {
		t.Errorf("login: %v", got)
	}
}

func TestSetUserKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := usersFile(t, "alice:"+somebodysHash)
	if err := os.Chown(path, 12345, 23456); err != nil {
		t.Fatal(err)
	}
	if err := SetUser(path, "bob", "secret", &SetUserOptions{Argon2id: cheap}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// By reflection, as the fields exist on some systems only.
	st := reflect.Indirect(reflect.ValueOf(info.Sys()))
	if uid, gid := st.FieldByName("Uid").Uint(), st.FieldByName("Gid").Uint(); uid != 12345 || gid != 23456 {
		t.Errorf("the owner is %d:%d", uid, gid)
	}
}

func TestSetUserCannotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "users")
	if err := SetUser(path, "alice", "secret", &SetUserOptions{Argon2id: cheap}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	dir := t.TempDir()
	if err := SetUser(dir, "alice", "secret", &SetUserOptions{Argon2id: cheap}); err == nil || len(names(t, dir)) != 0 {
		t.Errorf("a directory: %v, and in it %v", err, names(t, dir))
	}
}

// TestReplaceFileFails: what could not be put in place is not left beside it.
func TestReplaceFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path, []byte("x"), nil); err == nil || !strings.HasPrefix(err.Error(), "users file: ") {
		t.Errorf("a directory is replaced: %v", err)
	}
	if diff := cmp.Diff([]string{"users"}, names(t, dir)); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
}

// TestSetUserAtOnce: nobody's user is lost, and of those who add the same one
// exactly one succeeds.
func TestSetUserAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	const n = 16
	var wg sync.WaitGroup
	same := make([]error, n)
	for i := range n {
		wg.Go(func() {
			if err := SetUser(path, fmt.Sprint("user", i), "secret", &SetUserOptions{Argon2id: cheap}); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() { same[i] = SetUser(path, "same", "secret", &SetUserOptions{Argon2id: cheap}) })
	}
	wg.Wait()
	added := 0
	for _, err := range same {
		if err == nil {
			added++
		} else if !errors.Is(err, mailaccess.KindExists) {
			t.Error(err)
		}
	}
	if added != 1 {
		t.Errorf("the same user was added %d times", added)
	}
	if users := openUsersFile(t, path, nil).current().users; len(users.users) != n+1 {
		t.Errorf("%d users of %d are there", len(users.users), n+1)
	}
	if diff := cmp.Diff([]string{"users", "users.lock"}, names(t, filepath.Dir(path))); diff != "" {
		t.Errorf("files left (-want +got):\n%s", diff)
	}
}

func TestHasUser(t *testing.T) {
	dir := t.TempDir()
	path, broken := filepath.Join(dir, "users"), filepath.Join(dir, "broken")
	if has, err := HasUser(path, "alice"); has || err != nil {
		t.Errorf("in a file that is not there: %v, %v", has, err)
	}
	if err := SetUser(path, "alice", "secret", &SetUserOptions{Argon2id: Argon2id{Memory: 8, Time: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, []byte("alice secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for name, want := range map[string]bool{"alice": true, "ALICE": true, "alic": false, "bob": false} {
		if has, err := HasUser(path, name); has != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", name, has, err, want)
		}
	}
	if _, err := HasUser(path, "a:b"); !errors.Is(err, mailaccess.KindInvalid) {
		t.Errorf("a name that cannot be: %v", err)
	}
	if _, err := HasUser(broken, "bob"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := HasUser(dir, "bob"); err == nil {
		t.Error("a directory is no error")
	}
	if diff := cmp.Diff(before, names(t, dir)); diff != "" {
		t.Errorf("files were made (-before +after):\n%s", diff)
	}
}
