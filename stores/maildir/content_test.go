package maildir

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// overwrite gives a file other octets, with a time that tells it or, if quiet, without.
func (p program) overwrite(dir, name, text string, quiet bool) {
	p.t.Helper()
	d := p.dir(dir)
	info, err := d.Lstat(name)
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := d.OpenRW(name)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		at := info.ModTime.Add(time.Minute)
		if quiet {
			at = info.ModTime
		}
		err = d.SetModTime(name, at)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func linesOf(n int, end string) string {
	return strings.Repeat("some words in a line"+end, n)
}

// A file that became another between being listed and being opened is not served as the message
// that was listed: that one vanishes, and the file is a new message, with its own size.
func TestFileBecomesAnother(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		was := linesOf(100, end)
		for name, now := range map[string]string{
			"shorter":           was[:1000],
			"longer":            was + was,
			"empty":             "",
			"one octet":         "x",
			"twice as long":     was + strings.Repeat("y", len(was)),
			"LF becomes CRLF":   strings.ReplaceAll(linesOf(90, "\r\n"), "some", "other"),
			"same size, other":  strings.ReplaceAll(was, "s", "\n"),
			"a few octets less": was[:len(was)-3],
		} {
			for _, known := range []bool{false, true} {
				for _, sized := range []bool{false, true} {
					t.Run(fmt.Sprintf("%q %s, read before %v, size in the name %v", end, name, known, sized), func(t *testing.T) {
						d := memDisk(t)
						o := d.open(nil)
						p := program{t, d}
						file := "1.one.host"
						if sized {
							file += fmt.Sprintf(",S=%d,W=%d", len(was), len(crlf(was)))
						}
						p.d.plant(p.dir("cur"), file+":2,S", was, d.clock.now().Add(-time.Hour))
						p.deliver("cur", "2.two.host:2,", "two")
						before := o.list2("INBOX")
						if known {
							if got, err := o.text(before[0]); err != nil || got != crlf(was) {
								t.Fatalf("%d octets, %v", len(got), err)
							}
						}
						o.setFlags("INBOX", before[0].UID, mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged)})
						n := o.list2("INBOX")[0].ModSeq
						p.overwrite("cur", file+":2,S", now, false)
						_, err := o.text(before[0])
						if crlf(now) == crlf(was) {
							return
						}
						if !errors.Is(err, mailaccess.KindContentGone) && !errors.Is(err, mailaccess.KindCorrupt) {
							t.Fatalf("the old message: %v", err)
						}
						if _, err := o.text(before[0]); !errors.Is(err, mailaccess.KindContentGone) {
							t.Errorf("the old message, again: %v", err)
						}
						after := o.list2("INBOX")
						if len(after) != 2 || after[0].UID != before[1].UID || after[1].UID <= before[1].UID || after[1].EmailID == before[0].EmailID {
							t.Fatalf("messages are %+v", after)
						}
						m := after[1]
						got, err := o.text(m)
						if err != nil || got != crlf(now) || m.Size != mailaccess.SizeUnknown && m.Size != int64(len(got)) {
							t.Errorf("the new message has %d octets (%v), want %d, listed %d", len(got), err, len(crlf(now)), m.Size)
						}
						if flagText(m.Flags) != "flagged seen" {
							t.Errorf("its flags are %q", flagText(m.Flags))
						}
						if c := o.delta("INBOX", n); c.vanished.Len() != 1 || c.changed.Len() != 1 {
							t.Errorf("%d vanished, %d changed", c.vanished.Len(), c.changed.Len())
						}
					})
				}
			}
		}
	}
}

