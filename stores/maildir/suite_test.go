package maildir

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		dir := t.TempDir()
		open := func(t testing.TB) *Store {
			s, err := New(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return storetest.Harness{
			Store:   open(t),
			Account: "ann", Patience: 3e9,
			Reopen: func(t testing.TB) mailaccess.Store { return open(t) },
		}
	})
}
