package maildir

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// patience bounds waiting for what comes by itself.
const patience = 20 * time.Second

// program is another one that works on ann's Maildir.
type program struct {
	t *testing.T
	d *disk
}

func (p program) dir(at string) fsys.Dir {
	p.t.Helper()
	return p.d.in(strings.Split(at, "/")...)
}

// deliver writes a file; its text is one line, by which tests know it.
func (p program) deliver(dir, name, text string) {
	p.t.Helper()
	p.d.plant(p.dir(dir), name, text+"\n", p.d.clock.now().Add(-time.Hour))
}

func (p program) move(dir, name, to, other string) {
	p.t.Helper()
	if err := p.dir(dir).Rename(name, p.dir(to), other); err != nil {
		p.t.Fatal(err)
	}
}

func (p program) rename(name, other string) {
	p.t.Helper()
	p.move("cur", name, "cur", other)
}

func (p program) remove(dir, name string) {
	p.t.Helper()
	if err := p.dir(dir).Remove(name); err != nil {
		p.t.Fatal(err)
	}
}

func (p program) copy(dir, name, to, other string) {
	p.t.Helper()
	b, err := readAll(p.dir(dir), name)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := p.dir(dir).Lstat(name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.d.plant(p.dir(to), other, string(b), info.ModTime)
}

func (p program) write(name, text string) {
	p.t.Helper()
	dir := p.d.in()
	if err := dir.Remove(name); err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	p.d.plant(dir, name, text, p.d.clock.now())
}

// view is what a client sees of a mailbox: UIDs by content, and flags by content.
type view struct {
	uids  map[string][]mailaccess.UID
	flags map[string]string
	state mailaccess.Snapshot
}

func (o *opened) view(box string) view {
	o.t.Helper()
	v := view{uids: make(map[string][]mailaccess.UID), flags: make(map[string]string)}
	var err error
	if v.state, err = o.Snapshot(o.t.Context(), o.mailbox(box).ID); err != nil {
		o.t.Fatal(err)
	}
	for m, err := range o.Messages(o.t.Context(), v.state.ID, v.state.UIDs) {
		if err != nil {
			o.t.Fatal(err)
		}
		text, err := o.text(m)
		if err != nil {
			o.t.Fatal(err)
		}
		text = strings.TrimSpace(text)
		v.uids[text] = append(v.uids[text], m.UID)
		v.flags[text] = flagText(m.Flags)
	}
	return v
}

func flagText(f mailaccess.Flags) string {
	var words []string
	for i, w := range []string{"seen", "answered", "flagged", "deleted", "draft"} {
		if f.System.Has([]mailaccess.SystemFlags{mailaccess.FlagSeen, mailaccess.FlagAnswered, mailaccess.FlagFlagged, mailaccess.FlagDeleted, mailaccess.FlagDraft}[i]) {
			words = append(words, w)
		}
	}
	words = append(words, strings.Fields(f.Keywords.String())...)
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (o *opened) text(m mailaccess.Message) (string, error) {
	c, err := o.Content(o.t.Context(), m.EmailID)
	if err != nil {
		return "", err
	}
	defer c.Close()
	var b strings.Builder
	_, err = c.WriteRange(&b, 0, c.Size())
	return b.String(), err
}

// delta is what MailboxChanges says.
type delta struct {
	changed, vanished mailaccess.UIDSet
	upTo              mailaccess.ModSeq
}

func (o *opened) delta(box string, since mailaccess.ModSeq) delta {
	o.t.Helper()
	c, err := o.MailboxChanges(o.t.Context(), o.mailbox(box).ID, since)
	if err != nil {
		o.t.Fatal(err)
	}
	d := delta{upTo: c.UpTo}
	for m, err := range c.Messages {
		if err != nil {
			o.t.Fatal(err)
		}
		if m.ModSeq <= since || m.ModSeq > c.UpTo {
			o.t.Errorf("message %d changed at %d, asked for after %d up to %d", m.UID, m.ModSeq, since, c.UpTo)
		}
		d.changed = d.changed.WithRange(m.UID, m.UID)
	}
	for v, err := range c.Vanished {
		if err != nil {
			o.t.Fatal(err)
		}
		if v.ModSeq <= since || v.ModSeq > c.UpTo {
			o.t.Errorf("message %d vanished at %d, asked for after %d up to %d", v.UID, v.ModSeq, since, c.UpTo)
		}
		d.vanished = d.vanished.WithRange(v.UID, v.UID)
	}
	return d
}

// rung notes the highest number that was rung for each mailbox.
type rung struct {
	t  *testing.T
	ch chan mailaccess.Ring
}

func (o *opened) listen() *rung {
	o.t.Helper()
	r := &rung{o.t, make(chan mailaccess.Ring, 1<<16)}
	stop, err := o.s.Watch(o.t.Context(), func(ring mailaccess.Ring) {
		select {
		case r.ch <- ring:
		default:
		}
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(stop)
	return r
}

// until waits for rings of a mailbox until good.
func (r *rung) until(box mailaccess.MailboxID, after mailaccess.ModSeq, good func() bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case ring := <-r.ch:
			if ring.Mailbox == box && ring.ModSeq > after && good() {
				return
			}
		case <-timeout:
			r.t.Fatal("nothing was rung for what happened")
		}
	}
}

func (o *opened) hold(box string) {
	o.t.Helper()
	release, err := o.Hold(o.t.Context(), o.mailbox(box).ID)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(release)
}

// external is something that another program does, and what comes of it.
type external struct {
	name string
	do   func(p program)
	// want are the flags of messages by content; those of the others stay.
	want map[string]string
	// gone are contents that vanish; fresh are those that arrive, and those that get another UID.
	gone, fresh []string
	// changed is how many messages change, fresh ones included.
	changed int
}

func externals() []external {
	all := []external{
		{name: "delivery into new", do: func(p program) { p.deliver("new", "9.nine.host", "nine") },
			want: map[string]string{"nine": ""}, fresh: []string{"nine"}, changed: 1},
		{name: "delivery into cur", do: func(p program) { p.deliver("cur", "9.nine.host:2,FS", "nine") },
			want: map[string]string{"nine": "flagged seen"}, fresh: []string{"nine"}, changed: 1},
		{name: "delivery without info into cur", do: func(p program) { p.deliver("cur", "9.nine.host", "nine") },
			want: map[string]string{"nine": ""}, fresh: []string{"nine"}, changed: 1},
		{name: "a flag goes", do: func(p program) { p.rename("2.two.host:2,S", "2.two.host:2,") },
			want: map[string]string{"two": ""}, changed: 1},
		{name: "the information goes", do: func(p program) { p.rename("2.two.host:2,S", "2.two.host") },
			want: map[string]string{"two": ""}, changed: 1},
		{name: "several renames in a row", do: func(p program) {
			p.rename("2.two.host:2,S", "2.two.host:2,FS")
			p.rename("2.two.host:2,FS", "2.two.host:2,FRS")
			p.rename("2.two.host:2,FRS", "2.two.host:2,FR")
		}, want: map[string]string{"two": "answered flagged"}, changed: 1},
		{name: "there and back", do: func(p program) {
			p.rename("2.two.host:2,S", "2.two.host:2,FS")
			p.rename("2.two.host:2,FS", "2.two.host:2,S")
			p.rename("3.three.host:2,Sa", "3.three.host:2,FSa")
		}, want: map[string]string{"two": "seen", "three": "flagged foo seen"}, changed: 1},
		{name: "a keyword", do: func(p program) {
			p.write(keywordsFile, "0 foo\n1 bar\n")
			p.rename("3.three.host:2,Sa", "3.three.host:2,Sb")
		}, want: map[string]string{"three": "bar seen"}, changed: 1},
		{name: "a letter that nobody explains", do: func(p program) { p.rename("3.three.host:2,Sa", "3.three.host:2,FSaz") },
			want: map[string]string{"three": "flagged foo seen"}, changed: 1},
		{name: "a reader moves it to cur", do: func(p program) { p.move("new", "1.one.host", "cur", "1.one.host:2,") }, changed: 0},
		{name: "a reader sees it", do: func(p program) { p.move("new", "1.one.host", "cur", "1.one.host:2,S") },
			want: map[string]string{"one": "seen"}, changed: 1},
		{name: "a reader links it", do: func(p program) {
			if err := p.dir("new").Link("1.one.host", p.dir("cur"), "1.one.host:2,S"); err != nil {
				p.t.Fatal(err)
			}
			p.remove("new", "1.one.host")
		}, want: map[string]string{"one": "seen"}, changed: 1},
		{name: "removal", do: func(p program) { p.remove("cur", "2.two.host:2,S") }, gone: []string{"two"}},
		{name: "removal of all", do: func(p program) {
			p.remove("new", "1.one.host")
			p.remove("cur", "2.two.host:2,S")
			p.remove("cur", "3.three.host:2,Sa")
		}, gone: []string{"one", "two", "three"}},
		{name: "to another folder", do: func(p program) { p.move("cur", "2.two.host:2,S", ".Work/cur", "2.two.host:2,S") }, gone: []string{"two"}},
		{name: "a copy under its own name", do: func(p program) { p.copy("cur", "2.two.host:2,S", "cur", "9.nine.host:2,F") },
			want: map[string]string{"two": "flagged"}, fresh: []string{"two"}, changed: 1},
		{name: "from a backup", do: func(p program) {
			p.copy("cur", "2.two.host:2,S", "tmp", "backup")
			p.remove("cur", "2.two.host:2,S")
			p.move("tmp", "backup", "cur", "8.two.host:2,S")
		}, gone: []string{"two"}, fresh: []string{"two"}, changed: 1},
		{name: "times of 1970 and of years to come", do: func(p program) {
			p.d.plant(p.dir("new"), "9.nine.host", "nine\n", time.Unix(0, 0))
			p.d.plant(p.dir("new"), "9.ten.host", "ten\n", time.Date(2400, 1, 1, 0, 0, 0, 0, time.UTC))
			p.d.plant(p.dir("new"), "9.eleven.host", "eleven\n", time.Unix(-1e9, 0))
		}, want: map[string]string{"nine": "", "ten": "", "eleven": ""}, fresh: []string{"eleven", "nine", "ten"}, changed: 3},
	}
	for letter, flag := range map[string]string{"D": "draft", "F": "flagged", "R": "answered", "T": "deleted", "P": "$Forwarded"} {
		name := "2.two.host:2,S" + letter
		if letter < "S" {
			name = "2.two.host:2," + letter + "S"
		}
		words := []string{"seen", flag}
		slices.Sort(words)
		all = append(all, external{name: "letter " + letter, do: func(p program) { p.rename("2.two.host:2,S", name) },
			want: map[string]string{"two": strings.Join(words, " ")}, changed: 1})
	}
	return all
}

// prepared is a mailbox with three messages, and a folder Work.
func prepared(t *testing.T, d *disk) (*opened, program) {
	o := d.open(nil)
	o.create("Work")
	p := program{t, d}
	p.write(keywordsFile, "0 foo\n")
	p.deliver("new", "1.one.host", "one")
	p.deliver("cur", "2.two.host:2,S", "two")
	p.deliver("cur", "3.three.host:2,Sa", "three")
	return o, p
}

func (x external) check(t *testing.T, o *opened, before view) {
	t.Helper()
	now := o.view("INBOX")
	flags := maps.Clone(before.flags)
	for _, text := range x.gone {
		delete(flags, text)
	}
	for _, text := range x.fresh {
		flags[text] = before.flags[text]
	}
	maps.Copy(flags, x.want)
	if !maps.Equal(now.flags, flags) {
		t.Errorf("flags are %q, want %q", now.flags, flags)
	}
	for text, uids := range before.uids {
		if !slices.Contains(x.gone, text) && (len(now.uids[text]) == 0 || now.uids[text][0] != uids[0]) {
			t.Errorf("%s has the UIDs %d, had %d", text, now.uids[text], uids)
		}
	}
	last := mailaccess.UID(0)
	for _, text := range x.fresh {
		uid := now.uids[text][len(now.uids[text])-1]
		if uid < before.state.UIDNext || uid <= last {
			t.Errorf("%s arrived with UID %d, UIDNEXT was %d and the one before it got %d", text, uid, before.state.UIDNext, last)
		}
		last = uid
	}
	d := o.delta("INBOX", before.state.ModSeq)
	if d.changed.Len() != x.changed {
		t.Errorf("%d messages changed, want %d", d.changed.Len(), x.changed)
	}
	if d.vanished.Len() != len(x.gone) {
		t.Errorf("%d messages vanished, want %d", d.vanished.Len(), len(x.gone))
	}
	if now.state.ModSeq != d.upTo || (x.changed+len(x.gone) > 0) != (now.state.ModSeq > before.state.ModSeq) {
		t.Errorf("the mailbox's number is %d, was %d, changes are up to %d", now.state.ModSeq, before.state.ModSeq, d.upTo)
	}
	if n := now.state.UIDs.Len(); n != now.state.Messages || now.state.UIDValidity != before.state.UIDValidity {
		t.Errorf("%d UIDs, %d messages, UIDVALIDITY %d, was %d", n, now.state.Messages, now.state.UIDValidity, before.state.UIDValidity)
	}
}

// Whatever other programs do becomes ordinary changes: at the next look at a mailbox that
// nobody has open, and after the store was closed meanwhile.
func TestOthersChange(t *testing.T) {
	for _, x := range externals() {
		t.Run(x.name, func(t *testing.T) {
			onDisks(t, func(t *testing.T, d *disk) {
				o, p := prepared(t, d)
				before := o.view("INBOX")
				o.unwatch(o.mailbox("INBOX"))
				x.do(p)
				x.check(t, o, before)
			})
			onDisks(t, func(t *testing.T, d *disk) {
				o, p := prepared(t, d)
				before := o.view("INBOX")
				// Names that lag behind would be brought in line, which is not the point here.
				b := o.mailbox("INBOX")
				o.mu.Lock()
				b.lazy = mailaccess.UIDSet{}
				o.mu.Unlock()
				o.close()
				x.do(p)
				x.check(t, d.open(nil), before)
			})
		})
	}
}

// In a mailbox that somebody has open they are rung for.
func TestOthersChangeWhatIsWatched(t *testing.T) {
	for _, x := range externals() {
		t.Run(x.name, func(t *testing.T) {
			d := realDisk(t)
			o, p := prepared(t, d)
			o.hold("INBOX")
			if !o.mailbox("INBOX").scan.watched {
				t.Fatal("the mailbox is not watched")
			}
			before := o.view("INBOX")
			r := o.listen()
			x.do(p)
			if x.changed+len(x.gone) > 0 {
				r.until(before.state.ID, before.state.ModSeq, func() bool {
					d := o.delta("INBOX", before.state.ModSeq)
					return d.changed.Len() == x.changed && d.vanished.Len() == len(x.gone)
				})
			}
			x.check(t, o, before)
		})
	}
}

// realDisk is a disk over a real directory.
func realDisk(t *testing.T) *disk {
	dir := t.TempDir()
	return &disk{t: t, clock: newClock(), root: func() fsys.Dir {
		root, err := fsys.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		return root
	}}
}

// A file that goes from one folder to another vanishes here and arrives there.
func TestOthersMoveBetweenFolders(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o, p := prepared(t, d)
		inbox, work := o.view("INBOX"), o.view("Work")
		o.unwatchAll()
		p.move("cur", "2.two.host:2,S", ".Work/cur", "2.two.host:2,S")
		p.copy("cur", "3.three.host:2,Sa", ".Work/new", "3.three.host")
		if n := o.delta("INBOX", inbox.state.ModSeq).vanished.Len(); n != 1 {
			t.Errorf("%d messages vanished from INBOX, want 1", n)
		}
		if n := o.delta("Work", work.state.ModSeq).changed.Len(); n != 2 {
			t.Errorf("%d messages arrived in Work, want 2", n)
		}
		if now := o.view("Work"); !maps.Equal(now.flags, map[string]string{"two": "seen", "three": ""}) {
			t.Errorf("Work has %q", now.flags)
		}
	})
}

