package maildir

import (
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
const (
	digits     = "0123456789abcdefghijklmnopqrstuv"
	digitCount = 7
)

func appendID(b []byte, letter byte, tag string, n uint32) []byte {
	b = append(append(append(b, letter), tag...), "-0000000"...)
	putDigits(b[len(b)-digitCount:], n)
	return b
}

// putDigits writes n over the digits that b is.
func putDigits(b []byte, n uint32) {
	_ = b[digitCount-1]
	b[0], b[1], b[2], b[3] = digits[n>>30], digits[n>>25&31], digits[n>>20&31], digits[n>>15&31]
	b[4], b[5], b[6] = digits[n>>10&31], digits[n>>5&31], digits[n&31]
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

// idBuffer holds the ids of a batch of rows in one string: the EmailID and the ThreadID of
// each in turn, all of one length.
type idBuffer struct {
	text []byte
	all  string
	size int // of an id
}

// ids fills buf with the ids of rows. What is no id is passed over by fill.
func (a *account) ids(rows []index.Row, buf *idBuffer) {
	buf.size = 1 + len(a.Tag) + 1 + digitCount
	// Between one batch and the next only digits change.
	for len(buf.text) < 2*buf.size*len(rows) {
		buf.text = appendID(appendID(buf.text, 'M', a.Tag, 0), 'T', a.Tag, 0)
	}
	b := buf.text[:2*buf.size*len(rows)]
	at := buf.size - digitCount
	for i := range rows {
		putDigits(b[at:at+digitCount], rows[i].Email)
		at += buf.size
		putDigits(b[at:at+digitCount], rows[i].Thread)
		at += buf.size
	}
	buf.all = string(b)
}

// fill makes m the message of row number i. It sets all fields: a listing has one m.
func (buf *idBuffer) fill(m *mailaccess.Message, i int, row *index.Row) {
	m.UID, m.ModSeq, m.Created = row.UID, row.ModSeq, row.Created
	m.Flags, m.Size, m.Received, m.Saved = row.Flags, row.Size, row.Received, row.Saved
	m.EmailID, m.ThreadID = "", ""
	at := 2 * i * buf.size
	if row.Email != 0 {
		m.EmailID = mailaccess.EmailID(buf.all[at : at+buf.size])
	}
	if row.Thread != 0 {
		m.ThreadID = mailaccess.ThreadID(buf.all[at+buf.size : at+2*buf.size])
	}
}

func (a *account) message(row index.Row) (m mailaccess.Message) {
	var buf idBuffer
	a.ids([]index.Row{row}, &buf)
	buf.fill(&m, 0, &row)
	return m
}
