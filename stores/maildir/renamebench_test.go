//go:build unix

package maildir

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// cpuTime is the processor time that the process has taken.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkExpunge expunges 5,000 messages of a mailbox that is watched, 500 at a time, and, in
// turns, does nothing but what the disk has to do for it: a rename of each file into another
// directory, or its removal. The time is that of the processors, of the whole process.
func BenchmarkExpunge(b *testing.B) {
	const blocks, each = 10, 500
	for _, keep := range []time.Duration{0, -1} {
		b.Run(map[bool]string{true: "not kept", false: "kept"}[keep < 0], func(b *testing.B) {
			g := newGround(b)
			g.deliver("ann", each, mail)
			s := g.open(&Options{KeepExpunged: keep})
			defer g.close(s)
			h := g.account(s, "ann")
			inbox, err := h.Lookup(b.Context(), mailaccess.Inbox)
			if err != nil {
				b.Fatal(err)
			}
			if st, err := h.Status(b.Context(), inbox.ID); err != nil || st.Messages != each {
				b.Fatal(st.Messages, err)
			}
			away, err := fsys.OpenRoot(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer away.Close()
			var ours, bare time.Duration
			round := 0
			fill := func() mailaccess.MailboxID {
				name := fmt.Sprint("box", round)
				round++
				if _, err := h.CreateMailbox(b.Context(), name, 0); err != nil {
					b.Fatal(err)
				}
				m, err := h.Lookup(b.Context(), name)
				if err != nil {
					b.Fatal(err)
				}
				all := mailaccess.UIDSet{}.WithRange(1, 1<<31)
				for range blocks {
					if _, err := h.Copy(b.Context(), inbox.ID, all, m.ID); err != nil {
						b.Fatal(err)
					}
				}
				return m.ID
			}
			for b.Loop() {
				id := fill()
				release, err := h.Hold(b.Context(), id)
				if err != nil {
					b.Fatal(err)
				}
				s.notify.quiet(b)
				runtime.GC()
				began := cpuTime()
				for k := range mailaccess.UID(blocks) {
					uids := mailaccess.UIDSet{}.WithRange(k*each+1, (k+1)*each)
					if _, err := h.Expunge(b.Context(), id, uids, 0); err != nil {
						b.Fatal(err)
					}
				}
				s.notify.quiet(b)
				ours += cpuTime() - began
				release()
				bare += bareWork(b, h, fill(), away, keep < 0)
				if err := h.checkpoint(); err != nil {
					b.Fatal(err)
				}
			}
			per := float64(b.N) * blocks * each
			b.ReportMetric(float64(ours)/per, "cpu-ns/msg")
			b.ReportMetric(float64(bare)/per, "bare-cpu-ns/msg")
		})
	}
}

// bareWork takes the files of a mailbox away, and nothing else.
func bareWork(b *testing.B, h *handle, id mailaccess.MailboxID, to fsys.Dir, remove bool) time.Duration {
	h.mu.Lock()
	box := h.boxes[id]
	h.mu.Unlock()
	dir, err := subdir(h.dir, box.dirName)
	if err != nil {
		b.Fatal(err)
	}
	defer dir.Close()
	cur, err := dir.Sub("cur")
	if err != nil {
		b.Fatal(err)
	}
	defer cur.Close()
	root, err := fsys.OpenRoot(cur.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	var names []string
	for e, err := range root.Names(0) {
		if err != nil {
			b.Fatal(err)
		}
		names = append(names, e.Name)
	}
	kept := make([]string, len(names))
	for i, name := range names {
		kept[i] = "1764174405.1a." + name
	}
	began := cpuTime()
	for i, name := range names {
		if remove {
			err = root.Remove(name)
		} else {
			err = root.Rename(name, to, kept[i])
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return cpuTime() - began
}

// BenchmarkRenames sets a flag on all messages of a mailbox that is watched, or takes it back, and
// has their files renamed; in turns all files are renamed and nothing else is done. The time is that
// of the processors, of the whole process.
func BenchmarkRenames(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := newGround(b)
			g.deliver("ann", n, mail)
			now := g.now()
			g.now = func() time.Time { return now } // nothing becomes due
			s := g.open(nil)
			defer g.close(s)
			h := g.account(s, "ann")
			inbox, err := h.Lookup(b.Context(), mailaccess.Inbox)
			if err != nil {
				b.Fatal(err)
			}
			release, err := h.Hold(b.Context(), inbox.ID)
			if err != nil {
				b.Fatal(err)
			}
			defer release()
			h.mu.Lock()
			box := h.boxes[inbox.ID]
			h.mu.Unlock()
			follow := func() {
				for h.behind(box) > 0 {
					s.upkeep(now.Add(quiet))
				}
				s.notify.quiet(b)
			}
			follow() // from new
			flag := mailaccess.Flags{System: mailaccess.FlagFlagged}
			change := mailaccess.FlagChange{Add: flag}
			all := mailaccess.UIDSetRange(1, 1<<31)
			var ours, bare time.Duration
			for b.Loop() {
				runtime.GC()
				began := cpuTime()
				if _, err := h.SetFlags(b.Context(), inbox.ID, all, change, mailaccess.AnyModSeq); err != nil {
					b.Fatal(err)
				}
				follow()
				ours += cpuTime() - began
				change.Add, change.Remove = change.Remove, change.Add
				bare += bareRenames(b, g.dir, n)
			}
			b.ReportMetric(float64(ours)/float64(b.N)/float64(n), "cpu-ns/msg")
			b.ReportMetric(float64(bare)/float64(b.N)/float64(n), "bare-cpu-ns/msg")
		})
	}
}

// bareRenames makes a directory of n files, and renames each.
func bareRenames(b *testing.B, in string, n int) time.Duration {
	dir, err := os.MkdirTemp(in, ".bare")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d, err := fsys.OpenRoot(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	names, others := make([]string, n), make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%d.M%06dP1.mail.example.org:2,", 1772400000+i, i)
		others[i] = names[i] + "F"
		f, err := d.Create(names[i])
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	began := cpuTime()
	for i, name := range names {
		if err := d.Rename(name, d, others[i]); err != nil {
			b.Fatal(err)
		}
	}
	return cpuTime() - began
}
