package imap_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// lacking is a store without some of its capabilities.
type lacking struct {
	mailaccess.Store
	without func(*mailaccess.Capabilities)
}

func (s lacking) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return lackingAccount{a, s.without}, err
}

type lackingAccount struct {
	mailaccess.Account
	without func(*mailaccess.Capabilities)
}

func (a lackingAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	a.without(&caps)
	return caps
}

// memoryWithout is a memory store that lacks something.
func memoryWithout(without func(*mailaccess.Capabilities)) testStore {
	base := memory.New(nil)
	return testStore{base: base, served: lacking{base, without}, forget: base.DropHistory}
}

// Where the store keeps no saved dates, FETCH tells NIL (RFC 8514, section 4.2), the
// keys of SEARCH look at the internal date, and SAVEDATESUPPORTED matches nothing
// (section 4.3); SAVEDATE is not offered.
func TestNoSavedDates(t *testing.T) {
	c := dialRaw(t, started(t, memoryWithout(func(c *mailaccess.Capabilities) { c.SavedDates = false }), "Subject: 1\r\n\r\n1\r\n"))
	expectAnswers(t, c, []conversation{
		{"FETCH 1 (SAVEDATE)", []string{"* 1 FETCH (SAVEDATE NIL)"}},
		// started receives its messages on 9 September 2001.
		{"SEARCH SAVEDON 9-Sep-2001", []string{"* SEARCH 1"}},
		{"SEARCH SAVEDSINCE 10-Sep-2001", []string{"* SEARCH"}},
		{"SEARCH SAVEDBEFORE 10-Sep-2001", []string{"* SEARCH 1"}},
		{"SEARCH SAVEDATESUPPORTED", []string{"* SEARCH"}},
		{"SEARCH NOT SAVEDATESUPPORTED", []string{"* SEARCH 1"}},
	})
	if offered, _ := c.do("CAPABILITY"); strings.Contains(offered[0], "SAVEDATE") {
		t.Errorf("offered: %q", offered)
	}
}

// Where the store does not thread, THREADID is NIL and matches nothing (RFC 8474, section
// 5.2).
func TestNoThreads(t *testing.T) {
	c := dialRaw(t, started(t, memoryWithout(func(c *mailaccess.Capabilities) { c.Threads = false }), "Subject: 1\r\n\r\n1\r\n"))
	expectAnswers(t, c, []conversation{
		{"FETCH 1 (THREADID)", []string{"* 1 FETCH (THREADID NIL)"}},
		{"SEARCH THREADID NIL", []string{"* SEARCH"}},
		{"SEARCH NOT THREADID x", []string{"* SEARCH 1"}},
	})
}

// conversation is a command and what it is answered with before OK.
type conversation struct {
	command string
	answers []string
}

func expectAnswers(t *testing.T, c *rawClient, all []conversation) {
	t.Helper()
	for _, say := range all {
		if got, status := c.do(say.command); !slices.Equal(got, say.answers) || !strings.HasPrefix(status, "OK") {
			t.Errorf("%s: %q %s, want %q", say.command, got, status, say.answers)
		}
	}
}
