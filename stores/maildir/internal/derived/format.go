package derived

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A slot has, from the top, 17 bits of the number of the segment, 26 of the offset in it
// and 21 of the length of the value.
type slot uint64

const (
	slotSize   = 8
	lengthBits = 21
	offsetBits = 26
	numberBits = 64 - offsetBits - lengthBits
)

// All lengths up to MaxDerived have to fit, and all offsets in a segment.
var (
	_ [1<<lengthBits - 1 - mailaccess.MaxDerived]struct{}
	_ [1<<offsetBits - maxSegment - batchSize - recordHead - mailaccess.MaxDerived]struct{}
)

func newSlot(number uint32, off int64, n int) slot {
	return slot(number)<<(offsetBits+lengthBits) | slot(off)<<lengthBits | slot(n)
}

func (s slot) number() uint32 { return uint32(s >> (offsetBits + lengthBits)) } // its lower bits
func (s slot) off() int64     { return int64(s >> lengthBits & (1<<offsetBits - 1)) }
func (s slot) length() int    { return int(s & (1<<lengthBits - 1)) }

// size is that of the record.
func (s slot) size() int { return recordHead + s.length() }

// end is where the record ends.
func (s slot) end() int64 { return s.off() + int64(s.size()) }

// A record is the CRC-32C of epoch, kind and what follows; number of the content and length
// of the value, of 4 octets each; the value.
const recordHead = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func seed(kind mailaccess.DerivedKind, epoch uint64) uint32 {
	return crc32.Checksum(append(binary.LittleEndian.AppendUint64(nil, epoch), kind...), castagnoli)
}

func appendRecord(b []byte, seed, email uint32, value []byte) []byte {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, email)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	b = append(b, value...)
	binary.LittleEndian.PutUint32(b[at:], crc32.Update(seed, castagnoli, b[at+4:]))
	return b
}

// recordValue returns the value of the record that is b, if it is the one looked for.
func recordValue(b []byte, seed, email uint32) ([]byte, bool) {
	if len(b) < recordHead ||
		binary.LittleEndian.Uint32(b[4:]) != email ||
		binary.LittleEndian.Uint32(b[8:]) != uint32(len(b)-recordHead) ||
		binary.LittleEndian.Uint32(b) != crc32.Update(seed, castagnoli, b[4:]) {
		return nil, false
	}
	return b[recordHead:len(b):len(b)], true
}

const (
	tableSuffix   = ".slots"
	segmentSuffix = ".values"
)

func tableName(kind mailaccess.DerivedKind) string {
	return strings.ReplaceAll(string(kind), "/", "+") + tableSuffix
}

func tableKind(name string) (mailaccess.DerivedKind, bool) {
	name, ok := strings.CutSuffix(name, tableSuffix)
	kind := mailaccess.DerivedKind(strings.ReplaceAll(name, "+", "/"))
	return kind, ok && !strings.Contains(name, "/") && kind.Valid()
}

func segmentName(number uint32) string {
	const digits = "00000000"
	s := strconv.FormatUint(uint64(number), 16)
	return digits[len(s):] + s + segmentSuffix
}

// segmentNumber passes over numbers so high that there might be none left above them: no
// cache counts so far.
func segmentNumber(name string) (uint32, bool) {
	hex, ok := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(hex, 16, 30)
	return uint32(n), ok && err == nil && segmentName(uint32(n)) == name
}