// list2 lists a mailbox after a look at it.
func (o *opened) list2(box string) []mailaccess.Message {
	o.t.Helper()
	if _, err := o.Snapshot(o.t.Context(), o.mailbox(box).ID); err != nil {
		o.t.Fatal(err)
	}
	return o.list(box)
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// While a message is sent its file changes: what was written is of the old one, and the end is
// an error.
func TestFileChangesWhileItIsSent(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		was := linesOf(50_000, end)
		for name, change := range map[string]func(p program){
			"truncated": func(p program) { p.overwrite("cur", "1.one.host:2,S", was[:len(was)/2], false) },
			"quietly":   func(p program) { p.overwrite("cur", "1.one.host:2,S", was[:len(was)/2], true) },
			"grown":     func(p program) { p.overwrite("cur", "1.one.host:2,S", was+was, false) },
			"rewritten": func(p program) { p.overwrite("cur", "1.one.host:2,S", strings.ToUpper(was), false) },
		} {
			t.Run(fmt.Sprintf("%q %s", end, name), func(t *testing.T) {
				onDisks(t, func(t *testing.T, d *disk) {
					o := d.open(nil)
					p := program{t, d}
					p.d.plant(p.dir("cur"), "1.one.host:2,S", was, d.clock.now())
					c, err := o.Content(t.Context(), o.list2("INBOX")[0].EmailID)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					w := &changing{at: len(was) / 3, change: func() { change(p) }}
					n, err := c.WriteRange(w, 0, c.Size())
					if !errors.Is(err, mailaccess.KindCorrupt) || n >= c.Size() || n != int64(len(w.got)) {
						t.Fatalf("%d of %d octets, %v", n, c.Size(), err)
					}
					if name != "rewritten" && !strings.HasPrefix(crlf(was), string(w.got)) {
						t.Error("what was sent is not of the message")
					}
				})
			})
		}
	}
	t.Run("vanished", func(t *testing.T) {
		onDisks(t, func(t *testing.T, d *disk) {
			o := d.open(nil)
			p := program{t, d}
			was := linesOf(50_000, "\n")
			p.d.plant(p.dir("cur"), "1.one.host:2,S", was, d.clock.now())
			m := o.list2("INBOX")[0]
			c, err := o.Content(t.Context(), m.EmailID)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			w := &changing{at: len(was) / 3, change: func() { p.remove("cur", "1.one.host:2,S") }}
			if _, err := c.WriteRange(w, 0, c.Size()); err != nil || string(w.got) != crlf(was) {
				t.Errorf("what was opened is not readable to its end: %v", err)
			}
			if _, err := o.Content(t.Context(), m.EmailID); !errors.Is(err, mailaccess.KindContentGone) {
				t.Errorf("afterwards: %v", err)
			}
			if v := o.view("INBOX"); v.state.Messages != 0 {
				t.Errorf("%d messages", v.state.Messages)
			}
		})
	})
}

// changing is a writer before whose octet at something happens.
type changing struct {
	got    []byte
	at     int
	change func()
}

func (w *changing) Write(p []byte) (int, error) {
	w.got = append(w.got, p...)
	if w.change != nil && len(w.got) >= w.at {
		w.change()
		w.change = nil
	}
	return len(p), nil
}

