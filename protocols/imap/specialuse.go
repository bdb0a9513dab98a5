package imap

import (
	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// uses are the special uses and their attributes (RFC 6154, section 2; RFC 8457,
// section 3).
var uses = [...]struct {
	use  mailaccess.SpecialUse
	attr goimap.MailboxAttr
}{
	{mailaccess.UseAll, goimap.MailboxAttrAll},
	{mailaccess.UseArchive, goimap.MailboxAttrArchive},
	{mailaccess.UseDrafts, goimap.MailboxAttrDrafts},
	{mailaccess.UseFlagged, goimap.MailboxAttrFlagged},
	{mailaccess.UseJunk, goimap.MailboxAttrJunk},
	{mailaccess.UseSent, goimap.MailboxAttrSent},
	{mailaccess.UseTrash, goimap.MailboxAttrTrash},
	{mailaccess.UseImportant, goimap.MailboxAttrImportant},
}

// creatable are the uses that a client can give to a mailbox. \All and \Flagged are
// not among them: they stand for what is elsewhere, and a mailbox that is called so
// would have to be filled (RFC 6154, section 2).
const creatable = mailaccess.UseArchive | mailaccess.UseDrafts | mailaccess.UseJunk | mailaccess.UseSent | mailaccess.UseTrash | mailaccess.UseImportant

// specialUse is what CREATE asks for.
type specialUse struct {
	set     mailaccess.SpecialUse
	unknown bool // there was one that cannot be given
}

// readCreateParams reads the parameters of CREATE, if there are any (RFC 4466,
// section 2.2; RFC 6154, section 6).
func (c *conn) readCreateParams() (use specialUse, err error) {
	if more, err := c.r.Accept(' '); err != nil || !more {
		return use, err
	}
	n := 0
	err = c.r.ReadList(func() error {
		name, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		if n++; n > 1 || string(name) != "USE" {
			return bad("unknown or repeated parameter")
		}
		if err := c.r.SP(); err != nil {
			return err
		}
		return c.r.ReadList(func() error { return c.readUse(&use) })
	})
	if err == nil && n == 0 {
		err = bad("no parameter")
	}
	return use, err
}

func (c *conn) readUse(use *specialUse) error {
	if err := c.r.Expect('\\'); err != nil {
		return err
	}
	name, err := c.r.ReadAtom()
	if err != nil {
		return err
	}
	for _, u := range &uses {
		if creatable&u.use != 0 && imapwire.EqualFold(name, string(u.attr[1:])) {
			use.set |= u.use
			return nil
		}
	}
	use.unknown = true
	return nil
}
