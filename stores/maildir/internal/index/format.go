package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/hashmail/mailaccess/mailaccess"
)

// The files. Numbers are little-endian; sums are CRC-32C.
//
// ID.rows.G is records of 72 octets, found by their number, the slot:
//
//	 0  sum of all that follows and of the slot
//	 4  UID                   8  number of the last change   16  number of the arrival
//	24  received, packTime   32  size, or -1                 40  saved
//	44  email                48  thread                      52  hash of the base name
//	56  base name            60  suffix                      64  keywords
//	68  system flags         69  place, or recordGone        70  0
//
// Of a message that is gone a record has UID, numbers (the first is that of the removal),
// email and thread. Which messages there are is said by the head: a record of another one counts
// for nothing.
//
// ID.names.G is strings, which records name by where they begin, divided by four; 0
// is the empty string:
//
//	0  sum of all that follows    4  length    8  the string, and zeros up to a multiple of 4
//
// ID.head is headMagic, a format version, numbers as varints, and a sum.
const (
	recordSize = 72
	recordGone = 0xff

	stringHeader = 8
	namesStart   = 8 // offset 0 is no string: the file begins with namesMagic
	namesMagic   = "mxnames\x01"

	headMagic   = "mxhead\r\n"
	headVersion = 1
)

func headName(id string) string { return id + ".head" }
func tempName(id string) string { return id + ".head.new" }

func rowsName(id string, gen uint64) string  { return id + ".rows." + strconv.FormatUint(gen, 10) }
func namesName(id string, gen uint64) string { return id + ".names." + strconv.FormatUint(gen, 10) }

// extent is how much of the files counts. Generation 0 has no files.
type extent struct {
	gen   uint64
	slots uint32
	names int64 // octets
}

// record is a row in the rows file.
type record struct {
	cell
	bytes                  int64 // the size
	base, suffix, keywords uint32
	place                  uint8
}

func (r *record) gone() bool { return r.place == recordGone }

func (r *record) encode(b []byte, slot uint32) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], uint32(r.uid))
	le.PutUint64(b[8:], uint64(r.modseq))
	le.PutUint64(b[16:], uint64(r.created))
	le.PutUint64(b[24:], uint64(r.received))
	le.PutUint64(b[32:], uint64(r.bytes))
	le.PutUint32(b[40:], r.saved)
	le.PutUint32(b[44:], r.email)
	le.PutUint32(b[48:], r.thread)
	le.PutUint32(b[52:], r.hash)
	le.PutUint32(b[56:], r.base)
	le.PutUint32(b[60:], r.suffix)
	le.PutUint32(b[64:], r.keywords)
	b[68], b[69], b[70], b[71] = byte(r.system), r.place, 0, 0
	le.PutUint32(b, recordSum(b, slot))
}

// decode reads a record and reports whether it is whole and that of slot.
func (r *record) decode(b []byte, slot uint32) bool {
	le := binary.LittleEndian
	if le.Uint32(b) != recordSum(b, slot) {
		return false
	}
	r.uid = mailaccess.UID(le.Uint32(b[4:]))
	r.modseq = mailaccess.ModSeq(le.Uint64(b[8:]))
	r.created = mailaccess.ModSeq(le.Uint64(b[16:]))
	r.received = int64(le.Uint64(b[24:]))
	r.bytes = int64(le.Uint64(b[32:]))
	r.saved = le.Uint32(b[40:])
	r.email = le.Uint32(b[44:])
	r.thread = le.Uint32(b[48:])
	r.hash = le.Uint32(b[52:])
	r.base, r.suffix, r.keywords = le.Uint32(b[56:]), le.Uint32(b[60:]), le.Uint32(b[64:])
	r.system, r.place = mailaccess.SystemFlags(b[68]), b[69]
	r.slot = slot
	return r.uid != 0 && (r.gone() || r.place <= uint8(PlaceCur))
}

// recordSum mixes the slot in by addition: the sum of a record that is right but at
// the wrong place differs.
func recordSum(b []byte, slot uint32) uint32 {
	return crc32.Checksum(b[4:recordSize], castagnoli()) + slot*0x9e3779b1
}

// appendString appends s as the names file has it, from an offset that is a multiple
// of 4 to the next.
func appendString(b []byte, s string) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	b = append(b, s...)
	binary.LittleEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli()))
	for len(b)&3 != 0 {
		b = append(b, 0)
	}
	return b
}

// head is what a mailbox is without its rows.
type head struct {
	modseq, created, changed mailaccess.ModSeq
	uidNext, recent          mailaccess.UID
	floor                    mailaccess.ModSeq
	logPos                   uint64
	curTime, newTime         int64
	size                     int64 // of those that have one
	unknown                  int   // how many have none
	gone                     int   // how many removals after floor are in the rows file
	keywords                 mailaccess.Keywords
	disk                     extent
	meta                     []byte
	uids, unseen, trashed    mailaccess.UIDSet
}

// Counts are how many messages there are, of all, without \Seen and with \Deleted.
type Counts struct {
	Messages, Unseen, Trashed int
	FirstUnseen               mailaccess.UID // 0: none
}

func (h *head) counts() Counts {
	return Counts{h.uids.Len(), h.unseen.Len(), h.trashed.Len(), h.unseen.Min()}
}

// maxMeta is the longest head.meta, in octets.
const maxMeta = 64 << 10

