package commitlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type record struct {
	pos     commitlog.Pos
	payload string
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// open returns the log in dir and what it replays. Damage fails it.
func open(t fataler, dir fsys.Dir, o commitlog.Options) (*commitlog.Log, []record) {
	t.Helper()
	var got []record
	l, err := commitlog.Open(dir, o, func(pos commitlog.Pos, payload []byte) error {
		got = append(got, record{pos, string(payload)})
		return nil
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l, got
}

func commit(t fataler, l *commitlog.Log, payload string) record {
	t.Helper()
	pos, err := l.Commit([]byte(payload), false)
	if err != nil {
		t.Fatalf("Commit(%q): %v", payload, err)
	}
	return record{pos, payload}
}

func closeLog(t fataler, l *commitlog.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func same(t fataler, got, want []record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records replayed, want %d:\n%.300v\n%.300v", len(got), len(want), got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("record %d replayed as %.100v, want %.100v", i, got[i], want[i])
		}
	}
}

// What was written is replayed by the next life, in order, at the positions that were
// told; positions grow over all lives; what was trimmed may be replayed, what was not
// must be.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		disk := memfs.New(nil)
		options := func() commitlog.Options {
			return commitlog.Options{
				Mode:        rapid.SampledFrom([]commitlog.Mode{commitlog.Full, commitlog.Off}).Draw(t, "mode"),
				SegmentSize: rapid.Int64Range(1, 600).Draw(t, "segment"),
			}
		}
		l, got := open(t, disk.Root(), options())
		same(t, got, nil)
		var all []record
		var trimmed, last commitlog.Pos
		needed := func() []record {
			i := 0
			for i < len(all) && all[i].pos < trimmed {
				i++
			}
			return all[i:]
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				payload := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")
				write := l.Append
				if rapid.Bool().Draw(t, "commit") {
					write = func(p []byte) (commitlog.Pos, error) { return l.Commit(p, false) }
				}
				before := l.End()
				pos, err := write(payload)
				if err != nil {
					t.Fatalf("write: %v", err)
				}
				if pos <= last || pos < before || l.End() <= pos {
					t.Fatalf("position %v after %v, between ends %v and %v", pos, last, before, l.End())
				}
				last = pos
				all = append(all, record{pos, string(payload)})
			},
			"trim": func(t *rapid.T) {
				pos := l.End()
				if len(all) > 0 && rapid.Bool().Draw(t, "part") {
					pos = rapid.SampledFrom(all).Draw(t, "at").pos
				}
				if err := l.Trim(pos); err != nil {
					t.Fatalf("Trim: %v", err)
				}
				trimmed = max(trimmed, pos)
				if len(needed()) == 0 && l.Size() != 0 {
					t.Fatalf("nothing is needed, and %d octets are left", l.Size())
				}
			},
			"reopen": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "killed") {
					disk = disk.Crash(nil, memfs.All)
					l.Close()
				} else {
					closeLog(t, l)
					disk = disk.Crash(nil, memfs.Nothing)
				}
				l, got = open(t, disk.Root(), options())
				want := needed()
				if len(got) > len(want) && len(got) <= len(all) {
					want = all[len(all)-len(got):]
				}
				same(t, got, want)
				var size int64
				for _, r := range got {
					size += 16 + int64(len(r.payload))
				}
				if l.Size() != size {
					t.Fatalf("Size is %d with %d octets replayed", l.Size(), size)
				}
			},
		})
		closeLog(t, l)
	})
}

