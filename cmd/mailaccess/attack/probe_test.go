//go:build linux

package attack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// probeEvery is how often the good client has something to do.
const probeEvery = 10 * time.Millisecond

// inbox is how many messages ann has.
const inbox = 100

// deliver puts mail into ann's INBOX, as a delivery agent does.
func (s *server) deliver(user string, n int) error {
	dir := filepath.Join(s.root, user)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	for i := range n {
		mail := fmt.Sprintf("From: bob@example.org\r\nTo: %s@example.org\r\nSubject: message %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s",
			user, i, i, strings.Repeat("Some words of a message that somebody wrote.\r\n", 40))
		name := fmt.Sprintf("%d.M%dP1.example", 1_000_000_000+i, i)
		if err := os.WriteFile(filepath.Join(dir, "new", name), []byte(mail), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// A probe is the good client's session: what people do with their mail, again and again.
type probe struct {
	c    *client
	next int
}

// goodCommands are what it does. The last one needs a literal.
var goodCommands = [...]string{
	"NOOP",
	"STATUS Sent (MESSAGES UNSEEN)",
	"SELECT INBOX",
	"UID FETCH 1:* (UID FLAGS)",
	"FETCH 7 BODY.PEEK[]",
	"FETCH 1:20 (ENVELOPE)",
	"APPEND Sent {12+}\r\nSubject: x\r\n",
}

func (s *server) newProbe(ctx context.Context) (*probe, error) {
	c, err := s.session(ctx, "ann", false)
	if err != nil {
		return nil, err
	}
	_, err = c.ask("CREATE Sent")
	return &probe{c: c}, err
}

// during does something every so often until ctx ends, and returns how long each took.
// It counts from when it was due: what waits for the command before has waited too.
func (p *probe) during(ctx context.Context) (took []time.Duration, err error) {
	if err := p.c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	begun := time.Now()
	for due := begun; ; due = due.Add(probeEvery) {
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				return took, nil
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			return took, nil
		}
		if err := p.c.oks(goodCommands[p.next%len(goodCommands)]); err != nil {
			return took, fmt.Errorf("somebody else's command: %w", err)
		}
		p.next++
		took = append(took, time.Since(due))
	}
}

// quantile of durations, which are sorted by it.
func quantile(took []time.Duration, q float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))].Round(10 * time.Microsecond)
}
