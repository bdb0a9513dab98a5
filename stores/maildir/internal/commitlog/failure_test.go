package commitlog_test

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// only counts operations of these kinds for faults.
func only(kinds ...fsys.Kind) *fsys.FaultOptions {
	return &fsys.FaultOptions{Match: func(op fsys.Op) bool { return slices.Contains(kinds, op.Kind) }}
}

// survivors are what would be replayed if the process were killed now: all that is in
// the files, whether on the disk or not.
func survivors(t *testing.T, disk *memfs.FS) []record {
	t.Helper()
	l, got := open(t, disk.Root(), commitlog.Options{})
	closeLog(t, l)
	return got
}

func wantErr(t *testing.T, what string, err, want, cause error) {
	t.Helper()
	other := commitlog.ErrUncertain
	if want == other {
		other = commitlog.ErrNotWritten
	}
	if !errors.Is(err, want) || errors.Is(err, other) || !errors.Is(err, cause) {
		t.Errorf("%s: error %v, want %v because of %v", what, err, want, cause)
	}
}

// A write that is cut short is cut off; the next record takes its place.
func TestWriteFails(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{})
	one := commit(t, l, "one")
	end := l.End()
	disk.Fail(1, syscall.ENOSPC, &fsys.FaultOptions{Short: true})
	_, err := l.Commit([]byte("this is cut short"), false)
	wantErr(t, "the short write", err, commitlog.ErrNotWritten, syscall.ENOSPC)
	if size := int64(end & 0xffffffff); disk.Used() != size {
		t.Errorf("the segment has %d octets, want %d", disk.Used(), size)
	}
	two := commit(t, l, "two")
	if two.pos != end {
		t.Errorf("the next record is at %v, want %v", two.pos, end)
	}
	same(t, survivors(t, disk), []record{one, two})
	l.Close()
}

// A disk that is full makes commits fail, and only while it is full; trimming makes room.
func TestDiskFull(t *testing.T) {
	disk := memfs.New(&memfs.Options{Capacity: 4000})
	l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 500})
	var all []record
	for {
		pos, err := l.Commit(make([]byte, 100), false)
		if err != nil {
			wantErr(t, "on a full disk", err, commitlog.ErrNotWritten, syscall.ENOSPC)
			break
		}
		all = append(all, record{pos, string(make([]byte, 100))})
	}
	if len(all) < 20 {
		t.Fatalf("%d records fitted", len(all))
	}
	if err := l.Trim(all[10].pos); err != nil {
		t.Fatal(err)
	}
	all = append(all, commit(t, l, "there is room again"))
	got := survivors(t, disk)
	if len(got) > len(all) || len(got) < len(all)-10 {
		t.Fatalf("%d records replayed", len(got))
	}
	same(t, got, all[len(all)-len(got):])
	l.Close()
}

// If the cut fails too the segment is given up, and the next one says where it ends.
func TestCutFails(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{})
	one := commit(t, l, "one")
	disk.Fail(1, syscall.EIO, &fsys.FaultOptions{Short: true, Sticky: true})
	_, err := l.Commit([]byte("this is cut short"), false)
	wantErr(t, "the short write", err, commitlog.ErrNotWritten, syscall.EIO)
	_, err = l.Commit([]byte("no segment"), false)
	wantErr(t, "while no segment can be begun", err, commitlog.ErrNotWritten, syscall.EIO)
	disk.Clear()
	two := commit(t, l, "two")
	if two.pos>>32 == one.pos>>32 {
		t.Errorf("the record after it is at %v, in the segment of %v", two.pos, one.pos)
	}
	same(t, survivors(t, disk), []record{one, two})
	l.Close()
}