// A log that was trimmed whole and closed is one empty segment, and opening it again
// writes nothing.
func TestEmpty(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 100})
	for i := range 10 {
		commit(t, l, fmt.Sprintf("record %d", i))
	}
	last := commit(t, l, "the last")
	if err := l.Trim(last.pos); err != nil {
		t.Fatal(err)
	}
	if size := int64(16 + len(last.payload)); l.End()>>32 != last.pos>>32 || l.Size() < size || l.Size() > 100 {
		t.Errorf("with one record needed, of %d octets: %d octets, and the end at %v", size, l.Size(), l.End())
	}
	if err := l.Trim(l.End()); err != nil {
		t.Fatal(err)
	}
	end := l.End()
	closeLog(t, l)
	var names []string
	for e := range disk.Root().Names(0) {
		names = append(names, e.Name)
	}
	if len(names) != 1 || disk.Used() != 64 {
		t.Errorf("left are %v with %d octets", names, disk.Used())
	}
	ops := disk.Ops()
	l, got := open(t, disk.Root(), commitlog.Options{})
	same(t, got, nil)
	if err := l.Trim(l.End()); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	if n := disk.Ops() - ops; n != 0 {
		t.Errorf("opening and closing an empty log wrote %d times", n)
	}
	l, _ = open(t, disk.Root(), commitlog.Options{})
	if r := commit(t, l, "next"); r.pos < end {
		t.Errorf("position %v after %v", r.pos, end)
	}
	closeLog(t, l)
}

// Over the operating system's files, with many writers.
func TestConcurrent(t *testing.T) {
	dir, err := fsys.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l, _ := open(t, dir, commitlog.Options{SegmentSize: 4 << 10})
	var mu sync.Mutex
	all := make(map[commitlog.Pos]string)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			var last commitlog.Pos
			for i := range 20 {
				payload := fmt.Sprintf("%d of writer %d: %s", i, w, bytes.Repeat([]byte("."), i*10))
				pos, err := l.Commit([]byte(payload), false)
				if err != nil {
					t.Error(err)
				}
				if pos <= last {
					t.Errorf("position %v after %v", pos, last)
				}
				last = pos
				mu.Lock()
				all[pos] = payload
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	closeLog(t, l)
	l, got := open(t, dir, commitlog.Options{})
	closeLog(t, l)
	if len(got) != len(all) || len(all) != 16*20 {
		t.Fatalf("%d records replayed of %d", len(got), len(all))
	}
	for i, r := range got {
		if all[r.pos] != r.payload || i > 0 && r.pos <= got[i-1].pos {
			t.Errorf("record %d is %v", i, r)
		}
	}
}

// All who come while a sync runs share the next one, and the call before it.
func TestGroupSharesSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(nil)
		before := 0
		l, _ := open(t, disk.Root(), commitlog.Options{BeforeSync: func() error { before++; return nil }})
		release := stopFirstSync(disk, nil)
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				if _, err := l.Commit([]byte{byte(w)}, w%2 == 0); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(release)
		wg.Wait()
		if n := disk.Count(fsys.OpSyncData); n != 2 {
			t.Errorf("%d syncs for 16 commits, want 2", n)
		}
		if before != 2 {
			t.Errorf("BeforeSync was called %d times for two groups that asked for it", before)
		}
		commit(t, l, "does not ask")
		if before != 2 {
			t.Error("BeforeSync was called though nobody asked")
		}
		closeLog(t, l)
	})
}

// A record that comes while its segment is being given up belongs to the next one.
func TestCommitDuringTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(nil)
		l, _ := open(t, disk.Root(), commitlog.Options{})
		pos, err := l.Append([]byte("not needed"))
		if err != nil {
			t.Fatal(err)
		}
		release := stopFirstSync(disk, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.Trim(l.End()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		var got record
		wg.Go(func() { got = commit(t, l, "needed") })
		synctest.Wait()
		close(release)
		wg.Wait()
		if got.pos>>32 == pos>>32 {
			t.Errorf("it is at %v", got.pos)
		}
		left := disk.Crash(nil, memfs.Nothing)
		l.Close()
		l, replayed := open(t, left.Root(), commitlog.Options{})
		same(t, replayed, []record{got})
		closeLog(t, l)
	})
}

