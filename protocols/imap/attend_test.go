package imap_test

import (
	"bufio"
	"context"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// stuckStore is a store whose contents take a time to come, or until nobody wants
// them any more.
type stuckStore struct {
	mailaccess.Store
	takes time.Duration
}

func (s stuckStore) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return stuckAccount{a, s}, err
}

type stuckAccount struct {
	mailaccess.Account
	s stuckStore
}

func (a stuckAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	select {
	case <-ctx.Done():
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "content", Err: ctx.Err()}
	case <-time.After(a.s.takes):
		return a.Account.Content(ctx, id)
	}
}

// TestSearchOfClientThatLeft: a search does not go on for a client that has closed
// the connection; a client that waits, or says more meanwhile, is answered.
func TestSearchOfClientThatLeft(t *testing.T) {
	const opening = "a LOGIN demo demo\r\nb SELECT INBOX\r\n"
	const search = "c SEARCH RETURN (COUNT) BODY x\r\n"
	for _, test := range []struct {
		name  string
		then  string // said after a second
		leave bool   // a second later
		wait  time.Duration
		want  []string // how the last lines begin
	}{
		{"left", "", true, 2 * time.Second, nil},
		// By writing, which is tried every ten seconds.
		{"said more and left", "d NOOP\r\n", true, 10 * time.Second, nil},
		{"waits", "", false, time.Hour, []string{"* ESEARCH", "c OK", "* BYE"}},
		{"says more", "d NOOP\r\ne LOGOUT\r\n", false, time.Hour, []string{"* ESEARCH", "c OK", "d OK", "* BYE", "e OK"}},
		{"says a part", "d NO", false, time.Hour, []string{"* ESEARCH", "c OK", "* BYE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := inMemory(memory.New(nil))
				store.served = stuckStore{store.served, 30 * time.Minute}
				s := startServer(t, fuzzFixture(), store)
				client, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for _, line := range strings.SplitAfter(opening+search, "\n") {
						io.WriteString(client, line)
						time.Sleep(time.Millisecond)
					}
					time.Sleep(time.Second)
					io.WriteString(client, test.then)
					time.Sleep(time.Second)
					if test.leave {
						client.Close()
					}
				}()
				start := time.Now()
				var last []string
				for r := bufio.NewReader(client); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						break
					}
					last = append(last, line)
				}
				client.Close()
				s.wg.Wait()
				if took := time.Since(start).Truncate(time.Second); test.leave && took != test.wait || !test.leave && took < test.wait {
					t.Errorf("ended after %v, want %v", took, test.wait)
				}
				if len(last) < len(test.want) {
					t.Fatalf("said %q", last)
				}
				for i, want := range test.want {
					if line := last[len(last)-len(test.want)+i]; !strings.HasPrefix(line, want) {
						t.Errorf("said %q, want %q", line, want)
					}
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSearchesOneAfterAnother: listening to the client during a search leaves the
// connection as it was, compressed or not.
func TestSearchesOneAfterAnother(t *testing.T) {
	for _, line := range []string{"NOOP", "COMPRESS DEFLATE"} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := inMemory(memory.New(nil))
				store.served = stuckStore{store.served, time.Minute}
				s := startServer(t, fuzzFixture(), store)
				client, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				client = converses(t, client, "", "LOGIN demo demo", "SELECT INBOX", line)
				converses(t, client, "SEARCH BODY x", "NOOP", "SEARCH BODY y", "UID SEARCH SUBJECT z", "NOOP", "IDLE")
				client.Close()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// slowNames is a store that takes long to name mailboxes and subscriptions, or until
// nobody wants to know any more.
type slowNames struct{ mailaccess.Store }

func (s slowNames) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return slowNamesAccount{a}, err
}

type slowNamesAccount struct{ mailaccess.Account }

func (a slowNamesAccount) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return func(yield func(mailaccess.Mailbox, error) bool) {
		if err := ended(ctx, time.Hour); err != nil {
			yield(mailaccess.Mailbox{}, err)
		}
	}
}

func (a slowNamesAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Subscriptions = slowSubscriptions{caps.Subscriptions}
	return caps
}

type slowSubscriptions struct{ mailaccess.Subscriber }

func (slowSubscriptions) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ended(ctx, time.Hour); err != nil {
			yield("", err)
		}
	}
}

// ended waits, and returns an error when ctx ends first.
func ended(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "names", Err: ctx.Err()}
	case <-time.After(wait):
		return nil
	}
}

// TestListOfClientThatLeft: as with a search, nobody looks for the names that a client
// wanted who has closed the connection, and who waits hears that it goes on.
func TestListOfClientThatLeft(t *testing.T) {
	for _, command := range []string{"LIST \"\" *", "LSUB \"\" *"} {
		t.Run(command, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := inMemory(memory.New(nil))
				store.served = slowNames{store.served}
				s := startServer(t, fuzzFixture(), store)
				client, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				converses(t, client, "", "LOGIN demo demo")
				if _, err := io.WriteString(client, "c "+command+"\r\n"); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(client).ReadString('\n')
				if want := "* OK [INPROGRESS (\"c\" NIL NIL)]"; err != nil || !strings.HasPrefix(line, want) {
					t.Errorf("heard %q, %v; want %s", line, err, want)
				}
				begun := time.Now()
				client.Close()
				s.wg.Wait()
				if took := time.Since(begun); took != 0 { // fake time
					t.Errorf("ended after %v", took)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
