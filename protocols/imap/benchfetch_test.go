package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// fillWith appends n messages of so many octets.
func fillWith(tb testing.TB, store *memory.Store, n, octets int) {
	tb.Helper()
	ctx := context.Background()
	acct, err := store.Open(ctx, "demo", mailaccess.Identity{User: "demo", Account: "demo"})
	if err != nil {
		tb.Fatal(err)
	}
	defer acct.Close()
	inbox, err := acct.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		tb.Fatal(err)
	}
	appender := acct.Capabilities().Append
	content := append([]byte("Subject: s\r\nFrom: a@example.org\r\n\r\n"), bytes.Repeat([]byte("0123456789 0123456789 0123456789\r\n"), octets/34+1)...)[:octets]
	for range n {
		staged, err := appender.Stage(ctx, int64(octets))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := staged.Write(content); err != nil {
			tb.Fatal(err)
		}
		_, err = appender.Append(ctx, inbox.ID, []mailaccess.NewMessage{{Staged: staged, Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}})
		if err != nil {
			tb.Fatal(err)
		}
		if err := staged.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkFetchBody fetches 64 MiB of messages over a loopback TCP connection, in turns
// with copying as many octets to such a connection with io.Copy. Of each the fastest
// counts: what else the machine does slows down either.
func BenchmarkFetchBody(b *testing.B) {
	const total = 64 << 20
	for _, octets := range []int{4 << 10, 64 << 10, 1 << 20, 16 << 20} {
		b.Run(fmt.Sprint(octets), func(b *testing.B) {
			n := total / octets
			s := newBenchServer(b, 0)
			fillWith(b, s.store, n, octets)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			go func() { _ = s.server.Serve(l) }() // until it is closed
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer nc.Close()
			c := &benchClient{nc, bufio.NewReaderSize(nc, 64<<10)}
			c.line(b)
			c.command(b, "LOGIN demo demo")
			c.command(b, "SELECT INBOX")
			const fetch = "FETCH 1:* BODY.PEEK[]"
			size := c.discard(b, fetch)
			plain := copying(b, n, octets, size)
			var server, copied time.Duration
			for b.Loop() {
				start := time.Now()
				c.discard(b, fetch)
				server = fastest(server, time.Since(start))
				start = time.Now()
				plain()
				copied = fastest(copied, time.Since(start))
			}
			b.ReportMetric(float64(size)/1e6/server.Seconds(), "server-MB/s")
			b.ReportMetric(float64(size)/1e6/copied.Seconds(), "copy-MB/s")
			b.ReportMetric(100*copied.Seconds()/server.Seconds(), "%")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func fastest(so, now time.Duration) time.Duration {
	if so == 0 {
		return now
	}
	return min(so, now)
}

// copying connects to what copies n times so many octets, and then what lacks of size,
// each time that it is asked to. It is read with the buffer that discard has.
func copying(b *testing.B, n, octets int, size int64) (once func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	contents := make([][]byte, n) // as the store has them: not one that stays in the cache
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{'x'}, octets)
	}
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		for one := make([]byte, 1); ; {
			if _, err := io.ReadFull(nc, one); err != nil {
				return
			}
			for _, content := range contents {
				if _, err := io.Copy(nc, bytes.NewReader(content)); err != nil {
					return
				}
			}
			if _, err := nc.Write(make([]byte, size-int64(n*octets))); err != nil {
				return
			}
		}
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	buf := make([]byte, discardSize)
	return func() {
		if _, err := nc.Write([]byte{0}); err != nil {
			b.Fatal(err)
		}
		for left := size; left > 0; {
			k, err := nc.Read(buf[:min(left, int64(len(buf)))])
			if err != nil {
				b.Fatal(err)
			}
			left -= int64(k)
		}
	}
}

const discardSize = 256 << 10

// discard says a line and reads up to the tagged answer, whatever is in it, and returns
// how many octets came. No literal may end as the tagged answer does.
func (c *benchClient) discard(tb testing.TB, line string) (octets int64) {
	if _, err := io.WriteString(c, "t "+line+"\r\n"); err != nil {
		tb.Fatal(err)
	}
	buf := make([]byte, discardSize)
	for {
		n, err := c.r.Read(buf)
		if err != nil {
			tb.Fatal(err)
		}
		octets += int64(n)
		if bytes.HasSuffix(buf[:n], []byte("\r\n")) && bytes.HasPrefix(buf[bytes.LastIndexByte(buf[:n-2], '\n')+1:n], []byte("t OK")) {
			return octets
		}
	}
}

// BenchmarkFetchKept fetches of 100,000 messages what the store keeps of them.
func BenchmarkFetchKept(b *testing.B) {
	const n = 100_000
	s := newBenchServer(b, n)
	c := s.dial(b, "SELECT INBOX")
	for _, items := range []string{
		"(ENVELOPE)", "(ENVELOPE BODYSTRUCTURE)", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", "(PREVIEW)",
		"(FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])",
	} {
		b.Run(items, func(b *testing.B) {
			octets := c.discard(b, "FETCH 1:* "+items) // makes it
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				octets = c.discard(b, "FETCH 1:* "+items)
			}
			runtime.ReadMemStats(&after)
			b.SetBytes(octets)
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/n, "allocs/msg")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/msg")
		})
	}
}
