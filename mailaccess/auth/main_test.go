package auth

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cheap are costs that let a test hash often.
var cheap = Argon2id{Memory: 64, Time: 1, Threads: 1}

// hashed returns the password field of a users file.
func hashed(t testing.TB, password string) string {
	t.Helper()
	h, err := newArgon2Hash(password, cheap)
	if err != nil {
		t.Fatal(err)
	}
	return "{ARGON2ID}" + h.String()
}
