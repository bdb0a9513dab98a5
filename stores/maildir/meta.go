package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// What must survive the loss of the index is kept in two small text files, one in the
// account's directory and one in each mailbox's: the identity of mailboxes, and numbers
// below which everything may have been given out. Numbers are reserved in blocks, so that
// the files are rarely written.

const (
	accountFile = "mailaccess-account"
	mailboxFile = "mailaccess-mailbox"

	maxMeta = 64 << 10 // octets

	modSeqBlock = 1 << 20
	uidBlock    = 1 << 12
)

// accountMeta is what the account's file holds.
type accountMeta struct {
	nextValidity uint32            // the next UIDVALIDITY to be given out
	reserved     mailaccess.ModSeq // no number at or above it was ever shown
	encoding     maildirname.Encoding
	// origin is the server that kept the Maildir before, as "dovecot" or "courier"; it
	// says which separator and prefix the clients know. Empty: ours from the beginning.
	origin string
	// unfinished: what that server left was taken over, and its lists have yet to be renamed.
	unfinished bool
	// weak is one more than the store's generation in which something was acknowledged
	// without being on disk, 0 if all was.
	weak uint64
}

// mailboxMeta is what a mailbox's file holds.
type mailboxMeta struct {
	id       mailaccess.MailboxID
	validity uint32
	reserved mailaccess.UID // no UID at or above it was ever given out
	use      mailaccess.SpecialUse
}

func (m *accountMeta) text() []byte {
	b := fmt.Appendf(nil, "mailaccess account 1\nnext-uidvalidity %d\nnumbers-reserved %d\nnames %s\n", m.nextValidity, m.reserved, m.encoding)
	if m.origin != "" {
		b = fmt.Appendf(b, "origin %s\n", m.origin)
	}
	if m.unfinished {
		b = append(b, "takeover unfinished\n"...)
	}
	if m.weak != 0 {
		b = fmt.Appendf(b, "weak %d\n", m.weak)
	}
	return b
}

func parseAccountMeta(b []byte) (m accountMeta, err error) {
	err = parseMeta(b, "mailaccess account 1", func(key, value string) error {
		var n uint64
		var err error
		switch key {
		case "next-uidvalidity":
			n, err = strconv.ParseUint(value, 10, 32)
			m.nextValidity = uint32(n)
		case "numbers-reserved":
			n, err = strconv.ParseUint(value, 10, 63)
			m.reserved = mailaccess.ModSeq(n)
		case "names":
			switch value {
			case maildirname.UTF7.String():
				m.encoding = maildirname.UTF7
			case maildirname.UTF8.String():
				m.encoding = maildirname.UTF8
			default:
				err = errors.New("unknown encoding")
			}
		case "origin":
			m.origin = value
		case "takeover":
			m.unfinished = value == "unfinished"
		case "weak":
			m.weak, err = strconv.ParseUint(value, 10, 64)
		}
		return err
	})
	if err == nil && m.nextValidity == 0 {
		err = errors.New("no UIDVALIDITY")
	}
	return m, err
}

func (m *mailboxMeta) text() []byte {
	return fmt.Appendf(nil, "mailaccess mailbox 1\nid %s\nuidvalidity %d\nuids-reserved %d\nuse %d\n", m.id, m.validity, m.reserved, m.use)
}

func parseMailboxMeta(b []byte) (m mailboxMeta, err error) {
	err = parseMeta(b, "mailaccess mailbox 1", func(key, value string) error {
		var n uint64
		var err error
		switch key {
		case "id":
			if m.id = mailaccess.MailboxID(value); !isID(value) {
				err = errors.New("not an id")
			}
		case "uidvalidity":
			n, err = strconv.ParseUint(value, 10, 32)
			m.validity = uint32(n)
		case "uids-reserved":
			n, err = strconv.ParseUint(value, 10, 32)
			m.reserved = mailaccess.UID(n)
		case "use":
			n, err = strconv.ParseUint(value, 10, 16)
			m.use = mailaccess.SpecialUse(n)
		}
		return err
	})
	if err == nil && (m.id == "" || m.validity == 0 || m.reserved == 0) {
		err = errors.New("something is missing")
	}
	return m, err
}

// isID reports whether s can be the id of a mailbox of ours, and so part of a file's name.
func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// parseMeta goes through lines of a key, a space and a value. Keys that are not known are of
// a later version and pass.
func parseMeta(b []byte, first string, take func(key, value string) error) error {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != first {
		return fmt.Errorf("it does not begin with %q", first)
	}
	for _, line := range lines[1:] {
		key, value, ok := strings.Cut(line, " ")
		if !ok {
			return fmt.Errorf("a line without a value")
		}
		if err := take(key, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// readSmall reads a file of at most maxMeta octets.
func readSmall(d fsys.Dir, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, maxMeta+1), maxMeta+1))
	if err == nil && len(b) > maxMeta {
		err = fmt.Errorf("%s: longer than %d octets", name, maxMeta)
	}
	return b, err
}

// writeSmall puts a file in the place of another, whole or not at all. It is on disk when
// writeSmall returns.
func (s *Store) writeSmall(d fsys.Dir, name string, b []byte) (err error) {
	tmp := name + ".new"
	if err := d.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.Rename(tmp, d, name)
	}
	if err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	return d.Sync()
}

// reserve makes sure that no number of a plan can be given out again, whatever is lost
// later. The lead is held.
func (a *account) reserve(p *planner) error {
	var weak uint64
	if a.store.opts.Sync != SyncFull {
		weak = a.store.state.generation + 1
	}
	if p.modseq >= a.meta.reserved || weak > a.meta.weak {
		meta := a.meta
		for p.modseq >= meta.reserved {
			meta.reserved = p.modseq + modSeqBlock
		}
		meta.weak = max(meta.weak, weak)
		if err := a.store.writeSmall(a.dir, accountFile, meta.text()); err != nil {
			return err
		}
		a.meta = meta
	}
	for b, next := range p.next {
		if next <= b.reserved {
			continue
		}
		reserved := max(next, next+min(uidBlock, 1<<32-1-next))
		meta := mailboxMeta{id: b.ID, validity: b.UIDValidity, reserved: reserved, use: b.Use}
		if err := a.openDirs(b); err != nil {
			return err
		}
		if err := a.store.writeSmall(b.dir, mailboxFile, meta.text()); err != nil {
			return err
		}
		b.reserved = reserved
	}
	return nil
}