// What a process that was killed had not synced, or failed to, is on disk before
// anything follows it.
func TestKilledThenPowerLoss(t *testing.T) {
	lose := func(kinds ...fsys.Kind) *fsys.FaultOptions {
		o := only(kinds...)
		o.Lose, o.Sticky = true, true
		return o
	}
	tests := []struct {
		name string
		last func(*memfs.FS, *commitlog.Log) // what the killed process does at last
		want []string
	}{
		{"not synced", func(_ *memfs.FS, l *commitlog.Log) { l.Append([]byte("two")) }, []string{"one", "two"}},
		{"sync failed", func(disk *memfs.FS, l *commitlog.Log) {
			disk.Fail(1, syscall.EIO, lose(fsys.OpSyncData, fsys.OpCreate))
			_, err := l.Commit([]byte("two"), false)
			wantErr(t, "the sync", err, commitlog.ErrUncertain, syscall.EIO)
		}, []string{"one", "two"}},
		{"sync of a header failed", func(disk *memfs.FS, l *commitlog.Log) {
			disk.Fail(1, syscall.EIO, lose(fsys.OpSyncData, fsys.OpSyncFile))
			_, err := l.Commit([]byte("two"), false)
			wantErr(t, "the sync", err, commitlog.ErrUncertain, syscall.EIO)
		}, []string{"one"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			disk := memfs.New(nil)
			killed, _ := open(t, disk.Root(), commitlog.Options{})
			commit(t, killed, "one")
			test.last(disk, killed)
			disk.Clear()
			l, got := open(t, disk.Root(), commitlog.Options{})
			var payloads []string
			for _, r := range got {
				payloads = append(payloads, r.payload)
			}
			if !slices.Equal(payloads, test.want) {
				t.Fatalf("replayed %q, want %q", payloads, test.want)
			}
			got = append(got, commit(t, l, "next"))
			left := disk.Crash(nil, memfs.Nothing)
			killed.Close()
			l.Close()
			l, again := open(t, left.Root(), commitlog.Options{})
			same(t, again, got)
			closeLog(t, l)
		})
	}
}

// stopFirstSync makes the first sync of records wait until the channel is closed, and
// then fail with err if there is one.
func stopFirstSync(disk *memfs.FS, err error) chan struct{} {
	release := make(chan struct{})
	var once sync.Once
	disk.Observe(func(op fsys.Op) {
		if op.Kind == fsys.OpSyncData {
			once.Do(func() { <-release })
		}
	})
	if err != nil {
		disk.Fail(1, err, &fsys.FaultOptions{Match: func(op fsys.Op) bool { return op.Kind == fsys.OpSyncData }})
	}
	return release
}

func TestClosed(t *testing.T) {
	l, _ := open(t, memfs.New(nil).Root(), commitlog.Options{})
	commit(t, l, "record")
	closeLog(t, l)
	_, err1 := l.Commit(nil, false)
	_, err2 := l.Append(nil)
	for _, err := range []error{err1, err2, l.Trim(l.End()), l.Close()} {
		if !errors.Is(err, commitlog.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// Close waits for a Trim: after it nobody touches the directory.
func TestCloseDuringTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memfs.New(nil)
		l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 1})
		commit(t, l, "one")
		commit(t, l, "two")
		release := make(chan struct{})
		disk.Observe(func(op fsys.Op) {
			if op.Kind == fsys.OpRemove {
				<-release
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.Trim(l.End()); !errors.Is(err, commitlog.ErrClosed) {
				t.Errorf("Trim: %v", err)
			}
		})
		synctest.Wait()
		closed := false
		wg.Go(func() {
			closeLog(t, l)
			closed = true
		})
		synctest.Wait()
		if closed {
			t.Error("Close returned during a removal")
		}
		close(release)
		wg.Wait()
	})
}

func TestLargeRecords(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 1000})
	if _, err := l.Commit(make([]byte, commitlog.MaxPayload+1), false); !errors.Is(err, commitlog.ErrNotWritten) {
		t.Errorf("a record that is too large: %v", err)
	}
	var all []record
	for _, size := range []int{1, 984, 985, 64<<10 - 16, 64<<10 - 15, 64 << 10, 1 << 20, 2, commitlog.MaxPayload} {
		all = append(all, commit(t, l, string(bytes.Repeat([]byte{byte(size)}, size))))
	}
	closeLog(t, l)
	l, got := open(t, disk.Root(), commitlog.Options{})
	same(t, got, all)
	closeLog(t, l)
}

// An error of replay ends Open.
func TestReplayFails(t *testing.T) {
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{})
	commit(t, l, "record")
	closeLog(t, l)
	bad := errors.New("bad record")
	if _, err := commitlog.Open(disk.Root(), commitlog.Options{}, func(commitlog.Pos, []byte) error { return bad }); !errors.Is(err, bad) {
		t.Errorf("Open: %v", err)
	}
}
