package maildir

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// What was in a mailbox that is deleted stays readable for who had the account open before:
// while the folder waits to be moved, when it was, after a checkpoint and after a sweep.
func TestReadFromDeletedMailbox(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(&Options{KeepExpunged: time.Hour})
		o.create("Work")
		o.create("Kept")
		p := program{t, d}
		for i := range 3 {
			o.put("Work", fmt.Sprintf("Subject: %d\r\n\r\n", i), flagsFor(t, mailaccess.FlagSeen))
		}
		p.deliver(".Work/new", "1.fresh.host", "Subject: 3\n\n")
		p.deliver(".Work/cur", "2.odd \"name\n1 x\".host:2,", "Subject: 4\n\n")
		all := o.list2("Work")
		if len(all) != 5 {
			t.Fatalf("%d messages", len(all))
		}
		readable := func(when string) {
			t.Helper()
			for _, m := range all {
				text, err := o.text(m)
				if err != nil || !strings.HasPrefix(text, "Subject: ") {
					t.Errorf("%s: UID %d: %q, %v", when, m.UID, text, err)
				}
			}
			texts := make(map[string]bool)
			for _, m := range all {
				text, _ := o.text(m)
				texts[text] = true
			}
			if len(texts) != len(all) {
				t.Errorf("%s: %d texts of %d messages", when, len(texts), len(all))
			}
		}
		if d.fs != nil {
			d.fs.Fail(1, syscall.EIO, &fsys.FaultOptions{Sticky: true, Match: func(op fsys.Op) bool {
				return op.Kind == fsys.OpRename && op.Name == ".Work"
			}})
		}
		if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
			t.Fatal(err)
		}
		if d.fs != nil {
			readable("while the folder cannot be moved")
			d.fs.Clear()
		}
		o.put("Kept", "Subject: other\r\n\r\n", mailaccess.Flags{})
		readable("moved")
		if err := o.checkpoint(); err != nil {
			t.Fatal(err)
		}
		readable("after a checkpoint")
		d.clock.advance(2 * time.Hour)
		o.sweep(d.clock.now())
		readable("after a sweep")
		if found := o.check(false); len(found) != 0 {
			t.Errorf("found %q", found)
		}
		o.reopenAccount()
		o.sweep(d.clock.now())
		for _, m := range all {
			if _, err := o.text(m); !errors.Is(err, mailaccess.KindContentGone) {
				t.Errorf("UID %d, when its time is over: %v", m.UID, err)
			}
		}
		if left := slices.DeleteFunc(d.files(expungedDir), isID); len(left) != 0 {
			t.Errorf("the sweep left %q", left)
		}
	})
}

// Numbers of another epoch mean other contents.
func TestDeletedMailboxOfAnotherEpoch(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	o.put("Work", "Subject: x\r\n\r\n", mailaccess.Flags{})
	email := o.emailNumber(o.list("Work")[0].EmailID)
	if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
		t.Fatal(err)
	}
	if f, err := o.openKept("test", email); err != nil {
		t.Fatal(err)
	} else {
		f.Close()
	}
	o.mu.Lock()
	o.Tag = "another"
	o.mu.Unlock()
	if _, err := o.openKept("test", email); !errors.Is(err, mailaccess.KindContentGone) {
		t.Errorf("the number of another epoch: %v", err)
	}
}

// Between the commit of a removal and the move of the file whoever reads waits for it.
func TestReadWhileExpunged(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	inbox, work := o.put("INBOX", "Subject: x\r\n\r\n", mailaccess.Flags{}), o.put("Work", "Subject: y\r\n\r\n", mailaccess.Flags{})
	for _, tt := range []struct {
		m      mailaccess.Message
		remove func() error
	}{
		{inbox, func() error {
			_, err := o.Expunge(t.Context(), o.mailbox("INBOX").ID, mailaccess.UIDSetOf(inbox.UID), 0)
			return err
		}},
		{work, func() error { return o.DeleteMailbox(t.Context(), o.mailbox("Work").ID) }},
	} {
		var once sync.Once
		read := make(chan error, 1)
		d.fs.Observe(func(op fsys.Op) {
			if op.Kind != fsys.OpRename || !strings.Contains(op.ToDir, expungedDir) {
				return
			}
			once.Do(func() {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, err := o.text(tt.m)
					read <- err
				}()
				waits := func() bool {
					o.lead.mu.Lock()
					defer o.lead.mu.Unlock()
					return len(o.lead.waiting) > 0
				}
				for !waits() {
					select {
					case <-ended:
						return
					default:
						runtime.Gosched()
					}
				}
			})
		})
		if err := tt.remove(); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Errorf("%v", err)
		}
		d.fs.Observe(nil)
	}
}
