package maildir

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		dir := t.TempDir()
		// Another server kept the account, and left nothing in it: whatever that brings is
		// there too.
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, "ann", sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "ann", "courierimapuiddb"), []byte("1 1275660208 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var s *Store
		open := func(t testing.TB) *Store {
			var err error
			if s, err = New(dir, nil); err != nil {
				t.Fatal(err)
			}
			return s
		}
		return storetest.Harness{
			Store:   open(t),
			Account: "ann", Patience: 3e9,
			Reopen: func(t testing.TB) mailaccess.Store { return open(t) },
			LowerFloor: func(account string, box mailaccess.MailboxID) {
				if err := s.DropHistory(account, box); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