// Who waits for a sync that fails, and who wrote behind it, is told that it is not
// written if a new segment says so; nobody else is.
func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(nil)
		var discarded []commitlog.Pos
		l, _ := open(t, disk.Root(), commitlog.Options{OnDiscard: func(from commitlog.Pos) { discarded = append(discarded, from) }})
		one := commit(t, l, "one")
		release := stopFirstSync(disk, syscall.EIO)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_, err := l.Commit([]byte("fails"), false)
				wantErr(t, "of the group or behind it", err, commitlog.ErrNotWritten, syscall.EIO)
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		same(t, survivors(t, disk), []record{one})
		two := commit(t, l, "two")
		same(t, survivors(t, disk), []record{one, two})
		if discarded != nil {
			t.Errorf("OnDiscard(%v) though nobody had been told success", discarded)
		}

		// The same with one that did not wait.
		end := l.End()
		if _, err := l.Append([]byte("told success")); err != nil {
			t.Fatal(err)
		}
		disk.Fail(1, syscall.EIO, only(fsys.OpSyncData))
		_, err := l.Commit([]byte("fails"), false)
		wantErr(t, "the sync", err, commitlog.ErrNotWritten, syscall.EIO)
		if len(discarded) != 1 || discarded[0] != end {
			t.Errorf("OnDiscard was called with %v, want %v", discarded, end)
		}
		same(t, survivors(t, disk), []record{one, two})
		closeLog(t, l)
	})
}

// If no segment can be begun after it, nobody knows; and nothing is accepted until one
// can, whose header then ends the doubt.
func TestSyncFailsForGood(t *testing.T) {
	for _, kind := range []fsys.Kind{fsys.OpCreate, fsys.OpWrite, fsys.OpSyncFile, fsys.OpSyncDir} {
		t.Run(kind.String(), func(t *testing.T) {
			disk := memfs.New(nil)
			var discarded []commitlog.Pos
			l, _ := open(t, disk.Root(), commitlog.Options{OnDiscard: func(from commitlog.Pos) { discarded = append(discarded, from) }})
			one := commit(t, l, "one")
			end := l.End()
			if _, err := l.Append([]byte("told success")); err != nil {
				t.Fatal(err)
			}
			skip := 1
			sticky := only(fsys.OpSyncData, kind)
			if kind == fsys.OpWrite {
				skip = 2 // that of the record
			}
			sticky.Sticky = true
			disk.Fail(skip, syscall.EIO, sticky)
			_, err := l.Commit([]byte("nobody knows"), false)
			wantErr(t, "the sync", err, commitlog.ErrUncertain, syscall.EIO)
			if len(discarded) != 1 || discarded[0] != end {
				t.Errorf("OnDiscard was called with %v, want %v", discarded, end)
			}
			for range 2 {
				_, err = l.Commit([]byte("unavailable"), false)
				wantErr(t, "while no segment can be begun", err, commitlog.ErrNotWritten, syscall.EIO)
			}
			disk.Clear()
			two := commit(t, l, "two")
			same(t, survivors(t, disk), []record{one, two})
			if len(discarded) != 1 {
				t.Errorf("OnDiscard was called %d times", len(discarded))
			}
			closeLog(t, l)
		})
	}
}

// A BeforeSync that fails counts as a sync that does.
func TestBeforeSyncFails(t *testing.T) {
	disk := memfs.New(nil)
	var result error
	l, _ := open(t, disk.Root(), commitlog.Options{BeforeSync: func() error { return result }})
	one := commit(t, l, "one")
	result = syscall.EIO
	_, err := l.Commit([]byte("fails"), true)
	wantErr(t, "the group", err, commitlog.ErrNotWritten, syscall.EIO)
	two := commit(t, l, "two")
	same(t, survivors(t, disk), []record{one, two})
	closeLog(t, l)
}

