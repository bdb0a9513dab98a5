package maildir

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// observed are options with a logger that tests read.
func observed() (*Options, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.InfoLevel)
	return &Options{Logger: zap.New(core)}, logs
}

// oddNames are names of files that are messages for all that, whatever else they look like.
func oddNames() []string {
	return []string{
		"1", "no info", "with\nnewline", "tab\tand \"quotes\" (and) {braces}", "\xff\xfe broken \xc3(", "ünïcode", "e\u0301",
		"%s%n", "a:1,b", "a:", "x:2", ",S=5", "S=1,W=2", "many,S=1,S=2,S=-1,S=99999999999999999999,W=",
		strings.Repeat("l", 255), strings.Repeat("m", 250) + ":2,S", strings.Repeat("\xfe", 251),
		"flags:2,zzzZZZ!?\x01", "twice:2,S:2,T", "fields:2,S,more,T", "-rf", "~", "*", "\\", "a.b,c=d,e:2,", "CON", "nul.txt",
	}
}

// Foreign files of all kinds lie about: every message is there once, nothing blocks, nothing
// else is touched.
func TestForeignFiles(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := realDisk(t)
	o := d.open(nil)
	want := make(map[string]string)
	for i, name := range oddNames() {
		dir := []string{"new", "cur"}[i%2]
		text := fmt.Sprintf("message %d", i)
		d.plant(d.in(dir), name, text+"\n", d.clock.now())
		want[text] = ""
	}
	want["message 15"], want["message 17"], want["message 18"], want["message 19"] = "seen", "", "seen", "seen"
	leave := map[string]bool{}
	for _, dir := range []string{"new", "cur", "tmp", ""} {
		path := d.in().Path()
		if dir != "" {
			path = d.in(dir).Path()
		}
		for name, make := range map[string]func(string) error{
			"directory:2,S":  func(p string) error { return os.MkdirAll(filepath.Join(p, "cur", "deeper"), 0o700) },
			"fifo:2,S":       func(p string) error { return syscall.Mkfifo(p, 0o600) },
			"link:2,S":       func(p string) error { return os.Symlink(secret, p) },
			"dirlink:2,S":    func(p string) error { return os.Symlink(outside, p) },
			"dangling:2,S":   func(p string) error { return os.Symlink("nowhere", p) },
			"socket:2,S":     listenAt,
			".hidden":        func(p string) error { return os.WriteFile(p, []byte("x\n"), 0o600) },
			".hidden:2,S":    func(p string) error { return os.WriteFile(p, []byte("x\n"), 0o600) },
			":2,":            func(p string) error { return os.WriteFile(p, []byte("x\n"), 0o600) },
			":2,S":           func(p string) error { return os.WriteFile(p, []byte("x\n"), 0o600) },
			"...":            func(p string) error { return os.WriteFile(p, []byte("x\n"), 0o600) },
			".Folder\xff":    func(p string) error { return os.Mkdir(p, 0o700) },
			".Outside":       func(p string) error { return os.Symlink(outside, p) },
			"dovecot.index":  func(p string) error { return os.Mkdir(p, 0o700) },
			"mailaccess-new": func(p string) error { return os.Mkdir(p, 0o700) },
		} {
			if err := make(filepath.Join(path, name)); err != nil {
				t.Fatal(err)
			}
			leave[filepath.Join(path, name)] = true
		}
	}
	check := func(o *opened) {
		t.Helper()
		v := o.view("INBOX")
		if !maps.Equal(v.flags, want) {
			t.Errorf("messages are %q, want %q", v.flags, want)
		}
		for text, uids := range v.uids {
			if len(uids) != 1 {
				t.Errorf("%s is there %d times", text, len(uids))
			}
		}
	}
	o.unwatchAll()
	check(o)
	var names []string
	for m, err := range o.Mailboxes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
	}
	if !slices.Equal(names, []string{"INBOX"}) {
		t.Errorf("mailboxes are %q", names)
	}
	if err := o.finishNames(); err != nil {
		t.Error(err)
	}
	check(o)
	o.close()
	o = d.open(nil)
	check(o)
	o.expunge("INBOX")
	o.close()
	for path := range leave {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret\n" {
		t.Errorf("what a link leads to became %q (%v)", b, err)
	}
	if e, err := os.ReadDir(outside); err != nil || len(e) != 1 {
		t.Errorf("there are %v where a link leads to (%v)", e, err)
	}
}

// listenAt makes a socket. Its path may be too long for one: then it is made elsewhere.
func listenAt(path string) error {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, "s"), path)
}

