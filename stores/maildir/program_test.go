package maildir

import (
	"os"
	"slices"
	"strings"
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

func (o *opened) setFlags(box string, uid mailaccess.UID, c mailaccess.FlagChange) {
	o.t.Helper()
	if _, err := o.SetFlags(o.t.Context(), o.mailbox(box).ID, mailaccess.UIDSetOf(uid), c, mailaccess.AnyModSeq); err != nil {
		o.t.Fatal(err)
	}
}
