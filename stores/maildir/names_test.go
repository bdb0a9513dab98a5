package maildir

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

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

// A letter that gets another meaning changes no message: what the index says holds, and names
// follow it.
func TestLetterGetsAnotherMeaning(t *testing.T) {
	d := memDisk(t)
	o, p := prepared(t, d)
	before := o.view("INBOX")
	p.write(keywordsFile, "0 bar\n1 foo\n")
	p.rename("3.three.host:2,Sa", "3.three.host:2,FSa")
	x := external{want: map[string]string{"three": "flagged foo seen"}, changed: 1}
	x.check(t, o, before)
	if err := o.finishNames(); err != nil {
		t.Fatal(err)
	}
	if got := d.files("cur"); !slices.Contains(got, "3.three.host:2,FSb") {
		t.Errorf("files are %q", got)
	}
}

// The store stopped while names were on their way, and another program renamed files before it
// was opened again: neither what a client changed is lost nor what the other program did.
func TestOthersRenameAfterCrash(t *testing.T) {
	for name, want := range map[string]string{
		"2.two.host:2,FS":  "flagged seen",          // our rename was done
		"2.two.host:2,S":   "flagged seen",          // it was not
		"2.two.host:2,FRS": "answered flagged seen", // it was, and theirs followed
		"2.two.host:2,RS":  "answered flagged seen", // it was not
		"2.two.host:2,R":   "answered flagged",
	} {
		t.Run(name, func(t *testing.T) {
			d := memDisk(t)
			o, _ := prepared(t, d)
			v := o.view("INBOX")
			if err := o.checkpoint(); err != nil {
				t.Fatal(err)
			}
			o.setFlags("INBOX", v.uids["two"][0], mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged)})
			if err := o.finishNames(); err != nil {
				t.Fatal(err)
			}
			crashed := d.fs.Crash(nil, memfs.All)
			o.s.Close() //nolint:errcheck // nothing works any more
			after := &disk{t: t, clock: d.clock, root: crashed.Root, fs: crashed}
			if ours := "2.two.host:2,FS"; name != ours {
				program{t, after}.rename(ours, name)
			}
			o = after.open(nil)
			if now := o.view("INBOX"); now.flags["two"] != want || now.uids["two"][0] != v.uids["two"][0] {
				t.Errorf("flags are %q, want %q", now.flags["two"], want)
			}
			o.close()
			if names := after.files("cur"); slices.ContainsFunc(names, func(n string) bool {
				return strings.HasPrefix(n, "2.") && flagText(mailaccess.Flags{System: lettersIn(nameOf(n)).System}) != want
			}) {
				t.Errorf("files are %q", names)
			}
		})
	}
}

func nameOf(name string) index.FileName { return index.FileName{Base: name} }
