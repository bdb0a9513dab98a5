package auth

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name, user, password string
		asked                bool
	}{
		{"usual", "alice", "secret", true},
		{"a password that is not UTF-8", "alice", "\xff", true},
		{"the longest", strings.Repeat("a", maxLoginName), strings.Repeat("p", MaxPassword), true},
		{"no password", "alice", "", false},
		{"no name", "", "secret", false},
		{"a name that is not UTF-8", "\xff", "secret", false},
		{"a long name", strings.Repeat("a", maxLoginName+1), "secret", false},
		{"a long password", "alice", strings.Repeat("p", MaxPassword+1), false},
		{"NUL", "alice", "sec\x00ret", false},
	} {
		r := &recorder{}
		l := private
		l.Username, l.Password = tt.user, tt.password
		id, err := Verify(t.Context(), r, l)
		if !tt.asked {
			if len(r.logins) > 0 || !errors.Is(err, mailaccess.KindAuthFailed) || id.User != "" {
				t.Errorf("%s: asked %d times, answer %v, %v", tt.name, len(r.logins), id, err)
			}
			continue
		}
		if diff := cmp.Diff([]mailaccess.Login{l}, r.logins); diff != "" || err != nil || id.User != tt.user {
			t.Errorf("%s: %v, %v, asked (-want +got):\n%s", tt.name, id, err, diff)
		}
	}
}
