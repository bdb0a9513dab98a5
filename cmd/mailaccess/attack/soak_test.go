//go:build linux

package attack

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/maildir"
)

var soakFor = flag.Duration("soak.for", 2*time.Second, "how long the soak test lasts")

const (
	// soakPeriods is how often everybody comes and goes. The first period is for what is
	// there once: accounts that are opened, mailboxes, pools.
	soakPeriods = 4
	// soakGrowth is by how many octets the heap may differ from rest to rest, at which
	// there are no clients: by what the store remembers of what was removed, up to its
	// limits, and by which of its records have been written.
	soakGrowth = 8 << 20
)

// TestSoak lets good and hostile clients come and go, for as long as -soak.for says, over
// Maildirs into which others deliver. Each time that all of them have left, the process has
// the goroutines and descriptors that it had before, and its heap has not grown.
func TestSoak(t *testing.T) {
	ctx := within(t, *soakFor+2*patience)
	s := serveHere(t)
	must(t, s.deliver("ann", inbox))
	var first, last resting
	for period := range soakPeriods {
		s.soak(t, ctx, *soakFor/soakPeriods)
		rest := s.rest(t, first)
		t.Logf("rest %d: %v", period+1, rest)
		switch {
		case period == 0:
			first = rest
			continue
		case period == 1:
			last = rest
		}
		if rest.goroutines > first.goroutines {
			t.Errorf("%d goroutines are left", rest.goroutines-first.goroutines)
			buf := make([]byte, 1<<20)
			t.Logf("%s", buf[:runtime.Stack(buf, true)])
		}
		if rest.descriptors > first.descriptors {
			t.Errorf("%d descriptors are left: %s", rest.descriptors-first.descriptors, strings.Join(openFiles(), ", "))
		}
		if grew := int64(rest.heap) - int64(last.heap); grew > soakGrowth {
			t.Errorf("the heap grew by %d octets since the second rest", grew)
		}
	}
}

