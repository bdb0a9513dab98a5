package maildir

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

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