func appendHead(b []byte, id string, h *head) (enc []byte, runs int) {
	b = append(b, headMagic...)
	b = append(b, headVersion)
	b = appendText(b, id)
	for _, n := range []uint64{
		uint64(h.modseq), uint64(h.created), uint64(h.changed), uint64(h.uidNext), uint64(h.recent),
		uint64(h.floor), h.logPos, uint64(h.curTime), uint64(h.newTime), uint64(h.size),
		uint64(h.unknown), uint64(h.gone), h.disk.gen, uint64(h.disk.slots), uint64(h.disk.names),
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(b, h.keywords.String())
	b = appendText(b, string(h.meta))
	n := h.counts()
	for _, n := range []int{n.Messages, n.Unseen, n.Trashed, int(n.FirstUnseen)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, s := range []mailaccess.UIDSet{h.uids, h.unseen, h.trashed} {
		var n int
		b, n = appendSet(b, s)
		runs += n
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli())), runs
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendSet writes the runs, each as the distance from the one before and its length,
// and a distance of 0.
func appendSet(b []byte, s mailaccess.UIDSet) (enc []byte, runs int) {
	last := mailaccess.UID(0)
	for r := range s.Ranges() {
		b = binary.AppendUvarint(b, uint64(r.First-last))
		b = binary.AppendUvarint(b, uint64(r.Last-r.First))
		last = r.Last
		runs++
	}
	return append(b, 0), runs
}

var errShort = errors.New("it ends too early")

// decoder reads what the functions above wrote. After the first error it yields zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.b, d.err = nil, err
	}
}

func (d *decoder) uint(most uint64) uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail(errShort)
		return 0
	}
	if n > most {
		d.fail(fmt.Errorf("%d where at most %d can be", n, most))
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errShort)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// text reads a string of at most most octets, which shares memory with what is decoded.
func (d *decoder) text(most int) []byte {
	n := int(d.uint(uint64(most)))
	if n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) set() (s mailaccess.UIDSet, runs int) {
	var set mailaccess.UIDSetBuilder
	last := uint64(0)
	for {
		gap := d.uint(1<<32 - 1)
		if gap == 0 {
			return set.Set(), runs
		}
		first := last + gap
		last = first + d.uint(1<<32-1)
		if last >= 1<<32 || runs > 0 && gap == 1 {
			d.fail(errors.New("no set of UIDs"))
			return mailaccess.UIDSet{}, 0
		}
		set.AddRange(mailaccess.UID(first), mailaccess.UID(last))
		runs++
	}
}

// decodeHead reads a head but for its sets, which are what is left of b.
func decodeHead(b []byte, id string) (h head, n Counts, sets []byte, err error) {
	const prefix = len(headMagic) + 1
	if len(b) < prefix+4 || string(b[:len(headMagic)]) != headMagic {
		return h, n, nil, errors.New("it is no head")
	}
	if v := b[prefix-1]; v != headVersion {
		return h, n, nil, fmt.Errorf("it has version %d of the format, not %d", v, headVersion)
	}
	end := len(b) - 4
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli()) {
		return h, n, nil, errors.New("its sum is wrong")
	}
	d := decoder{b: b[prefix:end]}
	if have := d.text(255); d.err == nil && string(have) != id {
		return h, n, nil, fmt.Errorf("it is that of %q", have)
	}
	const any = 1<<64 - 1
	modseq := func() mailaccess.ModSeq { return mailaccess.ModSeq(d.uint(uint64(mailaccess.MaxModSeq))) }
	uid := func() mailaccess.UID { return mailaccess.UID(d.uint(1<<32 - 1)) }
	count := func() int { return int(d.uint(1<<32 - 1)) }
	h.modseq, h.created, h.changed = modseq(), modseq(), modseq()
	h.uidNext, h.recent = uid(), uid()
	h.floor, h.logPos = modseq(), d.uint(any)
	h.curTime, h.newTime = int64(d.uint(any)), int64(d.uint(any))
	h.size, h.unknown, h.gone = int64(d.uint(any)), count(), count()
	h.disk.gen, h.disk.slots, h.disk.names = d.uint(any), uint32(d.uint(noSlot)), int64(d.uint(1<<63-1))
	words, err := parseKeywords(string(d.text(len(b))))
	if err != nil {
		d.fail(err)
	}
	h.keywords = words
	h.meta = append([]byte(nil), d.text(maxMeta)...)
	n = Counts{count(), count(), count(), uid()}
	if d.err == nil {
		d.err = h.check(n)
	}
	return h, n, d.b, d.err
}

// check reports what cannot be.
func (h *head) check(n Counts) error {
	switch {
	case h.uidNext == 0:
		return errors.New("UIDNEXT is 0")
	case max(n.Unseen, n.Trashed, h.unknown) > n.Messages || uint64(n.Messages)+uint64(h.gone) > uint64(h.disk.slots):
		return errors.New("its counts do not agree")
	case max(h.created, h.changed, h.floor) > h.modseq:
		return errors.New("a number is above the highest one")
	case h.disk.gen == 0 && h.disk.slots > 0:
		return errors.New("it has rows and no file of them")
	}
	return nil
}

// decodeSets reads the sets of a head, whose counts they must have.
func (h *head) decodeSets(b []byte, n Counts) (runs int, err error) {
	d := decoder{b: b}
	for _, s := range []*mailaccess.UIDSet{&h.uids, &h.unseen, &h.trashed} {
		var k int
		*s, k = d.set()
		runs += k
	}
	switch {
	case d.err != nil:
	case len(d.b) > 0:
		d.err = errors.New("something follows its sets")
	case h.counts() != n:
		d.err = errors.New("its sets and its counts do not agree")
	case h.uids.Max() >= h.uidNext:
		d.err = errors.New("a UID is not below UIDNEXT")
	case !h.unseen.Minus(h.uids).IsEmpty() || !h.trashed.Minus(h.uids).IsEmpty():
		d.err = errors.New("it counts messages that are not there")
	}
	return runs, d.err
}
