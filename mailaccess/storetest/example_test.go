package storetest_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// A store proves itself in one line of a test.
func ExampleRun() {
	_ = func(t *testing.T) { // TestStore
		storetest.Run(t, func(t testing.TB) storetest.Harness {
			return storetest.Harness{Store: memory.New(nil), Account: "ann@example.org"}
		})
	}
}

// quiet is a store around another that has no push.
type quiet struct{ mailaccess.Store }

func (quiet) Watch(context.Context, func(mailaccess.Ring)) (func(), error) {
	return nil, mailaccess.ErrSkip
}

func (q quiet) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := q.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return silent{a}, nil
}

// silent lets nothing pass but what it names.
type silent struct{ mailaccess.Account }

func (r silent) Capabilities() mailaccess.Capabilities {
	return mailaccess.Capabilities{Search: r.Account.Capabilities().Search}
}

// A wrapper proves that it lets pass what it says, and nothing else.
func ExampleWrapper() {
	_ = func(t *testing.T) { // TestWrapper
		newInner := func(testing.TB) storetest.Harness {
			return storetest.Harness{Store: memory.New(nil), Account: "ann@example.org"}
		}
		storetest.Wrapper(t, newInner, func(s mailaccess.Store) mailaccess.Store { return quiet{s} }, "Search")
	}
}

// Whatever stands on a store is tried over one that keeps the contract and no more.
func ExampleHostile() {
	ctx := context.Background()
	store := storetest.Hostile(memory.New(nil), &storetest.HostileOptions{Seed: 1, Unavailable: 1})
	defer store.Close()
	account, err := store.Open(ctx, "ann", mailaccess.Identity{User: "ann", Account: "ann"})
	if err != nil {
		fmt.Println("open:", mailaccess.KindOf(err))
		return
	}
	defer account.Close()
	if _, err = account.State(ctx); err == nil {
		log.Fatal("it was to fail each time")
	}
	fmt.Println("state:", mailaccess.KindOf(err))
	// Output: open: unavailable
}
