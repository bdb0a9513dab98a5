package memory_test

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestSuite(t *testing.T) {
	for name, opts := range map[string]memory.Options{
		"default":  {MaxMessageSize: 1 << 20},
		"retained": {MaxMessageSize: 1 << 20, RetainExpunged: true},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t testing.TB) storetest.Harness { return harness(t, opts) })
		})
	}
}

// A store that forgets early keeps the contract too.
func TestSuiteShortHistory(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		h := harness(t, memory.Options{HistoryLimit: 3})
		h.ShortHistory = true
		return h
	})
}

func harness(t testing.TB, opts memory.Options) storetest.Harness {
	s := memory.New(&opts)
	return storetest.Harness{
		Store:   s,
		Account: "user@example.org",
		LowerFloor: func(account string, box mailaccess.MailboxID) {
			if err := s.DropHistory(account, box); err != nil {
				t.Error(err)
			}
		},
	}
}
