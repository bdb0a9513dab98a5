package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// rig is a store with one account open.
type rig struct {
	*testing.T
	store *Store
	h     *handle
}

// tryRig opens the account of a store over root.
func tryRig(t *testing.T, root fsys.Dir, opts *Options, now func() time.Time) (*rig, error) {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	s, err := open(root, pattern{root: "mem:", below: []string{"%u"}}, opts, now)
	if err != nil {
		return nil, err
	}
	r := &rig{T: t, store: s}
	acct, err := s.Open(t.Context(), "ann", mailaccess.Identity{})
	if err != nil {
		s.Close() //nolint:errcheck // the error that counts is the first
		return nil, err
	}
	r.h = acct.(*handle)
	return r, nil
}

func newRig(t *testing.T, root fsys.Dir, opts *Options) *rig {
	t.Helper()
	r, err := tryRig(t, root, opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// realRig is one over a real directory.
func realRig(t *testing.T, dir string, opts *Options) *rig {
	t.Helper()
	root, err := fsys.CreateRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, root, opts)
}

func (r *rig) close() {
	r.Helper()
	if err := errors.Join(r.h.Close(), r.store.Close()); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) create(name string) mailaccess.Mailbox {
	r.Helper()
	m, err := r.h.CreateMailbox(r.Context(), name, 0)
	r.must(err)
	return m
}

// boxes returns the mailboxes by name.
func (r *rig) boxes() map[string]mailaccess.Mailbox {
	r.Helper()
	all := make(map[string]mailaccess.Mailbox)
	for m, err := range r.h.Mailboxes(r.Context()) {
		r.must(err)
		all[m.Name] = m
	}
	return all
}

func (r *rig) names() []string {
	r.Helper()
	var names []string
	for name := range r.boxes() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (r *rig) wantNames(names ...string) {
	r.Helper()
	if got := r.names(); !slices.Equal(got, names) {
		r.Errorf("mailboxes %q, want %q", got, names)
	}
}

func (r *rig) append(box mailaccess.MailboxID, text string) {
	r.Helper()
	s, err := r.h.Stage(r.Context(), -1)
	r.must(err)
	defer s.Close()
	_, err = s.Write([]byte(text))
	r.must(err)
	_, err = r.h.Append(r.Context(), box, []mailaccess.NewMessage{{Staged: s}})
	r.must(err)
}

// texts returns the contents of a mailbox's messages.
func (r *rig) texts(box mailaccess.MailboxID) (texts []string) {
	r.Helper()
	s, err := r.h.Snapshot(r.Context(), box)
	r.must(err)
	for m, err := range r.h.Messages(r.Context(), box, s.UIDs) {
		r.must(err)
		c, err := r.h.Content(r.Context(), m.EmailID)
		r.must(err)
		b := make([]byte, c.Size())
		_, err = c.ReadAt(b, 0)
		if err != nil && err.Error() != "EOF" {
			r.Fatal(err)
		}
		r.must(c.Close())
		texts = append(texts, string(b))
	}
	return texts
}

// letter is a message.
func letter(subject string) string { return "Subject: " + subject + "\r\n\r\n" + subject + "\r\n" }

// entries lists a directory.
func entries(t *testing.T, d fsys.Dir) []string {
	t.Helper()
	var names []string
	for e, err := range d.Names(0) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

// logged counts lines of a log that hold text.
func logged(logs *observer.ObservedLogs, text string) (n int) {
	for _, e := range logs.All() {
		if strings.Contains(e.Message, text) {
			n++
		}
	}
	return n
}

// picture is what an account looks like: for each mailbox its id, UIDVALIDITY and messages.
func (r *rig) picture() map[string]string {
	r.Helper()
	p := make(map[string]string)
	for name, m := range r.boxes() {
		p[name] = fmt.Sprintf("%s %d %q", m.ID, m.UIDValidity, r.texts(m.ID))
	}
	subs := []string{}
	for name, err := range r.h.Subscriptions(r.Context()) {
		r.must(err)
		subs = append(subs, name)
	}
	p["#subscribed"] = fmt.Sprint(subs)
	return p
}

// A crash at any point of a change to the set of mailboxes leaves the account as it was
// before or as it is after, and after if the call had returned.
func TestFolderChangesCrash(t *testing.T) {
	type step struct {
		name string
		do   func(r *rig) error
	}
	byName := func(r *rig, name string) mailaccess.MailboxID { return r.h.names[name].ID }
	steps := []step{
		{"create", func(r *rig) error {
			_, err := r.h.CreateMailbox(r.Context(), "new/one", mailaccess.UseJunk)
			return err
		}},
		{"rename", func(r *rig) error { return r.h.RenameMailbox(r.Context(), byName(r, "a/b"), "c/d") }},
		{"rename upwards", func(r *rig) error { return r.h.RenameMailbox(r.Context(), byName(r, "a/b"), "a") }},
		{"delete", func(r *rig) error { return r.h.DeleteMailbox(r.Context(), byName(r, "a/b")) }},
		{"delete and create", func(r *rig) error {
			if err := r.h.DeleteMailbox(r.Context(), byName(r, "a/b")); err != nil {
				return err
			}
			_, err := r.h.CreateMailbox(r.Context(), "a/b", 0)
			return err
		}},
		{"rename and create", func(r *rig) error {
			if err := r.h.RenameMailbox(r.Context(), byName(r, "a/b/b"), "z"); err != nil {
				return err
			}
			_, err := r.h.CreateMailbox(r.Context(), "a/b/b", 0)
			return err
		}},
		{"subscribe", func(r *rig) error { return r.h.Subscribe(r.Context(), "a/b", true) }},
	}
	// setUp makes an account. With a log that holds its making, or with an empty one.
	setUp := func(t *testing.T, clean bool) (*memfs.FS, *rig) {
		fsm := memfs.New(nil)
		r := newRig(t, fsm.Root(), nil)
		r.append(r.boxes()[mailaccess.Inbox].ID, letter("in"))
		r.append(r.create("a/b").ID, letter("first"))
		r.append(r.create("a/b/b").ID, letter("second"))
		if clean {
			r.close()
			r = newRig(t, fsm.Root(), nil)
		}
		return fsm, r
	}
	for _, s := range steps {
		for _, mode := range []memfs.Mode{memfs.Nothing, memfs.All, memfs.Some} {
			for _, clean := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%d/%t", s.name, mode, clean), func(t *testing.T) {
					for k := 1; ; k++ {
						fsm, r := setUp(t, clean)
						before := r.picture()
						rng := rand.New(rand.NewPCG(uint64(k), uint64(mode)))
						var crashed *memfs.FS
						n := 0
						fsm.Observe(func(op fsys.Op) {
							if op.Kind.Mutates() {
								if n++; n == k {
									crashed = fsm.Crash(rng, mode)
								}
							}
						})
						err := s.do(r)
						fsm.Observe(nil)
						if crashed == nil {
							if err != nil {
								t.Fatal(err)
							}
							r.close()
							break
						}
						r.h.Close()     //nolint:errcheck // nothing works any more
						r.store.Close() //nolint:errcheck // likewise
						again := newRig(t, crashed.Root(), nil)
						checkPicture(t, again.picture(), before, s.name, k, err == nil)
						again.close()
						if k > 400 {
							t.Fatal("there is no end to it")
						}
					}
				})
			}
		}
	}
}

