package hooks

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// encoder appends values to its bytes: numbers as varints, strings with their
// length before them.
type encoder []byte

func (e *encoder) uint(v uint64)   { *e = binary.AppendUvarint(*e, v) }
func (e *encoder) int(v int64)     { *e = binary.AppendVarint(*e, v) }
func (e *encoder) string(s string) { e.uint(uint64(len(s))); *e = append(*e, s...) }

// decoder takes values off its bytes. After the first that is not there, all are
// zero and err is set.
type decoder struct {
	b   []byte
	err error
}

var errState = errors.New("the sync state has what it cannot have")

func (d *decoder) bad() { d.b, d.err = nil, errState }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad()
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) string() string { return string(d.take(d.uint())) }

func encodeHead(h *accountHead) []byte {
	var e encoder
	e.string(h.epoch)
	e.string(h.tag)
	e.uint(uint64(h.modseq))
	e.uint(uint64(h.uidValidity))
	e.uint(h.lastBox)
	e.uint(h.lastEmail)
	e.uint(uint64(h.floor))
	e.uint(uint64(h.subscribedAt))
	return e
}

func decodeHead(b []byte) (h accountHead, err error) {
	d := decoder{b: b}
	h.epoch = d.string()
	h.tag = d.string()
	h.modseq = mailaccess.ModSeq(d.uint())
	h.uidValidity = uint32(d.uint())
	h.lastBox = d.uint()
	h.lastEmail = d.uint()
	h.floor = mailaccess.ModSeq(d.uint())
	h.subscribedAt = mailaccess.ModSeq(d.uint())
	return h, d.err
}

func encodeBox(h *boxHead) []byte {
	var e encoder
	e.string(h.Name)
	e.uint(uint64(h.UIDValidity))
	e.uint(uint64(h.Use))
	e.uint(uint64(h.Created))
	e.uint(uint64(h.Changed))
	e.string(h.appName)
	e.string(h.appKey)
	e.string(h.version)
	e.uint(uint64(h.modseq))
	e.uint(uint64(h.uidNext))
	e.uint(uint64(h.recent))
	e.uint(uint64(h.floor))
	return e
}

func decodeBox(id string, b []byte) (h boxHead, err error) {
	d := decoder{b: b}
	h.ID = mailaccess.MailboxID(id)
	h.Name = d.string()
	h.UIDValidity = uint32(d.uint())
	h.Use = mailaccess.SpecialUse(d.uint())
	h.Created = mailaccess.ModSeq(d.uint())
	h.Changed = mailaccess.ModSeq(d.uint())
	h.appName = d.string()
	h.appKey = d.string()
	h.version = d.string()
	h.modseq = mailaccess.ModSeq(d.uint())
	h.uidNext = mailaccess.UID(d.uint())
	h.recent = mailaccess.UID(d.uint())
	h.floor = mailaccess.ModSeq(d.uint())
	return h, d.err
}

// encodeEntry is called with the account's lock held.
func encodeEntry(x *entry) []byte {
	e := make(encoder, 0, 128)
	e.uint(uint64(x.modseq))
	e.uint(uint64(x.created))
	e.uint(uint64(x.flags.System))
	e.string(x.flags.Keywords.String())
	_, offset := x.received.Zone()
	e.int(x.received.Unix())
	e.int(int64(offset))
	e.int(x.saved.Unix())
	e.string(x.key)
	e.string(x.revision)
	e.int(x.claimed)
	c := x.content
	e.string(string(c.id))
	e.int(c.size)
	if c.measured {
		e = append(e, c.sum[:]...)
	}
	return e
}

// entryDecoder makes entries. Entries share contents, and whatever else can be
// shared.
type entryDecoder struct {
	contents map[mailaccess.EmailID]*content
	keywords map[string]mailaccess.Keywords
	zones    map[int64]*time.Location
}

func (x *entryDecoder) decode(uid mailaccess.UID, b []byte) (*entry, error) {
	d := decoder{b: b}
	e := &entry{uid: uid}
	e.modseq = mailaccess.ModSeq(d.uint())
	e.created = mailaccess.ModSeq(d.uint())
	e.flags.System = mailaccess.SystemFlags(d.uint())
	e.flags.Keywords = x.words(&d)
	received, offset := d.int(), d.int()
	e.received = time.Unix(received, 0).In(x.zone(offset))
	e.saved = time.Unix(d.int(), 0).UTC()
	e.key = d.string()
	e.revision = d.string()
	e.claimed = d.int()
	id := mailaccess.EmailID(d.string())
	size := d.int()
	if d.err != nil {
		return nil, d.err
	}
	c := x.contents[id]
	if c == nil {
		c = &content{id: id, size: size}
		x.contents[id] = c
	}
	switch len(d.b) {
	case 0:
	case len(c.sum):
		c.size, c.measured = size, true
		copy(c.sum[:], d.b)
	default:
		return nil, errState
	}
	e.content = c
	return e, nil
}

func (x *entryDecoder) words(d *decoder) mailaccess.Keywords {
	b := d.take(d.uint())
	if len(b) == 0 {
		return mailaccess.Keywords{}
	}
	k, known := x.keywords[string(b)]
	if !known {
		var err error
		if k, err = mailaccess.NewKeywords(strings.Fields(string(b))...); err != nil {
			d.bad()
		}
		x.keywords[string(b)] = k
	}
	return k
}

func (x *entryDecoder) zone(offset int64) *time.Location {
	if offset == 0 {
		return time.UTC
	}
	z := x.zones[offset]
	if z == nil {
		z = time.FixedZone("", int(offset))
		x.zones[offset] = z
	}
	return z
}

func encodeVanished(v *mailaccess.Vanished) []byte {
	var e encoder
	e.uint(uint64(v.Created))
	e.string(string(v.EmailID))
	return e
}

// numberKey is a number, and a UID if it is not 0, so that keys ascend as they do.
func numberKey(n mailaccess.ModSeq, uid mailaccess.UID) []byte {
	k := binary.BigEndian.AppendUint64(nil, uint64(n))
	if uid != 0 {
		k = binary.BigEndian.AppendUint32(k, uint32(uid))
	}
	return k
}

func uidKey(u mailaccess.UID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(u)) }