// A file that is replaced by something that is no file is no message any more.
func TestFileBecomesSomethingElse(t *testing.T) {
	for name, mode := range map[string]string{"directory": "dir", "link": "link"} {
		t.Run(name, func(t *testing.T) {
			d := realDisk(t)
			o := d.open(nil)
			p := program{t, d}
			p.deliver("cur", "1.one.host:2,S", "one")
			m := o.list2("INBOX")[0]
			o.unwatchAll()
			p.remove("cur", "1.one.host:2,S")
			cur := p.dir("cur")
			var err error
			if mode == "dir" {
				err = cur.Mkdir("1.one.host:2,S")
			} else {
				err = syscall.Symlink("/etc/passwd", cur.Path()+"/1.one.host:2,S")
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Content(t.Context(), m.EmailID); !errors.Is(err, mailaccess.KindContentGone) {
				t.Errorf("content: %v", err)
			}
			if v := o.view("INBOX"); v.state.Messages != 0 {
				t.Errorf("%d messages", v.state.Messages)
			}
		})
	}
}

// Whatever the ends of lines are, clients get CRLF, sizes agree, and the file stays.
func TestFilesOfAllKinds(t *testing.T) {
	files := map[string]string{
		"empty":            "",
		"one octet":        "x",
		"LF":               "\n",
		"CR":               "\r",
		"CRLF":             "Subject: x\r\n\r\nbody\r\n",
		"bare LF":          "Subject: x\n\nbody\n",
		"mixed":            "Subject: x\n\r\nbody\r\n\n",
		"bare CR":          "a\rb\r\r\nc\r\n",
		"NUL":              "a\x00b\n\x00",
		"no final newline": "Subject: x\n\nbody",
		"ends in CR":       "a\nb\r",
		"long, LF":         linesOf(5000, "\n"),
		"long, CRLF":       linesOf(5000, "\r\n"),
		"long, mixed":      linesOf(2500, "\n") + linesOf(2500, "\r\n"),
		"no lines":         strings.Repeat("x", 100_000),
	}
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		p := program{t, d}
		var names []string
		for _, kind := range slices.Sorted(maps.Keys(files)) {
			name := fmt.Sprintf("%d.host", len(names))
			names = append(names, kind)
			p.d.plant(p.dir("new"), name, files[kind], d.clock.now().Add(time.Duration(len(names))*time.Second))
		}
		for i, m := range o.list2("INBOX") {
			want := canonical(files[names[i]])
			if m.Size != mailaccess.SizeUnknown && m.Size != int64(len(want)) {
				t.Errorf("%s: listed with %d octets, want %d", names[i], m.Size, len(want))
			}
			if got, err := o.text(m); err != nil || got != want {
				t.Errorf("%s: %d octets, want %d (%v)", names[i], len(got), len(want), err)
			}
		}
		for i, m := range o.list2("INBOX") {
			if want := canonical(files[names[i]]); m.Size != int64(len(want)) {
				t.Errorf("%s: after reading it is listed with %d octets, want %d", names[i], m.Size, len(want))
			}
		}
		o.close()
		for i := range names {
			if b, err := readAll(p.dir("cur"), fmt.Sprintf("%d.host:2,", i)); err != nil || string(b) != files[names[i]] {
				t.Errorf("%s: the file changed (%v)", names[i], err)
			}
		}
	})
}