// A copy with the same base is a message of its own, and both stay.
func TestCopyOfTheSameBase(t *testing.T) {
	for _, where := range []string{"cur", "new"} {
		t.Run(where, func(t *testing.T) {
			onDisks(t, func(t *testing.T, d *disk) {
				o, p := prepared(t, d)
				before := o.view("INBOX")
				o.unwatchAll()
				p.deliver(where, "2.two.host:2,F", "another")
				x := external{want: map[string]string{"another": "flagged"}, fresh: []string{"another"}, changed: 1}
				x.check(t, o, before)
				o.setFlags("INBOX", before.uids["two"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged), Remove: flagsFor(t, mailaccess.FlagSeen)})
				if err := o.finishNames(); err != nil {
					t.Fatal(err)
				}
				x.changed, x.want["two"] = 2, "flagged"
				x.check(t, o, before)
			})
		})
	}
	t.Run("both unknown", func(t *testing.T) {
		onDisks(t, func(t *testing.T, d *disk) {
			o := d.open(nil)
			p := program{t, d}
			now := d.clock.now()
			p.d.plant(p.dir("new"), "1.one.host", "first\n", now.Add(-3*time.Hour))
			p.d.plant(p.dir("new"), "1.two.host", "other\n", now.Add(-2*time.Hour))
			p.d.plant(p.dir("cur"), "1.one.host:2,S", "second\n", now.Add(-time.Hour))
			v := o.view("INBOX")
			if want := (map[string]string{"first": "", "other": "", "second": "seen"}); !maps.Equal(v.flags, want) {
				t.Errorf("there are %q, want %q", v.flags, want)
			}
		})
	})
}

