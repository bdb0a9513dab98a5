package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ours is our own server over memory, with the corpus in it.
func ours(t *testing.T, c corpus.Corpus) *Target {
	t.Helper()
	store := memory.New(nil)
	cert, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	s, err := mailserver.New(store, auth.Static(map[string]string{"ann": "secret"}), &mailserver.Options{
		PlaintextOnLoopback: true, TLSConfig: protocols.NewTLSConfig(cert),
	})
	if err != nil {
		t.Fatal(err)
	}
	var served []chan error
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		served = append(served, ended)
		go func() { ended <- serve(l) }()
		return l.Addr().String()
	}
	target := &Target{Name: "ours", IMAP: listen(s.IMAP.Serve), POP3: listen(s.POP3.Serve), User: "ann", Password: "secret"}
	over := *target
	over.IMAP, over.TLS = listen(s.IMAP.ServeTLS), &tls.Config{RootCAs: trusted}
	target.Encrypted = &over
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, ended := range served {
			<-ended
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := Seed(t.Context(), target, c, nil); err != nil {
		t.Fatal(err)
	}
	return target
}

// Each workload does what it says at our own server, and counts it.
func TestWorkloads(t *testing.T) {
	c := corpus.Corpus{Seed: 1, Messages: 60}
	target := ours(t, c)
	var handshakes atomic.Int64
	target.Encrypted.TLS.VerifyConnection = func(tls.ConnectionState) error { handshakes.Add(1); return nil }
	e := expect(c)
	reports, err := Measure(t.Context(), []*Target{target}, Options{Corpus: c, Repeat: 2, Duration: time.Millisecond, Connections: 20, Listeners: 20, Rate: 5000})
	if err != nil {
		t.Fatal(err)
	}
	// One run to warm up and two that count, each with a connection that asks what the server can.
	if got := handshakes.Load(); got != 3*(20+1) {
		t.Errorf("idle-memory-tls: %d handshakes", got)
	}
	r := reports[0]
	if r.Octets != e.octets || r.Messages != c.Messages || len(r.Results) != len(Names()) {
		t.Errorf("%d octets, %d messages, %d results", r.Octets, r.Messages, len(r.Results))
	}
	// What one operation is, in units, and how many octets its answer has at least.
	each := map[string]struct{ units, octets int64 }{
		"login": {1, 50}, "select": {1, 100}, "noop": {1, 10},
		"fetch-flags": {60, 60 * 20}, "fetch-envelope": {60, 60 * 150}, "fetch-headers": {60, 60 * 200}, "fetch-structure": {60, 60 * 60},
		"fetch-bodies": {60, e.octets}, "fetch-one": {1, 500}, "fetch-part": {60, 60 * 100},
		"search-flags": {60, 20}, "search-subject": {60, 10}, "search-body": {60, 10}, "sort": {60, 60 * 2}, "thread": {60, 60 * 2},
		"store-flags": {60, 10}, "append": {1, 10}, "append-pipelined": {16, 160}, "append-concurrent": {1, 10},
		"copy": {3, 10}, "move": {3, 20}, "expunge": {3, 10},
		"idle-memory": {1, 100}, "idle-memory-tls": {1, 100}, "idle-wake": {1, 10}, "resync": {1, 10 * 20}, "pop3-list": {1, 60 * 10}, "pop3-retr": {1, 500}, "mixed": {1, 1},
	}
	for _, one := range r.Results {
		if one.Error != "" || one.NotOffered != "" || len(one.Samples) != 2 {
			t.Errorf("%s: %d samples, failed %q, not offered %q", one.Workload, len(one.Samples), one.Error, one.NotOffered)
			continue
		}
		want, ok := each[one.Workload]
		if !ok {
			t.Errorf("%s: it is not known what it should do", one.Workload)
		}
		for _, s := range one.Samples {
			if s.Operations < int64(one.Sessions) || s.Units != s.Operations*want.units || s.Octets < s.Operations*want.octets {
				t.Errorf("%s: %d operations, %d units, %d octets", one.Workload, s.Operations, s.Units, s.Octets)
			}
			if strings.HasPrefix(one.Workload, "idle-memory") {
				if s.Units != 20 || s.Max != 0 {
					t.Errorf("%s: %+v", one.Workload, s)
				}
				continue
			}
			if s.Wall <= 0 || s.P50 <= 0 || s.P50 > s.P99 || s.P99 > s.Max || s.Max > s.Wall*2 {
				t.Errorf("%s: %v in all, %v %v %v each", one.Workload, s.Wall, s.P50, s.P99, s.Max)
			}
		}
	}
	// INBOX is as it was, and no mailbox is left behind.
	s, err := target.selected(t.Context(), "INBOX", c.Messages)
	if err != nil {
		t.Fatal(err)
	}
	s.On = func(line []byte) {
		if bytes.Contains(line, []byte(scratch)) {
			t.Errorf("left behind: %s", line)
		}
	}
	if _, err := s.Do(`LIST "" *`); err != nil {
		t.Error(err)
	}
	if err := s.Logout(); err != nil {
		t.Error(err)
	}
	var table bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !strings.Contains(table.String(), "\n"+name+" ") {
			t.Errorf("%s is not in the table", name)
		}
	}
}

