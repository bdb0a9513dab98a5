package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

	// Secret is what the salts come from with which SCRAM answers for unknown
	// names. It should stay when the server starts anew, or they give themselves
	// away. Nil: the file itself, as far as its first password goes; then who
	// has that password can tell who is unknown.
	Secret []byte

	// OfferForSome offers SCRAM, and what Digests permits, even where not every
	// user has what it takes. Clients that prefer them then fail for the others,
	// and not every client tries another mechanism.
	OfferForSome bool

	// Digests offers CRAM-MD5 and APOP to users whose passwords are stored as
	// they are ({PLAIN}). They are weak: for clients that know nothing better.
	Digests bool
}

// A UsersFile authenticates against a file of users and password hashes.
//
// The file has one user per line:
//
//	name:{SCHEME}hash
//	name:{SCHEME}hash:extra fields
//	name:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields
//
// as in a Dovecot passwd-file, which can be used as it is. Empty lines, and lines
// that begin with #, are passed over. Names are those that [NormalizeUser]
// permits, in any spelling. [SetUser] writes such a file.
//
// The schemes are ARGON2ID, ARGON2I, BLF-CRYPT (or BCRYPT), SHA512-CRYPT,
// SHA256-CRYPT, SCRAM-SHA-256, SCRAM-SHA-1, SSHA512, SSHA256, SSHA, SHA512, SHA256, SHA
// and PLAIN, with what they store written as "doveadm pw" does, or encoded as a scheme
// that ends in .HEX or .B64 says. A hash without a scheme, or with CRYPT, tells by itself
// what it is. A line whose password cannot be used, or whose
// extra fields cannot be read, keeps nobody out but its user, and is reported:
// [UsersFile.Problems].
//
// The extra fields, with spaces between them, are those that follow; others are
// passed over, and so are the fields before them.
//
//   - account=NAME: the account to open, where it is not the user's name; Dovecot calls
//     it user.
//   - acts_for=LIST: as whom the user may act (an authorization identity, RFC 4422,
//     section 3.4.1): user names and @domains with commas between, or * for all
//     users of the file.
//   - allow_nets=LIST: from which addresses and networks, with commas between; local are
//     peers without an address, as those of a Unix socket. (Dovecot's allow_real_nets,
//     which cannot be kept to, keeps the user out.)
//   - protocols=LIST: by which protocols (imap, pop3), with commas between.
//   - readonly: what is opened with this password cannot be changed.
//   - nologin, or fail: nobody gets in with this password.
//   - app=NAME: a further password of the same user, for one program or device.
//     There may be several, each on a line below the user's own with a name of its
//     own; they do not act for others. (Dovecot uses a user's first line only.)
//
// Whose password is right and who is kept out by one of them gets
// [mailaccess.KindForbidden].
//
// The file is looked at before each login, and read again when it has changed.
// A changed file that is broken or gone is reported once to the logger, and
// the last good one stays in force.
//
// A UsersFile is safe for concurrent use. It holds no descriptor and no
// goroutine, and need not be closed.
type UsersFile struct {
	path string
	log  *zap.Logger
	pool *Pool

	secret                []byte
	offerForSome, digests bool

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
	f := &UsersFile{
		path: path, log: opts.Logger, pool: opts.Pool,
		secret: opts.Secret, offerForSome: opts.OfferForSome, digests: opts.Digests,
	}
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
	f.warn(users, info)
	f.state.Store(&usersState{
		users: users, version: 1,
		info: info, sum: sha256.Sum256(data), settled: isSettled(info, now),
	})
	return f, nil
}

// Problems returns what keeps single users of the file from logging in, each with
// line and name.
func (f *UsersFile) Problems() []error { return f.current().users.problems() }

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
	f.warn(users, info)
	f.log.Info("users file read again", zap.String("path", f.path), zap.Int("users", len(users.users)))
	s.users, s.version = users, was.version+1
	return s
}

// maxWarnings is how many lines of one file are complained about.
const maxWarnings = 20

// warn tells what can be better about a file that is in force from now on.
func (f *UsersFile) warn(users *userTable, info os.FileInfo) {
	if openToAll(info) {
		f.log.Warn("users file is open to every user of this machine",
			zap.String("path", f.path), zap.Stringer("mode", info.Mode()))
	}
	problems := users.problems()
	for _, err := range problems[:min(len(problems), maxWarnings)] {
		f.log.Warn("a line of the users file cannot be used", zap.String("path", f.path), zap.Error(err))
	}
	if n := len(problems) - maxWarnings; n > 0 {
		f.log.Warn("more lines of the users file cannot be used", zap.String("path", f.path), zap.Int("lines", n))
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
