package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// damage is something that happens to files of ours.
type damage struct {
	name string
	do   func(h hurt)
	log  string // what is logged of it between runs; "": nothing need be
	// lost says that the account's history is, so that its epoch is another.
	lost bool
	// renamed: the identity of Work is lost too.
	renamed bool
}

// hurt is an account whose files are damaged.
type hurt struct {
	t           *testing.T
	d           *disk
	inbox, work string // ids
}

func (h hurt) remove(dir, prefix string) {
	h.t.Helper()
	at := h.d.in(strings.Split(dir, "/")...)
	n := 0
	for _, name := range h.d.files(strings.Split(dir, "/")...) {
		if strings.HasPrefix(name, prefix) {
			if err := at.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				continue // a directory
			}
			n++
		}
	}
	if n == 0 {
		h.t.Fatalf("no %s in %s", prefix, dir)
	}
}

// change gives a file other octets.
func (h hurt) change(dir, prefix string, with func([]byte) []byte) {
	h.t.Helper()
	at := h.d.in()
	if dir != "" {
		at = h.d.in(strings.Split(dir, "/")...)
	}
	n := 0
	for e, err := range at.Names(0) {
		if err != nil {
			h.t.Fatal(err)
		}
		if !strings.HasPrefix(e.Name, prefix) || e.Type.IsDir() {
			continue
		}
		b, err := readAll(at, e.Name)
		if err != nil {
			h.t.Fatal(err)
		}
		f, err := at.OpenRW(e.Name)
		if err == nil {
			if err = f.Truncate(0); err == nil {
				_, err = f.WriteAt(with(b), 0)
			}
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			h.t.Fatal(err)
		}
		n++
	}
	if n == 0 {
		h.t.Fatalf("no %s in %s", prefix, dir)
	}
}

func half(b []byte) []byte    { return b[:len(b)/2] }
func nothing([]byte) []byte   { return nil }
func rubbish(b []byte) []byte { return []byte(strings.Repeat("\xa5\x00#\n", len(b)/4+1)) }

// swap puts the files of one mailbox in the place of those of the other.
func (h hurt) swap(suffix string) {
	h.t.Helper()
	at := h.d.in(indexDir)
	for _, name := range h.d.files(indexDir) {
		if rest, ok := strings.CutPrefix(name, h.work+"."+suffix); ok {
			b, err := readAll(at, name)
			if err != nil {
				h.t.Fatal(err)
			}
			to := h.inbox + "." + suffix + rest
			if err := at.Remove(to); err != nil {
				h.t.Fatal(err)
			}
			h.d.plant(at, to, string(b), h.d.clock.now())
			return
		}
	}
	h.t.Fatalf("no %s of %s", suffix, h.work)
}

// pipe puts a FIFO in the place of a file of the index.
func (h hurt) pipe(prefix string) {
	h.t.Helper()
	for _, name := range h.d.files(indexDir) {
		if strings.HasPrefix(name, prefix) {
			h.remove(indexDir, name)
			if err := h.d.fs.Plant("ann/"+indexDir+"/"+name, fs.ModeNamedPipe); err != nil {
				h.t.Fatal(err)
			}
			return
		}
	}
	h.t.Fatalf("no %s", prefix)
}

func damages() []damage {
	const box = "the index of a mailbox is damaged"
	var all []damage
	add := func(name, log string, lost bool, do func(h hurt)) {
		all = append(all, damage{name: name, do: do, log: log, lost: lost})
	}
	add("account removed", "no index", true, func(h hurt) { h.remove(indexDir, checkpointFile) })
	add("account is a FIFO", "the index is damaged", true, func(h hurt) { h.pipe(checkpointFile) })
	add("all removed", "no index", true, func(h hurt) { h.remove(indexDir, "") })
	for what, with := range map[string]func([]byte) []byte{"half": half, "empty": nothing, "rubbish": rubbish} {
		add("account "+what, "the index is damaged", true, func(h hurt) { h.change(indexDir, checkpointFile, with) })
		for _, part := range []string{"head", "rows.", "names."} {
			add(part+" "+what, box, true, func(h hurt) { h.change(indexDir, h.inbox+"."+part, with) })
		}
		add("account's file "+what, "the account's file is damaged", false, func(h hurt) { h.change("", accountFile, with) })
		add("INBOX's file "+what, "", false, func(h hurt) { h.change("", mailboxFile, with) })
		add("Work's file "+what, "", false, func(h hurt) { h.change(".Work", mailboxFile, with) })
		all = append(all, damage{name: "index and Work's file " + what, log: "it becomes another", lost: true, renamed: true, do: func(h hurt) {
			h.remove(indexDir, "")
			h.change(".Work", mailboxFile, with)
		}})
	}
	for _, part := range []string{"head", "rows.", "names."} {
		add(part+" removed", box, true, func(h hurt) { h.remove(indexDir, h.inbox+"."+part) })
		add(part+" is a FIFO", box, true, func(h hurt) { h.pipe(h.inbox + "." + part) })
		add(part+" of another mailbox", box, true, func(h hurt) { h.swap(part) })
	}
	return all
}

