package maildir

import (
	"flag"
	"fmt"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

var long = flag.Bool("maildir.long", false, "fail every operation, and crash before every one, instead of a sample")

// A workload without faults leads to what it should.
func TestWorkload(t *testing.T) {
	for _, mode := range []Sync{SyncFull, SyncNormal, SyncOff} {
		r := newTrial(t, Options{Sync: mode})
		for _, s := range workload() {
			if err := r.do(&s); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
		if err := r.verify(r.model); err != nil {
			t.Fatal(err)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		if err := r.verify(r.model); err != nil {
			t.Fatal(err)
		}
		if n := countNames(t, r, ".mailaccess", "spool"); n != 0 {
			t.Errorf("%d files are left in the spool", n)
		}
	}
}

func countNames(t *testing.T, r *trial, path ...string) (n int) {
	d := r.disk.Root()
	for _, name := range path {
		var err error
		if d, err = d.Sub(name); err != nil {
			t.Fatal(err)
		}
	}
	for range d.Names(0) {
		n++
	}
	return n
}

// fault is a way in which a disk fails.
type fault struct {
	name string
	err  error
	opts fsys.FaultOptions
	kind []mailaccess.Kind // of the command's error
}

func faults() []fault {
	unavailable := []mailaccess.Kind{mailaccess.KindUnavailable, mailaccess.KindUncertain}
	full := []mailaccess.Kind{mailaccess.KindOverQuota, mailaccess.KindUncertain}
	opens := func(o fsys.Op) bool {
		switch o.Kind {
		case fsys.OpSub, fsys.OpOpen, fsys.OpOpenRW, fsys.OpCreate, fsys.OpLock:
			return true
		}
		return false
	}
	syncs := func(o fsys.Op) bool { return o.Kind == fsys.OpSyncFile || o.Kind == fsys.OpSyncData }
	writes := func(o fsys.Op) bool { return o.Kind == fsys.OpWrite }
	return []fault{
		{"full", syscall.ENOSPC, fsys.FaultOptions{}, full},
		{"short", syscall.ENOSPC, fsys.FaultOptions{Short: true, Match: writes}, full},
		{"EIO", syscall.EIO, fsys.FaultOptions{}, unavailable},
		{"EIO of reads", syscall.EIO, fsys.FaultOptions{Reads: true, Match: func(o fsys.Op) bool { return !o.Kind.Mutates() }}, unavailable},
		{"EMFILE", syscall.EMFILE, fsys.FaultOptions{Reads: true, Match: opens}, unavailable},
		{"lost sync", syscall.EIO, fsys.FaultOptions{Lose: true, Match: syncs}, unavailable},
	}
}

// For each operation of a workload: when it fails, the command says so or does without it;
// what was acknowledged is there at once and after the next start, what was not is not there
// at all, and the command works when it is given again.
func TestFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for k := 1; ; k += int(stride(11)) {
				r := newTrial(t, Options{})
				failed, err := r.runWithFault(&f, k)
				if err != nil {
					t.Errorf("operation %d: %v", k, err)
				}
				if failed == 0 && err == nil || k > 10_000 {
					break
				}
			}
		})
	}
}

// runWithFault does the workload with its k-th operation failing, and returns how many did.
func (r *trial) runWithFault(f *fault, k int) (failed int, err error) {
	o := f.opts
	o.Match = func(op fsys.Op) bool { return !r.external.Load() && (f.opts.Match == nil || f.opts.Match(op)) }
	r.disk.Fail(k, f.err, &o)
	where := "never"
	for _, s := range workload() {
		before := r.disk.Failed()
		err := r.do(&s)
		if r.disk.Failed() > before {
			where = fmt.Sprintf("in %s", s.name)
		}
		if err == nil {
			continue
		}
		if r.disk.Failed() == before {
			return 0, fmt.Errorf("failed %s; then %s: %w", where, s.name, err)
		}
		if !isKind(err, f.kind) {
			return 0, fmt.Errorf("%s: %v is of the wrong kind", s.name, err)
		}
		if err := r.compare(); err != nil {
			return 0, fmt.Errorf("%s failed, and left something: %w", s.name, err)
		}
		if s.closes {
			continue
		}
		if err := r.do(&s); err != nil {
			return 0, fmt.Errorf("%s failed, and again: %w", s.name, err)
		}
	}
	failed = r.disk.Failed()
	r.disk.Clear()
	r.store.upkeep(r.now())
	if err := r.verify(r.model); err != nil {
		return 0, fmt.Errorf("failed %s: %w", where, err)
	}
	if k%2 == 0 {
		if err := r.close(); err != nil {
			return 0, fmt.Errorf("failed %s; close: %w", where, err)
		}
	} else {
		r.crash(nil, 1)
	}
	if err := r.verify(r.model); err != nil {
		return 0, fmt.Errorf("failed %s; at the next start: %w", where, err)
	}
	return failed, r.close()
}

func isKind(err error, kinds []mailaccess.Kind) bool {
	for _, k := range kinds {
		if mailaccess.KindOf(err) == k {
			return true
		}
	}
	return false
}
