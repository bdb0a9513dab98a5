package storetest

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Harness is a store under test and what the suite must know about it.
type Harness struct {
	// Store is fresh: no other test uses it. The suite closes it.
	Store mailaccess.Store
	// Account is the name of an account that the suite may do anything with.
	// It should hold no messages.
	Account string
	// Identity opens the account. The zero value stands for the account's
	// owner with all rights; the suite sets Without where it needs fewer.
	Identity mailaccess.Identity

	// Reopen returns the store again, over the same data. The suite has closed
	// the one before. Needed when the store claims Durable.
	Reopen func(t testing.TB) mailaccess.Store
	// LowerFloor makes the store forget what changed in a mailbox up to now,
	// or, when box is empty, which mailboxes were deleted. Without it the tests
	// of the floor are skipped.
	LowerFloor func(account string, box mailaccess.MailboxID)
	// Deliver puts a message into the account by another way than Append, for
	// stores that have no Append: without it, and without Append, whatever
	// needs messages is skipped, which is most of the suite. The message is there
	// when Deliver returns; received may be zero: now.
	Deliver func(ctx context.Context, box mailaccess.MailboxID, content []byte, f mailaccess.Flags, received time.Time) (mailaccess.UID, error)
	// WholeLines says that what is delivered ends in a line end, as in files that are
	// lines and nothing else: the suite then delivers no message that has none.
	WholeLines bool
	// ShortHistory says that the store forgets what changed after very few
	// changes. The suite then takes a high floor, or KindHistoryGone, for an
	// answer wherever the contract does; without it a store is expected to know all that happened
	// within one test, some hundreds of changes.
	ShortHistory bool
	// Patience is how long the suite waits for what must happen before it
	// calls that a failure; 0 means 30 seconds.
	Patience time.Duration
}

// Run proves the store that newStore makes; each subtest asks for a new one. The
// subtests run one after another and expect nothing else to run beside them.
func Run(t *testing.T, newStore func(t testing.TB) Harness) {
	for _, g := range suite() {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.checks {
				t.Run(c.name, func(t *testing.T) { c.test(t, newStore) })
			}
		})
	}
}

// group is the checks of one part of the contract.
type group struct {
	name   string
	checks []check
}

// check proves one obligation. It reports to whatever testing.TB it is given, so
// that the suite can be tested itself.
type check struct {
	name string
	// needs names, with spaces between, the fields of Capabilities and of
	// Harness that must be set; Messages stands for Append or Deliver.
	needs string
	run   func(e *env)
}

func suite() []group {
	return []group{
		{"Mailboxes", mailboxChecks()},
		{"Rename", renameChecks()},
		{"Delete", deleteChecks()},
		{"Subscriptions", subscriptionChecks()},
		{"Append", appendChecks()},
		{"Staged", stagedChecks()},
		{"Content", contentChecks()},
		{"Flags", flagChecks()},
		{"Expunge", expungeChecks()},
		{"Copy", copyChecks()},
		{"Move", moveChecks()},
		{"Replace", replaceChecks()},
		{"Saved", savedChecks()},
		{"Threads", threadChecks()},
		{"Numbers", numberChecks()},
		{"MailboxChanges", mailboxChangesChecks()},
		{"Changes", accountChangesChecks()},
		{"Order", orderChecks()},
		{"Watch", watchChecks()},
		{"Listing", listingChecks()},
		{"Context", contextChecks()},
		{"Rights", rightsChecks()},
		{"Search", searchChecks()},
		{"Derived", derivedChecks()},
		{"Lease", leaseChecks()},
		{"Recent", recentChecks()},
		{"Locate", locateChecks()},
		{"UniqueIDs", uniqueIDChecks()},
		{"Hold", holdChecks()},
		{"Model", modelChecks()},
		{"Concurrency", concurrencyChecks()},
		{"Close", closeChecks()},
		{"Durable", durableChecks()},
	}
}

// test runs the check over a new store, and whatever it did, the account must
// add up in the end.
func (c check) test(tb testing.TB, newStore func(testing.TB) Harness) {
	e := newEnv(tb, newStore(tb))
	e.need(c.needs)
	c.run(e)
	if !e.closed && !e.Failed() {
		e.addsUp()
	}
}

// env is one store with one open account, as a check uses it.
type env struct {
	testing.TB
	h      Harness
	ctx    context.Context
	cancel context.CancelFunc
	store  mailaccess.Store
	acct   mailaccess.Account
	caps   mailaccess.Capabilities
	closed bool // by the check
	serial int  // of contents and names that were made up
}

func newEnv(tb testing.TB, h Harness) *env {
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	if h.Identity.User == "" {
		h.Identity.User = h.Account
	}
	if h.Identity.Account == "" {
		h.Identity.Account = h.Account
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*h.Patience)
	e := &env{TB: tb, h: h, ctx: ctx, cancel: cancel, store: h.Store}
	tb.Cleanup(func() {
		if !e.closed {
			e.close()
		}
		cancel()
	})
	e.acct = e.open(h.Identity)
	e.caps = e.acct.Capabilities()
	return e
}

// open opens the account for somebody.
func (e *env) open(who mailaccess.Identity) mailaccess.Account {
	e.Helper()
	a, err := e.store.Open(e.ctx, e.h.Account, who)
	if err != nil {
		e.Fatalf("Open(%q): %v", e.h.Account, err)
	}
	return a
}

// openAgain opens the account once more, as a second session does, until the
// check is over.
func (e *env) openAgain() mailaccess.Account {
	e.Helper()
	a := e.open(e.h.Identity)
	e.Cleanup(func() { a.Close() })
	return a
}

// openWith opens the account for an identity that is limited to rights.
func (e *env) openWith(rights mailaccess.Rights) mailaccess.Account {
	e.Helper()
	who := e.h.Identity
	who.Without |= mailaccess.RightsAll &^ rights
	a := e.open(who)
	e.Cleanup(func() { a.Close() })
	return a
}

// close closes account and store.
func (e *env) close() {
	e.Helper()
	e.closed = true
	if e.acct != nil {
		if err := e.acct.Close(); err != nil {
			e.Errorf("Account.Close: %v", err)
		}
	}
	if err := e.store.Close(); err != nil {
		e.Errorf("Store.Close: %v", err)
	}
}

// need skips the check unless all that is named is there.
func (e *env) need(names string) {
	e.Helper()
	for name := range strings.FieldsSeq(names) {
		if name == "Messages" {
			if name = "Append"; e.h.Deliver != nil {
				continue
			}
		}
		f := reflect.ValueOf(e.caps).FieldByName(name)
		if !f.IsValid() {
			f = reflect.ValueOf(e.h).FieldByName(name)
		}
		if !f.IsValid() {
			e.Fatalf("%s is neither in Capabilities nor in Harness", name)
		}
		if f.IsZero() {
			e.Skipf("needs %s", name)
		}
	}
}
