package commitlog

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// frameHeader is what precedes the payload of a record (see the package comment).
const frameHeader = 16

// encoder makes frames, in one buffer that it keeps.
type encoder struct {
	sum sum
	buf []byte
}

// frame is valid until the next call.
func (e *encoder) frame(pos Pos, synced int64, payload []byte) []byte {
	b := e.buf[:0]
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, uint32(synced))
	head := e.sum.head(pos, b)
	b = binary.LittleEndian.AppendUint32(b, head)
	b = binary.LittleEndian.AppendUint32(b, e.sum.body(head, payload))
	b = append(b, payload...)
	if e.buf = b; cap(b) > keepBuffer {
		e.buf = nil
	}
	return b
}

// sum computes the checks of records.
type sum struct {
	table *crc32.Table
	log   uint32 // of the log's id
	pos   [8]byte
}

func newSum(id uint64) sum {
	s := sum{table: crc32.MakeTable(crc32.Castagnoli)}
	s.log = crc32.Checksum(binary.LittleEndian.AppendUint64(nil, id), s.table)
	return s
}

// head is over the first 8 octets of the frame.
func (s *sum) head(pos Pos, b []byte) uint32 {
	binary.LittleEndian.PutUint64(s.pos[:], uint64(pos))
	return crc32.Update(crc32.Update(s.log, s.table, s.pos[:]), s.table, b[:8])
}

func (s *sum) body(head uint32, payload []byte) uint32 {
	return crc32.Update(head, s.table, payload)
}

// frames reads the frames of one segment, wherever they begin.
type frames struct {
	r      io.ReaderAt
	number uint32
	limit  int64 // nothing behind it is read
	sum    sum

	window []byte // of capacity windowSize
	at     int64  // where the window begins
	long   []byte // a payload for which the window is too small
}

const windowSize = 64 << 10

func (r *frames) reset(file io.ReaderAt, number uint32, limit int64) {
	r.r, r.number, r.limit = file, number, limit
	r.window, r.at = r.window[:0], 0
}

// frame is a record that was read. The payload is valid until the next read.
type frame struct {
	payload []byte
	synced  int64
	next    int64 // where the next frame begins
}

// read returns ok if a whole frame begins at off. An error is one of reading.
func (r *frames) read(off int64) (f frame, ok bool, err error) {
	h, err := r.bytes(off, frameHeader)
	if err != nil || len(h) < frameHeader {
		return frame{}, false, err
	}
	size := int64(binary.LittleEndian.Uint32(h))
	f.synced = int64(binary.LittleEndian.Uint32(h[4:]))
	f.next = off + frameHeader + size
	if size > MaxPayload || f.next > r.limit || f.synced < segmentHeader || f.synced > off {
		return frame{}, false, nil
	}
	head := r.sum.head(position(r.number, off), h)
	if head != binary.LittleEndian.Uint32(h[8:]) {
		return frame{}, false, nil
	}
	body := binary.LittleEndian.Uint32(h[12:])
	f.payload, err = r.bytes(off+frameHeader, int(size))
	if err != nil || int64(len(f.payload)) < size || r.sum.body(head, f.payload) != body {
		return frame{}, false, err
	}
	return f, true, nil
}

// bytes returns n octets from off on, or fewer where the segment ends.
func (r *frames) bytes(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), r.limit-off)))
	if off >= r.at && off+int64(n) <= r.at+int64(len(r.window)) {
		return r.window[off-r.at:][:n], nil
	}
	if n > windowSize {
		if cap(r.long) < n {
			r.long = make([]byte, n)
		}
		return readAt(r.r, r.long[:n], off)
	}
	var err error
	if r.window == nil {
		r.window = make([]byte, windowSize)
	}
	r.at = off
	r.window, err = readAt(r.r, r.window[:min(windowSize, r.limit-off)], off)
	return r.window[:min(n, len(r.window))], err
}

// readAt fills b from r, as far as there is something.
func readAt(r io.ReaderAt, b []byte, off int64) ([]byte, error) {
	n, err := r.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}
