package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// quiet waits until all that was told of directories was looked at.
func (n *notifier) quiet(tb testing.TB) {
	tb.Helper()
	if n == nil {
		return
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(gather) {
		n.mu.Lock()
		err := n.drain()
		idle := len(n.fresh)+len(n.looking) == 0
		n.mu.Unlock()
		if err != nil {
			tb.Fatal(err)
		}
		if idle {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatal("there is no end of events")
		}
	}
}

// What is done to the file of a message is one operation, and what the system tells of it takes
// none: no file is looked at, before or after.
func TestFilesAreTouchedOnce(t *testing.T) {
	const n = 600
	for _, keep := range []time.Duration{0, -1} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			g := newGround(t)
			g.deliver("ann", n, mail)
			now := g.now()
			g.now = func() time.Time { return now } // nothing becomes due
			s := g.open(&Options{KeepExpunged: keep})
			h := g.account(s, "ann")
			ids := map[string]mailaccess.MailboxID{}
			for _, name := range []string{mailaccess.Inbox, "one", "two"} {
				if name != mailaccess.Inbox {
					if _, err := h.CreateMailbox(t.Context(), name, 0); err != nil {
						t.Fatal(err)
					}
				}
				m, err := h.Lookup(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				release, err := h.Hold(t.Context(), m.ID)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				ids[name] = m.ID
			}
			s.notify.quiet(t)
			all := mailaccess.UIDSetRange(1, 1<<31)
			gone := fsys.OpRename
			if keep < 0 {
				gone = fsys.OpRemove
			}
			rename := func() error {
				h.mu.Lock()
				boxes := slices.Collect(maps.Values(h.boxes))
				h.mu.Unlock()
				for _, b := range boxes {
					for h.behind(b) > 0 {
						s.upkeep(now.Add(quiet))
					}
				}
				return nil
			}
			for _, test := range []struct {
				what string
				want map[fsys.Kind]int
				do   func() error
			}{
				{"rename from new", map[fsys.Kind]int{fsys.OpRename: n}, rename},
				{"copy", map[fsys.Kind]int{fsys.OpLink: n}, func() error {
					_, err := h.Copy(t.Context(), ids[mailaccess.Inbox], all, ids["one"])
					return err
				}},
				{"set flags", map[fsys.Kind]int{}, func() error {
					_, err := h.SetFlags(t.Context(), ids["one"], all, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagFlagged}}, mailaccess.AnyModSeq)
					return err
				}},
				{"rename", map[fsys.Kind]int{fsys.OpRename: n}, rename},
				{"move", map[fsys.Kind]int{fsys.OpRename: n}, func() error {
					_, err := h.Move(t.Context(), ids["one"], all, ids["two"])
					return err
				}},
				{"expunge", map[fsys.Kind]int{gone: n}, func() error {
					_, err := h.Expunge(t.Context(), ids["two"], all, 0)
					return err
				}},
			} {
				ops := g.during(func() {
					if err := test.do(); err != nil {
						t.Fatal(err)
					}
					s.notify.quiet(t)
				})
				got := map[fsys.Kind]int{}
				for _, o := range ops {
					if dir := filepath.Base(o.Dir); dir == "cur" || dir == "new" {
						got[o.Kind]++
					}
				}
				if !maps.Equal(got, test.want) {
					t.Errorf("%s of %d messages: %v, want %v", test.what, n, got, test.want)
				}
				if syncs := ofKind(ops, fsys.OpSyncData, fsys.OpSyncFile, fsys.OpSyncDir); syncs > 8 {
					t.Errorf("%s of %d messages: %d syncs", test.what, n, syncs)
				}
			}
		})
	}
}

// An operation that fails, or that does nothing, hides nothing of what others do to the same name.
func TestExpectedButNotDone(t *testing.T) {
	for what, outcome := range map[string]error{"fails": errors.New("some error"), "does nothing": nil} {
		t.Run(what, func(t *testing.T) {
			d := realDisk(t)
			o := d.open(nil)
			if o.s.notify == nil {
				t.Skip("nothing is told on this system")
			}
			m := o.put("INBOX", "Subject: x\r\n\r\n", mailaccess.Flags{})
			o.hold("INBOX")
			b := o.mailbox("INBOX")
			before := o.view("INBOX")
			name := d.files("cur")[0]
			err := o.do(&change{op: "test", boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
				return o.naming(func() error { return outcome }, naming{box: b, place: index.PlaceCur, name: name})
			}})
			if !errors.Is(err, outcome) {
				t.Fatal(err)
			}
			if outcome == nil {
				o.s.notify.quiet(t)
			}
			r := o.listen()
			program{t, d}.remove("cur", name)
			r.until(before.state.ID, before.state.ModSeq, func() bool { return o.delta("INBOX", before.state.ModSeq).vanished.Contains(m.UID) })
		})
	}
}

// Another program does what we are about to do, and that is told before ours fails: it is looked at.
func TestAnotherWasFaster(t *testing.T) {
	d := realDisk(t)
	o := d.open(nil)
	if o.s.notify == nil {
		t.Skip("nothing is told on this system")
	}
	o.hold("INBOX")
	b := o.mailbox("INBOX")
	before := o.view("INBOX")
	r := o.listen()
	err := o.do(&change{op: "test", boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		return o.naming(func() error {
			program{t, d}.deliver("cur", "1.one.host:2,", "one")
			n := o.s.notify
			n.mu.Lock()
			defer n.mu.Unlock()
			if err := n.drain(); err != nil {
				t.Error(err)
			}
			return fs.ErrExist
		}, naming{box: b, place: index.PlaceCur, name: "1.one.host:2,", came: true})
	}})
	if !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	r.until(before.state.ID, before.state.ModSeq, func() bool { return o.delta("INBOX", before.state.ModSeq).changed.Len() == 1 })
}

// Only what was expected last is taken back, and of that nothing that was told already.
func TestWithdraw(t *testing.T) {
	var o ownEvents
	o.names = []ownEvent{{name: "x"}, {name: "y"}}
	if x, y := o.withdraw("x"), o.withdraw("y"); x || !y || len(o.names) != 1 || o.names[0].name != "x" {
		t.Errorf("%v is left, want x", o.names)
	}
	o.first = 1
	if o.withdraw("x") || len(o.names) != 1 {
		t.Error("what was told is taken back")
	}
}
