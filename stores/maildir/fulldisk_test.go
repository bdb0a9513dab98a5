package maildir

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// After a stop that was not clean a full disk keeps nobody from reading, and nothing is
// changed before there is room for what has to be written first.
func TestOpenOnFullDisk(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.put("INBOX", "Subject: there\r\n\r\n", mailaccess.Flags{})
	o.s.shortenLog(true) // so that the log has nothing for the account
	generation := o.s.state.generation

	d.fs = d.fs.Crash(rand.New(rand.NewPCG(1, 2)), memfs.All)
	d.root = d.fs.Root
	d.fs.SetCapacity(d.fs.Used())
	o = d.open(nil)
	if texts := o.texts("INBOX", 1); texts[0] != "Subject: there\r\n\r\n" {
		t.Errorf("read %q", texts)
	}
	box := o.mailbox("INBOX")
	flag := func() error {
		_, err := o.SetFlags(t.Context(), box.ID, box.ix.UIDs(), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
		return err
	}
	if err := flag(); !errors.Is(err, mailaccess.KindOverQuota) {
		t.Errorf("a change on a full disk: %v, want KindOverQuota", err)
	}

	d.fs.SetCapacity(1 << 30)
	if err := flag(); err != nil {
		t.Errorf("a change once there is room: %v", err)
	}
	var s Store
	s.own = o.s.own
	if err := s.readState(); err != nil || s.state.generation != generation+1 {
		t.Errorf("generation %d is on the disk (%v), want %d", s.state.generation, err, generation+1)
	}
	if _, err := o.s.own.Lstat(runningFile); err != nil {
		t.Errorf("nothing says that the store is open: %v", err)
	}
	o.close()
}