func (o *opened) setFlags(box string, uid mailaccess.UID, c mailaccess.FlagChange) {
	o.t.Helper()
	if _, err := o.SetFlags(o.t.Context(), o.mailbox(box).ID, mailaccess.UIDSetOf(uid), c, mailaccess.AnyModSeq); err != nil {
		o.t.Fatal(err)
	}
}

// Flags that a client changed are not lost when another program renames the file, whether
// before our own rename or just when it happens.
func TestOthersRenameWhileOursIsPending(t *testing.T) {
	for _, racing := range []bool{false, true} {
		t.Run(fmt.Sprint("racing ", racing), func(t *testing.T) {
			d := memDisk(t)
			o, p := prepared(t, d)
			v := o.view("INBOX")
			if err := o.finishNames(); err != nil {
				t.Fatal(err)
			}
			o.setFlags("INBOX", v.uids["two"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged, "mine"), Remove: flagsFor(t, mailaccess.FlagSeen)})
			theirs := func() { p.rename("2.two.host:2,S", "2.two.host:2,RS") }
			if racing {
				var once atomic.Bool
				d.fs.Observe(func(op fsys.Op) {
					if op.Kind == fsys.OpRename && op.Name == "2.two.host:2,S" && op.ToName != "2.two.host:2,RS" && !once.Swap(true) {
						theirs()
					}
				})
			} else {
				theirs()
				o.view("INBOX")
			}
			if err := o.finishNames(); err != nil {
				t.Fatal(err)
			}
			d.fs.Observe(nil)
			now := o.view("INBOX")
			if now.flags["two"] != "answered flagged mine" || now.uids["two"][0] != v.uids["two"][0] {
				t.Errorf("flags are %q of UID %d, was %d", now.flags["two"], now.uids["two"], v.uids["two"])
			}
			o.close()
			if names := d.files("cur"); !slices.Contains(names, "2.two.host:2,FRb") {
				t.Errorf("files are %q", names)
			}
		})
	}
}

