package maildir

import "github.com/hashmail/mailaccess/mailaccess"

// DropHistory forgets which messages were removed from a mailbox, or, when box is empty,
// which mailboxes were deleted: whoever asks for changes since an earlier number finds it
// below the floor. It is there for tests, and what it forgot may be known again after a
// crash.
func (s *Store) DropHistory(account string, box mailaccess.MailboxID) error {
	const op = "drop history"
	a, err := s.acquire(op, account, false)
	if err != nil {
		return err
	}
	defer s.letGo(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	if box == "" {
		a.Tombstones, a.Floor = nil, a.ModSeq
		return nil
	}
	b, err := a.loaded(op, box)
	if err != nil {
		return err
	}
	b.ix.RaiseFloor(b.ix.ModSeq())
	return nil
}
