package maildir

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// clock is a time that tests move.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// onDisks runs a test over a real directory and over one in memory.
func onDisks(t *testing.T, test func(t *testing.T, d *disk)) {
	t.Run("os", func(t *testing.T) {
		dir := t.TempDir()
		test(t, &disk{t: t, clock: newClock(), root: func() fsys.Dir {
			root, err := fsys.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			return root
		}})
	})
	t.Run("mem", func(t *testing.T) {
		d := memDisk(t)
		test(t, d)
	})
}

// disk is where stores of a test are.
type disk struct {
	t     *testing.T
	clock *clock
	root  func() fsys.Dir
	fs    *memfs.FS // nil: a real one
}

func memDisk(t *testing.T) *disk {
	c := newClock()
	fs := memfs.New(&memfs.Options{Now: c.now})
	return &disk{t: t, clock: c, root: fs.Root, fs: fs}
}

// opened is a store with ann's account open.
type opened struct {
	*handle
	t *testing.T
	d *disk
	s *Store
}

// open opens the store and ann's account, until the end of the test or close.
func (d *disk) open(opts *Options) *opened {
	d.t.Helper()
	if opts == nil {
		opts = new(Options)
	}
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	p, err := parsePattern(".")
	if err != nil {
		d.t.Fatal(err)
	}
	s, err := open(d.root(), p, opts, d.clock.now)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.Close() }) //nolint:errcheck // whoever cares has closed it
	o := &opened{t: d.t, d: d, s: s}
	o.reopenAccount()
	return o
}

// reopenAccount closes the account's handle and opens another.
func (o *opened) reopenAccount() {
	o.t.Helper()
	if o.handle != nil {
		if err := o.handle.Close(); err != nil {
			o.t.Fatal(err)
		}
	}
	a, err := o.s.Open(context.Background(), "ann", mailaccess.Identity{User: "ann", Account: "ann"})
	if err != nil {
		o.t.Fatal(err)
	}
	o.handle = a.(*handle)
	// The background leaves sweeping to the test.
	o.mu.Lock()
	o.swept = o.d.clock.now().Add(1000 * day)
	o.mu.Unlock()
}

// close closes the store.
func (o *opened) close() {
	o.t.Helper()
	if err := o.s.Close(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *opened) mailbox(name string) *mailbox {
	o.t.Helper()
	m, err := o.Lookup(o.t.Context(), name)
	if err != nil {
		o.t.Fatal(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.boxes[m.ID]
}

func (o *opened) create(name string) {
	o.t.Helper()
	if _, err := o.CreateMailbox(o.t.Context(), name, 0); err != nil {
		o.t.Fatal(err)
	}
}

// put appends a message, and returns it.
func (o *opened) put(box, text string, flags mailaccess.Flags) mailaccess.Message {
	o.t.Helper()
	ctx := o.t.Context()
	s, err := o.Stage(ctx, int64(len(text)))
	if err != nil {
		o.t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.WriteString(s, text); err != nil {
		o.t.Fatal(err)
	}
	received := o.d.clock.now().Add(-24 * time.Hour)
	done, err := o.Append(ctx, o.mailbox(box).ID, []mailaccess.NewMessage{{Staged: s, Flags: flags, Received: received}})
	if err != nil {
		o.t.Fatal(err)
	}
	return done.Messages[0]
}

// expunge removes all messages of a mailbox.
func (o *opened) expunge(box string) {
	o.t.Helper()
	all := mailaccess.UIDSet{}.WithRange(1, math.MaxUint32)
	if _, err := o.Expunge(o.t.Context(), o.mailbox(box).ID, all, 0); err != nil {
		o.t.Fatal(err)
	}
}

// texts waits until a mailbox has n messages, and returns their contents, sorted.
func (o *opened) texts(box string, n int) []string {
	o.t.Helper()
	ctx := o.t.Context()
	deadline := time.Now().Add(10 * time.Second)
	for {
		s, err := o.Snapshot(ctx, o.mailbox(box).ID)
		if err != nil {
			o.t.Fatal(err)
		}
		if s.Messages == n {
			break
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("%s has %d messages, want %d", box, s.Messages, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var texts []string
	for _, m := range o.list(box) {
		c, err := o.Content(ctx, m.EmailID)
		if err != nil {
			o.t.Fatal(err)
		}
		var b strings.Builder
		if _, err := c.WriteRange(&b, 0, c.Size()); err != nil {
			o.t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			o.t.Fatal(err)
		}
		texts = append(texts, b.String())
	}
	slices.Sort(texts)
	return texts
}

func (o *opened) list(box string) (all []mailaccess.Message) {
	o.t.Helper()
	for m, err := range o.Messages(o.t.Context(), o.mailbox(box).ID, mailaccess.UIDSet{}.WithRange(1, math.MaxUint32)) {
		if err != nil {
			o.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// in opens a directory of ann's account.
func (d *disk) in(path ...string) fsys.Dir {
	d.t.Helper()
	root := d.root()
	defer root.Close()
	dir, err := descendInto(root, append([]string{"ann"}, path...))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { dir.Close() })
	return dir
}

// files lists a directory of ann's account, sorted; nil when it is not there.
func (d *disk) files(path ...string) (names []string) {
	d.t.Helper()
	root := d.root()
	defer root.Close()
	dir, err := descendInto(root, append([]string{"ann"}, path...))
	if err != nil {
		return nil
	}
	defer dir.Close()
	for e, err := range dir.Names(0) {
		if err != nil {
			d.t.Fatal(err)
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// plant writes a file into a directory.
func (d *disk) plant(dir fsys.Dir, name, text string, at time.Time) {
	d.t.Helper()
	f, err := dir.Create(name)
	if err == nil {
		if _, err = f.Write([]byte(text)); err == nil {
			err = f.Close()
		}
	}
	if err == nil {
		err = dir.SetModTime(name, at)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func flagsFor(t *testing.T, system mailaccess.SystemFlags, keywords ...string) mailaccess.Flags {
	t.Helper()
	k, err := mailaccess.NewKeywords(keywords...)
	if err != nil {
		t.Fatal(err)
	}
	return mailaccess.Flags{System: system, Keywords: k}
}
