package engine

import (
	"context"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Session is an account as somebody who logged in may use it. It is safe for
// concurrent use.
type Session struct {
	e    *Engine
	id   mailaccess.Identity
	acct mailaccess.Account
	caps mailaccess.Capabilities
	step func() error         // nil: none
	rest func() (work func()) // nil: none
}

// Identity returns who logged in.
func (s *Session) Identity() mailaccess.Identity { return s.id }

// Close gives up the account. Views should have been closed before.
func (s *Session) Close() error { return s.acct.Close() }

// Can is what a session can do, by the store or by emulation. Front-ends offer
// what stands here and nothing else.
type Can struct {
	Append, AppendMany bool
	// SetFlags: some flags can be changed; those in SystemFlags, and
	// keywords when Keywords is set.
	SetFlags    bool
	SystemFlags mailaccess.SystemFlags
	Keywords    bool
	// SavedDates and Threads: each message has one (RFC 8514; RFC 8474, section
	// 5.2). Without, whatever a message has is not to be shown.
	SavedDates, Threads bool
	Expunge             bool
	// Copy, and Copy of more than one message at once.
	Copy, CopyMany bool
	Move           bool
	// Replace a message by another.
	Replace bool
	// Mailboxes: create, rename, delete; each may still be refused.
	Mailboxes bool
	// Subscribe: the set of subscribed names can be changed.
	Subscribe bool
	// MaxUpload is the largest message taken in, in octets.
	MaxUpload int64
}

// Can returns what the session can do.
func (s *Session) Can() Can {
	c := s.caps
	most := s.e.maxUpload
	if c.MaxMessageSize > 0 && c.MaxMessageSize < most {
		most = c.MaxMessageSize
	}
	return Can{
		Append:      c.Append != nil,
		AppendMany:  c.Append != nil && c.AppendMany,
		SetFlags:    c.Flags != nil,
		SystemFlags: c.SystemFlags,
		Keywords:    c.NewKeywords,
		SavedDates:  c.SavedDates,
		Threads:     c.Threads,
		Expunge:     c.Expunge != nil,
		Copy:        c.Copy != nil,
		CopyMany:    c.Copy != nil && c.CopyMany,
		Move:        c.Move != nil || c.Copy != nil && c.Expunge != nil,
		Replace:     c.Append != nil && (c.Replace != nil || c.Expunge != nil),
		Mailboxes:   c.Mailboxes != nil,
		Subscribe:   c.Subscriptions != nil,
		MaxUpload:   most,
	}
}

// UniqueIDs yields the unique-ids by which POP3 clients know messages from a server that kept
// the mail before; see [mailaccess.UniqueIDKeeper]. ok is false when there can be none.
func (s *Session) UniqueIDs(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) (ids iter.Seq2[mailaccess.UniqueID, error], ok bool) {
	if s.caps.UniqueIDs == nil {
		return nil, false
	}
	return s.caps.UniqueIDs.UniqueIDs(ctx, box, uids), true
}

// Messages lists messages of a mailbox; see [mailaccess.Account].
func (s *Session) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return s.acct.Messages(ctx, box, uids)
}

// Content opens the bytes of a message; see [mailaccess.Account].
func (s *Session) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	return s.acct.Content(ctx, id)
}

// Size returns the size of a message, in octets, and opens the content to find out
// when the store does not know it yet.
func (s *Session) Size(ctx context.Context, m *mailaccess.Message) (int64, error) {
	if m.Size != mailaccess.SizeUnknown {
		return m.Size, nil
	}
	c, err := s.Content(ctx, m.EmailID)
	if err != nil {
		return 0, err
	}
	size := c.Size()
	return size, c.Close()
}

// MailboxSize returns the sum of the sizes of a mailbox's messages, in octets. When
// the store does not know it each message is asked for its own. Content that is gone
// counts nothing: nobody is told a size of it.
func (s *Session) MailboxSize(ctx context.Context, st *mailaccess.Status) (int64, error) {
	if st.Size != mailaccess.SizeUnknown {
		return st.Size, nil
	}
	var sum int64
	for m, err := range s.acct.Messages(ctx, st.ID, mailaccess.UIDSetRange(1, st.UIDNext)) {
		if err != nil {
			return 0, err
		}
		n, err := s.Size(ctx, &m)
		if err != nil && mailaccess.KindOf(err) != mailaccess.KindContentGone {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Derived yields what the store keeps under kind for ids; nothing when it keeps
// no derived bytes. See [mailaccess.DerivedCache].
func (s *Session) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	if s.caps.Derived == nil {
		return func(func(mailaccess.Derived, error) bool) {}
	}
	return s.caps.Derived.Derived(ctx, kind, ids)
}

// PutDerived offers derived bytes to the store. They are a cache: losing them is
// no failure.
func (s *Session) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	if s.caps.Derived == nil {
		return nil
	}
	return s.caps.Derived.PutDerived(ctx, kind, items)
}

// Listen starts to listen to changes of a mailbox, or, when box is empty, of the
// account itself: mailboxes created, renamed or deleted, and subscriptions. Listen
// first, read after.
func (s *Session) Listen(box mailaccess.MailboxID) *Listener {
	return s.e.hub.listen(s.id.Account, s.acct, box)
}

// ListenAll starts to listen to everything in the account, its mailboxes included.
// What it was that changed is asked with Changes.
func (s *Session) ListenAll() *Listener {
	return s.e.hub.listen(s.id.Account, s.acct, wholeAccount)
}

// State returns the account's present epoch and change number.
func (s *Session) State(ctx context.Context) (mailaccess.State, error) { return s.acct.State(ctx) }

// Changes returns what changed in the account; see [mailaccess.Account].
func (s *Session) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	return s.acct.Changes(ctx, since)
}

// MailboxChanges returns what changed in a mailbox; see [mailaccess.Account].
func (s *Session) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	return s.acct.MailboxChanges(ctx, box, since)
}

func unsupported(op string) error {
	return &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: op}
}