// checkPicture checks that the account is as it was before a step, unless it returned, or as
// it is after.
func checkPicture(t *testing.T, got, before map[string]string, step string, k int, returned bool) {
	t.Helper()
	want := func(after map[string]string) string {
		for name, p := range after {
			if p == "*" && got[name] != "" {
				continue
			}
			if got[name] != p {
				return fmt.Sprintf("%s is %s, want %s", name, got[name], p)
			}
		}
		for name := range got {
			if _, ok := after[name]; !ok {
				return fmt.Sprintf("%s is there: %s", name, got[name])
			}
		}
		return ""
	}
	with := func(edit func(m map[string]string)) map[string]string {
		m := make(map[string]string)
		for k, v := range before {
			m[k] = v
		}
		edit(m)
		return m
	}
	var ends []map[string]string // the last one is when it was done
	switch step {
	case "create":
		ends = append(ends, with(func(m map[string]string) { m["new/one"] = "*" }))
	case "rename":
		ends = append(ends, with(func(m map[string]string) {
			m["c/d"], m["c/d/b"] = m["a/b"], m["a/b/b"]
			delete(m, "a/b")
			delete(m, "a/b/b")
		}))
	case "rename upwards":
		ends = append(ends, with(func(m map[string]string) {
			m["a"], m["a/b"] = m["a/b"], m["a/b/b"]
			delete(m, "a/b/b")
		}))
	case "delete":
		ends = append(ends, with(func(m map[string]string) { delete(m, "a/b") }))
	case "delete and create":
		ends = append(ends, with(func(m map[string]string) { delete(m, "a/b") }), with(func(m map[string]string) { m["a/b"] = "*" }))
	case "rename and create":
		ends = append(ends, with(func(m map[string]string) { m["z"] = m["a/b/b"]; delete(m, "a/b/b") }),
			with(func(m map[string]string) { m["z"] = m["a/b/b"]; m["a/b/b"] = "*" }))
	case "subscribe":
		ends = append(ends, with(func(m map[string]string) { m["#subscribed"] = "[a/b]" }))
	}
	if !returned || len(ends) == 0 {
		ends = append(ends, before)
	} else {
		ends = ends[len(ends)-1:]
	}
	var why []string
	for _, end := range ends {
		w := want(end)
		if w == "" {
			if step == "delete and create" && got["a/b"] != "" && got["a/b"] != before["a/b"] && !strings.HasSuffix(got["a/b"], " []") {
				t.Errorf("operation %d: the mailbox that was made again is not empty: %s", k, got["a/b"])
			}
			return
		}
		why = append(why, w)
	}
	t.Errorf("operation %d: %s", k, strings.Join(why, "; or "))
}

