package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// conversations is n messages as they come from mailing lists: some five to a
// conversation, which refer to what they answer and lie among those of others.
func conversations(n int) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("release build test patch review question broken help linux driver memory network " +
		"meeting invoice notes update request draft plan report server mail client question about slow fix")
	type thread struct {
		subject string
		ids     []string
	}
	var open []*thread
	all := make([][]byte, n)
	for i := range all {
		id := fmt.Sprintf("%x.%d@mail%d.example.org", random.Uint64(), i, random.IntN(50))
		var b bytes.Buffer
		fmt.Fprintf(&b, "From: Person %d <person%d@example.org>\r\nTo: List <list@example.com>\r\nMessage-ID: <%s>\r\n", random.IntN(500), random.IntN(500), id)
		fmt.Fprintf(&b, "Date: %s\r\n", time.Unix(int64(1.6e9+i*60+random.IntN(3600)), 0).UTC().Format(time.RFC1123Z))
		if len(open) > 0 && random.IntN(5) > 0 {
			t := open[random.IntN(len(open))]
			above := t.ids[:1+random.IntN(len(t.ids))]
			fmt.Fprintf(&b, "References: <%s>\r\nSubject: Re: [list] %s\r\n", strings.Join(above[max(0, len(above)-10):], "> <"), t.subject)
			t.ids = append(t.ids, id)
		} else {
			var subject []string
			for range 3 + random.IntN(4) {
				subject = append(subject, words[random.IntN(len(words))])
			}
			t := &thread{strings.Join(subject, " "), []string{id}}
			fmt.Fprintf(&b, "Subject: [list] %s\r\n", t.subject)
			if open = append(open, t); len(open) > 500 {
				open = slices.Delete(open, 0, 1)
			}
		}
		b.WriteString("\r\nHello.\r\n")
		all[i] = b.Bytes()
	}
	return all
}

// sortedServer is a connection to 100,000 messages whose keys are kept.
func sortedServer(b *testing.B, all [][]byte, command string) *benchClient {
	s := newBenchServer(b, 0)
	for _, raw := range all {
		if _, err := s.store.Deliver(context.Background(), "demo", mailaccess.Inbox, raw, mailaccess.Flags{}, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	c := s.dial(b, "SELECT INBOX")
	c.r = bufio.NewReaderSize(c.Conn, 2<<20) // the answer is one line
	c.command(b, command)
	return c
}

// beside measures a command beside what is done plainly, in turn.
func beside(b *testing.B, c *benchClient, command string, plain func()) {
	var ours, theirs time.Duration
	b.ResetTimer()
	for range b.N {
		start := time.Now()
		c.command(b, command)
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		plain()
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N)/1000, "ms")
	b.ReportMetric(float64(theirs.Microseconds())/float64(b.N)/1000, "plain-ms")
	b.ReportMetric(float64(ours)/float64(theirs), "times-plain")
}

// BenchmarkSort is SORT (SUBJECT) of 100,000 messages beside slices.SortFunc of the
// same keys.
func BenchmarkSort(b *testing.B) {
	all := conversations(100_000)
	c := sortedServer(b, all, "SORT (SUBJECT) UTF-8 ALL")
	type keyed struct {
		subject string
		number  int
	}
	keys := make([]keyed, len(all))
	for i, raw := range all {
		subject, _ := message.Header(raw).Text("subject")
		base, _ := query.BaseSubject(subject)
		keys[i] = keyed{query.UnicodeCasemap(base), i + 1}
	}
	beside(b, c, "SORT (SUBJECT) UTF-8 ALL", func() {
		slices.SortFunc(slices.Clone(keys), func(a, b keyed) int {
			if c := strings.Compare(a.subject, b.subject); c != 0 {
				return c
			}
			return a.number - b.number
		})
	})
}

// BenchmarkThread is THREAD REFERENCES of 100,000 messages beside building plainly
// the maps that it takes: messages by id, parents by id, subjects.
func BenchmarkThread(b *testing.B) {
	all := conversations(100_000)
	c := sortedServer(b, all, "THREAD REFERENCES UTF-8 ALL")
	type digest [16]byte
	digestOf := func(s string) digest {
		sum := sha256.Sum256([]byte(s))
		return digest(sum[:])
	}
	type keyed struct {
		id, subject digest
		refs        []digest
	}
	keys := make([]keyed, len(all))
	for i, raw := range all {
		a := query.ReadAncestry(raw)
		subject, _ := message.Header(raw).Text("subject")
		base, _ := query.BaseSubject(subject)
		keys[i] = keyed{id: digestOf(a.ID), subject: digestOf(query.UnicodeCasemap(base))}
		for _, id := range a.Parents() {
			keys[i].refs = append(keys[i].refs, digestOf(id))
		}
	}
	beside(b, c, "THREAD REFERENCES UTF-8 ALL", func() {
		messages, parents, subjects := make(map[digest]int), make(map[digest]digest), make(map[digest]int)
		for i, k := range keys {
			messages[k.id] = i
			last := digest{}
			for _, id := range k.refs {
				if _, ok := parents[id]; !ok {
					parents[id] = last
				}
				last = id
			}
			parents[k.id] = last
			subjects[k.subject] = i
		}
	})
}
