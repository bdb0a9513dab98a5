package main

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

// readOnly is a store of which everything can be read and nothing changed.
type readOnly struct{ mailaccess.Store }

// Open takes from whoever opens an account the right to change it, which is what clients
// are shown.
func (s readOnly) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	who.Without |= mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	a, err := s.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return readOnlyAccount{a}, nil
}

// readOnlyAccount passes on the fourteen methods of an account, which only read.
type readOnlyAccount struct{ mailaccess.Account }

// Capabilities names what passes. Copying the inner value and clearing fields would let
// through whatever the contract is given next; so nothing passes that is not named.
func (a readOnlyAccount) Capabilities() mailaccess.Capabilities {
	inner := a.Account.Capabilities()
	return mailaccess.Capabilities{
		SavedDates: inner.SavedDates,
		Threads:    inner.Threads,
		Search:     inner.Search,
		Derived:    inner.Derived, // a cache of what is there anyway
		Lease:      inner.Lease,   // POP3's lock on the maildrop changes no mail
		Locate:     inner.Locate,
		UniqueIDs:  inner.UniqueIDs,
		Hold:       inner.Hold,
	}
}
