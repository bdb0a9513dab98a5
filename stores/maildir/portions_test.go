package maildir

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// A scan that finds many files takes them in portions, between which others get their turn,
// and in the order of arrival over all of them.
func TestScanInPortions(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	const n = 2*txnMax + 100
	cur, err := o.dir.Sub("cur")
	if err != nil {
		t.Fatal(err)
	}
	defer cur.Close()
	first := d.clock.now().Add(-time.Hour).Truncate(time.Second)
	for i := range n {
		// Names ascend against time.
		name := fmt.Sprintf("%05d.host:2,", n-i)
		f, err := cur.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(f, "Subject: %d\n\n", i); err != nil {
			t.Fatal(err)
		}
		if err := f.SetModTime(first.Add(time.Duration(i/4) * time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	between := make(chan int, 1)
	var once sync.Once
	d.fs.Observe(func(op fsys.Op) {
		if op.Kind != fsys.OpOpen || !strings.HasSuffix(op.Dir, "cur") {
			return
		}
		once.Do(func() {
			go func() {
				err := o.do(&change{op: "between", alone: func() error {
					o.mu.Lock()
					defer o.mu.Unlock()
					between <- o.names[mailaccess.Inbox].ix.UIDs().Len()
					return nil
				}})
				if err != nil {
					t.Error(err)
				}
			}()
			o.awaitWaiting(1)
		})
	})
	d.clock.advance(10 * time.Second)
	if s, err := o.Status(t.Context(), o.mailbox("INBOX").ID); err != nil || s.Messages != n {
		t.Fatalf("%d messages, %v, want %d", s.Messages, err, n)
	}
	d.fs.Observe(nil)
	all := o.list("INBOX")
	for i := 1; i < len(all); i++ {
		if all[i].Received.Before(all[i-1].Received) {
			t.Fatalf("UID %d came before UID %d", all[i].UID, all[i-1].UID)
		}
	}
	if got := <-between; got == 0 || got >= n {
		t.Errorf("somebody who waited had his turn at %d messages of %d", got, n)
	}
}
