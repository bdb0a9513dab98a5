package commitlog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// fate is what may become of a record.
type fate int

const (
	durable   fate = iota // must be replayed, whatever crashed
	told                  // written, and not synced yet: must be replayed if only the process dies
	uncertain             // may be replayed
	gone                  // must not be replayed
)

type written struct {
	payload string
	pos     commitlog.Pos // 0: never told
	fate    fate
}

// history is what the callers of a log know.
type history struct {
	mu      sync.Mutex
	full    bool
	alone   bool // there is only one writer, so that what is accepted is so after what came before
	crashed bool // what is accepted from now on does not count
	faulty  bool // a call had failed before that
	records []*written
	trimmed commitlog.Pos
	lost    []commitlog.Pos // what OnDiscard said
}

// answer takes down what the writer of a record was told.
func (h *history) answer(t fataler, payload string, commit bool, pos commitlog.Pos, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := &written{payload: payload, pos: pos, fate: told}
	switch {
	case err == nil:
		for _, other := range h.records {
			if h.full && commit && other.fate == told && other.pos < pos {
				other.fate = durable
			}
			if h.alone && other.fate == uncertain {
				other.fate = gone
			}
		}
		if h.full && commit {
			r.fate = durable
		} else if slices.ContainsFunc(h.lost, r.from) {
			r.fate = uncertain // OnDiscard was quicker
		}
	case errors.Is(err, commitlog.ErrNotWritten) && !errors.Is(err, commitlog.ErrUncertain):
		r.fate = gone
	case errors.Is(err, commitlog.ErrUncertain) && !errors.Is(err, commitlog.ErrNotWritten):
		r.fate = uncertain
	default:
		t.Fatalf("%q: error %v", payload, err)
	}
	h.records = append(h.records, r)
}

func (h *history) discard(from commitlog.Pos) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.crashed && !h.faulty {
		return // the crash is why
	}
	h.lost = append(h.lost, from)
	for _, r := range h.records {
		if r.fate == told && r.from(from) {
			r.fate = uncertain
		}
	}
}

// from reports whether a discard from pos on took the record along.
func (w *written) from(pos commitlog.Pos) bool { return w.pos >= pos && w.pos>>32 == pos>>32 }

// check opens what a crash left.
func (h *history) check(t fataler, disk *memfs.FS, mode memfs.Mode) {
	t.Helper()
	l, got := open(t, disk.Root(), commitlog.Options{})
	known := make(map[string]*written)
	for _, r := range h.records {
		known[r.payload] = r
	}
	replayed := make(map[string]bool)
	var last commitlog.Pos
	for _, r := range got {
		w := known[r.payload]
		switch {
		case w == nil:
			t.Fatalf("replayed %q, which nobody wrote", r.payload)
		case w.fate == gone:
			t.Fatalf("replayed %q, which is not written", r.payload)
		case w.pos != 0 && w.pos != r.pos:
			t.Fatalf("replayed %q at %v, written at %v", r.payload, r.pos, w.pos)
		case r.pos <= last || replayed[r.payload]:
			t.Fatalf("replayed %q at %v after %v", r.payload, r.pos, last)
		}
		last, replayed[r.payload] = r.pos, true
	}
	for _, w := range h.records {
		must := w.fate == durable || w.fate == told && mode == memfs.All
		if must && w.pos >= h.trimmed && !replayed[w.payload] {
			t.Fatalf("%q at %v was not replayed", w.payload, w.pos)
		}
	}
	// The log goes on, and a power loss now takes nothing that was replayed.
	next := commit(t, l, "next")
	for _, w := range h.records {
		if next.pos <= w.pos {
			t.Fatalf("position %v after %q at %v", next.pos, w.payload, w.pos)
		}
	}
	again := disk.Crash(nil, memfs.Nothing)
	l.Close()
	l, got2 := open(t, again.Root(), commitlog.Options{})
	same(t, got2, append(got, next))
	closeLog(t, l)
}

func (h *history) options() commitlog.Options {
	o := commitlog.Options{SegmentSize: 400, BeforeSync: func() error { return nil }, OnDiscard: h.discard}
	if !h.full {
		o.Mode = commitlog.Off
	}
	return o
}

// script is the work of one writer. It ends with a log that is still open. The disk is
// repaired a few calls after the first that failed.
func (h *history) script(t fataler, disk *memfs.FS) *commitlog.Log {
	h.alone = true
	l, _ := open(t, disk.Root(), h.options())
	for i, failing := 0, 0; i < 30; i++ {
		if failing++; disk.Failed() == 0 {
			failing = 0
		} else if failing > 3 {
			disk.Clear()
		}
		payload := fmt.Sprintf("record %d %s", i, strings.Repeat(".", i*37%90))
		switch {
		case i%11 == 10:
			pos := l.End()
			if i%2 == 0 {
				pos = h.records[len(h.records)-2].pos
			}
			if !h.crashed {
				h.trimmed = max(h.trimmed, pos) // whatever Trim says
			}
			l.Trim(pos)
		case i%3 == 1:
			pos, err := l.Append([]byte(payload))
			h.answer(t, payload, false, pos, err)
		default:
			pos, err := l.Commit([]byte(payload), i%4 == 0)
			h.answer(t, payload, true, pos, err)
		}
	}
	return l
}

