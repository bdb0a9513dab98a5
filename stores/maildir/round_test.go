package maildir

import (
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// What an account keeps that nobody opens any more goes too, and the round leaves no account
// loaded.
func TestRound(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		inbox := o.mailbox("INBOX")
		o.put("INBOX", "Subject: old\r\n\r\n", mailaccess.Flags{})
		o.expunge("INBOX")
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if !o.s.putAway(o.account) {
			t.Fatal("the account cannot be put away")
		}
		o.s.round()
		if n := len(o.keptFiles(inbox)); n != 1 {
			t.Fatalf("%d files are kept before their time is over, want 1", n)
		}
		d.clock.advance(7*day + time.Hour)
		o.s.round()
		if kept := o.keptFiles(inbox); len(kept) != 0 {
			t.Errorf("%q are kept", kept)
		}
		if n := len(o.s.loadedAccounts()); n != 0 {
			t.Errorf("%d accounts are loaded afterwards, want none", n)
		}
	})
}

// An account that keeps nothing is not opened, and so another server's is not taken over.
func TestRoundOpensNothingElse(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	if kept, err := o.s.keepsSomething("ann"); kept || err != nil {
		t.Errorf("an account with nothing: %v, %v", kept, err)
	}
	if kept, err := o.s.keepsSomething("nobody"); kept || err != nil {
		t.Errorf("no account: %v, %v", kept, err)
	}
}
