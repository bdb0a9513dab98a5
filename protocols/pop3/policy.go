package pop3

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Policy says what the maildrop of an account is, and what becomes of its messages.
// The zero value is INBOX, locked, from which DELE removes messages for good and
// nothing else does.
type Policy struct {
	// Mailboxes make up the maildrop, the messages of one after those of the other;
	// nil: INBOX alone. Those that an account lacks are passed over; without any
	// there is no maildrop.
	Mailboxes []string
	// NoLock lets several sessions have the maildrop at the same time (RFC 1939,
	// section 4 asks for the lock).
	NoLock bool
	// UIDL is the form of unique-ids.
	UIDL UIDLFormat

	// HideOlder and HideLarger leave messages out of the maildrop: those received
	// longer ago, and those of more octets; 0: none.
	HideOlder  time.Duration
	HideLarger int64

	// MarkSeen gives \Seen to the messages that RETR delivered, when QUIT ends the
	// session. TOP with 99,999,999 lines or more counts as RETR, as fetchmail has it.
	MarkSeen bool
	// Delete is what QUIT does with the messages that DELE marked.
	Delete Delete
	// KeepDays is for DeleteFlag: how many days a message has been in its mailbox
	// before what DELE flagged is removed for good, by the QUIT of some session;
	// 0: never.
	KeepDays int
	// ExpireDays is after how many days in its mailbox QUIT treats a message as if it
	// were marked, hidden ones too (RFC 2449, section 6.7); 0: never;
	// ExpireRetrieved: when RETR delivered it.
	ExpireDays int

	// LoginDelay is how long an account has to wait between logins (RFC 2449, section
	// 6.5); 0: not at all.
	LoginDelay time.Duration
}

// ExpireRetrieved as Policy.ExpireDays leaves nothing on the server that a client has
// retrieved: what RFC 2449, section 6.7 calls EXPIRE 0.
const ExpireRetrieved = -1

// Delete is a way to remove messages from the maildrop.
type Delete uint8

const (
	// DeleteExpunge removes messages for good.
	DeleteExpunge Delete = iota
	// DeleteToTrash moves them to the account's mailbox for \Trash, which is made
	// where there is none. Those that are there already are removed for good.
	DeleteToTrash
	// DeleteFlag gives them \Deleted. The maildrop is without messages that have it,
	// whoever gave it to them.
	DeleteFlag
)

// Check reports whether the policy is one that makes sense.
func (p *Policy) Check() error {
	for i, name := range p.Mailboxes {
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return err
		}
		if slices.Contains(p.Mailboxes[:i], name) {
			return fmt.Errorf("pop3: mailbox %q twice in the maildrop", name)
		}
	}
	switch {
	case p.HideOlder < 0 || p.HideLarger < 0 || p.LoginDelay < 0:
		return errors.New("pop3: a limit below 0")
	case p.Delete > DeleteFlag:
		return errors.New("pop3: no such way to delete")
	case p.KeepDays < 0 || p.KeepDays > maxDays || p.ExpireDays < ExpireRetrieved || p.ExpireDays > maxDays:
		return fmt.Errorf("pop3: days are 0 to %d", maxDays)
	case p.KeepDays > 0 && p.Delete != DeleteFlag:
		return errors.New("pop3: KeepDays without DeleteFlag")
	}
	return nil
}

// maxDays is a hundred years.
const maxDays = 36500

// mailboxes returns the names.
func (p *Policy) mailboxes() []string {
	if len(p.Mailboxes) == 0 {
		return []string{mailaccess.Inbox}
	}
	return p.Mailboxes
}

// appendCapabilities appends what CAPA says of it. No user's policy differs from
// that of another.
func (p *Policy) appendCapabilities(b []byte) []byte {
	b = append(b, "EXPIRE "...)
	switch {
	case p.ExpireDays == 0:
		b = append(b, "NEVER"...)
	default:
		b = strconv.AppendInt(b, int64(max(p.ExpireDays, 0)), 10)
	}
	if p.LoginDelay > 0 {
		seconds := (p.LoginDelay + time.Second - 1) / time.Second
		b = strconv.AppendInt(append(b, "\r\nLOGIN-DELAY "...), int64(seconds), 10)
	}
	return append(b, "\r\n"...)
}

// days is so many days.
func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