// One file that cannot be renamed does not keep the others from it, nor the account from being
// put away.
func TestRenamesGoOnWithoutOne(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	p := program{t, d}
	long := strings.Repeat("x", 255)
	p.deliver("new", long, "long")
	p.deliver("new", "1.one.host", "one")
	v := o.view("INBOX")
	all := mailaccess.UIDSet{}.WithRange(1, math.MaxUint32)
	if _, err := o.SetFlags(t.Context(), v.state.ID, all, mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagSeen)}, mailaccess.AnyModSeq); err != nil {
		t.Fatal(err)
	}
	d.fs.Fail(1, syscall.EACCES, &fsys.FaultOptions{Match: func(op fsys.Op) bool { return op.Kind == fsys.OpRename && op.Name == "1.one.host" }})
	if err := o.finishNames(); err == nil || d.fs.Failed() != 1 {
		t.Fatalf("a rename that failed was not told: %v", err)
	}
	o.close()
	if got := append(d.files("cur"), d.files("new")...); !slices.Equal(got, []string{"1.one.host:2,S", long}) {
		t.Errorf("files are %q", got)
	}
	o = d.open(nil)
	if v := o.view("INBOX"); v.flags["long"] != "seen" || v.flags["one"] != "seen" {
		t.Errorf("flags are %q", v.flags)
	}
}

