package maildir

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// EmailIDs and ThreadIDs are a letter, the tag of the account's epoch and a number: when
// the index was lost numbers begin anew, and so does the tag.

func (a *account) emailID(n uint32) mailaccess.EmailID {
	if n == 0 {
		return ""
	}
	return mailaccess.EmailID(appendID(nil, 'M', a.Tag, n))
}

func (a *account) threadID(n uint32) mailaccess.ThreadID {
	if n == 0 {
		return ""
	}
	return mailaccess.ThreadID(appendID(nil, 'T', a.Tag, n))
}

// digits are those of a number of 32 bits, in base 32: as many always, so that writing and
// finding the ids of a listing costs little.
const digitCount = 8

func appendID(b []byte, letter byte, tag string, n uint32) []byte {
	b = append(append(append(b, letter), tag...), "-00000000"...)
	putDigits(b[len(b)-digitCount:], n)
	return b
}

// putDigits writes n over the digits that b is: 0 to 9 and a to v. It makes all of them at
// once.
func putDigits(b []byte, n uint32) {
	x := uint64(n)
	x = x&0xFFFFF | x>>20<<32                                     // 20 bits in each half
	x = x&0x000003FF000003FF | x&0x000FFC00000FFC00<<6            // 10 in each quarter
	x = x&0x001F001F001F001F | x&0x03E003E003E003E0<<3            // 5 in each octet
	letters := (x + 0x7676767676767676) >> 7 & 0x0101010101010101 // 1 in those above 9
	binary.BigEndian.PutUint64(b, x+0x3030303030303030+letters*('a'-'0'-10))
}

// emailNumber returns the number in an id, 0 if it is none of this account's.
func (a *account) emailNumber(id mailaccess.EmailID) uint32 {
	rest, ok := strings.CutPrefix(string(id), "M")
	if ok {
		rest, ok = strings.CutPrefix(rest, a.Tag)
	}
	if !ok || len(rest) != 1+digitCount || rest[0] != '-' {
		return 0
	}
	var n uint64
	for _, c := range []byte(rest[1:]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'v':
			c -= 'a' - 10
		default:
			return 0
		}
		n = n<<5 | uint64(c)
	}
	if n > math.MaxUint32 {
		return 0
	}
	return uint32(n)
}

// idBuffer holds the ids of a batch of messages in one string: the EmailID and the ThreadID of
// each in turn, all of one length.
type idBuffer struct {
	text []byte
	all  string
	size int // of an id
}

// ids fills buf with the ids of messages. What is no id is passed over by fill.
func (a *account) ids(messages []index.Message, buf *idBuffer) {
	buf.size = 1 + len(a.Tag) + 1 + digitCount
	// Between one batch and the next only digits change.
	for len(buf.text) < 2*buf.size*len(messages) {
		buf.text = appendID(appendID(buf.text, 'M', a.Tag, 0), 'T', a.Tag, 0)
	}
	b := buf.text[:2*buf.size*len(messages)]
	at := buf.size - digitCount
	for i := range messages {
		putDigits(b[at:at+digitCount], messages[i].Email)
		at += buf.size
		putDigits(b[at:at+digitCount], messages[i].Thread)
		at += buf.size
	}
	buf.all = string(b)
}

// fill gives message number i its ids.
func (buf *idBuffer) fill(i int, m *index.Message) {
	m.EmailID, m.ThreadID = "", ""
	at := 2 * i * buf.size
	if m.Email != 0 {
		m.EmailID = mailaccess.EmailID(buf.all[at : at+buf.size])
	}
	if m.Thread != 0 {
		m.ThreadID = mailaccess.ThreadID(buf.all[at+buf.size : at+2*buf.size])
	}
}

func (a *account) message(row index.Row) mailaccess.Message {
	return mailaccess.Message{
		UID: row.UID, ModSeq: row.ModSeq, Created: row.Created, Flags: row.Flags, Size: row.Size,
		Received: row.Received, Saved: row.Saved, EmailID: a.emailID(row.Email), ThreadID: a.threadID(row.Thread),
	}
}