// Links in the place of directories are not followed: the error says so, and where they lead
// nothing is made.
func TestLinksInPlaceOfDirectories(t *testing.T) {
	for _, link := range []string{"", "new", "cur", "tmp", ".Work/new", ".Work/cur", "mailaccess-index", "mailaccess-expunged"} {
		t.Run(link, func(t *testing.T) {
			outside := t.TempDir()
			d := realDisk(t)
			o := d.open(nil)
			o.create("Work")
			o.put("INBOX", "one\r\n", mailaccess.Flags{})
			o.put("INBOX", "two\r\n", mailaccess.Flags{})
			if _, err := o.Expunge(t.Context(), o.mailbox("INBOX").ID, mailaccess.UIDSetOf(1), 0); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(d.in().Path(), link)
			o.close()
			if err := os.Rename(path, path+"-aside"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, path); err != nil {
				t.Fatal(err)
			}
			p, err := parsePattern(".")
			if err != nil {
				t.Fatal(err)
			}
			s, err := open(d.root(), p, nil, d.clock.now)
			if err != nil {
				t.Fatal(err)
			}
			acct, err := s.Open(t.Context(), "ann", mailaccess.Identity{})
			if err == nil {
				for m, e := range acct.Mailboxes(t.Context()) {
					if e != nil {
						err = e
						break
					}
					if _, e := acct.Status(t.Context(), m.ID); e != nil {
						err = e
					}
				}
				h := &opened{handle: acct.(*handle), t: t, d: d, s: s}
				if err == nil {
					h.expunge("INBOX")
				}
				if link == "tmp" || link == "mailaccess-expunged" {
					err = nil // nothing needs it
				} else if err == nil {
					t.Error("a link was followed, or passed over")
				}
			}
			if err != nil && !errors.Is(err, mailaccess.KindUnavailable) {
				t.Errorf("the error is %v", err)
			}
			s.Close() //nolint:errcheck // it may tell of the link
			if e, err := os.ReadDir(outside); err != nil || len(e) != 0 {
				t.Errorf("there are %v where the link leads to (%v)", e, err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+"-aside", path); err != nil {
				t.Fatal(err)
			}
			if link != "mailaccess-index" && link != "tmp" && link != "mailaccess-expunged" {
				o = d.open(nil)
				if v := o.view("INBOX"); len(v.uids["two"]) != 1 || v.uids["two"][0] != 2 {
					t.Errorf("afterwards there are %v", v.uids)
				}
			}
		})
	}
}

// Directories that are not there are made again, and a message that arrives is seen.
func TestDirectoriesAreMissing(t *testing.T) {
	for _, box := range []string{"INBOX", "Work"} {
		for _, missing := range []string{"cur", "new", "tmp"} {
			t.Run(box+" "+missing, func(t *testing.T) {
				onDisks(t, func(t *testing.T, d *disk) {
					o := d.open(nil)
					o.create("Work")
					id := o.mailbox(box).ID
					o.close()
					var at []string
					if box == "Work" {
						at = []string{".Work"}
					}
					if err := d.in(at...).RemoveDir(missing); err != nil {
						t.Fatal(err)
					}
					o = d.open(nil)
					if got := o.mailbox(box).ID; got != id {
						t.Errorf("the mailbox is %s, was %s", got, id)
					}
					o.view(box)
					o.unwatchAll()
					o.put(box, "one\r\n", mailaccess.Flags{})
					if missing != "tmp" {
						d.plant(d.in(append(at, missing)...), "2.two.host", "two\n", d.clock.now())
						o.texts(box, 2)
					}
					o.texts(box, o.view(box).state.Messages)
				})
			})
		}
	}
}

// Directories that cannot be read are told. No message vanishes, others go on.
func TestDirectoriesCannotBeRead(t *testing.T) {
	for _, c := range []struct {
		name string
		op   func(fsys.Op) bool
	}{
		{"list cur", func(op fsys.Op) bool { return op.Kind == fsys.OpList && strings.HasSuffix(op.Dir, "/.Work/cur") }},
		{"list new", func(op fsys.Op) bool { return op.Kind == fsys.OpList && strings.HasSuffix(op.Dir, "/.Work/new") }},
		{"search cur", func(op fsys.Op) bool {
			return (op.Kind == fsys.OpLstat || op.Kind == fsys.OpOpen) && strings.HasSuffix(op.Dir, "/.Work/cur")
		}},
		{"enter", func(op fsys.Op) bool {
			return op.Kind == fsys.OpSub && (op.Name == ".Work" || strings.HasSuffix(op.Dir, "/.Work"))
		}},
		{"search", func(op fsys.Op) bool { return strings.HasSuffix(op.Dir, "/.Work") && op.Name != "" }},
	} {
		for _, errno := range []error{syscall.EACCES, syscall.EIO} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprint(c.name, " ", errno, " opened again ", again), func(t *testing.T) {
					d := memDisk(t)
					o := d.open(nil)
					o.create("Work")
					p := program{t, d}
					p.deliver(".Work/cur", "1.one.host:2,S", "one")
					p.deliver(".Work/new", "2.two.host", "two")
					before := o.view("Work")
					work := before.state.ID
					if again {
						o.close()
						o = d.open(nil)
					}
					// Something makes a scan due.
					p.rename2(".Work/cur", "1.one.host:2,S", "1.one.host:2,FS")
					d.fs.Fail(1, errno, &fsys.FaultOptions{Reads: true, Sticky: true, Match: c.op})
					// Directories that are open can be read all the same.
					if _, err := o.Snapshot(t.Context(), work); !errors.Is(err, mailaccess.KindUnavailable) && (again || c.name != "enter") {
						t.Errorf("snapshot: %v", err)
					}
					o.create("Other")
					if err := d.in().Mkdir(".New"); err != nil {
						t.Fatal(err)
					}
					if err := d.in(".New").Mkdir("cur"); err != nil {
						t.Fatal(err)
					}
					if _, err := o.Lookup(t.Context(), "New"); err != nil {
						t.Errorf("a new folder: %v", err)
					}
					if _, err := o.Lookup(t.Context(), "Other"); err != nil {
						t.Errorf("another mailbox: %v", err)
					}
					if m, err := o.Lookup(t.Context(), "Work"); err != nil || m.ID != work {
						t.Errorf("the mailbox is %v (%v)", m, err)
					}
					o.put("INBOX", "x\r\n", mailaccess.Flags{})
					d.clock.advance(time.Minute)
					d.fs.Clear()
					now := o.view("Work")
					if !maps.Equal(now.flags, map[string]string{"one": "flagged seen", "two": ""}) || !maps.EqualFunc(now.uids, before.uids, slices.Equal) {
						t.Errorf("afterwards: %v %v, before: %v", now.flags, now.uids, before.uids)
					}
					if d := o.delta("Work", before.state.ModSeq); d.vanished.Len() != 0 {
						t.Errorf("%v vanished", d.vanished)
					}
				})
			}
		}
	}
}

