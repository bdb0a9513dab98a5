package maildir

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// undelete brings messages of ann's back, and returns what was reported.
func (d *disk) undelete(opts *UndeleteOptions) (done []Undeleted, err error) {
	root := d.root()
	defer root.Close()
	err = undelete(context.Background(), "undelete", root, []string{"ann"}, opts, func(u Undeleted) { done = append(done, u) })
	slices.SortFunc(done, func(x, y Undeleted) int { return strings.Compare(x.File, y.File) })
	return done, err
}

func (d *disk) mustUndelete(opts *UndeleteOptions) []Undeleted {
	d.t.Helper()
	done, err := d.undelete(opts)
	if err != nil {
		d.t.Fatal(err)
	}
	return done
}

// While the store runs: what was expunged arrives again, with its flags but \Deleted.
func TestUndeleteWhileRunning(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		first := o.put("INBOX", "Subject: first\r\n\r\n", flagsFor(t, mailaccess.FlagSeen|mailaccess.FlagDeleted))
		o.expunge("INBOX")
		d.clock.advance(time.Hour)
		since := d.clock.now()
		o.put("INBOX", "Subject: second\r\n\r\n", flagsFor(t, mailaccess.FlagFlagged, "work"))
		if err := o.finishNames(); err != nil {
			t.Fatal(err)
		}
		// No name tells this yet.
		add := mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagAnswered)}
		if _, err := o.SetFlags(t.Context(), o.mailbox("INBOX").ID, mailaccess.UIDSetOf(2), add, 1<<62); err != nil {
			t.Fatal(err)
		}
		o.expunge("INBOX")
		o.put("INBOX", "Subject: stays\r\n\r\n", mailaccess.Flags{})
		d.clock.advance(time.Minute)

		list := d.mustUndelete(&UndeleteOptions{List: true})
		if len(list) != 2 || list[0].Mailbox != "INBOX" || list[0].To != "INBOX" || list[0].Size != 18 || list[0].Received.IsZero() {
			t.Fatalf("listed %+v", list)
		}
		if again := d.mustUndelete(&UndeleteOptions{List: true, Mailbox: "inbox"}); !slices.Equal(again, list) {
			t.Errorf("listing changed something: %+v, then %+v", list, again)
		}
		if none := d.mustUndelete(&UndeleteOptions{Mailbox: "Work"}); len(none) != 0 {
			t.Errorf("of another mailbox came back %+v", none)
		}
		late := d.mustUndelete(&UndeleteOptions{Since: since})
		if len(late) != 1 || !late[0].Expunged.Equal(since) {
			t.Fatalf("since %v came back %+v", since, late)
		}
		if got := o.texts("INBOX", 2); got[0] != "Subject: second\r\n\r\n" {
			t.Errorf("the mailbox has %q", got)
		}
		m := o.list("INBOX")[1]
		if m.Flags.System != mailaccess.FlagFlagged|mailaccess.FlagAnswered || m.Flags.Keywords.String() != "work" {
			t.Errorf("flags %v, want \\Answered, \\Flagged and work", m.Flags)
		}
		if want := since.Add(-24 * time.Hour); !m.Received.Equal(want) {
			t.Errorf("received %v, want %v", m.Received, want)
		}

		d.mustUndelete(nil)
		o.texts("INBOX", 3)
		m = o.list("INBOX")[2]
		if m.Flags.System != mailaccess.FlagSeen || m.UID <= first.UID {
			t.Errorf("UID %d with flags %v, want a new one with \\Seen", m.UID, m.Flags)
		}
		if left := d.mustUndelete(nil); len(left) != 0 {
			t.Errorf("came back once more: %+v", left)
		}
	})
}

