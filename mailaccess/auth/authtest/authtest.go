// Package authtest proves that an authenticator keeps what
// [mailaccess.Authenticator] promises.
//
//	func TestMyAuthenticator(t *testing.T) {
//		authtest.Run(t, mine, authtest.User{Name: "alice", Password: "secret"})
//	}
package authtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A User is one whom the authenticator under test knows.
type User struct {
	// Name and Password are right, and the password has at least four octets
	// that stand nowhere in the name.
	Name, Password string

	// Account is the account that the user gets; empty: any.
	Account string

	// Token is a bearer token of the user's, where the authenticator verifies such.
	Token string

	// Stranger is a name that the authenticator does not know; empty:
	// "stranger-to-this-suite".
	Stranger string
}

// Run checks a, and what it can verify besides passwords ([auth.AbilitiesOf]), each rule in a subtest of its own. It logs in some forty times,
// with wrong passwords too: an authenticator that slows down who guesses wants
// to be told not to.
func Run(t *testing.T, a mailaccess.Authenticator, u User) {
	t.Helper()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			if err := r.check(t.Context(), newSubject(a, u)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check checks a outside of a test, and returns what it found joined into one
// error.
func Check(ctx context.Context, a mailaccess.Authenticator, u User) error {
	var errs []error
	for _, r := range rules() {
		if err := r.check(ctx, newSubject(a, u)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	return errors.Join(errs...)
}

type rule struct {
	name  string
	check func(context.Context, *subject) error
}

func rules() []rule {
	return []rule{
		{"RightPassword", rightPassword},
		{"WrongPassword", wrongPassword},
		{"UnknownUser", unknownUser},
		{"HostileInput", hostileInput},
		{"Authzid", authzid},
		{"CancelledContext", cancelledContext},
		{"OwnAttributes", ownAttributes},
		{"Concurrent", concurrent},
		{"Scram", scramProof},
		{"Bearer", bearer},
		{"Digest", digest},
	}
}

// subject is an authenticator under test.
type subject struct {
	mailaccess.Authenticator
	user User
}

func newSubject(a mailaccess.Authenticator, u User) *subject {
	if u.Stranger == "" {
		u.Stranger = "stranger-to-this-suite"
	}
	return &subject{a, u}
}

// login is one with which the user gets in, from wherever.
func (s *subject) login() mailaccess.Login {
	return mailaccess.Login{
		Username: s.user.Name, Password: s.user.Password,
		Protocol: "imap", Remote: "192.0.2.1:49152", Private: true,
	}
}

// accepts checks that l gets in, as the user.
func (s *subject) accepts(ctx context.Context, l mailaccess.Login) error {
	id, err := s.Authenticate(ctx, l)
	switch {
	case err != nil:
		return fmt.Errorf("the right credentials are refused: %w", err)
	case id.User == "":
		return errors.New("the identity has no user")
	case id.Account == "":
		return errors.New("the identity has no account")
	case s.user.Account != "" && id.Account != s.user.Account:
		return fmt.Errorf("the account is %q, not %q", id.Account, s.user.Account)
	}
	return nil
}

// refuses checks that l does not get in, for one of the reasons, and returns
// the error in words.
func (s *subject) refuses(ctx context.Context, l mailaccess.Login, kinds ...mailaccess.Kind) (string, error) {
	id, err := s.Authenticate(ctx, l)
	if err == nil {
		return "", fmt.Errorf("they get in, as %q", id.User)
	}
	if id.User != "" || id.Account != "" {
		return "", errors.New("the identity beside an error is not empty")
	}
	for _, password := range []string{s.user.Password, l.Password} {
		if len(password) >= 4 && strings.Contains(err.Error(), password) {
			return "", errors.New("the error holds the password")
		}
	}
	for _, k := range kinds {
		if mailaccess.KindOf(err) == k {
			return err.Error(), nil
		}
	}
	return "", fmt.Errorf("the error is not of kind %v: %w", kinds, err)
}

func rightPassword(ctx context.Context, s *subject) error {
	// Twice, as the second answer may come from a memory.
	for range 2 {
		if err := s.accepts(ctx, s.login()); err != nil {
			return err
		}
	}
	return nil
}

func wrongPassword(ctx context.Context, s *subject) error {
	right := s.user.Password
	for what, password := range map[string]string{
		"another password":             "wrong-" + reverse(right),
		"no password":                  "",
		"a shorter password":           right[:len(right)-1],
		"a longer password":            right + "x",
		"a password with a space":      right + " ",
		"a password with a NUL":        right + "\x00",
		"a password after a NUL":       "x\x00" + right,
		"a password in the other case": swapCase(right),
		"the name as password":         s.user.Name,
		"the password twice":           right + right,
	} {
		if password == right {
			continue
		}
		l := s.login()
		l.Password = password
		if _, err := s.refuses(ctx, l, mailaccess.KindAuthFailed); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	// What went wrong is not held against who comes next.
	return s.accepts(ctx, s.login())
}

func unknownUser(ctx context.Context, s *subject) error {
	wrong := s.login()
	wrong.Password = "wrong-" + reverse(wrong.Password)
	wrongWords, err := s.refuses(ctx, wrong, mailaccess.KindAuthFailed)
	if err != nil {
		return err
	}
	for _, name := range []string{s.user.Stranger, ""} {
		l := s.login()
		l.Username = name
		words, err := s.refuses(ctx, l, mailaccess.KindAuthFailed)
		if err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		// The names are the client's own words; the rest must not differ.
		if words, wrongWords := strings.ReplaceAll(words, l.Username, ""), strings.ReplaceAll(wrongWords, s.user.Name, ""); name != "" && words != wrongWords {
			return fmt.Errorf("an unknown user and a wrong password can be told apart: %q, %q", words, wrongWords)
		}
	}
	return nil
}

func hostileInput(ctx context.Context, s *subject) error {
	long := strings.Repeat("A", 1<<20)
	for what, l := range map[string]mailaccess.Login{
		"a long password":         {Username: s.user.Name, Password: long},
		"a long name":             {Username: long, Password: s.user.Password},
		"a name with a NUL":       {Username: s.user.Name + "\x00", Password: s.user.Password},
		"a name with a colon":     {Username: s.user.Name + ":", Password: s.user.Password},
		"a name with a line end":  {Username: s.user.Name + "\n", Password: s.user.Password},
		"a name that is a path":   {Username: "../" + s.user.Name, Password: s.user.Password},
		"a name that is no UTF-8": {Username: s.user.Name + "\xff", Password: s.user.Password},
		"a password not in UTF-8": {Username: s.user.Name, Password: "\xff\xfe\xfd\xfc"},
		"a name with a wildcard":  {Username: "*", Password: s.user.Password},
	} {
		l.Protocol, l.Remote, l.Private = "imap", "192.0.2.1:49152", true
		if _, err := s.refuses(ctx, l, mailaccess.KindAuthFailed); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func authzid(ctx context.Context, s *subject) error {
	l := s.login()
	l.Authzid = l.Username
	if err := s.accepts(ctx, l); err != nil {
		return fmt.Errorf("acting as themselves: %w", err)
	}
	l.Authzid = s.user.Stranger
	if _, err := s.refuses(ctx, l, mailaccess.KindForbidden, mailaccess.KindAuthFailed); err != nil {
		return fmt.Errorf("acting as a stranger: %w", err)
	}
	return nil
}

func cancelledContext(ctx context.Context, s *subject) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	// An answer that is already known may be given all the same; that none could
	// be found must not look like a wrong password, which clients forget.
	if _, err := s.Authenticate(ctx, s.login()); err != nil && mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		return fmt.Errorf("the error is not of kind %v: %w", mailaccess.KindUnavailable, err)
	}
	wrong := s.login()
	wrong.Password = "wrong-" + reverse(wrong.Password)
	_, err := s.refuses(ctx, wrong, mailaccess.KindAuthFailed, mailaccess.KindUnavailable)
	return err
}

// ownAttributes checks that what one caller does to an identity is not seen by
// the next.
func ownAttributes(ctx context.Context, s *subject) error {
	const key = "set-by-the-suite"
	for range 2 {
		id, err := s.Authenticate(ctx, s.login())
		if err != nil {
			return err
		}
		if _, ok := id.Attributes[key]; ok {
			return errors.New("two callers share one map of attributes")
		}
		if id.Attributes != nil {
			id.Attributes[key] = "x"
		}
	}
	return nil
}

func concurrent(ctx context.Context, s *subject) error {
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				errs[i] = s.accepts(ctx, s.login())
				return
			}
			l := s.login()
			l.Password = fmt.Sprint("wrong-", i)
			_, errs[i] = s.refuses(ctx, l, mailaccess.KindAuthFailed)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func reverse(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if up := []rune(strings.ToUpper(string(r))); len(up) == 1 && up[0] != r {
			return up[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}