// state is what may not get lost.
type kept struct {
	boxes map[string]mailaccess.Mailbox
	views map[string]view
	epoch mailaccess.State
}

func (o *opened) kept() kept {
	o.t.Helper()
	k := kept{boxes: make(map[string]mailaccess.Mailbox), views: make(map[string]view)}
	for m, err := range o.Mailboxes(o.t.Context()) {
		if err != nil {
			o.t.Fatal(err)
		}
		k.boxes[m.Name] = m
		k.views[m.Name] = o.view(m.Name)
	}
	var err error
	if k.epoch, err = o.State(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	return k
}

func (x damage) check(t *testing.T, was, is kept) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(was.boxes)), slices.Sorted(maps.Keys(is.boxes))) {
		t.Fatalf("mailboxes are %v, were %v", is.boxes, was.boxes)
	}
	if x.lost && is.epoch.Epoch == was.epoch.Epoch {
		t.Error("history is lost, and the epoch is the same")
	}
	if is.epoch.ModSeq < was.epoch.ModSeq {
		t.Errorf("the number fell from %d to %d", was.epoch.ModSeq, is.epoch.ModSeq)
	}
	for name, before := range was.views {
		now := is.views[name]
		if x.renamed && name == "Work" {
			if is.boxes[name].ID == was.boxes[name].ID || now.state.UIDValidity <= was.boxes[name].UIDValidity {
				t.Errorf("%s has the id %s and UIDVALIDITY %d, had %s and %d", name, is.boxes[name].ID, now.state.UIDValidity, was.boxes[name].ID, before.state.UIDValidity)
			}
		} else if is.boxes[name].ID != was.boxes[name].ID || now.state.UIDValidity != before.state.UIDValidity {
			t.Errorf("%s has the id %s and UIDVALIDITY %d, had %s and %d", name, is.boxes[name].ID, now.state.UIDValidity, was.boxes[name].ID, before.state.UIDValidity)
		}
		if !maps.Equal(now.flags, before.flags) {
			t.Errorf("%s has %q, had %q", name, now.flags, before.flags)
		}
		for text, uids := range now.uids {
			if len(uids) != 1 {
				t.Errorf("%s: %s is there %d times", name, text, len(uids))
			}
			if x.renamed && name == "Work" {
				continue
			}
			if uids[0] != before.uids[text][0] && uids[0] < before.state.UIDNext {
				t.Errorf("%s: %s has UID %d, had %d, UIDNEXT was %d", name, text, uids[0], before.uids[text], before.state.UIDNext)
			}
		}
		if !x.renamed && now.state.UIDNext < before.state.UIDNext {
			t.Errorf("%s: UIDNEXT fell from %d to %d", name, before.state.UIDNext, now.state.UIDNext)
		}
	}
}

