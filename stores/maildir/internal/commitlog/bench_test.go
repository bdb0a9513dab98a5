package commitlog_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// A commit allocates its group, a commit that does not wait nothing.
func TestAllocations(t *testing.T) {
	disk := &quiet{Dir: memfs.New(nil).Root()}
	payload := make([]byte, 200)
	for mode, most := range map[commitlog.Mode]float64{commitlog.Full: 1, commitlog.Off: 0} {
		l, _ := open(t, disk, commitlog.Options{Mode: mode})
		commit(t, l, "begins the segment")
		n := testing.AllocsPerRun(100, func() {
			if _, err := l.Commit(payload, false); err != nil {
				t.Fatal(err)
			}
		})
		if n > most {
			t.Errorf("mode %d: %v allocations for a commit, want %v", mode, n, most)
		}
		closeLog(t, l)
	}
}

// quiet is a directory whose files take writes and syncs without allocating.
type quiet struct{ fsys.Dir }

type quietFile struct{ fsys.File }

func (d *quiet) Create(name string) (fsys.File, error) {
	f, err := d.Dir.Create(name)
	return quietFile{f}, err
}

func (quietFile) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }
func (quietFile) SyncData() error                          { return nil }

func BenchmarkCommit(b *testing.B) {
	for name, mode := range map[string]commitlog.Mode{"full": commitlog.Full, "normal": commitlog.Normal} {
		for writers, label := range map[int]string{1: "1", 16: "16"} {
			b.Run(name+"/writers="+label, func(b *testing.B) {
				var count fsys.Counters
				root, err := fsys.OpenRoot(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				defer root.Close()
				l, _ := open(b, fsys.Counting(root, &count), commitlog.Options{Mode: mode})
				payload := make([]byte, 200)
				var n atomic.Int64
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for n.Add(1) <= int64(b.N) {
							if _, err := l.Commit(payload, false); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(count.Count(fsys.OpSyncData))/float64(b.N), "syncs/commit")
				closeLog(b, l)
			})
		}
	}
}
