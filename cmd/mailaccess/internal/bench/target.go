// Package bench measures IMAP and POP3 servers over the wire: named workloads on a known corpus, each
// of whose answers is counted, so that a server that refuses or leaves out is not fast.
package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// A Target is a server to measure.
type Target struct {
	Name     string
	IMAP     string      // address; empty: its workloads are not offered
	POP3     string      // address; empty: its workloads are not offered
	TLS      *tls.Config // of both; nil: none
	User     string
	Password string
	// Encrypted is the same server where it speaks TLS from the first octet, for the workloads that are
	// about that; nil: they are not offered.
	Encrypted *Target
	PID       int // of the process above all of the server; 0: processor time and memory stay unknown
}

// login opens an IMAP session.
func (t *Target) login(ctx context.Context) (*wire.IMAP, error) {
	return t.loginWith(ctx, wire.DialOptions{})
}

// loginWith is login with these options; whether over TLS is the target's.
func (t *Target) loginWith(ctx context.Context, o wire.DialOptions) (*wire.IMAP, error) {
	o.TLS = t.TLS
	c, err := wire.DialIMAP(ctx, t.IMAP, &o)
	if err != nil {
		return nil, err
	}
	if err := c.Login(t.User, t.Password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// selected opens an IMAP session with a mailbox selected, in which there have to be that many
// messages; fewer than 0: any number.
func (t *Target) selected(ctx context.Context, mailbox string, messages int) (*wire.IMAP, error) {
	c, err := t.login(ctx)
	if err != nil {
		return nil, err
	}
	a, err := c.Do("SELECT " + mailbox)
	if err == nil && messages >= 0 && a.Exists != messages {
		err = fmt.Errorf("SELECT %s: %d messages, want %d", mailbox, a.Exists, messages)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// loginPOP3 opens a POP3 session.
func (t *Target) loginPOP3(ctx context.Context) (*wire.POP3, error) {
	c, err := wire.DialPOP3(ctx, t.POP3, &wire.DialOptions{TLS: t.TLS})
	if err != nil {
		return nil, err
	}
	if err := c.Login(t.User, t.Password); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// ErrOtherMail is in the error of [Seed] when the mailbox has mail that is not the corpus.
var ErrOtherMail = errors.New("INBOX has other mail: measure with an account of its own, which is empty or has the corpus")

// seedBatch is how many messages go into one APPEND at most, and how many octets before it is sent.
const (
	seedBatch  = 64
	seedOctets = 4 << 20
)

// Seed appends the corpus to the target's INBOX, unless it has as many messages already. progress,
// if not nil, is called with how many are there.
func Seed(ctx context.Context, t *Target, c corpus.Corpus, progress func(int)) error {
	s, err := t.login(ctx)
	if err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	defer s.Close()
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	a, err := s.Do("SELECT INBOX")
	switch {
	case err != nil:
		return fmt.Errorf("seed: %w", err)
	case a.Exists == c.Messages:
		return s.Logout()
	case a.Exists != 0:
		return fmt.Errorf("seed: %d messages: %w", a.Exists, ErrOtherMail)
	}
	many := seedBatch
	if !s.Has("MULTIAPPEND") {
		many = 1
	}
	var batch []wire.Append
	octets := 0
	for i := range c.Messages {
		m := seedMessage(c, i)
		batch, octets = append(batch, m), octets+len(m.Message)
		if len(batch) < many && octets < seedOctets && i+1 < c.Messages {
			continue
		}
		if _, err := s.Append("INBOX", batch...); err != nil {
			return fmt.Errorf("seed: %w", errors.Join(ctx.Err(), err))
		}
		batch, octets = batch[:0], 0
		if progress != nil {
			progress(i + 1)
		}
	}
	return s.Logout()
}

func seedMessage(c corpus.Corpus, i int) wire.Append {
	return wire.Append{
		Options: "(" + c.Flags(i).String() + `) "` + c.Date(i).Format("02-Jan-2006 15:04:05 -0700") + `"`,
		Message: c.AppendMessage(nil, i),
	}
}

// responseCode returns the number in a response code, as in [UIDVALIDITY 17].
func responseCode(line, name string) (int64, bool) {
	_, rest, ok := strings.Cut(line, "["+name+" ")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, "]")
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil
}