// A disk that refuses part of the making of a mailbox fails it, and leaves nothing.
func TestCreateMailboxRefused(t *testing.T) {
	for _, cause := range []struct {
		err  error
		kind mailaccess.Kind
	}{{syscall.ENOSPC, mailaccess.KindOverQuota}, {syscall.EACCES, mailaccess.KindUnavailable}, {syscall.ENAMETOOLONG, mailaccess.KindInvalid}} {
		fsm := memfs.New(nil)
		r := newRig(t, fsm.Root(), nil)
		ann, err := fsm.Root().Sub("ann")
		r.must(err)
		done := false
		for k := 1; !done; k++ {
			before := entries(t, ann)
			fsm.Fail(k, cause.err, &fsys.FaultOptions{Match: func(op fsys.Op) bool { return !strings.Contains(op.Dir, ownDir) }})
			_, err := r.h.CreateMailbox(r.Context(), "some", 0)
			failed := fsm.Failed() > 0
			fsm.Clear()
			if done = !failed; done {
				r.must(err)
				continue
			}
			if err == nil {
				// Only what does not matter may fail: what is left of an earlier attempt.
				t.Fatalf("operation %d failed and the call did not", k)
			}
			if !errors.Is(err, cause.kind) {
				t.Errorf("operation %d: %v, want %v", k, err, cause.kind)
			}
			r.wantNames(mailaccess.Inbox)
			if after := entries(t, ann); !slices.Equal(before, after) {
				t.Fatalf("operation %d left %q, there was %q", k, after, before)
			}
		}
		r.wantNames(mailaccess.Inbox, "some")
		r.close()
	}
}