// A server whose answers are not those that the corpus has is not measured.
func TestWrongAnswersFail(t *testing.T) {
	target := ours(t, corpus.Corpus{Seed: 1, Messages: 30})
	// Another corpus of as many messages: bodies and what is found differ.
	reports, err := Measure(t.Context(), []*Target{target}, Options{
		Corpus: corpus.Corpus{Seed: 2, Messages: 30}, Repeat: 1, Duration: time.Millisecond, Workloads: []string{"noop", "fetch-bodies", "search-flags"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range reports[0].Results {
		if failed := one.Error != ""; failed != (one.Workload != "noop") {
			t.Errorf("%s: %q", one.Workload, one.Error)
		}
	}
	// And one of more.
	reports, err = Measure(t.Context(), []*Target{target}, Options{
		Corpus: corpus.Corpus{Seed: 1, Messages: 31}, Repeat: 1, Duration: time.Millisecond, Workloads: []string{"select", "fetch-flags", "sort"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range reports[0].Results {
		if !strings.Contains(one.Error, "want 31") || len(one.Samples) > 0 {
			t.Errorf("%s: %q", one.Workload, one.Error)
		}
	}
}

// A mailbox with other mail is left alone.
func TestSeedLeavesOtherMail(t *testing.T) {
	target := ours(t, corpus.Corpus{Seed: 1, Messages: 3})
	if err := Seed(t.Context(), target, corpus.Corpus{Seed: 1, Messages: 3}, nil); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := Seed(t.Context(), target, corpus.Corpus{Seed: 1, Messages: 4}, nil); err == nil || !strings.Contains(err.Error(), "other mail") {
		t.Errorf("one message more: %v", err)
	}
}

// What a server cannot do is told, and no failure.
func TestNotOffered(t *testing.T) {
	plain := plainServer(t)
	reports, err := Measure(t.Context(), []*Target{{Name: "plain", IMAP: plain, User: "ann", Password: "x"}}, Options{
		Corpus: corpus.Corpus{Messages: 1}, Repeat: 1, Duration: time.Millisecond, Workloads: []string{"idle-memory-tls", "sort", "move"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"no address over TLS", "no SORT", "no MOVE"} {
		if one := reports[0].Results[i]; one.NotOffered != want || one.Error != "" || len(one.Samples) > 0 {
			t.Errorf("%+v", one)
		}
	}
	if _, err := Measure(t.Context(), nil, Options{Corpus: corpus.Corpus{Messages: 1}, Workloads: []string{"bogus"}}); err == nil || !strings.Contains(err.Error(), "bogus") {
		t.Errorf("an unknown workload: %v", err)
	}
}

// plainServer is a server that can do nothing but log in, and returns its address.
func plainServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "* OK [CAPABILITY IMAP4rev1] hello\r\na1 OK [CAPABILITY IMAP4rev1] in\r\n* BYE\r\na2 OK out\r\n")
			buf := make([]byte, 512)
			for err == nil { // until the client has gone
				_, err = c.Read(buf)
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestMeasureEnds(t *testing.T) {
	target := ours(t, corpus.Corpus{Seed: 1, Messages: 3})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Measure(ctx, []*Target{target}, Options{Corpus: corpus.Corpus{Seed: 1, Messages: 3}, Duration: time.Hour, Workloads: []string{"noop"},
		Progress: func(string, string, int, int) { cancel() }})
	if err == nil {
		t.Error("it went on for an hour")
	}
}