// The entry of a segment is synced before a record in it counts as written, and one
// removal before the next.
func TestDirectorySyncs(t *testing.T) {
	disk := memfs.New(nil)
	var ops []fsys.Kind
	disk.Observe(func(op fsys.Op) {
		if op.Kind.Mutates() {
			ops = append(ops, op.Kind)
		}
	})
	l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 1})
	commit(t, l, "one")
	begin := []fsys.Kind{fsys.OpCreate, fsys.OpWrite, fsys.OpSyncFile, fsys.OpSyncDir}
	if want := slices.Concat(begin, []fsys.Kind{fsys.OpWrite, fsys.OpSyncData}); !slices.Equal(ops, want) {
		t.Errorf("the first commit did %v, want %v", ops, want)
	}
	commit(t, l, "two")
	commit(t, l, "three")
	ops = nil
	if err := l.Trim(l.End()); err != nil {
		t.Fatal(err)
	}
	remove := []fsys.Kind{fsys.OpRemove, fsys.OpSyncDir}
	if want := slices.Concat(remove, remove, begin, remove); !slices.Equal(ops, want) {
		t.Errorf("Trim did %v, want %v", ops, want)
	}
	disk.Observe(nil)
	closeLog(t, l)
}

// Trim that fails may be tried again, and takes nothing that is needed.
func TestTrimFails(t *testing.T) {
	for k := 1; ; k++ {
		disk := memfs.New(nil)
		l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 1})
		commit(t, l, "one")
		commit(t, l, "two")
		end := l.End()
		three := commit(t, l, "three")
		disk.Fail(k, syscall.EIO, nil)
		err := l.Trim(end)
		done := disk.Failed() == 0
		disk.Clear()
		if done != (err == nil) || err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatalf("Trim with call %d failing: %v", k, err)
		}
		got := survivors(t, disk)
		same(t, got[len(got)-1:], []record{three})
		if err := l.Trim(end); err != nil {
			t.Fatal(err)
		}
		same(t, survivors(t, disk), []record{three})
		closeLog(t, l)
		if done {
			return
		}
	}
}

// Normal syncs within a second, once for all.
func TestNormal(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			disk := memfs.New(nil)
			before := 0
			l, _ := open(t, disk.Root(), commitlog.Options{
				Mode:       commitlog.Normal,
				BeforeSync: func() error { before++; return nil },
			})
			var all []record
			for range 100 {
				all = append(all, commit(t, l, "record"))
			}
			pos, err := l.Commit([]byte("asks"), true)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, record{pos, "asks"})
			time.Sleep(wait)
			synctest.Wait()
			syncs := 0
			if wait == 0 {
				all = nil
			} else {
				syncs = 1
			}
			if n := int(disk.Count(fsys.OpSyncData)); n != syncs || before != syncs {
				t.Errorf("after %v: %d syncs, %d calls before one; want %d", wait, n, before, syncs)
			}
			left := disk.Crash(nil, memfs.Nothing)
			l.Close() // fails if there is something to sync
			same(t, survivors(t, left), all)
		})
	}
}

// Off syncs a segment that is full, and the last by Close.
func TestOff(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{Mode: commitlog.Off, SegmentSize: 1000})
	var all []record
	for range 20 {
		all = append(all, commit(t, l, string(make([]byte, 84))))
	}
	if n := disk.Count(fsys.OpSyncData); n != 2 {
		t.Errorf("%d syncs for two segments that are full", n)
	}
	closeLog(t, l)
	same(t, survivors(t, disk.Crash(nil, memfs.Nothing)), all)
}

// The error of a sync in the background fails the next commit, once.
func TestNormalSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(nil)
		var discarded []commitlog.Pos
		o := commitlog.Options{Mode: commitlog.Normal, OnDiscard: func(from commitlog.Pos) { discarded = append(discarded, from) }}
		l, _ := open(t, disk.Root(), o)
		one := commit(t, l, "one")
		time.Sleep(time.Second)
		lost := commit(t, l, "lost")
		disk.Fail(1, syscall.EIO, only(fsys.OpSyncData))
		time.Sleep(time.Second)
		synctest.Wait()
		if len(discarded) != 1 || discarded[0] != lost.pos {
			t.Errorf("OnDiscard was called with %v, want %v", discarded, lost.pos)
		}
		_, err := l.Commit([]byte("fails"), false)
		wantErr(t, "the next commit", err, commitlog.ErrNotWritten, syscall.EIO)
		two := commit(t, l, "two")
		same(t, survivors(t, disk), []record{one, two})
		l.Close()
	})
}
