package maildir

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/dirwatch"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Where the system has no more watches mailboxes in use are looked at every second.
func TestWithoutWatches(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	o.s.notify.mu.Lock()
	o.s.notify.add = func(string) (int, error) { return 0, syscall.ENOSPC }
	o.s.notify.mu.Unlock()
	o.hold("INBOX")
	before := o.view("INBOX")
	r := o.listen()
	program{t, d}.deliver("new", "1.one.host", "one")
	d.clock.advance(2 * time.Second)
	r.until(before.state.ID, before.state.ModSeq, func() bool { return o.delta("INBOX", before.state.ModSeq).changed.Len() == 1 })
	// Watches come back when there are some again.
	o.s.notify.mu.Lock()
	o.s.notify.add = o.s.notify.w.Add
	o.s.notify.mu.Unlock()
	d.clock.advance(2 * time.Second)
	deadline := time.Now().Add(patience)
	for !o.isWatched("INBOX") {
		if time.Now().After(deadline) {
			t.Fatal("the mailbox is not watched again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (o *opened) isWatched(box string) bool {
	b := o.mailbox(box)
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.scan.watched
}

// Many thousand files at once are one scan, and so is what the system lost.
func TestEventsThatWereTooMany(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	o.hold("INBOX")
	before := o.view("INBOX")
	r := o.listen()
	cur := d.in("cur").Path()
	const many = 3 * gatherMax
	for i := range many {
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("%d.host:2,", i)), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.until(before.state.ID, before.state.ModSeq, func() bool { return o.delta("INBOX", before.state.ModSeq).changed.Len() == many })

	// What is not told at all:
	n := o.s.notify
	b := o.mailbox("INBOX")
	n.mu.Lock()
	for _, w := range n.of[b] {
		if err := n.w.Remove(w.id); w.place == index.PlaceNew && err != nil {
			t.Fatal(err)
		}
	}
	n.mu.Unlock()
	v, err := o.Snapshot(t.Context(), before.state.ID)
	if err != nil {
		t.Fatal(err)
	}
	program{t, d}.deliver("new", "one.host", "one")
	n.mu.Lock()
	n.overflow()
	n.mu.Unlock()
	n.due <- struct{}{}
	r.until(before.state.ID, v.ModSeq, func() bool { return o.delta("INBOX", v.ModSeq).changed.Len() == 1 })
}

// After what the system lost more is told, before anything was looked at.
func TestEventsAfterAnOverflow(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	o.hold("INBOX")
	before := o.view("INBOX")
	r := o.listen()
	n := o.s.notify
	n.mu.Lock()
	program{t, d}.deliver("new", "1.one.host", "one")
	n.take(dirwatch.Event{ID: -1, Kind: dirwatch.Lost})
	err := n.drain()
	n.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	r.until(before.state.ID, before.state.ModSeq, func() bool { return o.delta("INBOX", before.state.ModSeq).changed.Len() == 1 })
}

// Whoever begins to watch and whoever ends it agree on whether a mailbox is watched.
func TestWatchAndUnwatch(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	o.hold("INBOX")
	b, n := o.mailbox("INBOX"), o.s.notify
	var wg sync.WaitGroup
	for _, do := range []func(*mailbox){o.watch, o.watch, o.unwatch} {
		wg.Go(func() {
			for range 2000 {
				do(b)
			}
		})
	}
	for range 2000 {
		n.mu.Lock()
		o.mu.Lock()
		on, dirs := b.scan.watched, len(n.of[b])
		o.mu.Unlock()
		n.mu.Unlock()
		if on && dirs != 2 || !on && dirs != 0 {
			t.Errorf("watched: %v, with %d directories", on, dirs)
			break
		}
	}
	wg.Wait()
}

// What another program delivers while the store is closed, after the names of files were brought in
// line, is not taken for known.
func TestDeliveryDuringClose(t *testing.T) {
	d := realDisk(t)
	var ops fsys.Counters
	root := d.root
	d.root = func() fsys.Dir { return fsys.Counting(root(), &ops) }
	o, p := prepared(t, d)
	o.hold("INBOX")
	o.texts("INBOX", 3)
	o.setFlags("INBOX", o.list("INBOX")[0].UID, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagFlagged}})
	var once sync.Once
	ops.Observe(func(op fsys.Op) {
		if op.Kind != fsys.OpRename || filepath.Base(op.Dir) != "cur" && filepath.Base(op.Dir) != "new" {
			return
		}
		once.Do(func() {
			path := p.dir("new").Path()
			if err := os.WriteFile(filepath.Join(path, "9.nine.host"), []byte("nine\n"), 0o600); err != nil {
				t.Error(err)
			}
		})
	})
	d.clock.nanos.Store(time.Now().Add(time.Hour).UnixNano()) // all times have settled
	o.close()
	ops.Observe(nil)
	o = d.open(nil)
	o.texts("INBOX", 4)
}

// What happens within the resolution of the clock after a scan is seen all the same.
func TestChangeWithoutChangeOfTime(t *testing.T) {
	d := memDisk(t)
	o, p := prepared(t, d)
	d.clock.advance(time.Hour)
	p.deliver("new", "4.four.host", "four")
	o.view("INBOX")
	p.deliver("new", "5.five.host", "five")
	p.rename("2.two.host:2,S", "2.two.host:2,FS")
	if v := o.view("INBOX"); len(v.uids["five"]) != 1 || v.flags["two"] != "flagged seen" {
		t.Fatalf("what happened in the tick of the scan was missed: %q", v.flags)
	}
	// Once the times have settled nothing is listed any more.
	d.clock.advance(settled)
	o.view("INBOX")
	n := d.fs.Count(fsys.OpList)
	for range 10 {
		d.clock.advance(time.Second)
		o.view("INBOX")
	}
	if listed := d.fs.Count(fsys.OpList) - n; listed != 0 {
		t.Errorf("%d listings while nothing changed", listed)
	}
	p.deliver("new", "6.six.host", "six")
	if v := o.view("INBOX"); len(v.uids["six"]) != 1 {
		t.Error("a delivery was missed")
	}
}

// A status after each append does not list the directories each time, where nobody tells what
// others do.
func TestStatusAfterAppend(t *testing.T) {
	d := memDisk(t)
	o, p := prepared(t, d)
	o.view("INBOX")
	d.clock.advance(time.Minute)
	box := o.view("INBOX").state.ID
	n := d.fs.Count(fsys.OpList)
	for range 100 {
		o.put("INBOX", "Subject: x\r\n\r\n", mailaccess.Flags{})
		d.clock.advance(20 * time.Millisecond)
		if _, err := o.Status(t.Context(), box); err != nil {
			t.Fatal(err)
		}
	}
	if listed := d.fs.Count(fsys.OpList) - n; listed > 8 {
		t.Errorf("%d listings for 100 appends in two seconds", listed)
	}
	// What others do in cur meanwhile is seen within a second, in new at once.
	p.deliver("new", "5.five.host", "five")
	if v := o.view("INBOX"); len(v.uids["five"]) != 1 {
		t.Error("a delivery was missed")
	}
	o.put("INBOX", "Subject: x\r\n\r\n", mailaccess.Flags{})
	p.deliver("cur", "6.six.host:2,", "six")
	d.clock.advance(lookUnwatched)
	if v := o.view("INBOX"); len(v.uids["six"]) != 1 {
		t.Error("what came into cur was missed")
	}
}

// Another program renames the folder of a mailbox that is watched: it stays the mailbox, and
// what comes into it is told.
func TestFolderIsRenamedWhileWatched(t *testing.T) {
	d := realDisk(t)
	o, p := prepared(t, d)
	o.hold("Work")
	before := o.view("Work")
	r := o.listen()
	if err := d.in().Rename(".Work", d.in(), ".Job"); err != nil {
		t.Fatal(err)
	}
	if m, err := o.Lookup(t.Context(), "Job"); err != nil || m.ID != before.state.ID {
		t.Fatalf("the mailbox is %v (%v), was %v", m.ID, err, before.state.ID)
	}
	p.deliver(".Job/new", "1.one.host", "one")
	d.clock.advance(2 * time.Second)
	r.until(before.state.ID, before.state.ModSeq, func() bool {
		s, err := o.Snapshot(t.Context(), before.state.ID)
		return err == nil && s.Messages == 1
	})
}

// Directories that are removed, or replaced, are noticed: nothing is looked for in those that
// were there before.
func TestDirectoriesAreReplaced(t *testing.T) {
	replace := map[string]func(p program){
		"removed": func(p program) {
			for _, dir := range []string{"cur", "new"} {
				for _, name := range p.d.files(".Work", dir) {
					p.remove(".Work/"+dir, name)
				}
				if err := p.dir(".Work").RemoveDir(dir); err != nil {
					p.t.Fatal(err)
				}
			}
			if err := p.dir(".Work").RemoveDir("tmp"); err != nil {
				p.t.Fatal(err)
			}
		},
		"replaced": func(p program) {
			for _, dir := range []string{"cur", "new"} {
				p.move(".Work", dir, ".Work", "old"+dir)
				if err := p.dir(".Work").Mkdir(dir); err != nil {
					p.t.Fatal(err)
				}
			}
			p.copy(".Work/oldnew", "1.one.host", ".Work/new", "1.one.host")
		},
	}
	for name, do := range replace {
		t.Run(name, func(t *testing.T) {
			onDisks(t, func(t *testing.T, d *disk) {
				o, p := prepared(t, d)
				o.hold("Work")
				p.deliver(".Work/new", "1.one.host", "one")
				o.texts("Work", 1)
				before := o.view("Work")
				do(p)
				d.clock.advance(time.Minute)
				want := 0
				if name == "replaced" {
					want = 1
				}
				o.texts("Work", want)
				if want == 1 && o.view("Work").uids["one"][0] != before.uids["one"][0] {
					t.Error("the message that was put back is another")
				}
				p.deliver(".Work/new", "2.two.host", "two")
				o.texts("Work", want+1)
				o.put("Work", "three\r\n", mailaccess.Flags{})
				o.texts("Work", want+2)
			})
		})
	}
}

// A file that cannot be read when it arrives in a mailbox that is watched comes in when it can be
// read.
func TestFileCannotBeReadWhileWatched(t *testing.T) {
	d := realDisk(t)
	var ops fsys.Counters
	root := d.root
	d.root = func() fsys.Dir { return fsys.Counting(root(), &ops) }
	o := d.open(nil)
	o.hold("INBOX")
	if !o.isWatched("INBOX") {
		t.Fatal("the mailbox is not watched")
	}
	ops.Fail(1, syscall.EACCES, &fsys.FaultOptions{Reads: true, Sticky: true, Match: func(op fsys.Op) bool { return op.Kind == fsys.OpOpen && op.Name == "1.one.host" }})
	p := program{t, d}
	p.deliver("new", "1.one.host", "one")
	p.deliver("new", "2.two.host", "two")
	o.texts("INBOX", 1)
	ops.Clear()
	d.clock.advance(lookWatched)
	o.texts("INBOX", 2)
}

// Nothing goes on after Close: no goroutine, no descriptor.
func TestCloseLeavesNothing(t *testing.T) {
	here := goleak.IgnoreCurrent()
	before := openDescriptors(t)
	for range 3 {
		t.Run("", func(t *testing.T) {
			d := realDisk(t)
			o, p := prepared(t, d)
			for _, box := range []string{"INBOX", "Work"} {
				o.hold(box)
			}
			p.deliver("new", "9.nine.host", "nine")
			o.texts("INBOX", 4)
			p.move("new", "9.nine.host", ".Work/cur", "9.nine.host:2,S")
			// Whatever is told just now is dropped.
			o.close()
		})
	}
	goleak.VerifyNone(t, here)
	if err := before.same(t); err != nil {
		t.Error(err)
	}
}

// descriptors are those that lead to files, inotify and the like.
type descriptors map[string]string

func openDescriptors(t *testing.T) descriptors {
	t.Helper()
	all := make(descriptors)
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		to, err := os.Readlink("/dev/fd/" + e.Name())
		if err == nil {
			all[e.Name()] = to
		}
	}
	return all
}

