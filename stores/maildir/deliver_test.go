package maildir

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// deliver delivers a message into ann's account.
func (d *disk) deliver(mailbox, text string) (string, error) {
	return deliverTo(d.t.Context(), d.in(), mailbox, strings.NewReader(text))
}

// Whatever fails, a delivery leaves nothing behind, and the next try succeeds. Only after the
// last sync, which nobody can take back, the message may be there.
func TestDeliverFails(t *testing.T) {
	for k := 1; ; k++ {
		d := memDisk(t)
		if err := d.root().Mkdir("ann"); err != nil {
			t.Fatal(err)
		}
		in := d.in()
		var ops []fsys.Op
		d.fs.Observe(func(op fsys.Op) { ops = append(ops, op) })
		d.fs.Fail(k, syscall.EIO, &fsys.FaultOptions{Reads: true})
		_, err := deliverTo(t.Context(), in, "Work", strings.NewReader("Subject: x\n\n"))
		failed := d.fs.Failed() > 0
		d.fs.Clear()
		d.fs.Observe(nil)
		if !failed {
			if err != nil {
				t.Fatal(err)
			}
			if k < 10 {
				t.Fatalf("only %d operations", k-1)
			}
			return
		}
		last := ops[k-1]
		if !errors.Is(err, syscall.EIO) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("operation %d (%v): %v", k, last, err)
		}
		there := 0
		if strings.HasSuffix(last.Dir, "new") && last.Kind == fsys.OpSyncDir {
			there = 1
		}
		for _, sub := range []string{"tmp", "new"} {
			want := 0
			if sub == "new" {
				want = there
			}
			if _, err := d.in().Lstat(sub); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if left := d.files(sub); len(left) != want {
				t.Errorf("operation %d (%v): %q is left in %s, want %d", k, last, left, sub, want)
			}
		}
		if _, err := d.deliver("Work", "Subject: x\n\n"); err != nil {
			t.Fatal(err)
		}
		if got := d.files("new"); len(got) != there+1 {
			t.Errorf("operation %d (%v): %d messages after the next try", k, last, len(got))
		}
	}
}

// Mail does not wait until somebody puts a damaged file of the account right: names of
// folders are taken for what they look like.
func TestDeliverBesideDamage(t *testing.T) {
	for _, damage := range []string{"", "mailaccess account 7\n", "mailaccess account 1\nnames EBCDIC\n", strings.Repeat("x", maxMeta+1)} {
		d := memDisk(t)
		o := d.open(nil)
		o.create("Arché")
		o.close()
		if err := d.in().Remove(accountFile); err != nil {
			t.Fatal(err)
		}
		d.plant(d.in(), accountFile, damage, d.clock.now())
		for _, box := range []string{"Arché", mailaccess.Inbox} {
			if got, err := d.deliver(box, "Subject: x\n\n"); err != nil || got != box {
				t.Errorf("%.30q: delivered into %q, %v; want %q", damage, got, err, box)
			}
		}
	}
}
