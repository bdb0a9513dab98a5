package maildir

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// worldly is message number i of a corpus in five charsets, in its subject as in its text.
func worldly(i int) string {
	x := []struct{ charset, encoding, word string }{
		{"us-ascii", "7bit", "plain"},
		{"utf-8", "8bit", "gr\xc3\xbc\xc3\x9fe"},
		{"iso-8859-1", "quoted-printable", "caf\xe9"},
		{"ISO-2022-JP", "base64", "\x1b$BF|K\\\x1b(B"},
		{"koi8-r", "base64", "\xd0\xd2\xc9\xd7\xc5\xd4"},
	}[i%5]
	body := strings.Repeat(fmt.Sprintf("What %s says of message %d.\r\n", x.word, i), 40)
	switch x.encoding {
	case "base64":
		body = base64.StdEncoding.EncodeToString([]byte(body)) + "\r\n"
	case "quoted-printable":
		body = strings.ReplaceAll(body, "\xe9", "=E9")
	}
	return fmt.Sprintf("From: Sender %d <sender%d@example.org>\r\nTo: Ann <ann@example.org>\r\n"+
		"Subject: =?%s?B?%s?= number %d\r\nDate: Mon, 2 Mar 2026 10:%02d:%02d +0100\r\nMessage-ID: <%d@example.org>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s",
		i, i%100, x.charset, base64.StdEncoding.EncodeToString([]byte(x.word)), i, i/60%60, i%60, i, x.charset, x.encoding, body)
}

// searches are those that are measured, and what of memory each may take of a message.
var searches = []struct {
	name, line     string
	allocs, octets float64
}{
	{"unseen", "SEARCH UNSEEN", 0.1, 64},
	{"flagged", "SEARCH FLAGGED", 0.1, 64},
	{"subject", "SEARCH SUBJECT number", 0.3, 320},
	{"subject in UTF-8", "SEARCH CHARSET UTF-8 SUBJECT {12+}\r\nпривет", 0.3, 320},
	{"body", "SEARCH BODY \"says of\"", 16, 1600},
	{"body in UTF-8", "SEARCH CHARSET UTF-8 BODY {12+}\r\nпривет", 16, 1600},
}

// A search takes next to no memory for a message, and what it takes for one whose content it opens
// does not grow with that, whatever the charset.
func TestSearchAllocatesLittle(t *testing.T) {
	const n = 2000
	g := newGround(t)
	g.deliver("ann", n, worldly)
	c := serve(t, g.open(nil)).dial("SELECT INBOX")
	for _, s := range searches {
		c.do(s.line) // derives it
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const times = 4
		for range times {
			c.do(s.line)
		}
		runtime.ReadMemStats(&after)
		allocs := float64(after.Mallocs-before.Mallocs) / n / times
		took := float64(after.TotalAlloc-before.TotalAlloc) / n / times
		t.Logf("%s: %.3f allocations, %.0f octets", s.name, allocs, took)
		if slow == 1 && (allocs > s.allocs || took > s.octets) {
			t.Errorf("%s: %.2f allocations and %.0f octets for a message, at most %v and %v", s.name, allocs, took, s.allocs, s.octets)
		}
	}
}

// BenchmarkSearch reports the processor time of the process, the client's share included.
func BenchmarkSearch(b *testing.B) {
	const n = 10_000
	g := newGround(b)
	g.deliver("ann", n, worldly)
	c := serve(b, g.open(nil)).dial("SELECT INBOX")
	for _, s := range searches {
		b.Run(s.name, func(b *testing.B) {
			c.do(s.line) // derives it
			b.ReportAllocs()
			start := processorTime(b)
			for b.Loop() {
				c.do(s.line)
			}
			b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/n, "cpu-ns/msg")
		})
	}
}

func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