// Every name that is accepted comes back as it was, from a directory that is a component
// beside the others.
func TestMailboxNamesComeBack(t *testing.T) {
	level := rapid.OneOf(rapid.StringN(1, 20, 60), rapid.SampledFrom([]string{"v1.2", "..", ".", "~", `a\2eb`, "&", "cur", "new", "INBOX", "a&-b", "mailaccess-index", " ", "Ä"}))
	rapid.Check(t, func(rt *rapid.T) {
		fsm := memfs.New(nil)
		r := newRig(t, fsm.Root(), nil)
		want := map[string]mailaccess.MailboxID{mailaccess.Inbox: r.boxes()[mailaccess.Inbox].ID}
		for range rapid.IntRange(1, 6).Draw(rt, "mailboxes") {
			name := norm.NFC.String(strings.Join(rapid.SliceOfN(level, 1, 4).Draw(rt, "levels"), "/"))
			m, err := r.h.CreateMailbox(rt.Context(), name, 0)
			switch {
			case err == nil:
				want[name] = m.ID
			case errors.Is(err, mailaccess.KindExists) && want[name] != "":
			case errors.Is(err, mailaccess.KindInvalid):
			default:
				rt.Fatalf("create %q: %v", name, err)
			}
		}
		r.close()
		for _, name := range entries(t, fsm.Root()) {
			if name != "ann" && name != ownDir {
				rt.Fatalf("%q is beside the account", name)
			}
		}
		r = newRig(t, fsm.Root(), nil)
		defer r.close()
		got := r.boxes()
		if len(got) != len(want) {
			rt.Fatalf("%d mailboxes, want %d", len(got), len(want))
		}
		for name, id := range want {
			if got[name].ID != id {
				rt.Fatalf("%q has the id %q, want %q", name, got[name].ID, id)
			}
		}
	})
}

func TestMailboxesOnADiskWithoutCase(t *testing.T) {
	fsm := memfs.New(&memfs.Options{CaseInsensitive: true})
	r := newRig(t, fsm.Root(), nil)
	foo := r.create("Foo")
	bar := r.create("bar")
	r.append(foo.ID, letter("foo"))
	if _, err := r.h.CreateMailbox(r.Context(), "foo", 0); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("create a name that is taken on this disk: %v", err)
	}
	if err := r.h.RenameMailbox(r.Context(), bar.ID, "FOO"); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("rename to a name that is taken on this disk: %v", err)
	}
	r.wantNames("Foo", mailaccess.Inbox, "bar")
	r.must(r.h.RenameMailbox(r.Context(), foo.ID, "foo"))
	r.wantNames(mailaccess.Inbox, "bar", "foo")
	r.close()
	r = newRig(t, fsm.Root(), nil)
	defer r.close()
	r.wantNames(mailaccess.Inbox, "bar", "foo")
	if texts := r.texts(foo.ID); !slices.Equal(texts, []string{letter("foo")}) {
		t.Errorf("messages %q", texts)
	}
}

// A folder that is a symbolic link is none, wherever it leads.
func TestSymbolicLinkIsNoFolder(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	r := realRig(t, dir, nil)
	r.close()
	for _, sub := range []string{"cur", "new", "tmp"} {
		r.must(os.Mkdir(filepath.Join(outside, sub), 0o700))
	}
	r.must(os.Symlink(outside, filepath.Join(dir, "ann", ".evil")))
	core, logs := observer.New(zap.WarnLevel)
	r = realRig(t, dir, &Options{Logger: zap.New(core)})
	defer r.close()
	for range 3 {
		r.wantNames(mailaccess.Inbox)
	}
	if n := logged(logs, "left alone"); n != 1 {
		t.Errorf("%d log lines of it, want 1", n)
	}
	if _, err := r.h.CreateMailbox(r.Context(), "evil", 0); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("create where the link is: %v", err)
	}
	m := r.create("good")
	if err := r.h.RenameMailbox(r.Context(), m.ID, "evil"); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("rename to where the link is: %v", err)
	}
	found, err := os.ReadDir(outside)
	r.must(err)
	if len(found) != 3 {
		t.Errorf("outside there is now %v", found)
	}
	// Nor is one that becomes a link.
	r.must(os.Rename(filepath.Join(dir, "ann", ".good"), filepath.Join(outside, "good")))
	r.must(os.Symlink(filepath.Join(outside, "good"), filepath.Join(dir, "ann", ".good")))
	r.wantNames(mailaccess.Inbox)
}

