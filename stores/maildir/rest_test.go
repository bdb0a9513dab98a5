package maildir

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Directories of mailboxes that nobody uses any more are closed, what was due in them is
// synced before, and whoever needs them opens them again.
func TestRest(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		var boxes []*mailbox
		for i := range 20 {
			name := fmt.Sprintf("Box %d", i)
			o.create(name)
			boxes = append(boxes, o.mailbox(name))
			o.put(name, fmt.Sprintf("Subject: %d\r\n\r\n", i), mailaccess.Flags{})
		}
		for _, b := range boxes {
			o.unwatch(b)
		}
		old := boxes[0].cur
		if !o.isOpen(boxes[0]) {
			t.Fatal("the directories are not open after an append")
		}
		d.clock.advance(2 * restAfter)
		o.stir()
		o.upkeep(d.clock.now(), time.Time{})
		o.stir()
		o.upkeep(d.clock.now(), time.Time{})
		for _, b := range boxes {
			if o.isOpen(b) {
				t.Errorf("%s: the directories are open", b.Name)
			}
			o.mu.Lock()
			_, due := o.unsynced[b.cur]
			o.mu.Unlock()
			if due {
				t.Errorf("%s: a directory that is closed has yet to be synced", b.Name)
			}
		}
		if _, err := old.Stat(); err == nil {
			t.Error("a directory is open although nobody uses it")
		}

		for i, b := range boxes {
			if s, err := o.Status(t.Context(), b.ID); err != nil || s.Messages != 1 {
				t.Errorf("%s: %d messages, %v", b.Name, s.Messages, err)
			}
			o.put(b.Name, "Subject: more\r\n\r\n", mailaccess.Flags{})
			if texts := o.texts(b.Name, 2); texts[0] != fmt.Sprintf("Subject: %d\r\n\r\n", i) {
				t.Errorf("%s: %q", b.Name, texts)
			}
			o.expunge(b.Name)
		}
		o.close()
	})
}

// Directories that are held, or were needed a moment ago, stay open.
func TestRestLeavesWhatIsUsed(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Held")
	held, fresh := o.mailbox("Held"), o.mailbox("INBOX")
	release, err := o.Hold(t.Context(), held.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	o.put("INBOX", "Subject: x\r\n\r\n", mailaccess.Flags{})
	o.unwatch(fresh)
	d.clock.advance(restAfter - time.Second)
	o.stir()
	o.upkeep(d.clock.now(), time.Time{})
	if !o.isOpen(held) || !o.isOpen(fresh) {
		t.Errorf("held is open: %v, the other: %v, want both", o.isOpen(held), o.isOpen(fresh))
	}
}

// isOpen reports whether the directories of a mailbox are open.
func (o *opened) isOpen(b *mailbox) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.cur != nil && !b.rested
}

// Keys of threads are let go of with the rows, and read again.
func TestThreadsAreUnloaded(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	first := o.put("INBOX", "Subject: a\r\nMessage-ID: <a@x>\r\n\r\n", mailaccess.Flags{})
	o.s.shortenLog(true)
	d.clock.advance(time.Hour)
	if o.unloadUnused(d.clock.now()) == 0 || o.threads.known != nil {
		t.Fatal("the keys of threads are still there")
	}
	second := o.put("INBOX", "Subject: b\r\nMessage-ID: <b@x>\r\nReferences: <a@x>\r\n\r\n", mailaccess.Flags{})
	if second.ThreadID != first.ThreadID {
		t.Errorf("threads %s and %s, want one", first.ThreadID, second.ThreadID)
	}
}
