package imap_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// fillAlike appends n messages of one content to INBOX: a million in seconds.
func fillAlike(tb testing.TB, store *memory.Store, n int) (mailaccess.Account, mailaccess.MailboxID) {
	tb.Helper()
	ctx := context.Background()
	acct, err := store.Open(ctx, "demo", mailaccess.Identity{User: "demo", Account: "demo"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { acct.Close() })
	inbox, err := acct.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		tb.Fatal(err)
	}
	appender := acct.Capabilities().Append
	staged, err := appender.Stage(ctx, -1)
	if err != nil {
		tb.Fatal(err)
	}
	defer staged.Close()
	if _, err := staged.Write([]byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		tb.Fatal(err)
	}
	batch := make([]mailaccess.NewMessage, 10_000)
	for i := range batch {
		batch[i] = mailaccess.NewMessage{Staged: staged, Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}
	}
	for ; n > 0; n -= len(batch) {
		batch = batch[:min(n, len(batch))]
		if _, err := appender.Append(ctx, inbox.ID, batch); err != nil {
			tb.Fatal(err)
		}
	}
	return acct, inbox.ID
}

// BenchmarkQResync resynchronizes after ten changes, five of flags and five removals, in
// a small and in a large mailbox: it costs what changed (RFC 7162, section 3.2.5).
func BenchmarkQResync(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newBenchServer(b, 0)
			acct, box := fillAlike(b, s.store, n)
			ctx := context.Background()
			st, err := acct.Status(ctx, box)
			if err != nil {
				b.Fatal(err)
			}
			caps := acct.Capabilities()
			for i := range mailaccess.UID(5) {
				uid := mailaccess.UID(n/6) * (i + 1)
				flagged := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagFlagged}}
				if _, err := caps.Flags.SetFlags(ctx, box, mailaccess.UIDSetOf(uid), flagged, mailaccess.AnyModSeq); err != nil {
					b.Fatal(err)
				}
				if _, err := caps.Expunge.Expunge(ctx, box, mailaccess.UIDSetOf(uid+1), 0); err != nil {
					b.Fatal(err)
				}
			}
			c := s.dial(b, "ENABLE QRESYNC")
			line := fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d 1:%d))", st.UIDValidity, st.ModSeq, n)
			c.command(b, line)
			b.ReportAllocs()
			for b.Loop() {
				c.command(b, line)
			}
		})
	}
}

// Allocations of listings with change numbers, as of those without.
func TestAllocationsOfChangeNumbers(t *testing.T) {
	s := newBenchServer(t, 1000)
	for line, most := range map[string]float64{
		"UID FETCH 1:* (FLAGS MODSEQ)":                         50,
		"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)":               50,
		"UID SEARCH MODSEQ 1":                                  75,
		"FETCH 1:* (FLAGS) (CHANGEDSINCE 4611686018427387904)": 25,
	} {
		if got := s.mallocs(t, line); got >= most+1 {
			t.Errorf("%s: %.1f allocations, want at most %.0f", strings.TrimSpace(line), got, most)
		}
	}
}