// image is what one crash leaves.
type image struct {
	disk *memfs.FS
	mode memfs.Mode
}

// crash draws what a crash may leave.
func (h *history) crash(disk *memfs.FS, some int) []image {
	h.crashed, h.faulty = true, disk.Failed() > 0
	rng := rand.New(rand.NewPCG(1, 2))
	images := []image{{disk.Crash(rng, memfs.Nothing), memfs.Nothing}, {disk.Crash(rng, memfs.All), memfs.All}}
	for range some {
		images = append(images, image{disk.Crash(rng, memfs.Some), memfs.Some})
	}
	return images
}

var faults = map[string]struct {
	err     error
	options fsys.FaultOptions
}{
	"no space":                        {syscall.ENOSPC, fsys.FaultOptions{}},
	"no space after half":             {syscall.ENOSPC, fsys.FaultOptions{Short: true}},
	"input/output error":              {syscall.EIO, fsys.FaultOptions{}},
	"no space for a while":            {syscall.ENOSPC, fsys.FaultOptions{Short: true, Sticky: true}},
	"input/output errors for a while": {syscall.EIO, fsys.FaultOptions{Sticky: true}},
	"syncs that lose": {syscall.EIO, fsys.FaultOptions{Lose: true, Sticky: true, Match: func(op fsys.Op) bool {
		return op.Kind == fsys.OpSyncFile || op.Kind == fsys.OpSyncData
	}}},
	"reads too": {syscall.EMFILE, fsys.FaultOptions{Sticky: true, Reads: true}},
}

// For each call of a workload that fails, and a crash at its end: what was acknowledged
// is replayed, in order and once, and what was told not to be written is not.
func TestEachCallFails(t *testing.T) {
	for _, full := range []bool{true, false} {
		for name, fault := range faults {
			t.Run(fmt.Sprintf("%s full=%v", name, full), func(t *testing.T) {
				k := 1
				for done := false; !done; k++ {
					disk := memfs.New(nil)
					h := &history{full: full}
					disk.Fail(k, fault.err, &fault.options)
					if fault.options.Reads {
						disk.Fail(k+1, fault.err, &fault.options) // Open may fail
					}
					l := h.script(t, disk)
					done = disk.Failed() == 0
					if disk.Clear(); k%2 == 0 { // it works as soon as the disk does
						last := commit(t, l, "last")
						h.answer(t, last.payload, true, last.pos, nil)
					}
					for _, i := range h.crash(disk, 2) {
						h.check(t, i.disk, i.mode)
					}
					l.Close()
				}
				if k < 12 || fault.options.Match == nil && k < 60 {
					t.Errorf("the workload has only %d calls", k-1)
				}
			})
		}
	}
}

// The same for a crash before each call, after a fault or without one.
func TestCrashAtEachCall(t *testing.T) {
	for _, full := range []bool{true, false} {
		t.Run(fmt.Sprintf("full=%v", full), func(t *testing.T) {
			crashes := 0
			for at := 1; ; at++ {
				// A fault is told within a few calls, so earlier ones are settled.
				images := 0
				for k := max(0, at-12); k < at; k++ {
					disk := memfs.New(nil)
					h := &history{full: full}
					var left []image
					n := 0
					disk.Observe(func(op fsys.Op) {
						if op.Kind.Mutates() {
							if n++; n == at {
								left = h.crash(disk, 3)
							}
						}
					})
					if k > 0 {
						disk.Fail(k, syscall.EIO, &fsys.FaultOptions{Short: true, Sticky: k%2 == 0})
					}
					l := h.script(t, disk)
					for _, i := range left {
						h.check(t, i.disk, i.mode)
					}
					images += len(left)
					l.Close()
				}
				if images == 0 {
					break
				}
				crashes += images
			}
			if crashes < 1000 {
				t.Errorf("only %d crashes", crashes)
			}
		})
	}
}

// Many writers, with a fault somewhere and a crash at some call.
func TestManyWritersCrash(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		disk := memfs.New(nil)
		h := &history{full: seed%3 != 0}
		var mu sync.Mutex
		var left []image
		n, at := 0, rng.IntN(150)
		disk.Observe(func(op fsys.Op) {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.Mutates() {
				if n++; n == at {
					h.mu.Lock()
					left = h.crash(disk, 3)
					h.mu.Unlock()
				}
			}
		})
		l, _ := open(t, disk.Root(), h.options())
		if seed%2 == 0 {
			disk.Fail(rng.IntN(100)+1, syscall.EIO, &fsys.FaultOptions{Short: true})
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 8 {
					payload := fmt.Sprintf("record %d of %d", i, w)
					if (w+i)%5 == 0 {
						pos, err := l.Append([]byte(payload))
						h.answer(t, payload, false, pos, err)
					} else {
						pos, err := l.Commit([]byte(payload), i%2 == 0)
						h.answer(t, payload, true, pos, err)
					}
				}
			})
		}
		wg.Wait()
		if left == nil {
			left = h.crash(disk, 3)
		}
		l.Close()
		for _, i := range left {
			h.check(t, i.disk, i.mode)
		}
	}
}