// $Forwarded has the letter of its own and one like other keywords, for programs that know
// either. What other programs do to one of them holds for both.
func TestForwardedHasTwoLetters(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	p := program{t, d}
	p.deliver("cur", "1.one.host:2,", "one")
	v := o.view("INBOX")
	for _, c := range []struct {
		do          func()
		flags, name string
	}{
		{func() {
			o.setFlags("INBOX", v.uids["one"][0], mailaccess.FlagChange{Add: flagsFor(t, 0, "$Forwarded")})
		}, "$Forwarded", "1.one.host:2,Pa"},
		{func() { p.rename("1.one.host:2,Pa", "1.one.host:2,a") }, "", "1.one.host:2,"},
		{func() { p.rename("1.one.host:2,", "1.one.host:2,P") }, "$Forwarded", "1.one.host:2,Pa"},
		{func() { p.rename("1.one.host:2,Pa", "1.one.host:2,P") }, "", "1.one.host:2,"},
		{func() { p.rename("1.one.host:2,", "1.one.host:2,a") }, "$Forwarded", "1.one.host:2,Pa"},
	} {
		o.unwatchAll()
		c.do()
		if got := o.view("INBOX").flags["one"]; got != c.flags {
			t.Fatalf("flags are %q, want %q", got, c.flags)
		}
		if err := o.finishNames(); err != nil {
			t.Fatal(err)
		}
		if got := d.files("cur"); !slices.Equal(got, []string{c.name}) {
			t.Fatalf("files are %q, want %s", got, c.name)
		}
	}
}

