package pop3_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// full is a maildrop of n messages, opened.
func full(tb testing.TB, n int) *client {
	tb.Helper()
	fx := demo()
	m := prototest.Message{User: "demo", Mailbox: "INBOX", Content: []byte("A: b\r\n\r\nc\r\n")}
	for range n {
		fx.Messages = append(fx.Messages, m)
	}
	return opened(tb, fx)
}

func opened(tb testing.TB, fx prototest.Fixture) *client {
	tb.Helper()
	h := newWorld(tb, fx, nil)
	c := dialIn(tb, h)
	tb.Cleanup(func() {
		c.Close()
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// answer sends a command and reads its multi-line answer, without allocating.
func (c *client) answer(command, buf []byte) (n int) {
	if _, err := c.Write(command); err != nil {
		c.Fatal(err)
	}
	end := []byte("\r\n.\r\n")
	var tail [5]byte
	for {
		m, err := c.Read(buf)
		if err != nil {
			c.Fatal(err)
		}
		n += m
		if m >= len(tail) {
			copy(tail[:], buf[m-len(tail):m])
		} else {
			copy(tail[:], tail[m:])
			copy(tail[len(tail)-m:], buf[:m])
		}
		if bytes.Equal(tail[:], end) {
			return n
		}
	}
}

// Listings allocate nothing for each message.
func TestListingsAllocateLittle(t *testing.T) {
	const messages = 5_000
	c := full(t, messages)
	buf := make([]byte, 64<<10)
	for _, command := range []string{"LIST\r\n", "UIDL\r\n"} {
		line := []byte(command)
		if n := testing.AllocsPerRun(10, func() { c.answer(line, buf) }); n > messages/100 {
			t.Errorf("%q of %d messages: %v allocations", command, messages, n)
		}
	}
}

func BenchmarkList(b *testing.B) { benchmarkListing(b, "LIST\r\n") }
func BenchmarkUIDL(b *testing.B) { benchmarkListing(b, "UIDL\r\n") }

func benchmarkListing(b *testing.B, command string) {
	c := full(b, 100_000)
	buf := make([]byte, 64<<10)
	line := []byte(command)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(c.answer(line, buf)))
	}
}

func BenchmarkRetr(b *testing.B) {
	text := "Subject: a message\r\n\r\n" + strings.Repeat("All is well, and has been for a long time; nothing to report here.\r\n", 15_000)
	for _, bb := range []struct{ name, content string }{
		{"1MB", text},
		{"1MB of dots", "Subject: dots\r\n\r\n" + strings.Repeat(".\r\n", 340_000)},
		{"4KB", text[:4096]},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := opened(b, demo(bb.content))
			buf := make([]byte, 64<<10)
			line := []byte("RETR 1\r\n")
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(c.answer(line, buf)))
			}
		})
	}
}

func BenchmarkTop(b *testing.B) {
	c := opened(b, demo("Subject: a message\r\n\r\n"+strings.Repeat("All is well.\r\n", 500_000)))
	buf := make([]byte, 64<<10)
	line := []byte("TOP 1 10\r\n")
	b.ReportAllocs()
	for b.Loop() {
		c.answer(line, buf)
	}
}

// A login of a large maildrop notes its sizes.
func BenchmarkLogin(b *testing.B) {
	fx := demo()
	m := prototest.Message{User: "demo", Mailbox: "INBOX", Content: []byte("A: b\r\n\r\nc\r\n")}
	for range 100_000 {
		fx.Messages = append(fx.Messages, m)
	}
	h := newWorld(b, fx, nil)
	defer h.Close()
	b.ReportAllocs()
	for b.Loop() {
		c := dialIn(b, h)
		c.say("QUIT")
		c.want("+OK")
		io.Copy(io.Discard, c.r)
		c.Close()
	}
}