// serveHere runs a server in this process, so that its goroutines can be counted.
func serveHere(t *testing.T) *server {
	t.Helper()
	s := &server{dir: t.TempDir()}
	s.root = filepath.Join(s.dir, "mail")
	cert, err := protocols.SelfSigned()
	must(t, err)
	s.tls = &tls.Config{InsecureSkipVerify: true}
	// What is remembered is little, so that its limits are reached; and what nobody uses is put
	// away, or the accounts' descriptors would depend on what was done to them.
	store, err := maildir.New(s.root, &maildir.Options{Sync: maildir.SyncOff, KeepExpunged: -1, HistoryLimit: 100, LogBytes: 1 << 20, Memory: 1})
	must(t, err)
	users := auth.Static(map[string]string{"ann": password, "bob": password, "carol": password, "mallory": password, "slow": "another"})
	mail, err := mailserver.New(store, users, &mailserver.Options{AllowPlaintext: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}})
	must(t, err)
	var serving sync.WaitGroup
	listen := func(addr *string, serve func(net.Listener) error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		*addr = l.Addr().String()
		serving.Go(func() {
			if err := serve(l); !errors.Is(err, protocols.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
	listen(&s.imap, mail.IMAP.Serve)
	listen(&s.imaps, mail.IMAP.ServeTLS)
	listen(&s.pop3, mail.POP3.Serve)
	listen(&s.pop3s, mail.POP3.ServeTLS)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(mail.Shutdown(ctx), mail.Close()); err != nil {
			t.Error(err)
		}
		serving.Wait()
		must(t, store.Close())
	})
	return s
}

// soak lets all clients do what they do, for a while, until they have left.
func (s *server) soak(t *testing.T, ctx context.Context, d time.Duration) {
	t.Helper()
	ctx, cancel := endingAfter(ctx, d)
	defer cancel()
	var clients sync.WaitGroup
	var good, hostile atomic.Int64
	for i, do := range []func(*server, context.Context, int) error{
		(*server).working, (*server).workingTLS, (*server).workingCompressed, (*server).idling, (*server).notified, (*server).popping, (*server).delivering,
	} {
		clients.Go(func() {
			for done := false; !done || ctx.Err() == nil; done = true {
				// Once at least, however short the time is; and each to its end.
				if err := do(s, context.WithoutCancel(ctx), i); err != nil {
					t.Errorf("good client %d: %v", i, err)
					return
				}
				good.Add(1)
			}
		})
	}
	var attacks []attack
	for _, group := range [][]attack{slowAttacks(), commandAttacks(), bombAttacks(), floodAttacks(), messageAttacks(), channelAttacks()} {
		for _, a := range group {
			if a.prepare == nil && a.store == "" {
				attacks = append(attacks, a)
			}
		}
	}
	for i := range 3 {
		clients.Go(func() {
			for ctx.Err() == nil {
				a := attacks[rand.IntN(len(attacks))]
				// Who sends slowly, or reads nothing, gives up then.
				attacking, over := endingAfter(ctx, time.Second)
				err := a.client(attacking, s, i, func() {})
				if err != nil && attacking.Err() == nil && !hungUp(err) {
					t.Errorf("%s: %v", a.name, err)
				}
				over()
				hostile.Add(1)
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	begun := time.Now()
	clients.Wait()
	t.Logf("%d good sessions, %d hostile ones, in %v", good.Load(), hostile.Load(), time.Since(begun).Round(time.Millisecond))
}

// endingAfter returns a context that ends without having had a deadline: errors that a
// deadline makes come before the context's own.
func endingAfter(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(d, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

// resting is what a process has while nobody is there.
type resting struct {
	goroutines, descriptors int
	heap                    uint64
}

func (r resting) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MiB of heap", r.goroutines, r.descriptors, float64(r.heap)/(1<<20))
}

// rest waits until everything is as it was before, for as long as there is patience.
func (s *server) rest(t *testing.T, before resting) (now resting) {
	t.Helper()
	for begun := time.Now(); ; <-time.After(10 * time.Millisecond) {
		now.goroutines, now.descriptors = runtime.NumGoroutine(), len(openFiles())
		settled := now.goroutines <= before.goroutines && now.descriptors <= before.descriptors
		if before.goroutines == 0 {
			// The first time nothing is known but that nothing changes any more.
			<-time.After(3 * time.Second)
			settled = now.goroutines == runtime.NumGoroutine() && now.descriptors == len(openFiles())
		}
		if settled || time.Since(begun) > patience/4 {
			break
		}
	}
	var stats runtime.MemStats
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	now.heap = stats.HeapAlloc
	return now
}

// openFiles are the files and sockets that this process has open.
func openFiles() (open []string) {
	names, _ := os.ReadDir("/proc/self/fd")
	for _, name := range names {
		// The one by which they are listed is closed by now.
		if to, err := os.Readlink("/proc/self/fd/" + name.Name()); err == nil {
			open = append(open, to)
		}
	}
	return open
}

// working is a session of somebody who reads, files and deletes mail.
func (s *server) working(ctx context.Context, i int) error { return s.work(ctx, i, false, false) }

func (s *server) workingTLS(ctx context.Context, i int) error { return s.work(ctx, i, true, false) }

func (s *server) workingCompressed(ctx context.Context, i int) error {
	return s.work(ctx, i, true, true)
}

func (s *server) work(ctx context.Context, i int, secure, compressed bool) error {
	c, err := s.session(ctx, "ann", secure)
	if err != nil {
		return err
	}
	defer c.close()
	if compressed {
		if err := c.compress(); err != nil {
			return err
		}
	}
	box := fmt.Sprintf("work%d", i)
	if _, err := c.ask("CREATE " + box); err != nil {
		return err
	}
	return c.oks("FETCH 1:20 (UID FLAGS ENVELOPE)", "FETCH 5 BODY.PEEK[]", "COPY 1:10 "+box, "SEARCH TEXT somebody", "SELECT "+box,
		"APPEND "+box+" {12+}\r\nSubject: x\r\n", "NOOP", "SORT (SUBJECT) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "STATUS INBOX (MESSAGES)",
		"LIST \"\" *", "STORE 1:* +FLAGS.SILENT (\\Seen \\Deleted)", "EXPUNGE", "CLOSE")
}

// idling is a session that waits for a message, until another one has appended it.
func (s *server) idling(ctx context.Context, _ int) error {
	return s.told(ctx, "IDLE", "INBOX", func(line string) bool { return strings.HasSuffix(line, " EXISTS") })
}

// notified is one that hears of another mailbox.
func (s *server) notified(ctx context.Context, _ int) error {
	return s.told(ctx, "NOTIFY SET (personal (MessageNew MessageExpunge))", "other", func(line string) bool { return strings.HasPrefix(line, "* STATUS ") })
}

func (s *server) told(ctx context.Context, command, box string, told func(line string) bool) error {
	c, err := s.session(ctx, "bob", false)
	if err != nil {
		return err
	}
	defer c.close()
	other, err := s.session(ctx, "bob", true)
	if err != nil {
		return err
	}
	defer other.close()
	if _, err := other.ask("CREATE " + box); err != nil {
		return err
	}
	if err := c.say("w ", command, "\r\n"); err != nil {
		return err
	}
	if _, err := c.until("+ ", "w OK"); err != nil {
		return err
	}
	if err := other.oks("APPEND "+box+" {1+}\r\nx", "SELECT "+box); err != nil {
		return err
	}
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if told(line) {
			break
		}
	}
	return other.oks("STORE 1:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE")
}

// popping fetches carol's mail, and removes it.
func (s *server) popping(ctx context.Context, _ int) error {
	c, err := s.popSession(ctx, "carol")
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.say("STAT\r\n"); err != nil {
		return err
	}
	line, err := c.until("+OK")
	if err != nil {
		return err
	}
	var n, octets int
	if _, err := fmt.Sscanf(line, "+OK %d %d", &n, &octets); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	for i := range min(n, 200) {
		if err := c.say(fmt.Sprintf("RETR %d\r\nDELE %d\r\n", i+1, i+1)); err != nil {
			return err
		}
		if _, err := c.until("."); err != nil {
			return err
		}
		if _, err := c.until("+OK"); err != nil {
			return err
		}
	}
	if err := c.say("UIDL\r\nQUIT\r\n"); err != nil {
		return err
	}
	if _, err := c.until("."); err != nil {
		return err
	}
	_, err = c.until("+OK")
	return err
}

// delivering puts a message into carol's Maildir as a delivery agent does.
func (s *server) delivering(_ context.Context, _ int) error {
	dir := filepath.Join(s.root, "carol")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	name := fmt.Sprintf("%d.R%x.example", time.Now().Unix(), rand.Uint64())
	tmp := filepath.Join(dir, "tmp", name)
	if err := os.WriteFile(tmp, []byte("Subject: delivered\r\n\r\nwith words in it\r\n"), 0o600); err != nil {
		return err
	}
	<-time.After(50 * time.Millisecond)
	return os.Rename(tmp, filepath.Join(dir, "new", name))
}
