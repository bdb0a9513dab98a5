package maildir

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

const day = 24 * time.Hour

func (o *opened) keptFiles(box *mailbox) []string {
	o.t.Helper()
	return slices.DeleteFunc(o.d.files(expungedDir, string(box.ID)), func(n string) bool { return n == expungedName })
}

// What was expunged goes when its time is over, and not before somebody who could see it
// has closed the account.
func TestSweep(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		inbox := o.mailbox("INBOX")
		old := o.put("INBOX", "Subject: old\r\n\r\n", mailaccess.Flags{})
		d.clock.advance(time.Minute)
		o.expunge("INBOX")
		d.clock.advance(7 * day)
		o.put("INBOX", "Subject: young\r\n\r\n", mailaccess.Flags{})
		o.expunge("INBOX")
		d.clock.advance(time.Hour)

		o.sweep(d.clock.now())
		if n := len(o.keptFiles(inbox)); n != 2 {
			t.Fatalf("%d files are kept for a session that can see them, want 2", n)
		}
		c, err := o.Content(t.Context(), old.EmailID)
		if err != nil {
			t.Fatalf("a session that was there cannot read what was expunged: %v", err)
		}
		c.Close()

		o.reopenAccount()
		o.sweep(d.clock.now())
		kept := o.keptFiles(inbox)
		if len(kept) != 1 {
			t.Fatalf("%d files are kept, want the young one", len(kept))
		}
		if k, ok := parseKept(kept[0]); !ok || d.clock.now().Sub(k.time) > day {
			t.Errorf("%s is kept", kept[0])
		}
		d.clock.advance(8 * day)
		o.reopenAccount()
		o.sweep(d.clock.now())
		if kept := o.keptFiles(inbox); len(kept) != 0 {
			t.Errorf("%q are kept", kept)
		}
		if len(d.files(expungedDir, string(inbox.ID))) != 1 {
			t.Error("the directory of a mailbox that is there went too")
		}
	})
}

// Without --keep-expunged everything goes at once, but for a message that was copied since the last
// checkpoint, which a loss of power may take the copy of, and a deleted mailbox: they go with the next.
func TestSweepWhenNothingIsKept(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(&Options{KeepExpunged: -1})
		o.create("Work")
		o.put("Work", "Subject: one\r\n\r\n", mailaccess.Flags{})
		inbox := o.mailbox("INBOX")
		m := o.put("INBOX", "Subject: two\r\n\r\n", mailaccess.Flags{})
		o.expunge("INBOX")
		if kept := d.files(expungedDir); len(kept) != 0 || len(d.files("cur")) != 0 {
			t.Errorf("%q are kept", kept)
		}
		o.create("Copies")
		o.create("Moved")
		o.put("INBOX", "Subject: three\r\n\r\n", mailaccess.Flags{})
		all := mailaccess.UIDSetRange(1, 1<<31)
		if _, err := o.Copy(t.Context(), inbox.ID, all, o.mailbox("Copies").ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Move(t.Context(), inbox.ID, all, o.mailbox("Moved").ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Move(t.Context(), o.mailbox("Moved").ID, all, inbox.ID); err != nil {
			t.Fatal(err)
		}
		o.expunge("INBOX")
		if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
			t.Fatal(err)
		}
		if len(o.keptFiles(inbox)) != 1 {
			t.Error("the file of a message that was copied went before the checkpoint")
		}
		if err := o.checkpoint(); err != nil {
			t.Fatal(err)
		}
		if kept := o.keptFiles(inbox); len(kept) != 0 {
			t.Errorf("%q are kept", kept)
		}
		if kept := d.files(expungedDir); len(kept) != 1 {
			t.Errorf("%q are there, want only INBOX's", kept)
		}
		if err := o.checkpoint(); err != nil {
			t.Fatal(err)
		}
		o.expunge("Copies") // was copied from what went, and is not copied
		if kept := o.keptFiles(o.mailbox("Copies")); len(kept) != 0 {
			t.Errorf("%q are kept of what no copy is made of", kept)
		}
		if _, err := o.Content(t.Context(), m.EmailID); mailaccess.KindOf(err) != mailaccess.KindContentGone {
			t.Errorf("error %v, want content gone", err)
		}
	})
}

