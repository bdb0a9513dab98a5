package takeover

import (
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/lines"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// UIDList is what a list of UIDs says of its folder.
type UIDList struct {
	// Validity is UIDVALIDITY, never 0.
	Validity uint32
	// Next is UIDNEXT: what the list says, and above every UID in it.
	Next mailaccess.UID
	// GUID is the identifier that Dovecot gave the mailbox, 32 hexadecimal digits;
	// empty in older lists and Courier's.
	GUID string
	Report
}

// UIDEntry is a message in a list of UIDs.
type UIDEntry struct {
	UID mailaccess.UID
	// Base identifies its file: [maildirname.Message.Base].
	Base string
	// Size is the length of the file, Wire that with CRLF at the end of each line,
	// in octets, or [maildirname.SizeUnknown].
	Size, Wire int64
	// UIDL is what POP3 clients got in place of the usual, empty for most. It was
	// kept from another server: see [DovecotUIDL].
	UIDL string
	// Order is the place of the message in a POP3 listing, 0 when it has none: those
	// with one come first, ascending.
	Order uint32
	// GUID is the identifier that Dovecot gave the message when it is not Base.
	GUID string
}

// ReadUIDList reads dovecot-uidlist or courierimapuiddb and calls each for every
// message, in the order of UIDs. Two entries may have one Base, when a file came back
// after it was expunged: the last is the one that clients know.
//
// Version 1, which Dovecot up to 1.0 and Courier write, is
//
//	1 UIDVALIDITY UIDNEXT
//	UID filename
//
// and version 3, Dovecot's since,
//
//	3 Vuidvalidity Nuidnext Gguid
//	UID Ssize Wsize Puidl Oorder Gguid :filename
//
// with fields in any order, most of them missing, and others that are not known left
// aside. A file name is the last known one; its flags mean nothing.
//
// What cannot be right is left out, and the message is one without a UID: UID 0 and the
// highest, a UID that is not above those before, a name that can be none. A last line without
// its end is left out too, since Dovecot may be writing it, but Next is above its UID.
// Without a header that makes sense there is no list: KindCorrupt. An error of r or of
// each ends reading.
func ReadUIDList(r io.Reader, each func(UIDEntry) error) (UIDList, error) {
	in := lines.NewReader(r, maxLine)
	header, ok := in.Next()
	if err := in.Err(); err != nil {
		return UIDList{}, err
	}
	if !ok || in.Partial() || in.Number() != 1 {
		return UIDList{}, corrupt("UID list", "no header")
	}
	l, version, err := uidListHeader(string(header))
	if err != nil {
		return UIDList{}, err
	}
	last := mailaccess.UID(0)
	for b, ok := in.Next(); ok; b, ok = in.Next() {
		uid, rest, reason := uidLine(string(b), last)
		if reason != "" {
			l.skip(in.Number(), reason)
			continue
		}
		last = uid
		if in.Partial() {
			l.skip(in.Number(), "the end of the line is missing")
			continue
		}
		e, reason := uidEntry(uid, rest, version)
		if reason != "" {
			l.skip(in.Number(), reason)
			continue
		}
		if err := each(e); err != nil {
			return UIDList{}, err
		}
	}
	l.long(in.Long())
	l.Next = max(l.Next, last+1)
	return l, in.Err()
}

// uidListHeader reads the first line.
func uidListHeader(line string) (l UIDList, version string, err error) {
	version, rest, _ := strings.Cut(line, " ")
	fields := strings.Fields(rest)
	var validity, next string
	switch {
	case version == "1" && len(fields) == 2:
		validity, next = fields[0], fields[1]
	case version == "3":
		for _, f := range fields {
			switch f[0] {
			case 'V':
				validity = f[1:]
			case 'N':
				next = f[1:]
			case 'G':
				l.GUID = guid(f[1:])
			}
		}
	default:
		return UIDList{}, "", corrupt("UID list", "unknown version or form")
	}
	v, errV := strconv.ParseUint(validity, 10, 32)
	n, errN := strconv.ParseUint(next, 10, 32)
	if errV != nil || errN != nil || v == 0 || n == 0 {
		return UIDList{}, "", corrupt("UID list", "no UIDVALIDITY or UIDNEXT in the header")
	}
	l.Validity, l.Next = uint32(v), mailaccess.UID(n)
	return l, version, nil
}

// uidLine takes the UID from a line, or says why it has none above last.
func uidLine(line string, last mailaccess.UID) (uid mailaccess.UID, rest, reason string) {
	number, rest, found := strings.Cut(line, " ")
	n, err := strconv.ParseUint(number, 10, 32)
	switch {
	case !found || err != nil:
		return 0, "", "no UID"
	case n == 0:
		return 0, "", "UID 0"
	case n == math.MaxUint32:
		return 0, "", "the highest UID of all, after which none would be left"
	case mailaccess.UID(n) <= last:
		return 0, "", "UID not above those before"
	}
	return mailaccess.UID(n), rest, ""
}

// uidEntry reads what follows the UID.
func uidEntry(uid mailaccess.UID, rest, version string) (e UIDEntry, reason string) {
	e = UIDEntry{UID: uid, Size: maildirname.SizeUnknown, Wire: maildirname.SizeUnknown}
	file := strings.TrimLeft(rest, " ")
	if version == "3" {
		for {
			if name, found := strings.CutPrefix(file, ":"); found {
				file = name
				break
			}
			field, more, found := strings.Cut(file, " ")
			if !found {
				return UIDEntry{}, "no file name"
			}
			e.field(field)
			file = strings.TrimLeft(more, " ")
		}
	}
	m, ok := parse(file)
	if !ok {
		return UIDEntry{}, "no name of a message"
	}
	e.Base = m.Base
	if e.Size == maildirname.SizeUnknown {
		e.Size = m.Size
	}
	if e.Wire == maildirname.SizeUnknown {
		e.Wire = m.Wire
	}
	return e, ""
}

// field reads one field, a letter and its value. One that makes no sense is left out.
func (e *UIDEntry) field(field string) {
	key, value := field[:1], field[1:]
	switch key {
	case "S", "W":
		n, err := strconv.ParseUint(value, 10, 63)
		switch {
		case err != nil:
		case key == "S":
			e.Size = int64(n)
		default:
			e.Wire = int64(n)
		}
	case "P":
		if validUIDL(value) {
			e.UIDL = value
		}
	case "O":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			e.Order = uint32(n)
		}
	case "G":
		if len(value) <= maildirname.MaxDir {
			e.GUID = value
		}
	}
}

// guid returns s if it is a GUID as Dovecot gives mailboxes.
func guid(s string) string {
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}
