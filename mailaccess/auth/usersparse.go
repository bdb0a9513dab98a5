package auth

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxUsersLine is the longest line of a users file in octets.
	maxUsersLine = 8192

	// maxUsersFile is the size in octets beyond which a file is not read. It
	// leaves room for half a million users.
	maxUsersFile = 64 << 20

	// maxUserLines is how many passwords a user may have: each is tried.
	maxUserLines = 32
)

// A userTable is the contents of a users file.
type userTable struct {
	users  []*userEntry
	byName map[string]*userEntry

	// secret is known to whoever reads the file and stays while its first
	// password does.
	secret [sha256.Size]byte

	// Of the users who have a password that works, how many there are, how many
	// of them can log in by SCRAM, and how many have a recoverable one.
	active, plain int
	scram         map[crypto.Hash]int
	iterations    map[crypto.Hash]int // of the first user of SCRAM
}

// A userEntry is one user in a users file.
type userEntry struct {
	name    string      // normalised
	lines   []*userLine // the user's own first, then app passwords
	account string
	actsFor []string // "*", "@domain" and names
}

// A userLine is one password of a user.
type userLine struct {
	user   string // normalised
	number int    // of the line, from 1
	app    string // of an app password
	extra  extras

	hash    passwordHash // nil where there is a problem
	problem error        // why nobody can log in with it

	// Where the password field stands in the file: SetUser replaces it and
	// leaves everything else.
	from, to int
}

// extras are the extra fields of a line that mean something here.
type extras struct {
	app, account      string
	actsFor           []string
	protocols         []string  // empty: all
	nets              *networks // nil: all
	noLogin, readOnly bool
}

// find returns a user, or for a name that is not a user's one to do the same work
// for. Nobody shall learn from the time taken whether a user exists: a name is
// always matched with the same one of the users, as if it had a line of its own.
// Without users nil is returned.
func (t *userTable) find(name string, secret []byte) (u *userEntry, known bool) {
	if u := t.byName[name]; u != nil {
		return u, true
	}
	n := len(t.users)
	if n == 0 {
		return nil, false
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(name))
	return t.users[binary.BigEndian.Uint64(m.Sum(nil))%uint64(n)], false
}

// line returns the line of an app password, or with "" the user's own; nil when
// there is none.
func (t *userTable) line(user, app string) *userLine {
	u := t.byName[user]
	if u == nil {
		return nil
	}
	for _, l := range u.lines {
		if l.app == app {
			return l
		}
	}
	return nil
}

// problems returns what is wrong with single lines.
func (t *userTable) problems() []error {
	var errs []error
	for _, u := range t.users {
		for _, l := range u.lines {
			if l.problem != nil {
				errs = append(errs, fmt.Errorf("line %d: user %s: %w", l.number, u.name, l.problem))
			}
		}
	}
	return errs
}

// parseUsers reads the contents of a users file. The error names the line. It
// never repeats more of it than a valid user name, as anything else on a broken
// line may be a password or a hash.
func parseUsers(data []byte) (*userTable, error) {
	if len(data) > maxUsersFile {
		return nil, fmt.Errorf("longer than %d octets", maxUsersFile)
	}
	t := &userTable{byName: make(map[string]*userEntry)}
	for offset, number := 0, 1; offset < len(data); number++ {
		line := data[offset:]
		next := len(data)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], offset+i+1
		}
		l, err := parseUserLine(line)
		if err == nil && l != nil {
			l.number, l.from, l.to = number, offset+l.from, offset+l.to
			if len(t.users) == 0 {
				t.secret = sha256.Sum256(data[l.from:l.to])
			}
			err = t.add(l)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		offset = next
	}
	t.count()
	return t, nil
}

// count sees what the users can verify together.
func (t *userTable) count() {
	t.scram, t.iterations = make(map[crypto.Hash]int), make(map[crypto.Hash]int)
	has := func(u *userEntry, fits func(passwordHash) bool) bool {
		return slices.ContainsFunc(u.lines, func(l *userLine) bool { return l.hash != nil && !l.extra.noLogin && fits(l.hash) })
	}
	for _, u := range t.users {
		if has(u, func(passwordHash) bool { return true }) {
			t.active++
		}
		if has(u, func(h passwordHash) bool { _, ok := h.(plainHash); return ok }) {
			t.plain++
		}
		for _, hash := range [...]crypto.Hash{crypto.SHA1, crypto.SHA256} {
			if has(u, func(h passwordHash) bool { return scramOf(h, hash) }) {
				t.scram[hash]++
			}
			for _, l := range u.lines {
				if h, ok := l.hash.(scramHash); ok && h.hash == hash && t.iterations[hash] == 0 {
					t.iterations[hash] = h.Iterations
				}
			}
		}
	}
}