// While it does not run: mailboxes that were renamed or deleted, or are no more.
func TestUndeleteIntoWhichMailbox(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		for _, name := range []string{"Renamed", "Deleted", "Replaced", "Sub/v1.2"} {
			o.create(name)
			o.put(name, "Subject: expunged from "+name+"\r\n\r\n", flagsFor(t, 0, "work"))
			o.expunge(name)
			o.put(name, "Subject: left in "+name+"\r\n\r\n", flagsFor(t, mailaccess.FlagAnswered, "work"))
		}
		if err := o.finishNames(); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := o.RenameMailbox(ctx, o.mailbox("Renamed").ID, "Moved"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Deleted", "Replaced", "Sub/v1.2"} {
			if err := o.DeleteMailbox(ctx, o.mailbox(name).ID); err != nil {
				t.Fatal(err)
			}
		}
		o.create("Replaced")
		// The same letter means something else there.
		o.put("Replaced", "Subject: own\r\n\r\n", flagsFor(t, 0, "other"))
		if err := o.finishNames(); err != nil {
			t.Fatal(err)
		}
		o.expunge("Replaced")
		o.close()
		own := d.mustUndelete(&UndeleteOptions{Mailbox: "Replaced", List: true})
		for _, u := range own {
			if u.Size != 16 {
				continue
			}
			dir, name := path.Split(u.File)
			if err := d.in(strings.Split(strings.TrimSuffix(dir, "/"), "/")...).Remove(name); err != nil {
				t.Fatal(err)
			}
		}

		list := d.mustUndelete(&UndeleteOptions{List: true})
		done := d.mustUndelete(&UndeleteOptions{Mailbox: "Sub/v1.2"})
		done = append(done, d.mustUndelete(nil)...)
		to := func(all []Undeleted) (s []string) {
			for _, u := range all {
				s = append(s, u.Mailbox+">"+u.To)
			}
			slices.Sort(s)
			return s
		}
		want := []string{
			"Deleted>Deleted", "Deleted>Deleted", "Moved>Moved", "Replaced>Replaced", "Replaced>Replaced", "Sub/v1.2>Sub/v1.2", "Sub/v1.2>Sub/v1.2",
		}
		if !slices.Equal(to(done), want) || !slices.Equal(to(list), want) {
			t.Fatalf("brought back %q, listed %q, want %q", to(done), to(list), want)
		}

		o = d.open(nil)
		for name, texts := range map[string][]string{
			"Moved": {"Renamed", "Renamed"}, "Deleted": {"Deleted", "Deleted"}, "Replaced": {"Replaced", "Replaced"}, "Sub/v1.2": {"Sub/v1.2", "Sub/v1.2"},
		} {
			want := []string{"Subject: expunged from " + texts[0] + "\r\n\r\n", "Subject: left in " + texts[0] + "\r\n\r\n"}
			if got := o.texts(name, 2); !slices.Equal(got, want) {
				t.Errorf("%s has %q, want %q", name, got, want)
			}
		}
		// A keyword's letter means the same only where its file came along.
		for name, want := range map[string]string{"Moved": "work", "Deleted": "work", "Replaced": ""} {
			for _, m := range o.list(name) {
				if m.Flags.System == mailaccess.FlagAnswered && m.Flags.Keywords.String() != want {
					t.Errorf("%s: keywords %q, want %q", name, m.Flags.Keywords, want)
				}
			}
		}
	})
}

// What was expunged from a mailbox of which nothing is left goes to INBOX.
func TestUndeleteIntoInbox(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	m := o.put("Work", "Subject: one\r\n\r\n", mailaccess.Flags{})
	// No name tells it yet, nor was any keyword looked at.
	flag := mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged)}
	if _, err := o.SetFlags(t.Context(), o.mailbox("Work").ID, mailaccess.UIDSetOf(m.UID), flag, 1<<62); err != nil {
		t.Fatal(err)
	}
	o.expunge("Work")
	if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
		t.Fatal(err)
	}
	if got := d.mustUndelete(&UndeleteOptions{Mailbox: "INBOX"}); len(got) != 0 {
		t.Errorf("of INBOX came back %+v", got)
	}
	if got := d.mustUndelete(&UndeleteOptions{Mailbox: "Work"}); len(got) != 1 || got[0].Mailbox != "Work" || got[0].To != "INBOX" {
		t.Errorf("came back %+v, want one into INBOX", got)
	}
	o.texts("INBOX", 1)
	if back := o.list("INBOX")[0]; back.Flags.System != mailaccess.FlagFlagged {
		t.Errorf("flags %v, want \\Flagged", back.Flags)
	}
}

func TestUndeleteErrors(t *testing.T) {
	ctx, nobody := context.Background(), func(Undeleted) {}
	dir := t.TempDir()
	for _, tt := range []struct {
		path, account, mailbox string
		want                   mailaccess.Kind
	}{
		{dir, "bob", "", mailaccess.KindNotFound},
		{dir, "../ann", "", mailaccess.KindNotFound},
		{dir + "/none", "ann", "", mailaccess.KindNotFound},
		{"", "ann", "", mailaccess.KindInvalid},
		{dir, "ann", "a//b", mailaccess.KindInvalid},
	} {
		if _, err := Deliver(ctx, dir, "ann", "", strings.NewReader("Subject: x\n\n")); err != nil {
			t.Fatal(err)
		}
		err := Undelete(ctx, tt.path, tt.account, &UndeleteOptions{Mailbox: tt.mailbox}, nobody)
		if !errors.Is(err, tt.want) {
			t.Errorf("Undelete of %q in %q from %q: %v, want %v", tt.mailbox, tt.path, tt.account, err, tt.want)
		}
	}
	if err := Undelete(ctx, dir, "ann", nil, nobody); err != nil {
		t.Errorf("with nothing to bring back: %v", err)
	}
}

