package hooks

import "github.com/hashmail/mailaccess/mailaccess"

// DropHistory forgets which messages were removed from a mailbox, or, when box is
// empty, which mailboxes were deleted.
func (s *Store) DropHistory(account string, box mailaccess.MailboxID) {
	s.mu.Lock()
	a := s.accounts[account]
	s.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if box == "" {
		a.tombs, a.head.floor = nil, a.head.modseq
		return
	}
	b := a.boxes[box]
	b.vanished, b.floor = nil, b.modseq
}

// Writes is how many transactions the file has seen.
func (s *Store) Writes() int64 { return s.file.writes.Load() }

// Words returns flags as an application has them.
func Words(f mailaccess.Flags) []string { return words(f) }

// BreakFile has the file fail from now on.
func (s *Store) BreakFile() error { return s.file.db.Close() }

// BodyRefs is how many hold the body of an upload.
func BodyRefs(s mailaccess.Staged) int32 { return s.(*staged).w.b.refs.Load() }
