package index

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// Whatever the files hold, with sums that are right: opening and reading them ends, and
// says ErrCorrupt or yields what it yields.
func FuzzFiles(f *testing.F) {
	d := memfs.New(nil).Root()
	m, w := New(d, "box", nil), newModel(defaultHistory)
	play(m, w, script())
	if err := checkpoint(m, 1); err != nil {
		f.Fatal(err)
	}
	var seed [3][]byte
	for i, name := range []string{headName("box"), rowsName("box", 1), namesName("box", 1)} {
		b, err := readAll(d, name)
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = b
	}
	f.Add(seed[0], seed[1], seed[2])
	f.Fuzz(func(t *testing.T, head, rows, names []byte) {
		if len(head) >= 4 {
			sum := crc32.Checksum(head[:len(head)-4], castagnoli())
			binary.LittleEndian.PutUint32(head[len(head)-4:], sum)
		}
		for i := 0; (i+1)*recordSize <= len(rows); i++ {
			b := rows[i*recordSize:][:recordSize]
			binary.LittleEndian.PutUint32(b, recordSum(b, uint32(i)))
		}
		d := memfs.New(nil).Root()
		write(t, d, headName("box"), head)
		write(t, d, rowsName("box", 1), rows)
		write(t, d, namesName("box", 1), names)
		if err := readAnything(d); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func readAnything(d fsys.Dir) error {
	m, err := Open(d, "box", nil)
	if err != nil {
		return err
	}
	defer m.Release()
	m.UIDs()
	if err := m.Load(); err != nil {
		return err
	}
	buf := make([]Row, 8)
	for n := m.Next(1, m.UIDs(), 0, buf); n > 0; n = m.Next(buf[n-1].UID+1, m.UIDs(), 0, buf) {
		for _, r := range buf[:n] {
			if _, err := m.FileName(r.UID); err != nil {
				return err
			}
		}
	}
	return checkpoint(m, 2)
}
