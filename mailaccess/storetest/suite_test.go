package storetest_test

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

const account = "user@example.org"

func newMemory(t testing.TB) storetest.Harness {
	s := memory.New(nil)
	return storetest.Harness{
		Store: s, Account: account,
		LowerFloor: func(account string, box mailaccess.MailboxID) {
			if err := s.DropHistory(account, box); err != nil {
				t.Error(err)
			}
		},
	}
}

func TestMemory(t *testing.T) { storetest.Run(t, newMemory) }

func hostileMemory(opts storetest.HostileOptions) func(testing.TB) storetest.Harness {
	return func(t testing.TB) storetest.Harness {
		h := newMemory(t)
		h.Store = storetest.Hostile(h.Store, &opts)
		h.ShortHistory = opts.History >= 0
		return h
	}
}

// A hostile store keeps the contract, and the suite asks for no more.
func TestHostile(t *testing.T) {
	for _, opts := range []storetest.HostileOptions{{Seed: 1, KnownSizes: true}, {Seed: 2, History: 1, KnownSizes: true}, {Seed: 3, History: -1, KnownSizes: true}} {
		t.Run("", func(t *testing.T) { storetest.Run(t, hostileMemory(opts)) })
	}
}

func TestMemoryThatRetains(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		return storetest.Harness{Store: memory.New(&memory.Options{RetainExpunged: true, MaxMessageSize: 1 << 20}), Account: account}
	})
}

func BenchmarkMemory(b *testing.B) { storetest.Bench(b, newMemory) }