func (p program) rename2(dir, name, other string) {
	p.t.Helper()
	p.move(dir, name, dir, other)
}

// A file that cannot be read when it arrives is left out, which is logged once, and comes in
// when it can be read, though no directory changed.
func TestFileCannotBeReadWhenItArrives(t *testing.T) {
	for _, kind := range []fsys.Kind{fsys.OpOpen, fsys.OpRead} {
		d := memDisk(t)
		opts, logs := observed()
		o := d.open(opts)
		p := program{t, d}
		p.deliver("new", "1.one.host", "one")
		p.deliver("new", "2.two.host", "two")
		d.clock.advance(time.Minute)
		d.fs.Fail(1, syscall.EACCES, &fsys.FaultOptions{Reads: true, Sticky: true, Match: func(op fsys.Op) bool { return op.Kind == kind && op.Name == "1.one.host" }})
		for range 5 {
			if v := o.view("INBOX"); v.state.Messages != 1 || len(v.uids["two"]) != 1 {
				t.Fatalf("there are %v", v.uids)
			}
			d.clock.advance(time.Minute)
		}
		if n := logs.FilterMessageSnippet("cannot be read: it is left out").Len(); n != 1 {
			t.Errorf("%v: it was logged %d times", kind, n)
		}
		d.fs.Clear()
		if v := o.view("INBOX"); len(v.uids["one"]) != 1 {
			t.Errorf("%v: it did not come in: %v", kind, v.uids)
		}
	}
}

