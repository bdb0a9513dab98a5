package storetest_test

import (
	"context"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

// readOnly is a wrapper as one would write it.
type readOnly struct{ mailaccess.Store }

func (s readOnly) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	who.Without |= mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	a, err := s.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return readOnlyAccount{a}, nil
}

type readOnlyAccount struct{ mailaccess.Account }

func (a readOnlyAccount) Capabilities() mailaccess.Capabilities {
	in := a.Account.Capabilities()
	return mailaccess.Capabilities{Durable: in.Durable, Search: in.Search, Derived: in.Derived, Lease: in.Lease, Locate: in.Locate, Hold: in.Hold}
}

var readOnlyPasses = []string{"Durable", "Search", "Derived", "Lease", "Locate", "Hold"}

func TestWrapper(t *testing.T) {
	storetest.Wrapper(t, newMemory, func(s mailaccess.Store) mailaccess.Store { return readOnly{s} }, readOnlyPasses...)
}

// The hostile wrapper passes everything but RetainsExpunged.
func TestHostileIsAWrapper(t *testing.T) {
	storetest.Wrapper(t, newMemory, func(s mailaccess.Store) mailaccess.Store {
		return storetest.Hostile(s, &storetest.HostileOptions{History: -1, KnownSizes: true})
	}, "Durable", "MaxMessageSize", "SystemFlags", "NewKeywords", "SavedDates", "Threads", "Append", "AppendMany", "Flags", "Expunge", "Copy", "CopyMany", "Move", "Replace",
		"Mailboxes", "Subscriptions", "Search", "Derived", "Lease", "Recent", "Locate", "UniqueIDs", "Hold")
}
