package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// slowStore is a store that takes a time for each change, and for each content.
type slowStore struct{ stuckStore }

func (s slowStore) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.stuckStore.Open(ctx, account, who)
	return slowAccount{a, s.takes}, err
}

type slowAccount struct {
	mailaccess.Account
	takes time.Duration
}

func (a slowAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Search, caps.Move = nil, nil
	caps.Copy, caps.Flags = slowCopier{caps.Copy, a.takes}, slowFlags{caps.Flags, a.takes}
	return caps
}

type slowCopier struct {
	mailaccess.Copier
	takes time.Duration
}

func (s slowCopier) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	time.Sleep(s.takes) // fake time
	return s.Copier.Copy(ctx, src, uids, dst)
}

type slowFlags struct {
	mailaccess.FlagSetter
	takes time.Duration
}

func (s slowFlags) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, change mailaccess.FlagChange, unchangedSince mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	time.Sleep(s.takes) // fake time
	return s.FlagSetter.SetFlags(ctx, box, uids, change, unchangedSince)
}

// TestInProgress: RFC 9585, sections 3 to 5: a command that takes long says so every
// ten seconds, and how far it is where that is known; one that does not says nothing.
func TestInProgress(t *testing.T) {
	const text = " still working"
	for _, test := range []struct {
		command string
		takes   time.Duration
		want    []string
	}{
		{"c SEARCH BODY x", 9 * time.Second, []string{`("c" 1 2)`}},
		{"c UID SEARCH BODY x", 14 * time.Second, []string{`("c" NIL NIL)`, `("c" 1 2)`}},
		{"c] SEARCH BODY x", 14 * time.Second, []string{`(NIL NIL NIL)`, `(NIL 1 2)`}},
		{"c COPY 1:2 Box", 25 * time.Second, []string{`("c" NIL NIL)`, `("c" NIL NIL)`}},
		{"c UID STORE 1:2 +FLAGS.SILENT (x)", 35 * time.Second, []string{`("c" NIL NIL)`, `("c" NIL NIL)`, `("c" NIL NIL)`}},
		{"c COPY 1:2 Box", 9 * time.Second, nil},
		{"c MOVE 1:2 Box", 14 * time.Second, []string{`("c" NIL NIL)`, `("c" 1 2)`}},
		{"c SORT (SUBJECT) UTF-8 ALL", 14 * time.Second, []string{`("c" NIL NIL)`, `("c" 1 2)`}},
		{"c UID THREAD REFERENCES UTF-8 ALL", 14 * time.Second, []string{`("c" NIL NIL)`, `("c" 1 2)`}},
		// Two goals, one after the other, and no step back.
		{"c SORT (SUBJECT) UTF-8 NOT BODY nothing", 14 * time.Second,
			[]string{`("c" NIL NIL)`, `("c" 1 2)`, `("c" 1 2)`, `("c" 1 2)`, `("c" 3 4)`}},
		{"c THREAD REFS UTF-8 NOT BODY nothing", 14 * time.Second,
			[]string{`("c" NIL NIL)`, `("c" 1 2)`, `("c" 1 2)`, `("c" 1 2)`, `("c" 3 4)`}},
	} {
		for _, before := range []string{"NOOP", "COMPRESS DEFLATE"} {
			t.Run(fmt.Sprint(test.command, test.takes, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := inMemory(memory.New(nil))
					store.served = slowStore{stuckStore{store.served, test.takes}}
					s := startServer(t, fuzzFixture(), store)
					client, err := s.Dial()
					if err != nil {
						t.Fatal(err)
					}
					var z net.Conn = converses(t, client, "", "LOGIN demo demo", "SELECT INBOX", before)
					if _, err := io.WriteString(z, test.command+"\r\n"); err != nil {
						t.Fatal(err)
					}
					tag, _, _ := strings.Cut(test.command, " ")
					var got []string
					start := time.Now()
					for r := bufio.NewReader(z); ; {
						line, err := r.ReadString('\n')
						if err != nil {
							t.Fatal(err)
						}
						if strings.HasPrefix(line, tag+" OK ") {
							break
						}
						details, reports := strings.CutPrefix(line, "* OK [INPROGRESS ")
						if !reports {
							continue
						}
						details, _, _ = strings.Cut(details, "]"+text)
						got = append(got, details)
						if at, want := time.Since(start), time.Duration(len(got))*10*time.Second; at != want {
							t.Errorf("report %d came after %v, want %v", len(got), at, want)
						}
					}
					if !slices.Equal(got, test.want) {
						t.Errorf("reported %q, want %q", got, test.want)
					}
					converses(t, z, "NOOP")
					client.Close()
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
