package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// The header of a segment, little-endian: magic (8 octets), version (uint32), zero
// (uint32), id of the log, position of the first record, end of the segment before
// (0: there was none) (uint64 each), zero (20 octets), CRC-32C of all before (uint32).
const (
	segmentHeader = 64
	magic         = "mclog\r\n\x1a"
	version       = 1
)

type header struct {
	id    uint64
	first Pos
	prev  Pos
}

func (h header) encode() []byte {
	b := make([]byte, segmentHeader)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], h.id)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.prev))
	binary.LittleEndian.PutUint32(b[60:], checksum(b[:60]))
	return b
}

// decodeHeader reads the header of the segment of that number.
func decodeHeader(b []byte, number uint32) (header, error) {
	if len(b) < segmentHeader || string(b[:8]) != magic {
		return header{}, errors.New("no header of a segment")
	}
	if checksum(b[:60]) != binary.LittleEndian.Uint32(b[60:]) {
		return header{}, errors.New("header damaged")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return header{}, fmt.Errorf("%w %d", ErrVersion, v)
	}
	h := header{
		id:    binary.LittleEndian.Uint64(b[16:]),
		first: Pos(binary.LittleEndian.Uint64(b[24:])),
		prev:  Pos(binary.LittleEndian.Uint64(b[32:])),
	}
	if h.first != position(number, segmentHeader) {
		return header{}, fmt.Errorf("header is that of segment %d", h.first.segment())
	}
	if h.prev != 0 && (h.prev.segment() != number-1 || h.prev.offset() < segmentHeader) {
		return header{}, fmt.Errorf("header says that the segment before ends at %v", h.prev)
	}
	return h, nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func segmentName(number uint32) string { return fmt.Sprintf("%010d.log", number) }

// segmentNumber returns 0 for the name of anything else.
func segmentNumber(name string) uint32 {
	var n uint32
	if _, err := fmt.Sscanf(name, "%d.log", &n); err != nil || segmentName(n) != name {
		return 0
	}
	return n
}

// begin makes the segment behind the last one, durably. What a failed attempt left
// there has never held a record. The caller is busy, the last segment takes no more
// records, and mu is not held.
func (l *Log) begin() (fsys.File, error) {
	if l.number == math.MaxUint32 {
		return nil, errors.New("all segment numbers are used up")
	}
	h := header{id: l.id, first: position(l.number+1, segmentHeader)}
	if l.number > 0 {
		h.prev = position(l.number, l.end)
	}
	name := segmentName(l.number + 1)
	f, err := l.dir.Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err = l.dir.Remove(name); err == nil {
			f, err = l.dir.Create(name)
		}
	}
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(h.encode(), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = l.dir.Sync()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// begun makes f, which begin has made, the last segment. mu is held.
func (l *Log) begun(f fsys.File) {
	if l.number > 0 {
		l.old = append(l.old, extent{l.number, l.end})
	}
	l.number++
	l.file, l.sealed = f, false
	l.end, l.synced, l.told = segmentHeader, segmentHeader, 0
}
