package maildir

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		dir := t.TempDir()
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
