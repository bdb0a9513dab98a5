package maildir

import (
	"slices"
	"sync"

	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

const (
	// maxMeasured is how many contents an account remembers the lines of.
	maxMeasured = 64
	// maxTable is the longest table of lines that is remembered, in octets: that of some
	// 300 MiB. All of them together take 1 MiB.
	maxTable = 16 << 10
)

// measured remembers what was learned of the files that were read last, so that a client that
// reads a large message in pieces has it read once and not from the beginning for each piece.
type measured struct {
	mu   sync.Mutex
	last []measuredFile // the one that was used last comes first
}

type measuredFile struct {
	email uint32
	is    content.Measured
	table []byte
}

// get returns what is known of a content's file, zero when that is nothing or of another file.
func (m *measured) get(email uint32, info fsys.Info) (content.Measured, []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.find(email)
	if i < 0 {
		return content.Measured{}, nil
	}
	f := m.last[i]
	copy(m.last[1:i+1], m.last[:i])
	m.last[0] = f
	if f.is.FileSize != info.Size || f.is.ModTime != info.ModTime.Unix() {
		return content.Measured{}, nil
	}
	return f.is, f.table
}

// put remembers a content's file. No table: the one that is known holds.
func (m *measured) put(email uint32, is content.Measured, table []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := measuredFile{email, is, table}
	if i := m.find(email); i >= 0 {
		if table == nil && m.last[i].is == is {
			f.table = m.last[i].table
		}
		m.last = slices.Delete(m.last, i, i+1)
	} else if len(m.last) == maxMeasured {
		m.last = m.last[:maxMeasured-1]
	}
	if len(f.table) > maxTable {
		f.table = nil
	}
	m.last = slices.Insert(m.last, 0, f)
}

// forget drops what is known of a content's file.
func (m *measured) forget(email uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.find(email); i >= 0 {
		m.last = slices.Delete(m.last, i, i+1)
	}
}

func (m *measured) find(email uint32) int {
	return slices.IndexFunc(m.last, func(f measuredFile) bool { return f.email == email })
}