func damaged(t *testing.T, opts *Options) (*opened, *disk, hurt) {
	d := memDisk(t)
	o := d.open(opts)
	o.create("Work")
	for _, box := range []string{"INBOX", "Work"} {
		o.put(box, "zero\r\n", mailaccess.Flags{})
		o.put(box, "one "+box+"\r\n", flagsFor(t, mailaccess.FlagSeen))
		o.put(box, "two "+box+"\r\n", flagsFor(t, mailaccess.FlagFlagged, "word"))
		o.put(box, "three "+box+"\r\n", mailaccess.Flags{})
		if _, err := o.Expunge(t.Context(), o.mailbox(box).ID, mailaccess.UIDSetOf(1, 4), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(o.finishNames(), o.checkpoint()); err != nil {
		t.Fatal(err)
	}
	return o, d, hurt{t, d, string(o.mailbox("INBOX").ID), string(o.mailbox("Work").ID)}
}

// Our own files are damaged while no store is open: no message is lost, ids and UIDVALIDITY
// stay, no UID is used twice, and the log tells.
func TestOwnFilesAreDamaged(t *testing.T) {
	for _, x := range damages() {
		t.Run(x.name, func(t *testing.T) {
			o, d, h := damaged(t, nil)
			was := o.kept()
			o.close()
			x.do(h)
			opts, logs := observed()
			o = d.open(opts)
			is := o.settled()
			x.check(t, was, is)
			if x.log != "" && logs.FilterMessageSnippet(x.log).Len() == 0 {
				t.Errorf("nothing of %q was logged: %v", x.log, logs.All())
			}
			// And then it is as it is.
			o.put("INBOX", "four\r\n", mailaccess.Flags{})
			was = o.kept()
			o.close()
			o = d.open(nil)
			damage{}.check(t, was, o.kept())
		})
	}
}

// settled is kept after calls that may fail while damage is found.
func (o *opened) settled() kept {
	o.t.Helper()
	for range 5 {
		var bad error
		for m, err := range o.Mailboxes(o.t.Context()) {
			if err != nil {
				o.t.Fatal(err)
			}
			s, err := o.Snapshot(o.t.Context(), m.ID)
			for m, err2 := range o.Messages(o.t.Context(), m.ID, s.UIDs) {
				if err2 == nil {
					_, err2 = o.text(m)
				}
				err = errors.Join(err, err2)
			}
			if err != nil && !errors.Is(err, mailaccess.KindCorrupt) && !errors.Is(err, mailaccess.KindContentGone) {
				o.t.Fatal(err)
			}
			bad = errors.Join(bad, err)
		}
		if bad == nil {
			break
		}
	}
	return o.kept()
}

// The same while the store is open: at the latest when it is opened again all is there.
func TestOwnFilesAreDamagedWhileOpen(t *testing.T) {
	for _, x := range damages() {
		if x.renamed {
			continue
		}
		for _, loaded := range []bool{true, false} {
			t.Run(x.name, func(t *testing.T) {
				opts, _ := observed()
				o, d, h := damaged(t, opts)
				was := o.kept()
				if !loaded {
					o.mu.Lock()
					for _, b := range o.boxes {
						b.ix.Unload()
						b.ix.Release()
					}
					o.mu.Unlock()
				}
				x.do(h)
				x.lost = false // it need not be, when all is in memory
				x.check(t, was, o.settled())
				o.put("INBOX", "four\r\n", mailaccess.Flags{})
				was = o.kept()
				if err := o.checkpoint(); err != nil {
					t.Logf("the first checkpoint: %v", err)
				}
				x.check(t, was, o.settled())
				was = o.kept()
				o.close()
				o = d.open(nil)
				x.check(t, was, o.settled())
			})
		}
	}
}

// The index goes with its directory while the store is open.
func TestIndexDirectoryIsRemovedWhileOpen(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		o.put("INBOX", "one\r\n", flagsFor(t, mailaccess.FlagSeen))
		o.put("INBOX", "two\r\n", flagsFor(t, mailaccess.FlagFlagged))
		if err := errors.Join(o.finishNames(), o.checkpoint()); err != nil {
			t.Fatal(err)
		}
		was := o.kept()
		removeTree(t, d.in(), indexDir)
		o.put("INBOX", "three\r\n", mailaccess.Flags{})
		o.texts("INBOX", 3)
		was.views["INBOX"].flags["three"] = ""
		was.views["INBOX"].uids["three"] = o.view("INBOX").uids["three"]
		o.checkpoint() //nolint:errcheck // it may find out only now
		o.close()
		o = d.open(nil)
		damage{}.check(t, was, o.settled())
	})
}

