package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/hashmail/mailaccess/mailaccess"
)

// SetUserOptions are the options of [SetUser]. Nil means the defaults.
type SetUserOptions struct {
	// Replace gives a user who exists the new password. Without it, that is an
	// error of [mailaccess.KindExists].
	Replace bool

	// Scheme is how the password is stored; empty: [SchemeArgon2id].
	Scheme Scheme

	// Argon2id are the costs of the hash.
	Argon2id Argon2id

	// App makes it a further password of a user who exists, for the program or
	// device of that name; see [UsersFile]. Protocols are those by which it can be
	// used, nil: all; that of an app password which is replaced stays.
	App       string
	Protocols []string
}

// check says which options cannot be written.
func (o *SetUserOptions) check() error {
	for _, s := range append([]string{o.App}, o.Protocols...) {
		if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
			return errors.New("the name of an app or a protocol has a character that is not a letter, a digit, a dash, a dot or an underscore")
		}
	}
	if o.App == "" && len(o.Protocols) > 0 {
		return errors.New("only app passwords are limited to protocols")
	}
	return nil
}

// HasUser reports whether the users file at path has a line of the user. In a
// file that is not there nobody stands. A name that cannot be used is an error
// of [mailaccess.KindInvalid]; a file that [OpenUsersFile] would refuse is an
// error too. HasUser writes nothing and takes no lock: what it says
// is a courtesy to whoever is about to be asked for a password, and only
// [SetUser] decides.
func HasUser(path, name string) (bool, error) {
	user, err := NormalizeUser(name)
	if err != nil {
		return false, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "look for user", Err: err}
	}
	data, _, err := readUsersFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for user %s: %w", user, err)
	}
	users, err := parseUsers(data)
	if err != nil {
		return false, fmt.Errorf("look for user %s: users file %s: %w", user, path, err)
	}
	return users.byName[user] != nil, nil
}

// SetUser gives a user a password in the users file at path. A file that is not
// there is created, for its owner alone.
//
// The name is normalised by [NormalizeUser]. A name or a password that cannot
// be used is an error of [mailaccess.KindInvalid]. What else stands in the
// file, its comments, other lines and the further fields of the user, stays
// octet for octet; mode and owner of the file stay where the system lets them.
// A file that [OpenUsersFile] would refuse is refused here too, and left alone.
//
// The new file takes the place of the old in one step when it is on disk, so
// that no reader and no power cut sees half of it. Calls in several processes
// take turns by a lock on the file path.lock, which stays, empty.
//
// The password is not repeated in any error.
func SetUser(path, name, password string, opts *SetUserOptions) error {
	if opts == nil {
		opts = &SetUserOptions{}
	}
	user, err := NormalizeUser(name)
	if err != nil {
		return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "set user", Err: err}
	}
	op := "set user " + user
	if err := errors.Join(checkNewPassword(password), opts.check()); err != nil {
		return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: op, Err: err}
	}
	// Where path is a link, the file that it names is replaced, not the link.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	number, err := setUser(path, user, password, opts)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if number > 0 {
		return &mailaccess.Error{
			Kind: mailaccess.KindExists, Op: op, Err: fmt.Errorf("on line %d of %s", number, path),
		}
	}
	return nil
}

// setUser returns the line on which the user stands who may not be replaced, or
// zero.
func setUser(path, user, password string, opts *SetUserOptions) (number int, err error) {
	// Before the lock: it is slow, and needs nothing from the file.
	field, err := newPasswordField(opts.Scheme, password, opts.Argon2id)
	if err != nil {
		return 0, err
	}
	unlock, err := lockedfile.MutexAt(path + ".lock").Lock()
	if err != nil {
		return 0, fmt.Errorf("users file: %w", err)
	}
	defer unlock()

	data, info, err := readUsersFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	users, err := parseUsers(data)
	if err != nil {
		return 0, fmt.Errorf("users file %s: %w", path, err)
	}
	u := users.line(user, opts.App)
	switch {
	case u != nil && !opts.Replace:
		return u.number, nil
	case opts.App != "" && users.byName[user] == nil:
		return 0, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "users file", Err: errors.New("an app password needs a user")}
	case u == nil && opts.App != "":
		field += ":app=" + opts.App
		if len(opts.Protocols) > 0 {
			field += " protocols=" + strings.Join(opts.Protocols, ",")
		}
	}
	data = withPassword(data, u, user, field)
	// Whatever is wrong with what is about to be written, it must not take the
	// place of a file that works: a line or the file may have become too long.
	if _, err := parseUsers(data); err != nil {
		return 0, fmt.Errorf("users file %s would be broken: %w", path, err)
	}
	return 0, replaceFile(path, data, info)
}

// withPassword returns the contents of a users file with a new password field
// for u, or with a new line at the end where u is nil.
func withPassword(data []byte, u *userLine, user, field string) []byte {
	out := make([]byte, 0, len(data)+len(user)+len(field)+3)
	if u != nil {
		out = append(out, data[:u.from]...)
		out = append(out, field...)
		return append(out, data[u.to:]...)
	}
	out = append(out, data...)
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, '\n')
	}
	out = append(out, user...)
	out = append(out, ':')
	out = append(out, field...)
	return append(out, '\n')
}

// replaceFile puts data in the place of the file at path, on disk, in one step.
// The new file has the owner and mode of the old one, which info describes;
// where info is nil there was none.
func replaceFile(path string, data []byte, info os.FileInfo) (err error) {
	dir := filepath.Dir(path)
	// CreateTemp gives mode 0600, which holds until the owner is right.
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("users file: %w", err)
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if info != nil {
		mode := info.Mode().Perm()
		if !keepOwner(tmp, info) {
			// What was granted to the file's group is not for another one.
			mode &^= 0o070
		}
		if err = tmp.Chmod(mode); err != nil {
			return err
		}
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}
