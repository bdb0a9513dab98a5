package index

import (
	"hash/crc32"
	"math"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// cell is a row in memory: 56 octets, without a pointer, so that the garbage collector
// passes over a mailbox of a million messages.
type cell struct {
	modseq, created mailaccess.ModSeq
	received        int64 // see packTime
	uid             mailaccess.UID
	slot            uint32 // of its record in the rows file, or noSlot
	size            uint32 // or sizeUnknown, or sizeElsewhere
	saved           uint32 // Unix seconds; 0: unknown
	email, thread   uint32
	hash            uint32 // of the base name
	keywords        uint16 // index in the keyword table
	system          mailaccess.SystemFlags
	state           cellState
}

const (
	noSlot = math.MaxUint32

	sizeUnknown   = math.MaxUint32
	sizeElsewhere = math.MaxUint32 - 1 // too large for a cell: in Mailbox.large
)

type cellState uint8

const (
	cellDirty  cellState = 1 << iota // changed since it was captured last
	cellFlying                       // captured by a checkpoint that is not done
	cellNamed                        // its name changed since it was captured last
)

// hashOf is by which base names are found. It is not meant to withstand an
// attacker: who may choose names of files may slow down what looks for them.
func hashOf(base string) uint32 {
	return crc32.Update(0, castagnoli(), []byte(base))
}

// castagnoli returns the one table that package crc32 keeps for this polynomial.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

const (
	zoneBits = 14
	zoneBias = 1 << (zoneBits - 1)
	maxZone  = zoneBias - 1         // minutes
	maxUnix  = 1<<(63-zoneBits) - 1 // seconds
	zoneMask = int64(1)<<zoneBits - 1
)

// packTime keeps whole seconds and the zone's offset in whole minutes, each at the
// bound if it is out of bounds, which nothing is that can be written as a date.
func packTime(t time.Time) int64 {
	_, offset := t.Zone()
	zone := int64(max(-maxZone, min(maxZone, offset/60)))
	return max(-maxUnix, min(maxUnix, t.Unix()))<<zoneBits | (zone + zoneBias)
}

// unpackTime returns the Unix time and the minutes.
func unpackTime(p int64) (sec int64, zone int16) {
	return p >> zoneBits, int16(p&zoneMask - zoneBias)
}

// packSaved keeps 1970 to 2106.
func packSaved(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(max(1, min(math.MaxUint32, t.Unix())))
}

func unpackSaved(p uint32) time.Time {
	if p == 0 {
		return time.Time{}
	}
	return time.Unix(int64(p), 0).UTC()
}

// zones has a location for each offset that a row of the mailbox has, so that reading
// a row does not allocate one.
type zones map[int16]*time.Location

func newZone(minutes int16) *time.Location {
	if minutes == 0 {
		return time.UTC
	}
	return time.FixedZone("", int(minutes)*60)
}

func (z *zones) add(received int64) {
	_, minutes := unpackTime(received)
	if minutes == 0 || (*z)[minutes] != nil {
		return
	}
	if *z == nil {
		*z = make(zones)
	}
	(*z)[minutes] = newZone(minutes)
}

// zone is the location that was needed last.
type zone struct {
	minutes  int16
	location *time.Location
}

func (z zones) time(received int64, last *zone) time.Time {
	sec, minutes := unpackTime(received)
	if last.location == nil || last.minutes != minutes {
		last.minutes, last.location = minutes, time.UTC
		if minutes != 0 {
			last.location = z[minutes]
		}
	}
	return time.Unix(sec, 0).In(last.location)
}

func (m *Mailbox) flags(c *cell) mailaccess.Flags {
	f := mailaccess.Flags{System: c.system}
	if c.keywords != 0 {
		f.Keywords = m.kw.at(c.uid, c.keywords)
	}
	return f
}

// row fills in r.
func (m *Mailbox) row(c *cell, r *Row, last *zone) {
	r.UID, r.ModSeq, r.Created = c.uid, c.modseq, c.created
	r.Flags = m.flags(c)
	r.Size = m.sizeOf(c)
	r.Received = m.zones.time(c.received, last)
	r.Saved = unpackSaved(c.saved)
	r.Email, r.Thread = c.email, c.thread
}

// fill sets all of c that comes from a row, but for the keywords. c has no size yet.
func (m *Mailbox) fill(c *cell, r *Row) {
	c.modseq, c.created, c.uid = r.ModSeq, r.Created, r.UID
	c.received, c.saved = packTime(r.Received), packSaved(r.Saved)
	c.email, c.thread = r.Email, r.Thread
	c.system = r.Flags.System
	m.zones.add(c.received)
	m.setSize(c, r.Size)
}

func (m *Mailbox) sizeOf(c *cell) int64 {
	switch c.size {
	case sizeUnknown:
		return mailaccess.SizeUnknown
	case sizeElsewhere:
		return m.large[c.uid]
	}
	return int64(c.size)
}

// setSize sets the size of a cell that has its UID, and no size in m.large.
func (m *Mailbox) setSize(c *cell, size int64) {
	switch {
	case size < 0:
		c.size = sizeUnknown
	case size < sizeElsewhere:
		c.size = uint32(size)
	default:
		if m.large == nil {
			m.large = make(map[mailaccess.UID]int64)
		}
		c.size, m.large[c.uid] = sizeElsewhere, size
	}
}

// count adds the size of c to the totals, or takes it out with n -1. What is taken out
// has no size afterwards.
func (m *Mailbox) count(c *cell, n int) {
	if size := m.sizeOf(c); size < 0 {
		m.unknown += n
	} else {
		m.size += int64(n) * size
	}
	if n < 0 && c.size == sizeElsewhere {
		delete(m.large, c.uid)
		c.size = sizeUnknown
	}
}
