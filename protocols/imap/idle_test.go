package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// moody is a store that has no status to give now and then.
type moody struct {
	mailaccess.Store
	ill *atomic.Bool
}

func (s moody) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return moodyAccount{a, s.ill}, err
}

type moodyAccount struct {
	mailaccess.Account
	ill *atomic.Bool
}

func (a moodyAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	if a.ill.Load() {
		return mailaccess.Status{}, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "status"}
	}
	return a.Account.Status(ctx, box)
}

// TestIdleMemory: a connection that waits in IDLE takes little, also after commands that needed more.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector keeps its own accounts of memory within that of the program")
	}
	const n, most = 200, 7 << 10
	s := newBenchServer(t, 100)
	dial := s.overTCP(t)
	s.idle(t, n, dial)
	before := inUse()
	s.idle(t, n, dial)
	got := (inUse() - before) / n
	t.Logf("a connection that waits: %d octets, the client's end included", got)
	if got > most {
		t.Errorf("a connection that waits takes %d octets, want %d at most", got, most)
	}
}

// TestIdleTriesAgain: RFC 2177: what an idling client could not be told when it was
// rung for, because the store failed, it is told though there is no other ring.
func TestIdleTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		var ill atomic.Bool
		store := inMemory(mem)
		store.served = moody{mem, &ill}
		s := startServer(t, fuzzFixture(), store)
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(client)
		until := func(prefix string) (heard []string) {
			t.Helper()
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatalf("waiting for %q: %v", prefix, err)
				}
				heard = append(heard, strings.TrimSpace(line))
				if strings.HasPrefix(line, prefix) {
					return heard
				}
			}
		}
		say := func(line, prefix string) {
			t.Helper()
			if _, err := io.WriteString(client, line+"\r\n"); err != nil {
				t.Fatal(err)
			}
			until(prefix)
		}
		until("* OK")
		say("a LOGIN demo demo", "a OK")
		say("b SELECT INBOX", "b OK")
		say("c IDLE", "+ ")
		ill.Store(true)
		if _, err := mem.Deliver(t.Context(), "demo", "INBOX", []byte("Subject: new\n\nx\n"), mailaccess.Flags{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		ill.Store(false)
		start := time.Now()
		if got, want := fmt.Sprint(until("* 3 EXISTS")), "[* 3 EXISTS]"; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
		if late := time.Since(start); late > time.Minute {
			t.Errorf("told %v after the store was well", late)
		}
		say("DONE", "c OK")
		say("d LOGOUT", "d OK")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
