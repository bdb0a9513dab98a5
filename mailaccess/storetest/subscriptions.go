package storetest

import (
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func subscriptionChecks() []check {
	return []check{
		{"Set", "Subscriptions", checkSubscribe},
		{"Idempotent", "Subscriptions", checkSubscribeTwice},
		{"OutliveMailboxes", "Subscriptions Mailboxes", checkSubscriptionOutlives},
		{"Changes", "Subscriptions", checkSubscriptionChanges},
	}
}

func (e *env) subscribe(name string, on bool) {
	e.Helper()
	if err := e.caps.Subscriptions.Subscribe(e.ctx, name, on); err != nil {
		e.Fatalf("Subscribe(%q, %t): %v", name, on, err)
	}
}

func (e *env) subscriptions() []string {
	e.Helper()
	names, err := collect(e.caps.Subscriptions.Subscriptions(e.ctx))
	if err != nil {
		e.Fatalf("Subscriptions: %v", err)
	}
	return names
}

// Names come and go, in byte order, whether there is such a mailbox or not.
func checkSubscribe(e *env) {
	want := e.subscriptions()
	for _, n := range []string{"lists/go", "Zoo", "lists", "ä"} {
		e.subscribe(n, true)
		want = append(want, n)
	}
	slices.Sort(want)
	if got := e.subscriptions(); !slices.Equal(got, want) {
		e.Errorf("Subscriptions: %q, want %q", got, want)
	}
	e.subscribe("lists", false)
	want = slices.DeleteFunc(want, func(n string) bool { return n == "lists" })
	if got := e.subscriptions(); !slices.Equal(got, want) {
		e.Errorf("Subscriptions: %q, want %q", got, want)
	}
}

func checkSubscribeTwice(e *env) {
	e.subscribe("lists", true)
	e.takesNone("subscribing twice", func() { e.subscribe("lists", true) })
	e.takesNone("unsubscribing what is not subscribed", func() { e.subscribe("other", false) })
	e.subscribe("lists", false)
	e.takesNone("unsubscribing twice", func() { e.subscribe("lists", false) })
	if slices.Contains(e.subscriptions(), "lists") {
		e.Error("still subscribed")
	}
}

// RFC 3501, section 6.3.6: a name stays subscribed when its mailbox goes.
func checkSubscriptionOutlives(e *env) {
	m := e.create("lists")
	e.subscribe("lists", true)
	e.rename(m.ID, "old lists")
	if !slices.Contains(e.subscriptions(), "lists") || slices.Contains(e.subscriptions(), "old lists") {
		e.Errorf("after a rename: %q", e.subscriptions())
	}
	e.rename(m.ID, "lists")
	e.remove(m.ID)
	if !slices.Contains(e.subscriptions(), "lists") {
		e.Errorf("after the deletion: %q", e.subscriptions())
	}
}

func checkSubscriptionChanges(e *env) {
	start := e.state()
	e.takesOne("Subscribe", func() { e.subscribe("lists", true) })
	middle := e.state()
	want := func(since mailaccess.State, changed bool) {
		e.Helper()
		c, err := e.acct.Changes(e.ctx, since)
		if e.forgotten(err) {
			return
		}
		if err != nil {
			e.Fatalf("Changes: %v", err)
		}
		if c.Subscriptions != changed {
			e.Errorf("Changes since %+v: subscriptions changed is %t, want %t", since, c.Subscriptions, changed)
		}
		if len(c.Mailboxes) != 0 && since != (mailaccess.State{}) {
			e.Errorf("Changes since %+v: mailboxes %+v, none changed", since, c.Mailboxes)
		}
	}
	want(start, true)
	want(middle, false)
	want(mailaccess.State{}, true)
	e.subscribe("lists", false)
	want(middle, true)
	want(e.state(), false)
}
