package auth

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode/utf8"
)

const (
	// maxUsersLine is the longest line of a users file in octets.
	maxUsersLine = 8192

	// maxUsersFile is the size in octets beyond which a file is not read. It
	// leaves room for half a million users.
	maxUsersFile = 64 << 20
)

// A userTable is the contents of a users file.
type userTable struct {
	lines  []*userLine
	byName map[string]*userLine
}

// A userLine is one user in a users file.
type userLine struct {
	name   string // normalised
	number int    // of the line, from 1
	hash   argon2Hash

	// Where the password field stands in the file: SetUser replaces it and
	// leaves everything else.
	from, to int
}

// hashOf returns the hash of a user, or for a name that is not a user's one that
// nothing matches. Nobody shall learn from the time taken whether a user exists:
// the latter costs what it costs for one of the users, and always for the same
// one, as if the name had a line of its own.
func (t *userTable) hashOf(name string, seed maphash.Seed) (hash argon2Hash, known bool) {
	if u := t.byName[name]; u != nil {
		return u.hash, true
	}
	if n := len(t.lines); n > 0 {
		return t.lines[maphash.String(seed, name)%uint64(n)].hash.decoy(), false
	}
	return argon2Hash{Argon2id: Argon2id{}.withDefaults(), salt: make([]byte, saltLength), key: make([]byte, keyLength)}, false
}

// parseUsers reads the contents of a users file. The error names the line. It
// never repeats more of it than a valid user name, as anything else on a broken
// line may be a password or a hash.
func parseUsers(data []byte) (*userTable, error) {
	if len(data) > maxUsersFile {
		return nil, fmt.Errorf("longer than %d octets", maxUsersFile)
	}
	t := &userTable{byName: make(map[string]*userLine)}
	for offset, number := 0, 1; offset < len(data); number++ {
		line := data[offset:]
		next := len(data)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], offset+i+1
		}
		u, err := parseUserLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if u != nil {
			if other := t.byName[u.name]; other != nil {
				return nil, fmt.Errorf("line %d: user %s stands already on line %d", number, u.name, other.number)
			}
			u.number, u.from, u.to = number, offset+u.from, offset+u.to
			t.lines = append(t.lines, u)
			t.byName[u.name] = u
		}
		offset = next
	}
	return t, nil
}

// parseUserLine reads one line without its line feed. It returns nil for a line
// that has no user. The place of the password is relative to the line.
func parseUserLine(line []byte) (*userLine, error) {
	if len(line) > maxUsersLine {
		return nil, fmt.Errorf("longer than %d octets", maxUsersLine)
	}
	s := strings.TrimSuffix(string(line), "\r")
	if strings.HasPrefix(s, "#") || strings.Trim(s, " \t") == "" {
		return nil, nil
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return nil, errors.New("not text in UTF-8")
	}
	name, rest, ok := strings.Cut(s, ":")
	if !ok {
		return nil, errors.New("no colon after the user name")
	}
	u := &userLine{from: len(name) + 1}
	var err error
	if u.name, err = NormalizeUser(name); err != nil {
		return nil, err
	}
	password, _, _ := strings.Cut(rest, ":")
	u.to = u.from + len(password)
	if u.hash, err = parsePasswordField(password); err != nil {
		return nil, fmt.Errorf("user %s: %w", u.name, err)
	}
	return u, nil
}

// argon2Scheme stands before the hash, as in a Dovecot passwd-file.
const argon2Scheme = "{ARGON2ID}"

// parsePasswordField reads the password field of a user, whose scheme is in any
// case and may be missing before a hash that names itself.
func parsePasswordField(s string) (argon2Hash, error) {
	scheme, hash := "", s
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}') + 1
		scheme, hash = s[:end], s[end:]
	}
	switch {
	case s == "":
		return argon2Hash{}, errors.New("no password hash")
	case strings.EqualFold(scheme, argon2Scheme), scheme == "" && strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2Hash(hash)
	}
	// Not naming the scheme found, which may be a password in braces.
	return argon2Hash{}, fmt.Errorf("the password is not hashed with %s", argon2Scheme)
}
