package memory

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func benchFixture(b *testing.B, n int) *fixture {
	f := newFixture(b, nil)
	s := f.stage("Subject: x\r\n\r\ny\r\n")
	for left := n; left > 0; left -= 10_000 {
		msgs := make([]mailaccess.NewMessage, min(left, 10_000))
		for i := range msgs {
			msgs[i].Staged = s
		}
		_, err := f.Append(ctx, f.inbox, msgs)
		f.must(err)
	}
	return f
}

func BenchmarkMessages(b *testing.B) {
	for _, n := range []int{100, 100_000, 1_000_000} {
		f := benchFixture(b, n)
		every3 := mailaccess.UIDSetBuilder{}
		for u := 1; u <= n; u += 3 {
			every3.AddUID(mailaccess.UID(u))
		}
		for name, uids := range map[string]mailaccess.UIDSet{
			"all":   mailaccess.UIDSetRange(1, 1<<32-1),
			"third": every3.Set(),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				total := 0
				for b.Loop() {
					for m, err := range f.Messages(ctx, f.inbox, uids) {
						if err != nil {
							b.Fatal(err)
						}
						if m.Flags.System == 0 {
							total++
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/message")
			})
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{100, 1_000_000} {
		f := benchFixture(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Snapshot(ctx, f.inbox); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMailboxChanges(b *testing.B) {
	for _, n := range []int{100, 1_000_000} {
		f := benchFixture(b, n)
		for u := mailaccess.UID(2); int(u) <= n; u += mailaccess.UID(n / 50) {
			f.set(f.inbox, mailaccess.UIDSetOf(u), mailaccess.Flags{System: mailaccess.FlagFlagged})
		}
		since := f.status(f.inbox).ModSeq - 1
		b.Run(fmt.Sprintf("one/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := f.MailboxChanges(ctx, f.inbox, since)
				if err != nil {
					b.Fatal(err)
				}
				for _, err := range c.Messages {
					if err != nil {
						b.Fatal(err)
					}
				}
				for _, err := range c.Vanished {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSetFlags(b *testing.B) {
	for _, n := range []int{100, 1_000_000} {
		f := benchFixture(b, n)
		for _, k := range []int{1, n} {
			uids := mailaccess.UIDSetRange(mailaccess.UID(n-k+1), mailaccess.UID(n))
			b.Run(fmt.Sprintf("%d of %d", k, n), func(b *testing.B) {
				b.ReportAllocs()
				for on := true; b.Loop(); on = !on {
					change := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
					if !on {
						change.Add, change.Remove = change.Remove, change.Add
					}
					if _, err := f.SetFlags(ctx, f.inbox, uids, change, mailaccess.AnyModSeq); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkExpunge removes messages one by one from the middle of a mailbox, and
// puts others at its end.
func BenchmarkExpunge(b *testing.B) {
	for _, n := range []int{100, 1_000_000} {
		f := benchFixture(b, n)
		s := f.stage("Subject: x\r\n\r\n")
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			u := mailaccess.UID(n / 2)
			for b.Loop() {
				if _, err := f.Expunge(ctx, f.inbox, mailaccess.UIDSetOf(u), 0); err != nil {
					b.Fatal(err)
				}
				u++
				if _, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: s}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDerived asks for an item of each of 100,000 messages, 64 at once, as each of so
// many connections does at the same time as there are processors (-cpu 1,2).
func BenchmarkDerived(b *testing.B) {
	const n = 100_000
	f := newFixture(b, nil)
	ids := f.emails(n)
	f.pass("a", ids, 300)
	b.ResetTimer()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			found := 0
			for batch := range slices.Chunk(ids, 64) {
				for range f.Derived(ctx, "a", batch) {
					found++
				}
			}
			if found != n {
				b.Errorf("found %d", found)
			}
		}
	})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/item")
}

func BenchmarkDeliver(b *testing.B) {
	f := newFixture(b, nil)
	raw := make([]byte, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.store.Deliver(ctx, user, mailaccess.Inbox, raw, mailaccess.Flags{}, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