// What other programs do with folders are changes like any others.
func TestFoldersOfOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir, "ann"}, parts...)...) }
	mkfolder := func(name string) {
		t.Helper()
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(at(name, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := realRig(t, dir, nil)
	defer func() { r.close() }()
	since, err := r.h.State(r.Context())
	r.must(err)
	kept := r.create("kept")
	r.append(kept.ID, letter("kept"))

	mkfolder(".made.below")
	r.must(os.WriteFile(at(".made.below", "new", "1.host"), []byte("Subject: one\n\n"), 0o600))
	made := r.boxes()["made/below"]
	if made.ID == "" || made.UIDValidity == 0 || made.UIDValidity == kept.UIDValidity || made.Created <= kept.Created {
		t.Fatalf("a folder that was made is %+v", made)
	}
	if texts := r.texts(made.ID); len(texts) != 1 {
		t.Errorf("its messages are %q", texts)
	}
	r.must(os.Mkdir(at(".no-folder"), 0o700))
	r.wantNames(mailaccess.Inbox, "kept", "made/below")

	// Renamed, one to the name of the other.
	r.must(os.Rename(at(".kept"), at(".x")))
	r.must(os.Rename(at(".made.below"), at(".kept")))
	r.must(os.Rename(at(".x"), at(".made.below")))
	all := r.boxes()
	if all["made/below"].ID != kept.ID || all["kept"].ID != made.ID || all["kept"].UIDValidity != made.UIDValidity {
		t.Errorf("after renames: %+v", all)
	}
	if texts := r.texts(kept.ID); !slices.Equal(texts, []string{letter("kept")}) {
		t.Errorf("after renames its messages are %q", texts)
	}
	r.append(kept.ID, letter("later"))

	// Copied: another mailbox.
	r.must(os.CopyFS(at(".copy"), os.DirFS(at(".made.below"))))
	copied := r.boxes()["copy"]
	if copied.ID == "" || copied.ID == kept.ID || copied.UIDValidity == kept.UIDValidity {
		t.Errorf("a copy of %+v is %+v", kept, copied)
	}
	if texts := r.texts(copied.ID); len(texts) != 2 {
		t.Errorf("the messages of the copy are %q", texts)
	}

	// Removed.
	r.must(os.RemoveAll(at(".made.below")))
	c, err := r.h.Changes(r.Context(), since)
	r.must(err)
	r.wantNames(mailaccess.Inbox, "copy", "kept")
	if len(c.Mailboxes) < 2 {
		t.Errorf("changed: %+v", c.Mailboxes)
	}
	middle := c.UpTo
	r.must(os.RemoveAll(at(".copy")))
	if c, err = r.h.Changes(r.Context(), middle); err != nil || len(c.Deleted) != 1 || c.Deleted[0].ID != copied.ID {
		t.Errorf("deleted: %+v, %v", c.Deleted, err)
	}
	if _, err := r.h.Snapshot(r.Context(), copied.ID); !errors.Is(err, mailaccess.KindNotFound) {
		t.Errorf("a mailbox whose folder is gone: %v", err)
	}

	r.close()
	mkfolder(".while away")
	r = realRig(t, dir, nil)
	r.wantNames(mailaccess.Inbox, "kept", "while away")
	if r.boxes()["kept"].ID != made.ID {
		t.Error("the id is another after a restart")
	}
}

// As long as nothing happens nothing is listed.
func TestFoldersAreNotListedWithoutNeed(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	fsm := memfs.New(&memfs.Options{Now: func() time.Time { return now }})
	r, err := tryRig(t, fsm.Root(), nil, func() time.Time { return now.Add(3 * time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.create("some")
	r.names()
	before := fsm.Count(fsys.OpList)
	for range 3 {
		r.names()
		_, err := r.h.Lookup(r.Context(), "some")
		r.must(err)
	}
	if n := fsm.Count(fsys.OpList) - before; n != 0 {
		t.Errorf("%d listings", n)
	}
}

// The identity of mailboxes survives the loss of the index, and UIDs go on above.
func TestFoldersSurviveTheLossOfTheIndex(t *testing.T) {
	dir := t.TempDir()
	r := realRig(t, dir, nil)
	was := map[string]mailaccess.Mailbox{}
	next := map[string]mailaccess.UID{}
	for _, name := range []string{"a", "a/b", "v1.2"} {
		m, err := r.h.CreateMailbox(r.Context(), name, mailaccess.UseSent)
		r.must(err)
		r.append(m.ID, letter(name))
		was[name] = m
		s, err := r.h.Status(r.Context(), m.ID)
		r.must(err)
		next[name] = s.UIDNext
	}
	r.must(r.h.Subscribe(r.Context(), "a/b", true))
	state, err := r.h.State(r.Context())
	r.must(err)
	r.close()
	r.must(os.RemoveAll(filepath.Join(dir, "ann", indexDir)))
	r = realRig(t, dir, nil)
	defer r.close()
	for name, m := range was {
		got, err := r.h.Lookup(r.Context(), name)
		r.must(err)
		if got.ID != m.ID || got.UIDValidity != m.UIDValidity || got.Use != m.Use {
			t.Errorf("%s was %+v, is %+v", name, m, got)
		}
		s, err := r.h.Snapshot(r.Context(), got.ID)
		r.must(err)
		if s.Messages != 1 || s.UIDs.Min() < next[name] {
			t.Errorf("%s has the UIDs %v, UIDNEXT was %d", name, s.UIDs, next[name])
		}
	}
	if again, err := r.h.State(r.Context()); err != nil || again.Epoch == state.Epoch || again.ModSeq < state.ModSeq {
		t.Errorf("the state was %+v, is %+v, %v", state, again, err)
	}
	if p := r.picture()["#subscribed"]; p != "[a/b]" {
		t.Errorf("subscribed: %s", p)
	}
	if m := r.create("new"); m.UIDValidity <= was["v1.2"].UIDValidity {
		t.Errorf("a new mailbox has the UIDVALIDITY %d, one had %d", m.UIDValidity, was["v1.2"].UIDValidity)
	}
}

// An account's file that makes no sense is put aside, and no UIDVALIDITY is given out again.
func TestDamagedAccountFile(t *testing.T) {
	fsm := memfs.New(nil)
	r := newRig(t, fsm.Root(), nil)
	was := r.create("a")
	r.close()
	ann, err := fsm.Root().Sub("ann")
	r.must(err)
	r.must(r.store.writeSmall(ann, accountFile, []byte("gibberish\n")))
	core, logs := observer.New(zap.ErrorLevel)
	r = newRig(t, fsm.Root(), &Options{Logger: zap.New(core)})
	defer r.close()
	if got := r.boxes()["a"]; got.ID != was.ID || got.UIDValidity != was.UIDValidity {
		t.Errorf("it was %+v, is %+v", was, got)
	}
	if m := r.create("b"); m.UIDValidity <= was.UIDValidity {
		t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, was.UIDValidity)
	}
	if b, err := readSmall(ann, damagedFile); err != nil || string(b) != "gibberish\n" {
		t.Errorf("what was put aside is %q, %v", b, err)
	}
	if logged(logs, "damaged") != 1 {
		t.Errorf("the log is %v", logs.All())
	}
}

// What another program subscribed to is a change.
func TestSubscriptionsOfOtherPrograms(t *testing.T) {
	fsm := memfs.New(nil)
	r := newRig(t, fsm.Root(), nil)
	r.must(r.h.Subscribe(r.Context(), "ours/below", true))
	ann, err := fsm.Root().Sub("ann")
	r.must(err)
	if b, err := readSmall(ann, "subscriptions"); err != nil || string(b) != "ours.below\n" {
		t.Fatalf("the file is %q, %v", b, err)
	}
	state, err := r.h.State(r.Context())
	r.must(err)
	r.must(r.store.writeSmall(ann, "subscriptions", []byte("theirs.below\n")))
	c, err := r.h.Changes(r.Context(), state)
	r.must(err)
	if !c.Subscriptions || r.picture()["#subscribed"] != "[theirs/below]" {
		t.Errorf("changed: %t, subscribed: %s", c.Subscriptions, r.picture()["#subscribed"])
	}
	r.must(ann.Remove("subscriptions"))
	if r.picture()["#subscribed"] != "[]" {
		t.Errorf("subscribed without a file: %s", r.picture()["#subscribed"])
	}
	r.must(fsm.Plant("ann/subscriptions", fs.ModeNamedPipe))
	r.wantNames(mailaccess.Inbox) // and nothing waits
	r.must(r.h.Subscribe(r.Context(), "again", true))
	r.close()
	r = newRig(t, fsm.Root(), nil)
	defer r.close()
	if r.picture()["#subscribed"] != "[again]" {
		t.Errorf("subscribed after a restart: %s", r.picture()["#subscribed"])
	}
}

// When the log does not take the making of a mailbox its directory is withdrawn; when nobody
// can tell whether it did, the mailbox is there whole or not at all.
func TestCreateMailboxNotLogged(t *testing.T) {
	uncertain := 0
	for k := 1; ; k++ {
		sticky := k%2 == 0
		fsm := memfs.New(nil)
		r := newRig(t, fsm.Root(), nil)
		r.create("first")
		ann, err := fsm.Root().Sub("ann")
		r.must(err)
		before := entries(t, ann)
		fsm.Fail((k+1)/2, syscall.EIO, &fsys.FaultOptions{Sticky: sticky, Match: func(op fsys.Op) bool { return strings.Contains(op.Dir, ownDir) }})
		_, err = r.h.CreateMailbox(r.Context(), "some", 0)
		failed := fsm.Failed() > 0
		fsm.Clear()
		if !failed {
			r.must(err)
			r.close()
			break
		}
		switch {
		case err == nil:
			t.Fatalf("operation %d of the log failed and the call did not", k)
		case errors.Is(err, mailaccess.KindUncertain):
			uncertain++
		default:
			if after := entries(t, ann); !slices.Equal(before, after) {
				t.Errorf("operation %d: %q is left, there was %q", k, after, before)
			}
			r.wantNames(mailaccess.Inbox, "first")
			r.create("some")
		}
		r.wantNamesLike(mailaccess.Inbox, "first", "some")
		r.create("next")
		was := r.picture()
		r.close()
		r = newRig(t, fsm.Root(), nil)
		if is := r.picture(); fmt.Sprint(is) != fmt.Sprint(was) {
			t.Errorf("operation %d: the account was %v, is %v", k, was, is)
		}
		r.close()
	}
	if uncertain == 0 {
		t.Error("no failure left it open whether the mailbox was made")
	}
}

// wantNamesLike is wantNames, where the last one may be missing.
func (r *rig) wantNamesLike(names ...string) {
	r.Helper()
	if got := r.names(); !slices.Equal(got, names) && !slices.Equal(got, names[:len(names)-1]) {
		r.Errorf("mailboxes %q, want %q", got, names)
	}
}

// What a checkpoint holds is not done again from the log.
func TestDeletedMailboxStaysDeletedOnce(t *testing.T) {
	fsm := memfs.New(nil)
	r := newRig(t, fsm.Root(), nil)
	m := r.create("some")
	since, err := r.h.State(r.Context())
	r.must(err)
	r.must(r.h.DeleteMailbox(r.Context(), m.ID))
	r.must(r.h.checkpoint())
	crashed := fsm.Crash(nil, memfs.All)
	r.h.Close()     //nolint:errcheck // nothing works any more
	r.store.Close() //nolint:errcheck // likewise
	r = newRig(t, crashed.Root(), nil)
	defer r.close()
	c, err := r.h.Changes(r.Context(), since)
	r.must(err)
	if len(c.Deleted) != 1 || c.Deleted[0].ID != m.ID {
		t.Errorf("deleted: %+v, want one", c.Deleted)
	}
}

// The folder of a mailbox that was deleted is kept whole, with the mailbox's name.
func TestDeletedMailboxIsKept(t *testing.T) {
	fsm := memfs.New(nil)
	r := newRig(t, fsm.Root(), nil)
	defer r.close()
	m := r.create("some/where")
	r.append(m.ID, letter("kept"))
	r.must(r.h.DeleteMailbox(r.Context(), m.ID))
	kept := tree(t, fsm.Root(), "", expungedName)
	if len(kept) != 1 || !strings.HasSuffix(kept[0], "."+string(m.ID)+"/"+expungedName) {
		t.Fatalf("kept are %q", kept)
	}
	d := fsm.Root()
	for _, part := range strings.Split(kept[0], "/")[:3] {
		sub, err := d.Sub(part)
		r.must(err)
		d = sub
	}
	if name, err := readSmall(d, expungedName); err != nil || string(name) != "some/where" {
		t.Errorf("its name is %q, %v", name, err)
	}
	cur, err := d.Sub("cur")
	r.must(err)
	if files := entries(t, cur); len(files) != 1 {
		t.Errorf("its messages are %q", files)
	}
}

// \Recent is claimed once, also when the process ends at once.
func TestRecentSurvives(t *testing.T) {
	fsm := memfs.New(nil)
	r := newRig(t, fsm.Root(), nil)
	inbox := r.boxes()[mailaccess.Inbox].ID
	r.append(inbox, letter("new"))
	if from, err := r.h.ClaimRecent(r.Context(), inbox); err != nil || from != 1 {
		t.Errorf("claimed from %d, %v", from, err)
	}
	crashed := fsm.Crash(nil, memfs.All)
	r.h.Close()     //nolint:errcheck // nothing works any more
	r.store.Close() //nolint:errcheck // likewise
	r = newRig(t, crashed.Root(), nil)
	defer r.close()
	if from, err := r.h.Recent(r.Context(), inbox); err != nil || from != 2 {
		t.Errorf("after the end of the process recent begins at %d, %v", from, err)
	}
}

// A disk that fails in the middle of a change to the set of mailboxes leaves it as it was
// before or as it is after; the store goes on, and what is left to do is done later.
func TestFolderChangesOnAFailingDisk(t *testing.T) {
	steps := map[string]func(r *rig) error{
		"rename":         func(r *rig) error { return r.h.RenameMailbox(r.Context(), r.h.names["a/b"].ID, "c/d") },
		"rename upwards": func(r *rig) error { return r.h.RenameMailbox(r.Context(), r.h.names["a/b"].ID, "a") },
		"delete":         func(r *rig) error { return r.h.DeleteMailbox(r.Context(), r.h.names["a/b"].ID) },
		"subscribe":      func(r *rig) error { return r.h.Subscribe(r.Context(), "a/b", true) },
		"look":           func(r *rig) error { return r.h.lookAround("look") },
	}
	setUp := func(name string) (*memfs.FS, *rig, map[string]string) {
		fsm := memfs.New(nil)
		r := newRig(t, fsm.Root(), nil)
		r.append(r.create("a/b").ID, letter("first"))
		r.append(r.create("a/b/b").ID, letter("second"))
		p := r.picture()
		if name == "look" {
			ann, err := fsm.Root().Sub("ann")
			r.must(err)
			r.must(ann.Rename(".a.b", ann, ".moved"))
			r.must(ann.Mkdir(".made"))
			made, err := ann.Sub(".made")
			r.must(err)
			r.must(made.Mkdir("cur"))
			r.must(made.Mkdir("new"))
			p["moved"], p["made"] = p["a/b"], "*"
			delete(p, "a/b")
		}
		return fsm, r, p
	}
	for name, do := range steps {
		for _, cause := range []error{syscall.ENOSPC, syscall.EMFILE} {
			for _, sticky := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/%t", name, cause, sticky), func(t *testing.T) {
					for k := 1; ; k++ {
						fsm, r, before := setUp(name)
						r.T = t
						reads := cause == syscall.EMFILE
						fsm.Fail(k, cause, &fsys.FaultOptions{Reads: reads, Sticky: sticky, Match: func(op fsys.Op) bool {
							return !reads || op.Kind == fsys.OpSub || op.Kind == fsys.OpOpen || op.Kind == fsys.OpList || op.Kind == fsys.OpCreate
						}})
						err := do(r)
						failed := fsm.Failed() > 0
						fsm.Clear()
						r.create("later")
						got := r.picture()
						delete(got, "later")
						step := name
						if name == "look" {
							step, before = "none", withAny(before, got)
						}
						checkPicture(t, got, before, step, k, err == nil)
						was := r.picture()
						r.close()
						again := newRig(t, fsm.Root(), nil)
						again.T = t
						if is := again.picture(); fmt.Sprint(is) != fmt.Sprint(was) {
							t.Errorf("operation %d: after a restart it is %v, was %v", k, is, was)
						}
						again.close()
						if t.Failed() || !failed {
							break
						}
					}
				})
			}
		}
	}
}

// withAny puts into p what is there where p wants anything.
func withAny(p, got map[string]string) map[string]string {
	for name, want := range p {
		if want == "*" && got[name] != "" {
			p[name] = got[name]
		}
	}
	return p
}
