package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// UsersFileOptions are the options of [OpenUsersFile]. Nil means the defaults.
type UsersFileOptions struct {
	// Logger is told when the file changed, and when a changed file cannot be
	// used. Nil means silence.
	Logger *zap.Logger

	// Pool bounds how many passwords are hashed at once, here and with whoever
	// shares it. Nil means a pool of its own, as wide as there are processors.
	Pool *Pool
}

// A UsersFile authenticates against a file of users and password hashes.
//
// The file has one user per line:
//
//	name:{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY
//
// Further fields may follow, each after a colon; they are kept but mean nothing
// here, so that a Dovecot passwd-file whose hashes are argon2id can be used as
// it is. Empty lines, and lines that begin with #, are passed over. Names are
// those that [NormalizeUser] permits, in any spelling; no two lines may be of
// the same user. The user's account has the normalised name. [SetUser] writes
// such a file.
//
// The file is looked at before each login, and read again when it has changed.
// A changed file that is broken or gone is reported once to the logger, and
// the last good one stays in force.
//
// A user may act only as themselves: another authorization identity is answered
// with [mailaccess.KindForbidden], after the password was found right.
//
// A UsersFile is safe for concurrent use. It holds no descriptor and no
// goroutine, and need not be closed.
type UsersFile struct {
	path string
	log  *zap.Logger
	pool *Pool
	seed maphash.Seed

	mu    sync.Mutex // held while the file is read
	state atomic.Pointer[usersState]
}

var (
	_ mailaccess.Authenticator = (*UsersFile)(nil)
	_ Versioned                = (*UsersFile)(nil)
)

// usersState is what is known from one look at the file. It is never changed.
type usersState struct {
	users   *userTable
	version uint64 // of users

	// The file as it was when last read, whether it could be used or not.
	info    os.FileInfo // nil when it was gone
	sum     [sha256.Size]byte
	settled bool
}

// clockSlack is how old a file's modification time must be before an equal one
// proves that nothing was written since: some file systems count in seconds.
const clockSlack = 2 * time.Second

// OpenUsersFile reads the users file at path. An error says what is wrong with
// it, and on which line.
func OpenUsersFile(path string, opts *UsersFileOptions) (*UsersFile, error) {
	if opts == nil {
		opts = &UsersFileOptions{}
	}
	f := &UsersFile{path: path, log: opts.Logger, pool: opts.Pool, seed: maphash.MakeSeed()}
	if f.log == nil {
		f.log = zap.NewNop()
	}
	if f.pool == nil {
		f.pool = NewPool(0)
	}
	now := time.Now()
	data, info, err := readUsersFile(path)
	if err != nil {
		return nil, err
	}
	users, err := parseUsers(data)
	if err != nil {
		return nil, fmt.Errorf("users file %s: %w", path, err)
	}
	f.warnOfMode(info)
	f.state.Store(&usersState{
		users: users, version: 1,
		info: info, sum: sha256.Sum256(data), settled: isSettled(info, now),
	})
	return f, nil
}

// Authenticate implements [mailaccess.Authenticator].
func (f *UsersFile) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	name := canonicalUser(l.Username)
	hash, known := f.current().users.hashOf(name, f.seed)
	if !usablePassword(l.Password) {
		return mailaccess.Identity{}, errAuthFailed()
	}
	matches := false
	if err := f.pool.Do(ctx, func() { matches = hash.matches(l.Password) }); err != nil {
		return mailaccess.Identity{}, errUnavailable(err)
	}
	if !known || !matches {
		return mailaccess.Identity{}, errAuthFailed()
	}
	if !actsAsSelf(l) {
		return mailaccess.Identity{}, errForbidden()
	}
	return mailaccess.Identity{User: name, Account: name}, nil
}

// Version implements [Versioned]: it looks at the file and returns a number
// that has grown when other users or passwords are in force than before.
func (f *UsersFile) Version() uint64 { return f.current().version }

// current returns the users in force, after a look at the file.
func (f *UsersFile) current() *usersState {
	if s := f.state.Load(); s.settled && sameFile(f.stat(), s.info) {
		return s
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	// Another caller may have read it meanwhile.
	s := f.state.Load()
	if s.settled && sameFile(f.stat(), s.info) {
		return s
	}
	s = f.reload(s)
	f.state.Store(s)
	return s
}

func (f *UsersFile) stat() os.FileInfo {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil
	}
	return info
}

// reload reads the file and returns what is in force then: what stands in it,
// or what was before when that cannot be used. Only the first look at a file
// that is broken or gone is reported.
func (f *UsersFile) reload(was *usersState) *usersState {
	s := &usersState{users: was.users, version: was.version}
	now := time.Now()
	data, info, err := readUsersFile(f.path)
	if err != nil {
		// Without contents there is nothing to compare: look again each time,
		// unless the file itself stays as it is (a mode that forbids reading).
		s.info = f.stat()
		s.settled = s.info == nil || isSettled(s.info, now)
		if was.sum != s.sum || !sameFile(s.info, was.info) {
			f.log.Error("users file cannot be read, the last good one stays in force",
				zap.String("path", f.path), zap.Error(err))
		}
		return s
	}
	s.info, s.sum, s.settled = info, sha256.Sum256(data), isSettled(info, now)
	if s.sum == was.sum {
		return s
	}
	users, err := parseUsers(data)
	if err != nil {
		f.log.Error("users file is broken, the last good one stays in force",
			zap.String("path", f.path), zap.Error(err))
		return s
	}
	f.warnOfMode(info)
	f.log.Info("users file read again", zap.String("path", f.path), zap.Int("users", len(users.lines)))
	s.users, s.version = users, was.version+1
	return s
}

func (f *UsersFile) warnOfMode(info os.FileInfo) {
	if openToAll(info) {
		f.log.Warn("users file is open to every user of this machine",
			zap.String("path", f.path), zap.Stringer("mode", info.Mode()))
	}
}

// sameFile reports whether two looks at a path, nil where it was gone, saw the
// same file unchanged.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode() && os.SameFile(a, b)
}

// isSettled reports whether a later write is sure to change the modification
// time of a file that was read at the time now or after it. A time far ahead is
// one that no write of now leaves.
func isSettled(info os.FileInfo, now time.Time) bool {
	return now.Sub(info.ModTime()).Abs() > clockSlack
}

// readUsersFile returns the contents of a users file, as far as it takes to see
// that they are too long, and what describes it, looked at before it was read.
func readUsersFile(path string) ([]byte, os.FileInfo, error) {
	// Opening a pipe would wait for its other end.
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("users file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("users file: %w", &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")})
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("users file: %w", err)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, nil, fmt.Errorf("users file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxUsersFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("users file: %w", err)
	}
	return data, info, nil
}
