package takeover

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/lines"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// validUIDL reports whether s can be a unique-id (RFC 1939, section 7).
func validUIDL(s string) bool {
	return s != "" && len(s) <= 70 && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e })
}

// DovecotUIDL returns the UIDL that Dovecot gives a message by default (its setting
// pop3_uidl_format is "%08Xu%08Xv"): saved, the UIDL in its list of UIDs, when there is
// one, else UID and UIDVALIDITY in eight hexadecimal digits each.
func DovecotUIDL(uid mailaccess.UID, validity uint32, saved string) string {
	if saved != "" {
		return saved
	}
	return fmt.Sprintf("%08x%08x", uint32(uid), validity)
}

// CourierUIDL returns the UIDL that Courier makes of the numbers that its POP3 server
// gave a message, which are not those of IMAP: "UID7-1276528487", or "UID7" without a
// validity.
func CourierUIDL(n, validity uint64) string {
	if validity == 0 {
		return fmt.Sprintf("UID%d", n)
	}
	return fmt.Sprintf("UID%d-%d", n, validity)
}

// CourierFileUIDL returns the UIDL that old versions of Courier gave a message, and
// later ones keep: what identifies its file, with a plus sign and two hexadecimal
// digits for octets that could be misunderstood. It may be longer than the 70 octets
// that RFC 1939, section 7 allows.
func CourierFileUIDL(base string) string {
	var b strings.Builder
	for i := range len(base) {
		if c := base[i]; c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// POP3Entry is a message in Courier's list for POP3.
type POP3Entry struct {
	// Base identifies its file: [maildirname.Message.Base].
	Base string
	// UIDL is what its clients got.
	UIDL string
	// Wire is the size that they got, in octets, or [maildirname.SizeUnknown].
	Wire int64
}

// ReadCourierPOP3 reads courierpop3dsizelist and calls each for every message:
//
//	/3 next-number validity
//	filename size number:validity:utf8
//
// In version 2 there is no utf8, in version 1 a number alone, and the oldest has no
// header and no number. The file's name may have spaces. Lines that make no sense are
// left out. An unknown version is KindUnsupported. An error of r or of each ends reading.
func ReadCourierPOP3(r io.Reader, each func(POP3Entry) error) (Report, error) {
	var report Report
	in := lines.NewReader(r, maxLine)
	numbered := false
	for b, ok := in.Next(); ok; b, ok = in.Next() {
		line := string(b)
		if header, found := strings.CutPrefix(line, "/"); found && in.Number() == 1 {
			version, _, _ := strings.Cut(header, " ")
			if version != "1" && version != "2" && version != "3" {
				return Report{}, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "read POP3 list", Err: fmt.Errorf("version %q", version)}
			}
			numbered = true
			continue
		}
		e, ok := pop3Entry(line, numbered)
		if !ok || in.Partial() {
			report.skip(in.Number(), "no message, size and number")
			continue
		}
		if err := each(e); err != nil {
			return report, err
		}
	}
	report.long(in.Long())
	return report, in.Err()
}

// pop3Entry reads a line, from its end.
func pop3Entry(line string, numbered bool) (e POP3Entry, ok bool) {
	var n, validity uint64
	if numbered {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 {
			return POP3Entry{}, false
		}
		numbers := strings.Split(line[i+1:], ":")
		var err error
		if n, err = strconv.ParseUint(numbers[0], 10, 64); err != nil {
			return POP3Entry{}, false
		}
		if len(numbers) > 1 {
			if validity, err = strconv.ParseUint(numbers[1], 10, 64); err != nil {
				return POP3Entry{}, false
			}
		}
		line = line[:i]
	}
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return POP3Entry{}, false
	}
	m, ok := parse(line[:i])
	if !ok {
		return POP3Entry{}, false
	}
	e.Base, e.Wire = m.Base, maildirname.SizeUnknown
	if size, err := strconv.ParseUint(line[i+1:], 10, 63); err == nil {
		e.Wire = int64(size)
	}
	if n == 0 {
		e.UIDL = CourierFileUIDL(e.Base)
	} else {
		e.UIDL = CourierUIDL(n, validity)
	}
	return e, true
}