// A deleted mailbox goes as a whole, and so does what was expunged from it before.
func TestSweepDeletedMailbox(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		for _, name := range []string{"Old", "Young"} {
			o.create(name)
			o.put(name, "Subject: one\r\n\r\n", mailaccess.Flags{})
			o.expunge(name)
			o.put(name, "Subject: two\r\n\r\n", flagsFor(t, 0, "work"))
			if err := o.DeleteMailbox(t.Context(), o.mailbox(name).ID); err != nil {
				t.Fatal(err)
			}
			d.clock.advance(5 * day)
		}
		if n := len(d.files(expungedDir)); n != 4 {
			t.Fatalf("%d directories, want two for each", n)
		}
		o.reopenAccount()
		o.sweep(d.clock.now())
		left := d.files(expungedDir)
		if len(left) != 2 {
			t.Fatalf("%q are left, want those of one mailbox", left)
		}
		for _, name := range left {
			if text, err := readSmall(d.in(expungedDir, name), expungedName); err != nil || string(text) != "Young" {
				t.Errorf("%s is of %q, %v", name, text, err)
			}
		}
	})
}

// One sweep does not go on for ever; the next one comes at once.
func TestSweepIsBounded(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.put("INBOX", "Subject: one\r\n\r\n", mailaccess.Flags{})
	o.expunge("INBOX")
	inbox := o.mailbox("INBOX")
	dir := d.in(expungedDir, string(inbox.ID))
	for i := range sweepMax + 9 {
		d.plant(dir, keptName{d.clock.now(), 1, fmt.Sprint("m", i)}.String(), "", d.clock.now())
	}
	d.clock.advance(8 * day)
	o.reopenAccount()
	before := len(o.keptFiles(inbox))
	o.sweep(d.clock.now())
	if n := before - len(o.keptFiles(inbox)); n != sweepMax {
		t.Errorf("%d files went at once, want %d", n, sweepMax)
	}
	o.mu.Lock()
	again := !o.swept.After(d.clock.now())
	o.mu.Unlock()
	if !again {
		t.Error("the rest waits for an hour")
	}
	o.sweep(d.clock.now())
	if kept := o.keptFiles(inbox); len(kept) != 0 {
		t.Errorf("%d files are left", len(kept))
	}
}

// What deliveries left in tmp goes after 36 hours, and nothing else does.
func TestSweepOrphans(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		o.create("Work")
		now := d.clock.now()
		name := func(t time.Time, rest string) string { return fmt.Sprintf("%d.%s", t.Unix(), rest) }
		for _, folder := range []string{"", ".Work"} {
			tmp := []string{"tmp"}
			if folder != "" {
				tmp = []string{folder, "tmp"}
			}
			dir := d.in(tmp...)
			d.plant(dir, name(now.Add(-2*day), "old"), "x", now.Add(-37*time.Hour))
			d.plant(dir, "nameless", "x", now.Add(-37*time.Hour))
			d.plant(dir, name(now, "copied"), "x", now.Add(-300*day))
			d.plant(dir, name(now.Add(-2*day), "slow"), "x", now.Add(-35*time.Hour))
			if err := dir.Mkdir("directory"); err != nil {
				t.Fatal(err)
			}
			o.sweep(now)
			left := strings.Join(d.files(tmp...), " ")
			if !strings.Contains(left, "copied") || !strings.Contains(left, "slow") || !strings.Contains(left, "directory") ||
				strings.Contains(left, "old") || strings.Contains(left, "nameless") {
				t.Errorf("left in %s/tmp: %s", folder, left)
			}
		}
		o.put("Work", "Subject: one\r\n\r\n", mailaccess.Flags{})
		d.clock.advance(3 * day)
		o.sweep(d.clock.now())
		if n := len(o.texts("Work", 1)); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}
