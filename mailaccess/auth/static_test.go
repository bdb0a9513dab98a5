package auth

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestStatic(t *testing.T) {
	users := map[string]string{"Alice": "secret", "The Demo User": "demo", "none": "", "BOB": "first", "bob": "second"}
	a := Static(users)
	users["mallory"] = "secret"
	delete(users, "Alice")
	for _, tt := range []struct {
		name, password string
		want           mailaccess.Kind
	}{
		{"alice", "secret", gotIn},
		{"ALICE", "secret", gotIn},
		{"alice", "Secret", mailaccess.KindAuthFailed},
		{"The Demo User", "demo", gotIn},
		{"the demo user", "demo", mailaccess.KindAuthFailed},
		{"none", "", mailaccess.KindAuthFailed},
		{"bob", "second", gotIn},
		{"bob", "first", mailaccess.KindAuthFailed},
		{"mallory", "secret", mailaccess.KindAuthFailed},
		{"", "", mailaccess.KindAuthFailed},
	} {
		if got := kindOfLogin(t, a, tt.name, tt.password); got != tt.want {
			t.Errorf("%q with %q: %v, want %v", tt.name, tt.password, got, tt.want)
		}
	}
}