// On a disk that takes a and A for one letter.
func TestCaseInsensitiveDisk(t *testing.T) {
	c := newClock()
	mem := memfs.New(&memfs.Options{Now: c.now, CaseInsensitive: true})
	d := &disk{t: t, clock: c, root: mem.Root, fs: mem}
	o := d.open(nil)
	p := program{t, d}

	o.create("Work")
	if _, err := o.CreateMailbox(t.Context(), "work", 0); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("create work beside Work: %v", err)
	}
	if _, err := o.Lookup(t.Context(), "work"); !errors.Is(err, mailaccess.KindNotFound) {
		t.Errorf("look up work: %v", err)
	}
	o.create("Other")
	if err := o.RenameMailbox(t.Context(), o.mailbox("Other").ID, "WORK"); !errors.Is(err, mailaccess.KindExists) {
		t.Errorf("rename to WORK beside Work: %v", err)
	}
	o.put("Work", "one\r\n", mailaccess.Flags{})
	o.texts("Work", 1)

	// The letter of a keyword is that of a flag.
	p.write(keywordsFile, "5 word\n")
	p.deliver("cur", "1.one.host:2,f", "one")
	v := o.view("INBOX")
	if v.flags["one"] != "word" {
		t.Fatalf("flags are %q", v.flags)
	}
	o.setFlags("INBOX", v.uids["one"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged), Remove: flagsFor(t, 0, "word")})
	if err := o.finishNames(); err != nil {
		t.Fatal(err)
	}
	if got := d.files("cur"); !slices.Equal(got, []string{"1.one.host:2,F"}) {
		t.Errorf("files are %q", got)
	}
	if v := o.view("INBOX"); v.flags["one"] != "flagged" {
		t.Errorf("flags are %q", v.flags)
	}

	// Another spelling is no other account of the same directory.
	if _, err := o.s.Open(t.Context(), "ANN", mailaccess.Identity{}); !errors.Is(err, mailaccess.KindNotFound) {
		t.Errorf("open ANN: %v", err)
	}
	o.close()
	o = d.open(nil)
	if v := o.view("INBOX"); v.flags["one"] != "flagged" {
		t.Errorf("flags are %q", v.flags)
	}
}

// Rubbish in the keywords' file costs no message and no flag.
func TestKeywordsFileIsRubbish(t *testing.T) {
	rubbish := map[string]func(p program){
		"octets":     func(p program) { p.write(keywordsFile, "\x00\xff\n\n0\n0 \n-1 x\n99 y\n1 ok\n1 twice\n2 not(ok)\n") },
		"long lines": func(p program) { p.write(keywordsFile, "0 "+strings.Repeat("x", 5000)+"\n1 ok\n") },
		"too long":   func(p program) { p.write(keywordsFile, strings.Repeat("0 x\n", 1<<16)) },
		"directory": func(p program) {
			if err := p.dir("cur").Rename("sub", p.d.in(), keywordsFile); err != nil {
				p.t.Fatal(err)
			}
		},
	}
	for name, do := range rubbish {
		t.Run(name, func(t *testing.T) {
			d := memDisk(t)
			opts, logs := observed()
			o := d.open(opts)
			p := program{t, d}
			if err := d.in("cur").Mkdir("sub"); err != nil {
				t.Fatal(err)
			}
			do(p)
			p.deliver("cur", "1.one.host:2,Sabc", "one")
			p.deliver("cur", "2.two.host:2,F", "two")
			v := o.view("INBOX")
			if !strings.Contains(v.flags["one"], "seen") || v.flags["two"] != "flagged" {
				t.Fatalf("flags are %q", v.flags)
			}
			o.setFlags("INBOX", v.uids["one"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagAnswered, "mine")})
			if err := o.finishNames(); err != nil {
				t.Error(err)
			}
			if v := o.view("INBOX"); !strings.Contains(v.flags["one"], "answered") || !strings.Contains(v.flags["one"], "mine") {
				t.Errorf("flags are %q", v.flags)
			}
			if got := d.files("cur")[0]; !strings.HasPrefix(got, "1.one.host:2,RSabc") {
				t.Errorf("the file is %q", got)
			}
			if logs.FilterMessageSnippet("keywords' file").Len() == 0 {
				t.Error("nothing was logged")
			}
			o.close()
		})
	}
}

// A file that is delivered while its mailbox is deleted is not lost: it is in the mailbox that
// is kept, or in one of the same name.
func TestDeliveryWhileMailboxIsDeleted(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	p := program{t, d}
	done := false
	d.fs.Observe(func(op fsys.Op) {
		if op.Kind == fsys.OpRename && op.Name == ".Work" && !done {
			done = true
			p.deliver(".Work/new", "1.one.host", "one")
		}
	})
	if err := o.DeleteMailbox(t.Context(), o.mailbox("Work").ID); err != nil {
		t.Fatal(err)
	}
	d.fs.Observe(nil)
	if !done {
		t.Fatal("nothing was delivered")
	}
	found := 0
	for _, dir := range d.files(expungedDir) {
		found += len(d.files(expungedDir, dir, "new"))
	}
	found += len(d.files(".Work", "new"))
	if found != 1 {
		t.Errorf("%d files are left of what was delivered", found)
	}
	// A program that still has the path makes it again.
	if err := d.in().Mkdir(".Work"); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := d.in(".Work").Mkdir(sub); err != nil {
			t.Fatal(err)
		}
	}
	p.deliver(".Work/new", "2.two.host", "two")
	d.clock.advance(time.Minute)
	if v := o.view("Work"); len(v.uids["two"]) != 1 {
		t.Errorf("Work has %v", v.uids)
	}
}
