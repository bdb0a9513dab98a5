package imap

import goimap "github.com/emersion/go-imap/v2"

// enabled is a set of extensions that the client has enabled, by ENABLE (RFC 5161)
// or by a command that does so too. They stay so until the login
// does.
type enabled uint16

const (
	// enabledCondstore: FETCH responses tell change numbers (RFC 7162, section 3.1).
	enabledCondstore enabled = 1 << iota
	// enabledQResync: VANISHED stands for EXPUNGE (RFC 7162, section 3.2.3).
	enabledQResync
	// enabledUIDOnly: there are no message numbers (RFC 9586, section 3).
	enabledUIDOnly
	// enabledRev2: what RFC 9051 takes away from IMAP4rev1, or does otherwise,
	// holds (RFC 9051, section 6.3.1).
	enabledRev2
	// enabledUTF8: names and quoted strings are UTF-8 (RFC 6855, section 3).
	enabledUTF8
)

// enableable are the extensions that ENABLE switches on.
var enableable = []struct {
	name string
	bit  enabled
}{
	{"CONDSTORE", enabledCondstore},
	{"QRESYNC", enabledQResync},
	{"UIDONLY", enabledUIDOnly},
	{string(goimap.CapIMAP4rev2), enabledRev2},  // RFC 9051, section 6.3.1
	{string(goimap.CapUTF8Accept), enabledUTF8}, // RFC 6855, section 3
}

// errUIDRequired is the answer to a message number after ENABLE UIDONLY (RFC 9586,
// section 3).
var errUIDRequired error = &statusError{"BAD", "UIDREQUIRED", "there are no message numbers"}

// has reports whether all of bits are enabled.
func (c *conn) has(bits enabled) bool { return c.enabled&bits == bits }

// enable switches extensions on. It is called while a command is executed, before
// anything that depends on it is written.
func (c *conn) enable(bits enabled) error {
	if bits&enabledQResync != 0 {
		bits |= enabledCondstore // RFC 7162, section 3.2.3
	}
	added := bits &^ c.enabled
	c.enabled |= bits
	if added&enabledUIDOnly != 0 {
		// RFC 9586, section 3: no response has message numbers from here on.
		if err := c.endNumberedContexts(); err != nil {
			return err
		}
	}
	if added&enabledCondstore != 0 && c.view != nil {
		// RFC 7162, section 3.1: the client becomes aware of CONDSTORE while a
		// mailbox is selected.
		return c.sendHighestModSeq()
	}
	return nil
}
