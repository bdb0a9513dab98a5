package maildir

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A move of more messages than a transaction handles is done in several.
func TestMoveOfMany(t *testing.T) {
	for _, n := range []int{txnMax - 1, txnMax, txnMax + 1, 2*txnMax + 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			d := memDisk(t)
			o := d.open(nil)
			o.create("Archive")
			o.putMany("INBOX", n)
			src, dst := o.mailbox("INBOX"), o.mailbox("Archive")
			moved, err := o.Move(t.Context(), src.ID, src.ix.UIDs(), dst.ID)
			if err != nil {
				t.Fatal(err)
			}
			if moved.Source.Len() != n || moved.Dest.Len() != n {
				t.Errorf("%d of %d messages were moved to %d UIDs", moved.Source.Len(), n, moved.Dest.Len())
			}
			if left, there := len(o.list("INBOX")), len(o.list("Archive")); left != 0 || there != n {
				t.Errorf("%d are left and %d there, want 0 and %d", left, there, n)
			}
		})
	}
}

// putMany appends n messages at once.
func (o *opened) putMany(box string, n int) {
	o.t.Helper()
	ctx := o.t.Context()
	msgs := make([]mailaccess.NewMessage, n)
	for i := range msgs {
		staged, err := o.Stage(ctx, -1)
		if err != nil {
			o.t.Fatal(err)
		}
		defer staged.Close()
		if _, err := fmt.Fprintf(staged, "Subject: %d\r\n\r\n", i); err != nil {
			o.t.Fatal(err)
		}
		msgs[i].Staged = staged
	}
	if _, err := o.Append(ctx, o.mailbox(box).ID, msgs); err != nil {
		o.t.Fatal(err)
	}
}

// A change that panics fails, and those behind it are done.
func TestPanicOfAChange(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	err := o.do(&change{op: "defect", plan: func(*planner) (*record, error) { panic("out of order") }})
	if !errors.Is(err, mailaccess.KindInternal) {
		t.Errorf("the change ended with %v, want KindInternal", err)
	}
	o.put("INBOX", "Subject: after\r\n\r\n", mailaccess.Flags{})
	if n := len(o.list("INBOX")); n != 1 {
		t.Errorf("%d messages afterwards, want 1", n)
	}
}

// Whoever waits behind a long change leaves when its context ends, and nothing of it is
// done; one that has begun is not held up by it.
func TestChangeLeavesTheQueue(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	box := o.mailbox("INBOX")
	o.put("INBOX", "Subject: one\r\n\r\n", mailaccess.Flags{})
	begun, release := make(chan struct{}), make(chan struct{})
	long := make(chan error)
	go func() {
		long <- o.do(&change{op: "long", alone: func() error { close(begun); <-release; return nil }})
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	short := make(chan error)
	go func() {
		_, err := o.SetFlags(ctx, box.ID, mailaccess.UIDSetOf(1), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
		short <- err
	}()
	o.awaitWaiting(1)
	cancel()
	if err := <-short; !errors.Is(err, mailaccess.KindUnavailable) {
		t.Errorf("the change that waited ended with %v, want KindUnavailable", err)
	}
	close(release)
	if err := <-long; err != nil {
		t.Error(err)
	}
	if m := o.list("INBOX"); m[0].Flags.System != 0 {
		t.Errorf("flags are %v although the change left", m[0].Flags)
	}
	o.put("INBOX", "Subject: two\r\n\r\n", mailaccess.Flags{})
}

// awaitWaiting returns when n changes wait for the lead.
func (o *opened) awaitWaiting(n int) {
	o.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		o.lead.mu.Lock()
		have := len(o.lead.waiting)
		o.lead.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%d changes wait, want %d", have, n)
		}
	}
}

// No two users have one Maildir.
func TestPatternsTellUsersApart(t *testing.T) {
	for path, ok := range map[string]bool{
		"/m/%u": true, "/m/%d/%n": true, "/m/%n@%d": true, "/m/%u-%n": true, "/m/x%%%n/%d": true,
		"/m/%n-%d": false, "/m/%n%d": false, "/m/%d@%n": false, "/m/x%n@%d": false,
	} {
		_, err := parsePattern(path)
		if (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
		if err != nil && !strings.Contains(err.Error(), "two users") {
			t.Errorf("%s: %v, which does not say why", path, err)
		}
	}
}