// canonical puts a CR before each LF that has none.
func canonical(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '\n' && (i == 0 || s[i-1] != '\r') {
			b.WriteByte('\r')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// A large file with LF that is read in pieces is not read from its beginning for each.
func TestLargeFileIsReadInPieces(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	p := program{t, d}
	text := linesOf(200_000, "\n")
	p.d.plant(p.dir("cur"), "1.one.host:2,S", text, d.clock.now())
	m := o.list2("INBOX")[0]
	want := crlf(text)
	var octets int64
	d.fs.Observe(func(op fsys.Op) {
		if op.Kind == fsys.OpRead && strings.HasSuffix(op.Dir, "/cur") {
			octets += int64(op.Size)
		}
	})
	const piece = 64 << 10
	var got strings.Builder
	for off := 0; off < len(want); off += piece {
		c, err := o.Content(t.Context(), m.EmailID)
		if err != nil {
			t.Fatal(err)
		}
		if c.Size() != int64(len(want)) {
			t.Fatalf("%d octets, want %d", c.Size(), len(want))
		}
		if _, err := c.WriteRange(&got, int64(off), int64(min(piece, len(want)-off))); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != want {
		t.Error("the pieces are not the message")
	}
	// Once to measure it, once for the pieces, and up to a block before each.
	if most := int64(4 * len(text)); octets > most {
		t.Errorf("%d octets were read of %d", octets, len(text))
	}
}

// Files that cannot be read are told, and the message stays.
func TestFileCannotBeRead(t *testing.T) {
	for _, err := range []error{syscall.EACCES, syscall.EIO, syscall.EMFILE} {
		for _, kind := range []fsys.Kind{fsys.OpOpen, fsys.OpRead} {
			t.Run(fmt.Sprint(err, " ", kind), func(t *testing.T) {
				d := memDisk(t)
				o := d.open(nil)
				p := program{t, d}
				p.deliver("cur", "1.one.host:2,S", "one")
				p.deliver("cur", "2.two.host:2,S", "two")
				before := o.list2("INBOX")
				d.fs.Fail(1, err, &fsys.FaultOptions{Reads: true, Sticky: true, Match: func(op fsys.Op) bool { return op.Kind == kind && op.Name == "1.one.host:2,S" }})
				if _, err := o.text(before[0]); !errors.Is(err, mailaccess.KindUnavailable) {
					t.Errorf("content: %v", err)
				}
				if text, err := o.text(before[1]); err != nil || text != "two\r\n" {
					t.Errorf("the other one: %q, %v", text, err)
				}
				if after := o.list2("INBOX"); len(after) != 2 || after[0].UID != before[0].UID {
					t.Errorf("messages are %+v", after)
				}
				d.fs.Clear()
				if text, err := o.text(before[0]); err != nil || text != "one\r\n" {
					t.Errorf("afterwards: %q, %v", text, err)
				}
			})
		}
	}
}

// A message whose file could not be placed, or not be taken away, is read from where it is.
func TestFileIsNotWhereItBelongs(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	stuck := func(k fsys.Kind) {
		d.fs.Fail(1, syscall.EIO, &fsys.FaultOptions{Sticky: true, Match: func(op fsys.Op) bool {
			return op.Kind == k && strings.HasSuffix(op.ToDir, "/cur") || k == fsys.OpRename && strings.HasSuffix(op.Dir, "/cur")
		}})
	}
	read := func(what string, m mailaccess.Message, want string) {
		t.Helper()
		if got, err := o.text(m); err != nil || got != want {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	stuck(fsys.OpLink)
	m := o.put("INBOX", "one\r\n", mailaccess.Flags{})
	read("appended", m, "one\r\n")
	d.fs.Clear()
	moved := o.put("INBOX", "two\r\n", mailaccess.Flags{})
	stuck(fsys.OpRename)
	if _, err := o.Move(t.Context(), o.mailbox("INBOX").ID, mailaccess.UIDSetOf(moved.UID), o.mailbox("Work").ID); err != nil {
		t.Fatal(err)
	}
	read("moved", moved, "two\r\n")
	if _, err := o.Expunge(t.Context(), o.mailbox("INBOX").ID, mailaccess.UIDSetOf(m.UID), 0); err != nil {
		t.Fatal(err)
	}
	read("expunged", m, "one\r\n")
	d.fs.Clear()
	o.put("INBOX", "three\r\n", mailaccess.Flags{})
	read("moved at last", moved, "two\r\n")
	read("kept at last", m, "one\r\n")
}

// A size in a name that is a lie is found out, at the latest when the file is read.
func TestNameLiesAboutSizes(t *testing.T) {
	for name, fields := range map[string]func(text string) string{
		"too long":     func(text string) string { return fmt.Sprintf(",S=%d,W=%d", len(text), len(text)+5000) },
		"as if CRLF":   func(text string) string { return fmt.Sprintf(",S=%d,W=%d", len(text), len(text)) },
		"too short":    func(text string) string { return fmt.Sprintf(",S=%d,W=%d", len(text), len(text)-1) },
		"out of sense": func(text string) string { return ",S=99999999999999999999,W=-1" },
	} {
		for _, n := range []int{10, 5000} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				d := memDisk(t)
				o := d.open(nil)
				p := program{t, d}
				text := linesOf(n, "\n")
				p.d.plant(p.dir("cur"), "1.one.host"+fields(text)+":2,S", text, d.clock.now())
				for range 3 {
					m := o.list2("INBOX")[0]
					got, err := o.text(m)
					if err == nil {
						if got != crlf(text) {
							t.Errorf("%d octets, want %d", len(got), len(crlf(text)))
						}
						if m = o.list2("INBOX")[0]; m.Size != int64(len(got)) {
							t.Errorf("it is listed with %d octets", m.Size)
						}
						return
					}
				}
				t.Error("it cannot be read")
			})
		}
	}
}
