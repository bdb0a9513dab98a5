package maildir

import (
	"strconv"
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

func appendID(b []byte, letter byte, tag string, n uint32) []byte {
	b = append(append(b, letter), tag...)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(n), 36)
}

// emailNumber returns the number in an id, 0 if it is none of this account's.
func (a *account) emailNumber(id mailaccess.EmailID) uint32 {
	digits, ok := strings.CutPrefix(string(id), "M"+a.Tag+"-")
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(digits, 36, 32)
	if err != nil || string(a.emailID(uint32(n))) != string(id) {
		return 0
	}
	return uint32(n)
}

// idBuffer holds the ids of a batch of rows in one string.
type idBuffer struct {
	text []byte
	all  string
	ends []int // of the EmailID and the ThreadID of each row, in turn
}

// ids fills buf with the ids of rows.
func (a *account) ids(rows []index.Row, buf *idBuffer) {
	buf.text, buf.ends = buf.text[:0], buf.ends[:0]
	for i := range rows {
		if rows[i].Email != 0 {
			buf.text = appendID(buf.text, 'M', a.Tag, rows[i].Email)
		}
		buf.ends = append(buf.ends, len(buf.text))
		if rows[i].Thread != 0 {
			buf.text = appendID(buf.text, 'T', a.Tag, rows[i].Thread)
		}
		buf.ends = append(buf.ends, len(buf.text))
	}
	buf.all = string(buf.text)
}

// message makes row number i a message.
func (buf *idBuffer) message(i int, row *index.Row) mailaccess.Message {
	start := 0
	if i > 0 {
		start = buf.ends[2*i-1]
	}
	return mailaccess.Message{
		UID: row.UID, ModSeq: row.ModSeq, Created: row.Created, Flags: row.Flags, Size: row.Size,
		Received: row.Received, Saved: row.Saved,
		EmailID:  mailaccess.EmailID(buf.all[start:buf.ends[2*i]]),
		ThreadID: mailaccess.ThreadID(buf.all[buf.ends[2*i]:buf.ends[2*i+1]]),
	}
}

func (a *account) message(row index.Row) mailaccess.Message {
	var buf idBuffer
	a.ids([]index.Row{row}, &buf)
	return buf.message(0, &row)
}
