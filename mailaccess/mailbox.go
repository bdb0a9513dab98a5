package mailaccess

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MailboxID names a mailbox for its whole life: it survives renames and is
// never given to another mailbox of the account (RFC 8474, section 4.1). It is
// opaque, 1 to 255 octets of A-Z a-z 0-9 _ - so that any protocol can show it.
type MailboxID string

// ModSeq is a change number (mod-sequence, RFC 7162, section 3): one strictly
// growing counter for each account, 63 bits, starting anywhere above 0. 0 means
// none.
type ModSeq uint64

// MaxModSeq is the highest change number (RFC 7162, section 3.1).
const MaxModSeq = ModSeq(1<<63 - 1)

// State is a point in an account's history.
type State struct {
	// Epoch changes when the store lost its history. Opaque, may not be
	// empty.
	Epoch string
	// ModSeq is the highest change number visible at that point.
	ModSeq ModSeq
}

// Inbox is the name of the mailbox that every account has and that is neither
// deleted nor renamed. Front-ends accept it in any case; the contract does not.
const Inbox = "INBOX"

// Mailbox is what a mailbox is, apart from what is in it.
type Mailbox struct {
	ID MailboxID
	// Name is UTF-8 with / between levels; see [CheckMailboxName].
	Name string
	// UIDValidity (RFC 3501, section 2.3.1.1) comes from a counter of the
	// account, so that a name that is deleted and created again never shows
	// an old value with other messages. Never 0.
	UIDValidity uint32
	// Use is the special-use attribute, 0 for most mailboxes.
	Use SpecialUse
	// Rights are what the identity that opened the account may do here.
	Rights Rights
	// Created is the change number of the mailbox's creation, Changed that
	// of the last change to its name, use or rights.
	Created, Changed ModSeq
}

// Status is a mailbox and its counts at one instant.
type Status struct {
	Mailbox
	// ModSeq is the mailbox's highest change number. It never falls; flag
	// changes, arrivals, expunges and the mailbox's own changes count.
	ModSeq ModSeq
	// UIDNext is above every UID that was ever used in the mailbox.
	UIDNext UID
	// Messages, Unseen (without \Seen) and Deleted (with \Deleted) count
	// messages.
	Messages, Unseen, Deleted int
	// Size is the sum of the sizes of all messages, in octets, or [SizeUnknown].
	Size int64
	// FirstUnseen is the lowest UID without \Seen, 0 when there is none.
	FirstUnseen UID
	// Keywords are those in use; a store may also name some that no message
	// has any more.
	Keywords Keywords
}

// Snapshot is a mailbox at one instant.
type Snapshot struct {
	Status
	UIDs UIDSet
}

// SpecialUse is a set of special-use attributes (RFC 6154, section 2).
type SpecialUse uint16

// The special uses.
const (
	UseAll SpecialUse = 1 << iota
	UseArchive
	UseDrafts
	UseFlagged
	UseJunk
	UseSent
	UseTrash
	UseImportant // RFC 8457, section 3
)

// Rights is a set of what may be done in one mailbox. The rights of RFC 4314,
// section 2.1 are the model; who may not see a mailbox does not get it listed.
type Rights uint16

// The rights.
const (
	RightRead    Rights = 1 << iota // whatever only looks into it; to list it takes no right
	RightSeen                       // keep \Seen
	RightFlags                      // change flags other than \Seen and \Deleted
	RightInsert                     // append and copy into it
	RightDeleted                    // change \Deleted
	RightExpunge                    // expunge
	RightCreate                     // create mailboxes below it
	RightRemove                     // delete or rename it
	RightAdmin                      // change who may do what

	RightsAll      = RightAdmin<<1 - 1
	RightsReadOnly = RightRead
)

// Has reports whether r holds all of want.
func (r Rights) Has(want Rights) bool { return r&want == want }

// MaxMailboxName is the longest name that the contract allows, in octets.
const MaxMailboxName = 1024

// CheckMailboxName reports whether name is one that the contract allows: valid
// UTF-8 of 1 to MaxMailboxName octets without control characters (RFC 5198,
// section 2; RFC 9051, section 5.1), whose levels, separated by /, are not
// empty, and not a spelling of INBOX other than [Inbox] at the first level. A
// store may refuse more. Names are in NFC, those that a store shows too; front-ends bring
// what clients send into it.
func CheckMailboxName(name string) error {
	if err := checkMailboxName(name); err != nil {
		return &Error{Kind: KindInvalid, Op: "mailbox name", Mailbox: name, Err: err}
	}
	return nil
}

func checkMailboxName(name string) error {
	if name == "" {
		return errors.New("empty")
	}
	if len(name) > MaxMailboxName {
		return fmt.Errorf("longer than %d octets", MaxMailboxName)
	}
	if !utf8.ValidString(name) {
		return errors.New("not valid UTF-8")
	}
	for _, r := range name {
		// Line and paragraph separators end a line in some clients.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("control character %U", r)
		}
	}
	first := true
	for level := range strings.SplitSeq(name, "/") {
		if level == "" {
			return errors.New("empty level between separators")
		}
		if first && level != Inbox && strings.EqualFold(level, Inbox) {
			return errors.New("INBOX in another case")
		}
		first = false
	}
	return nil
}
