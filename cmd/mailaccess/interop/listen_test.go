//go:build interop

package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// A listener is a client that waits in a mailbox for what others do.
type listener struct {
	c       *imapclient.Client
	waiting *imapclient.IdleCommand
	told    chan string
	heard   []string // for which nobody has waited yet
	n       uint32   // messages when it began
}

// listen begins to wait with go-imap's client.
func (d *demo) listen(t *testing.T, mailbox string) *listener {
	t.Helper()
	l := &listener{told: make(chan string, 100)}
	l.c = d.session(t, &imapclient.UnilateralDataHandler{
		Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				l.told <- fmt.Sprint("exists ", *m.NumMessages)
			}
		},
		Expunge: func(n uint32) { l.told <- fmt.Sprint("expunge ", n) },
		Fetch: func(m *imapclient.FetchMessageData) {
			b, err := m.Collect()
			if err != nil {
				t.Errorf("fetch that was told: %v", err)
				return
			}
			var flags []string
			for _, f := range b.Flags {
				if f != `\Recent` {
					flags = append(flags, string(f))
				}
			}
			slices.Sort(flags)
			l.told <- fmt.Sprintf("flags %d %s", b.SeqNum, strings.Join(flags, " "))
		},
	})
	selected, err := l.c.Select(mailbox, &imap.SelectOptions{}).Wait()
	must(t, "select "+mailbox, err)
	l.n = selected.NumMessages
	l.waiting, err = l.c.Idle()
	must(t, "idle", err)
	return l
}

// await waits until something is told that matches a pattern, unless it was told already.
func (l *listener) await(t *testing.T, pattern string) {
	t.Helper()
	want := regexp.MustCompile("^" + pattern + "$")
	for {
		if i := slices.IndexFunc(l.heard, want.MatchString); i >= 0 {
			l.heard = slices.Delete(l.heard, i, i+1)
			return
		}
		select {
		case got := <-l.told:
			l.heard = append(l.heard, got)
		case <-l.c.Closed():
			t.Fatalf("the connection ended before it told %q, after %q", pattern, l.heard)
		}
	}
}

// end ends the waiting and the connection, and returns how many messages there are.
func (l *listener) end(t *testing.T) uint32 {
	t.Helper()
	must(t, "end of idle", l.waiting.Close())
	must(t, "idle", l.waiting.Wait())
	n := l.c.Mailbox().NumMessages
	logout(t, l.c)
	return n
}
