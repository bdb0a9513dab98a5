package storetest

import (
	"context"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// kept is a store that claims Durable: closing it closes nothing, so that it can
// be opened again over the same data.
type kept struct{ mailaccess.Store }

func (kept) Close() error { return nil }

// durableHarness is the memory store as one that keeps, spoilt at each reopening.
func durableHarness(t testing.TB, spoil func(reopened *bent)) Harness {
	h := harnessOf(t, nil)
	inner := h.Store
	t.Cleanup(func() { inner.Close() })
	open := func(spoil func(*bent)) mailaccess.Store {
		b := &bent{Store: kept{inner}, account: func(*bentAccount) {}}
		if spoil != nil {
			spoil(b)
		}
		account := b.account
		b.account = func(a *bentAccount) {
			a.caps.Durable = true
			account(a)
		}
		return b
	}
	h.Store = open(nil)
	h.Reopen = func(testing.TB) mailaccess.Store { return open(spoil) }
	return h
}

func TestDurableChecks(t *testing.T) {
	for _, c := range durableChecks() {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, func(t testing.TB) Harness { return durableHarness(t, nil) })
		})
	}
}

func TestDurableChecksBite(t *testing.T) {
	for name, m := range map[string]mutant{
		"flags are lost": in("Durable/Everything", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.Flags = mailaccess.Flags{} }
		}),
		"a new epoch": in("Durable/Everything", func(a *bentAccount) {
			a.all = func(c *mailaccess.AccountChanges) { c.UpTo.Epoch += "x" }
		}),
		"subscriptions are lost": in("Durable/Everything", func(a *bentAccount) {
			for name := range a.caps.Subscriptions.Subscriptions(context.Background()) {
				a.caps.Subscriptions.Subscribe(context.Background(), name, false)
			}
		}),
		"the highest UID is used again": in("Durable/UIDsNeverReused", func(a *bentAccount) {
			a.status = func(s *mailaccess.Status) { s.UIDNext = 1 }
		}),
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, find(t, m.check), func(t testing.TB) Harness { return durableHarness(t, m.bend) })
			if !r.Failed() {
				t.Errorf("%s passes (skipped: %q)", m.check, r.skipped)
			}
		})
	}
}