// same reports which descriptors there are that there were not, of directories of stores and of
// inotify.
func (was descriptors) same(t *testing.T) error {
	t.Helper()
	for fd, to := range openDescriptors(t) {
		if was[fd] != to && (strings.Contains(to, "/ann") || strings.Contains(to, "inotify")) {
			return fmt.Errorf("descriptor %s leads to %s", fd, to)
		}
	}
	return nil
}

// What is told while it cannot be looked at is looked at by whoever uses the mailbox next.
func TestWhatIsToldCannotBeLookedAt(t *testing.T) {
	d := realDisk(t)
	var ops fsys.Counters
	root := d.root
	d.root = func() fsys.Dir { return fsys.Counting(root(), &ops) }
	o := d.open(nil)
	o.hold("INBOX")
	box := o.view("INBOX").state.ID
	p := program{t, d}
	dir := p.dir("new")
	ops.Fail(1, syscall.EIO, &fsys.FaultOptions{Reads: true, Sticky: true, Match: func(op fsys.Op) bool { return op.Kind == fsys.OpLstat && op.Name == "1.one.host" }})
	p.d.plant(dir, "1.one.host", "one\n", d.clock.now())
	deadline := time.Now().Add(patience)
	for ops.Failed() == 0 {
		if time.Now().After(deadline) {
			t.Fatal("nothing was looked at")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := o.Snapshot(t.Context(), box); !errors.Is(err, mailaccess.KindUnavailable) && err != nil {
		t.Errorf("snapshot: %v", err)
	}
	ops.Clear()
	o.texts("INBOX", 1)
}

// A file that is moved from one directory to the other while they are listed, so that neither
// listing has it, is not gone.
func TestMovedWhileListed(t *testing.T) {
	d := memDisk(t)
	o, p := prepared(t, d)
	before := o.view("INBOX")
	const file = "2.two.host:2,S"
	rounds, busy := 3, false
	d.fs.Observe(func(op fsys.Op) {
		if op.Kind != fsys.OpList || busy || rounds == 0 {
			return
		}
		busy = true
		d.clock.advance(time.Millisecond)
		switch inNew := slices.Contains(d.files("new"), file); {
		case strings.HasSuffix(op.Dir, "ann/new") && inNew:
			p.move("new", file, "cur", file)
		case strings.HasSuffix(op.Dir, "ann/cur") && !inNew:
			p.move("cur", file, "new", file)
			rounds--
		}
		busy = false
	})
	b := o.mailbox("INBOX")
	o.mu.Lock()
	b.scan.force()
	o.mu.Unlock()
	now := o.view("INBOX")
	d.fs.Observe(nil)
	if rounds != 0 || !maps.EqualFunc(now.uids, before.uids, slices.Equal) {
		t.Errorf("messages are %v, were %v (%d rounds left)", now.uids, before.uids, rounds)
	}
}
