package imap_test

import (
	"context"
	"iter"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// ailing is a store that fails when it is told to, and whose owner takes rights away and
// gives them back.
type ailing struct {
	mailaccess.Store

	mu    sync.Mutex
	fails map[string]bool // by operation
	// without are the rights that are taken away, by mailbox.
	without map[mailaccess.MailboxID]mailaccess.Rights
	silent  bool // rings are kept back
	ring    func(mailaccess.Ring)
}

// fail has operations fail from now on, and all others work.
func (s *ailing) fail(ops ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = make(map[string]bool)
	for _, op := range ops {
		s.fails[op] = true
	}
}

func (s *ailing) err(op string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails[op] {
		return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op}
	}
	return nil
}

// forbid takes rights away from a mailbox, or gives them back. That is a change of the
// account.
func (s *ailing) forbid(ctx context.Context, acct mailaccess.Account, name string, rights mailaccess.Rights) error {
	box, err := acct.Lookup(ctx, name)
	if err != nil {
		return err
	}
	s.keepBack(true)
	// There and back: [mailaccess.Mailbox.Changed] rises.
	for _, n := range []string{name + " ", name} {
		if err := acct.Capabilities().Mailboxes.RenameMailbox(ctx, box.ID, n); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.without = map[mailaccess.MailboxID]mailaccess.Rights{box.ID: rights}
	s.mu.Unlock()
	s.keepBack(false)
	return nil
}

// keepBack keeps rings back, or rings for all that were.
func (s *ailing) keepBack(on bool) {
	s.mu.Lock()
	s.silent = on
	ring := s.ring
	s.mu.Unlock()
	if !on {
		ring(mailaccess.Ring{})
	}
}

func (s *ailing) Watch(ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
	s.mu.Lock()
	s.ring = ring
	s.mu.Unlock()
	return s.Store.Watch(ctx, func(r mailaccess.Ring) {
		s.mu.Lock()
		silent := s.silent
		s.mu.Unlock()
		if !silent {
			ring(r)
		}
	})
}

func (s *ailing) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	acct, err := s.Store.Open(ctx, account, who)
	return ailingAccount{acct, s}, err
}

type ailingAccount struct {
	mailaccess.Account
	s *ailing
}

// limit takes what is forbidden off the rights of a mailbox.
func (a ailingAccount) limit(m *mailaccess.Mailbox) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	m.Rights &^= a.s.without[m.ID]
}

func (a ailingAccount) State(ctx context.Context) (mailaccess.State, error) {
	if err := a.s.err("state"); err != nil {
		return mailaccess.State{}, err
	}
	return a.Account.State(ctx)
}

func (a ailingAccount) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	if err := a.s.err("changes"); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	changes, err := a.Account.Changes(ctx, since)
	for i := range changes.Mailboxes {
		st := &changes.Mailboxes[i]
		if a.limit(&st.Mailbox); !st.Rights.Has(mailaccess.RightRead) {
			*st = mailaccess.Status{Mailbox: st.Mailbox, ModSeq: st.Changed}
		}
	}
	return changes, err
}

func (a ailingAccount) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	m, err := a.Account.Lookup(ctx, name)
	a.limit(&m)
	return m, err
}

func (a ailingAccount) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return func(yield func(mailaccess.Mailbox, error) bool) {
		for m, err := range a.Account.Mailboxes(ctx) {
			if a.limit(&m); !yield(m, err) {
				return
			}
		}
	}
}

func (a ailingAccount) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	if err := a.s.err("messages"); err != nil {
		return func(yield func(mailaccess.Message, error) bool) { yield(mailaccess.Message{}, err) }
	}
	return a.Account.Messages(ctx, box, uids)
}

func (a ailingAccount) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	if err := a.s.err("mailbox changes"); err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	return a.Account.MailboxChanges(ctx, box, since)
}
