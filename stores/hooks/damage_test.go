package hooks_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// A state file that is damaged, anywhere and in any way, is refused or makes do: an
// error says so, and nothing panics or is waited for.
func TestDamagedFile(t *testing.T) {
	path := stateFile(t)
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{SyncState: path, Reconcile: -1})
	for i := range 60 {
		f.put(mailaccess.Inbox, hookstest.Message{Body: fmt.Appendf(nil, "Subject: %d\n\ntext\n", i), Flags: []string{fmt.Sprint("word", i)}})
	}
	f.sync()
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	random := rand.NewChaCha8([32]byte{})
	tried, refused := 0, 0
	try := func(what string, damaged []byte) {
		t.Helper()
		// A file of its own: one that was refused may stay locked.
		tried++
		f.opts.SyncState = fmt.Sprint(path, tried)
		if err := os.WriteFile(f.opts.SyncState, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.useDamaged(); err != nil {
			refused++
			switch mailaccess.KindOf(err) {
			case mailaccess.KindCorrupt, mailaccess.KindUnavailable, mailaccess.KindUnsupported:
			default:
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for at := 0; at < len(whole); at += page {
		try(fmt.Sprint("page of zeros at ", at), overwritten(whole, at, make([]byte, page)))
		garbage := make([]byte, page)
		random.Read(garbage)
		try(fmt.Sprint("page of garbage at ", at), overwritten(whole, at, garbage))
		try(fmt.Sprint("twice the page before ", at), overwritten(whole, at, whole[max(at-page, 0):max(at, page)]))
		if at > 0 {
			try(fmt.Sprint("cut at ", at), whole[:at])
		}
	}
	for range 300 {
		at := rand.New(random).IntN(len(whole))
		try(fmt.Sprint("another octet at ", at), overwritten(whole, at, []byte{whole[at] ^ 1<<(at%8)}))
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
	f.opts.SyncState = path
	if err := f.useDamaged(); err != nil {
		t.Errorf("the whole file: %v", err)
	}
}

func overwritten(whole []byte, at int, with []byte) []byte {
	damaged := bytes.Clone(whole)
	copy(damaged[at:], with)
	return damaged
}

// useDamaged opens the file, reads, changes and closes.
func (f *fixture) useDamaged() error {
	s, err := hooks.New(f.h, &f.opts)
	if err != nil {
		return err
	}
	defer s.Close()
	acc, err := s.Open(f.Context(), user, mailaccess.Identity{User: user, Account: user})
	if err != nil {
		return err
	}
	defer acc.Close()
	m, err := acc.Lookup(f.Context(), mailaccess.Inbox)
	if err != nil {
		return err
	}
	all, err := acc.Snapshot(f.Context(), m.ID)
	if err != nil {
		return err
	}
	// Whatever it made of the file, the application is right.
	if want := len(f.app.Messages(user, mailaccess.Inbox)); all.Messages != want {
		f.Errorf("%d messages, want %d", all.Messages, want)
	}
	flag := mailaccess.FlagFlagged
	change := mailaccess.FlagChange{Add: mailaccess.Flags{System: flag}}
	if all.UIDs.Len() > 0 {
		if _, err := acc.Capabilities().Flags.SetFlags(f.Context(), m.ID, mailaccess.UIDSetOf(all.UIDs.Min()), change, mailaccess.AnyModSeq); err != nil && mailaccess.KindOf(err) != mailaccess.KindUncertain {
			return err
		}
	}
	return nil
}