// Something that fails, or a loss of power, at any point loses no message and doubles none.
func TestUndeleteInterrupted(t *testing.T) {
	const messages = 5
	fill := func(t *testing.T) *disk {
		d := memDisk(t)
		o := d.open(nil)
		o.create("Work")
		for _, box := range []string{"INBOX", "Work"} {
			for i := range messages {
				o.put(box, fmt.Sprintf("Subject: %s %d\r\n\r\n", box, i), mailaccess.Flags{})
			}
		}
		o.expunge("INBOX")
		if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
			t.Fatal(err)
		}
		o.close()
		return d
	}
	ops := func() int {
		d := fill(t)
		before := d.fs.Ops()
		d.mustUndelete(nil)
		return int(d.fs.Ops() - before)
	}()
	if ops < 2*messages {
		t.Fatalf("only %d operations", ops)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for k := 1; k <= ops; k++ {
		for _, mode := range []memfs.Mode{-1, memfs.Nothing, memfs.All, memfs.Some} {
			d := fill(t)
			d.fs.Fail(k, errors.New("disk fails"), nil)
			reported, err := d.undelete(nil)
			if err == nil && d.fs.Failed() > 0 {
				t.Errorf("operation %d failed, and nobody was told", k)
			}
			d.fs.Clear()
			if mode >= 0 {
				after := d.fs.Crash(rng, mode)
				d = &disk{t: t, clock: d.clock, root: after.Root, fs: after}
			}
			o := d.open(nil)
			there := len(o.everything())
			if there < len(reported) {
				t.Errorf("operation %d, mode %d: %d messages are there, and %d were reported", k, mode, there, len(reported))
			}
			o.close()
			d.mustUndelete(nil)
			o = d.open(nil)
			got := o.everything()
			if n := len(got); n != 2*messages || len(slices.Compact(got)) != n {
				t.Fatalf("operation %d, mode %d: %d messages in the end, want %d: %q", k, mode, n, 2*messages, got)
			}
			o.close()
		}
	}
}

// everything returns the contents of all mailboxes, sorted.
func (o *opened) everything() (all []string) {
	o.t.Helper()
	for m, err := range o.Mailboxes(o.t.Context()) {
		if err != nil {
			o.t.Fatal(err)
		}
		s, err := o.Snapshot(o.t.Context(), m.ID)
		if err != nil {
			o.t.Fatal(err)
		}
		all = append(all, o.texts(m.Name, s.Messages)...)
	}
	slices.Sort(all)
	return all
}

// A sweep at the same time: each message is either gone or there again.
func TestUndeleteWhileSweeping(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	const messages = 200
	for i := range messages {
		o.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), mailaccess.Flags{})
	}
	o.expunge("INBOX")
	d.clock.advance(8 * day)
	o.reopenAccount()
	var sweeping sync.WaitGroup
	sweeping.Go(func() { o.sweep(d.clock.now()) })
	back := d.mustUndelete(nil)
	sweeping.Wait()
	o.texts("INBOX", len(back))
	if kept := o.keptFiles(o.mailbox("INBOX")); len(kept) != 0 {
		t.Errorf("%d files are neither gone nor back", len(kept))
	}
}

// When something fails, those that came back before are reported and on disk.
func TestUndeleteFailsInTheMiddle(t *testing.T) {
	for k := 1; k <= 3; k++ {
		d := memDisk(t)
		o := d.open(nil)
		for i := range 3 {
			o.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), mailaccess.Flags{})
		}
		o.expunge("INBOX")
		o.close()
		d.fs.Fail(k, syscall.EIO, &fsys.FaultOptions{Match: func(op fsys.Op) bool { return op.Kind == fsys.OpRename }})
		done, err := d.undelete(nil)
		d.fs.Clear()
		if !errors.Is(err, syscall.EIO) || len(done) != k-1 {
			t.Errorf("the %dth fails: %d reported, %v", k, len(done), err)
		}
		after := &disk{t: t, clock: d.clock, root: d.fs.Crash(nil, memfs.Nothing).Root}
		if got := after.files("new"); len(got) != k-1 {
			t.Errorf("the %dth fails: after a loss of power %d are back", k, len(got))
		}
		if rest := after.mustUndelete(nil); len(rest) != 3-(k-1) {
			t.Errorf("the %dth fails: then %d come back", k, len(rest))
		}
	}
}
