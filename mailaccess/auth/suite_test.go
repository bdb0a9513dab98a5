package auth_test

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/auth/authtest"
)

// TestSuite runs the suite of authtest over every authenticator.
func TestSuite(t *testing.T) {
	user := authtest.User{Name: "alice@example.org", Password: "Correct-Horse 9", Account: "alice@example.org"}
	path := filepath.Join(t.TempDir(), "users")
	for _, name := range []string{"bob", user.Name} {
		if err := auth.SetUser(path, name, user.Password, &auth.SetUserOptions{Argon2id: auth.Argon2id{Memory: 64, Time: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	file, err := auth.OpenUsersFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	// As with every other scheme, and every mechanism that it serves.
	stored := func(scheme auth.Scheme) *auth.UsersFile {
		t.Helper()
		path := filepath.Join(t.TempDir(), "users")
		for _, name := range []string{"bob", user.Name} {
			if err := auth.SetUser(path, name, user.Password, &auth.SetUserOptions{Scheme: scheme}); err != nil {
				t.Fatal(err)
			}
		}
		file, err := auth.OpenUsersFile(path, &auth.UsersFileOptions{Digests: true})
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	static := auth.Static(map[string]string{"bob": user.Password, user.Name: user.Password})
	for name, a := range map[string]mailaccess.Authenticator{
		"UsersFile":       file,
		"Static":          static,
		"ScramUsersFile":  stored(auth.SchemeScramSHA256),
		"PlainUsersFile":  stored(auth.SchemePlain),
		"CachedScramFile": auth.Cache(stored(auth.SchemeScramSHA256), nil),
		"CachedUsersFile": auth.Cache(file, nil),
		"Guarded":         auth.Guard(auth.Cache(stored(auth.SchemePlain), nil), &auth.GuardOptions{Free: 1000, BanAfter: -1}),
		"Masters":         auth.Masters(stored(auth.SchemePlain), func(context.Context, string, string) (bool, error) { return false, nil }, nil),
		"LoggedUsersFile": auth.Logged(file, zap.NewNop()),
		"Normalized":      auth.Normalized(stored(auth.SchemePlain)),
		"CachedFunc": auth.Cache(mailaccess.AuthenticatorFunc(func(ctx context.Context, username, password string) (string, error) {
			id, err := static.Authenticate(ctx, mailaccess.Login{Username: username, Password: password})
			return id.Account, err
		}), nil),
	} {
		t.Run(name, func(t *testing.T) { authtest.Run(t, a, user) })
	}
}