// add adds a line. One that has no app is the user's own, and the first.
func (t *userTable) add(l *userLine) error {
	u := t.byName[l.user]
	switch {
	case u == nil && l.app != "":
		return fmt.Errorf("user %s has an app password and no line before it", l.user)
	case u == nil:
		u = &userEntry{name: l.user, account: l.user, actsFor: l.extra.actsFor}
		if l.extra.account != "" {
			u.account = l.extra.account
		}
		t.users = append(t.users, u)
		t.byName[l.user] = u
	default:
		if other := t.line(l.user, l.app); other != nil {
			return fmt.Errorf("user %s stands already on line %d", l.user, other.number)
		}
	}
	if len(u.lines) == maxUserLines {
		return fmt.Errorf("user %s has more than %d passwords", l.user, maxUserLines)
	}
	u.lines = append(u.lines, l)
	return nil
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
	l := &userLine{from: len(name) + 1}
	var err error
	if l.user, err = NormalizeUser(name); err != nil {
		return nil, err
	}
	password, rest, _ := strings.Cut(rest, ":")
	l.to = l.from + len(password)
	// What follows may be wrong for this user without being so for others.
	l.hash, l.problem = parsePasswordField(password)
	extra, err := parseExtras(extraField(rest))
	if l.extra, l.app = extra, extra.app; err != nil {
		l.hash, l.problem = nil, err
	}
	return l, nil
}

// networks are from where somebody may log in.
type networks struct {
	prefixes []netip.Prefix
	local    bool // peers that have no address, as those of a Unix socket
}

// extraField returns the extra fields among what follows the password: after user
// id, group id, a comment, home directory and shell, or at once.
func extraField(rest string) string {
	first, _, _ := strings.Cut(rest, ":")
	words := strings.Fields(first)
	bare := len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return !isBareExtra(w) })
	if bare || strings.Contains(first, "=") {
		return rest
	}
	if fields := strings.SplitN(rest, ":", 6); len(fields) == 6 {
		return fields[5]
	}
	return ""
}

// isBareExtra reports whether a word is an extra field that needs no value, and nobody's
// user id: what it forbids must not get lost among the other fields.
func isBareExtra(s string) bool {
	switch strings.ToLower(s) {
	case "nologin", "fail", "readonly":
		return true
	}
	return false
}

// parseExtras reads fields "key=value" with spaces between them. What is not known
// is passed over; what restricts a login and cannot be read, or kept to, is an error.
func parseExtras(s string) (x extras, err error) {
	for field := range strings.FieldsSeq(s) {
		key, value, _ := strings.Cut(field, "=")
		list := func() []string {
			return slices.DeleteFunc(strings.Split(value, ","), func(s string) bool { return s == "" })
		}
		switch strings.ToLower(key) {
		case "app":
			x.app = value
		case "nologin", "fail":
			x.noLogin = true
		case "readonly":
			x.readOnly = true
		case "account", "user":
			x.account, err = NormalizeUser(value)
		case "acts_for":
			x.actsFor, err = parseActsFor(list())
		case "protocols":
			if x.protocols = list(); len(x.protocols) == 0 {
				err = errors.New("no protocol")
			}
		case "allow_nets":
			x.nets, err = parseNets(list())
		case "allow_real_nets":
			err = errors.New("not known from where a proxy was asked; allow_nets is about clients")
		}
		if err != nil {
			return x, fmt.Errorf("%s: %w", strings.ToLower(key), err)
		}
	}
	return x, nil
}

func parseActsFor(list []string) ([]string, error) {
	for i, s := range list {
		if s == "*" {
			continue
		}
		name, at := strings.CutPrefix(s, "@")
		name, err := NormalizeUser(name)
		if err != nil {
			return nil, err
		}
		if list[i] = name; at {
			list[i] = "@" + name
		}
	}
	return list, nil
}

func parseNets(list []string) (*networks, error) {
	nets := &networks{}
	for _, s := range list {
		if strings.EqualFold(s, "local") {
			nets.local = true
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil || a.Zone() != "" {
				return nil, errors.New("not a network")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		nets.prefixes = append(nets.prefixes, p.Masked())
	}
	if len(list) == 0 {
		return nil, errors.New("no network")
	}
	return nets, nil
}
