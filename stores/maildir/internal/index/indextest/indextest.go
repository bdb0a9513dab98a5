// Package indextest makes large indexes for tests and benchmarks.
package indextest

import (
	"strconv"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Build writes the index of a mailbox with n messages, numbers up to ModSeq, and position
// 1 of the log. One in ten UIDs is not there, one in ten messages is unseen, one in
// twenty has a keyword. [Row] and [Name] say what each is.
func Build(dir fsys.Dir, id string, n int) error {
	m := index.New(dir, id, nil)
	m.SetCreated(1)
	// In portions, or what has no checkpoint yet would take most of the memory.
	const portion = 50_000
	rows, names := make([]index.Row, 0, portion), make([]index.FileName, 0, portion)
	for i := range n {
		rows, names = append(rows, Row(i)), append(names, Name(i))
		if len(rows) < portion && i < n-1 {
			continue
		}
		m.Arrive(rows, names)
		c := m.Capture(1)
		err := c.Write()
		if m.Done(c, err); err != nil {
			return err
		}
		rows, names = rows[:0], names[:0]
	}
	m.Unload()
	return nil
}

// Row is message number i, from 0.
func Row(i int) index.Row {
	r := index.Row{
		UID:      mailaccess.UID(i + i/9 + 1),
		ModSeq:   mailaccess.ModSeq(2 + i/8),
		Size:     int64(2000 + i%50_000),
		Received: time.Unix(1_600_000_000+int64(i)*60, 0).UTC(),
		Saved:    time.Unix(1_600_000_000+int64(i)*60, 0).UTC(),
		Email:    uint32(i + 1),
		Thread:   uint32(i/4 + 1),
	}
	r.Created = r.ModSeq
	if i%10 != 3 {
		r.Flags.System = mailaccess.FlagSeen
	}
	if i%20 == 7 {
		r.Flags.Keywords, _ = mailaccess.NewKeywords("$NotJunk")
	}
	return r
}

// Name is the name of its file.
func Name(i int) index.FileName {
	r := Row(i)
	b := strconv.AppendInt(make([]byte, 0, 64), r.Received.Unix(), 10)
	b = append(b, ".M"...)
	b = strconv.AppendInt(b, int64(i)*7919%1_000_000, 10)
	b = append(b, "P4242Q"...)
	b = strconv.AppendInt(b, int64(i), 10)
	b = append(b, ".mail.example.org,S="...)
	b = strconv.AppendInt(b, r.Size, 10)
	name := index.FileName{Base: string(b), Suffix: ":2,S", Place: index.PlaceCur}
	if !r.Flags.System.Has(mailaccess.FlagSeen) {
		name.Suffix = ":2,"
	}
	return name
}