// A letter that some file has, and that nobody explains, is not given to a keyword.
func TestLettersThatAreTaken(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	p := program{t, d}
	p.deliver("cur", "1.one.host:2,a", "one")
	p.deliver("cur", "2.two.host:2,", "two")
	v := o.view("INBOX")
	o.setFlags("INBOX", v.uids["two"][0], mailaccess.FlagChange{Add: flagsFor(t, 0, "word")})
	o.setFlags("INBOX", v.uids["one"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagSeen)})
	o.close()
	if got := d.files("cur"); !slices.Equal(got, []string{"1.one.host:2,Sa", "2.two.host:2,b"}) {
		t.Errorf("files are %q", got)
	}
}

// Where the system has no more watches mailboxes in use are looked at every second.
func TestWithoutWatches(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	o.s.notify.mu.Lock()
	o.s.notify.add = func(string) error { return syscall.ENOSPC }
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
	if err := n.w.Remove(d.in("new").Path()); err != nil {
		t.Fatal(err)
	}
	v, err := o.Snapshot(t.Context(), before.state.ID)
	if err != nil {
		t.Fatal(err)
	}
	program{t, d}.deliver("new", "one.host", "one")
	n.overflow()
	n.due <- struct{}{}
	r.until(before.state.ID, v.ModSeq, func() bool { return o.delta("INBOX", v.ModSeq).changed.Len() == 1 })
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