func removeTree(t *testing.T, d fsys.Dir, name string) {
	t.Helper()
	sub, err := d.Sub(name)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for e, err := range sub.Names(0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type.IsDir() {
			removeTree(t, sub, e.Name)
		} else if err := sub.Remove(e.Name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.RemoveDir(name); err != nil {
		t.Fatal(err)
	}
}

// A folder that was copied with all that is in it is another mailbox, and the first stays what
// it was; so too when the index is lost.
func TestFolderIsCopied(t *testing.T) {
	for _, lost := range []bool{false, true} {
		o, d, h := damaged(t, nil)
		was := o.kept()
		o.close()
		p := program{t, d}
		for _, dir := range []string{"", "/cur", "/new", "/tmp"} {
			at, name := d.in(), ".Copy"
			if dir != "" {
				at, name = d.in(".Copy"), dir[1:]
			}
			if err := at.Mkdir(name); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range d.files(".Work", "cur") {
			p.copy(".Work/cur", name, ".Copy/cur", name)
		}
		p.copy(".Work", mailboxFile, ".Copy", mailboxFile)
		if lost {
			h.remove(indexDir, "")
		}
		o = d.open(nil)
		is := o.settled()
		copied := is.boxes["Copy"]
		if len(is.views["Copy"].flags) != 2 || copied.ID == is.boxes["Work"].ID || copied.UIDValidity == is.boxes["Work"].UIDValidity {
			t.Errorf("the copy is %+v, with %v", copied, is.views["Copy"].flags)
		}
		if lost {
			continue // which of the two is the copy nobody knows
		}
		delete(is.boxes, "Copy")
		damage{}.check(t, was, is)
	}
}

// Files that say who we are and cannot be read just now are not taken for lost: the account is
// not opened, or the folder left alone, and afterwards all is as it was.
func TestIdentityCannotBeRead(t *testing.T) {
	for _, file := range []string{"ann/" + accountFile, "ann/" + mailboxFile, "ann/.Work/" + mailboxFile} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprint(file, " index lost ", lost), func(t *testing.T) {
				o, d, h := damaged(t, nil)
				was := o.kept()
				o.close()
				if lost {
					h.remove(indexDir, "")
				}
				d.fs.Fail(1, syscall.EIO, &fsys.FaultOptions{Reads: true, Sticky: true, Match: func(op fsys.Op) bool {
					return op.Kind == fsys.OpRead && op.Path() == "mem:/"+file
				}})
				p, err := parsePattern(".")
				if err != nil {
					t.Fatal(err)
				}
				s, err := open(d.root(), p, nil, d.clock.now)
				if err != nil {
					t.Fatal(err)
				}
				if a, err := s.Open(t.Context(), "ann", mailaccess.Identity{}); err == nil {
					a.Close()
				} else if !errors.Is(err, mailaccess.KindUnavailable) {
					t.Errorf("open: %v", err)
				}
				s.Close() //nolint:errcheck // it may tell of the fault
				d.fs.Clear()
				d.clock.advance(time.Minute)
				o = d.open(nil)
				damage{lost: lost}.check(t, was, o.settled())
			})
		}
	}
}

// Rubbish among the subscriptions costs none of the others, and no message.
func TestSubscriptionsAreRubbish(t *testing.T) {
	for name, text := range map[string]string{
		"octets":     "Work\n\x00\xff\n\n/\n//\nINBOX\na/b\n" + strings.Repeat("x", 5000) + "\nLast\n",
		"no newline": "INBOX\nWork\nLast",
		"twice":      "INBOX\nWork\nWork\nLast\n",
	} {
		t.Run(name, func(t *testing.T) {
			o, d, _ := damaged(t, nil)
			was := o.kept()
			o.close()
			program{t, d}.write("subscriptions", text)
			o = d.open(nil)
			var got []string
			for name, err := range o.Subscriptions(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, name)
			}
			for _, want := range []string{"INBOX", "Work", "Last"} {
				if !slices.Contains(got, want) {
					t.Errorf("subscriptions are %q", got)
				}
			}
			for _, name := range got {
				if mailaccess.CheckMailboxName(name) != nil {
					t.Errorf("%q is subscribed to", name)
				}
			}
			if err := o.Subscribe(t.Context(), "Another", true); err != nil {
				t.Error(err)
			}
			damage{}.check(t, was, o.kept())
		})
	}
}
