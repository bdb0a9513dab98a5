package query

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// SortKey is what messages are sorted by (RFC 5256, section 3; RFC 5957, section 4).
type SortKey uint8

// The sort keys. Texts are compared by i;unicode-casemap, and an absent one comes
// first.
const (
	// SortArrival is when the message was received.
	SortArrival SortKey = iota
	// SortCc is the mailbox of the first Cc address, without its host.
	SortCc
	// SortDate is the sent date, and when the message was received where there
	// is none that can be read (RFC 5256, section 2.2).
	SortDate
	// SortFrom is the mailbox of the first From address.
	SortFrom
	// SortSize is the size in octets.
	SortSize
	// SortSubject is the base subject.
	SortSubject
	// SortTo is the mailbox of the first To address.
	SortTo
	// SortDisplayFrom is the name of the first From address, or the address.
	SortDisplayFrom
	// SortDisplayTo is the name of the first To address, or the address.
	SortDisplayTo
	sortKeys
)

// SortCriterion is a sort key, in ascending order or in the reverse one.
type SortCriterion struct {
	Key     SortKey
	Reverse bool
}

// Sorter puts messages in order: by its criteria, one after the other, and by UID
// where they are equal. It keeps for each message the octets that are compared and
// 24 more.
type Sorter struct {
	criteria []SortCriterion
	header   bool
	records  []sortRecord
	chunks   [][]byte
	memory   counted
	size     int64
	key      []byte // of the message being added
	fields   sortFields
}

// sortRecord is a message. What it is sorted by are octets in which all criteria
// follow each other: the first of them in prefix, the others in a chunk.
type sortRecord struct {
	prefix   uint64
	chunk    uint32
	uid      mailaccess.UID
	off, len uint16
}

const (
	sortRecordSize = 24
	sortChunk      = 1 << 16
)

// NewSorter makes a Sorter for about n messages that takes no more than memory permits.
func NewSorter(criteria []SortCriterion, n int, memory Memory) (*Sorter, error) {
	s := &Sorter{memory: counted{may: memory}}
	var seen [sortKeys]bool
	for _, c := range criteria {
		if c.Key >= sortKeys {
			return nil, sortError(mailaccess.KindInvalid, "unknown sort key %d", c.Key)
		}
		// A key again decides nothing.
		if !seen[c.Key] {
			seen[c.Key] = true
			s.criteria = append(s.criteria, c)
			s.header = s.header || c.Key != SortArrival && c.Key != SortSize
		}
	}
	if err := s.grow(int64(n) * sortRecordSize); err != nil {
		return nil, err
	}
	s.records = make([]sortRecord, 0, n)
	return s, nil
}

// NeedsKey reports whether Add needs the sort key of the header.
func (s *Sorter) NeedsKey() bool { return s.header }

// NeedsSize reports whether Add needs the size.
func (s *Sorter) NeedsSize() bool {
	return slices.ContainsFunc(s.criteria, func(c SortCriterion) bool { return c.Key == SortSize })
}

// Add takes a message in. key is what [AppendSortKey] made of its header; it is not
// kept. ok is false, and nothing was taken, when it is no such thing. The error is
// that of Memory, when the messages take too much of it.
func (s *Sorter) Add(m *mailaccess.Message, key []byte) (ok bool, err error) {
	if s.header && !s.fields.read(key) {
		return false, nil
	}
	s.key = s.key[:0]
	for _, c := range s.criteria {
		from := len(s.key)
		s.appendKey(c.Key, m)
		if c.Reverse {
			for i := from; i < len(s.key); i++ {
				s.key[i] = ^s.key[i]
			}
		}
	}
	return true, s.keep(m.UID)
}

// appendKey appends octets that compare as the sort key does. None of them are the
// beginning of another message's, so that the next criterion may follow.
func (s *Sorter) appendKey(key SortKey, m *mailaccess.Message) {
	var text []byte
	switch key {
	case SortArrival:
		s.appendNumber(m.Received.Unix())
		return
	case SortSize:
		s.appendNumber(m.Size)
		return
	case SortDate:
		if s.fields.sent {
			s.appendNumber(s.fields.seconds)
		} else {
			s.appendNumber(m.Received.Unix())
		}
		return
	case SortCc:
		text = s.fields.texts[sortCc]
	case SortFrom:
		text = s.fields.texts[sortFrom]
	case SortTo:
		text = s.fields.texts[sortTo]
	case SortSubject:
		text = s.fields.texts[sortSubject]
	case SortDisplayFrom:
		text = s.fields.texts[sortDisplayFrom]
	case SortDisplayTo:
		text = s.fields.texts[sortDisplayTo]
	}
	for {
		k := bytes.IndexByte(text, 0)
		if k < 0 {
			break
		}
		s.key = append(append(s.key, text[:k]...), 0, 0xff)
		text = text[k+1:]
	}
	s.key = append(append(s.key, text...), 0, 0)
}

func (s *Sorter) appendNumber(n int64) {
	s.key = binary.BigEndian.AppendUint64(s.key, uint64(n)^1<<63)
}

// keep makes a record of the octets in key.
func (s *Sorter) keep(uid mailaccess.UID) error {
	r := sortRecord{uid: uid}
	var prefix [8]byte
	rest := s.key[copy(prefix[:], s.key):]
	r.prefix = binary.BigEndian.Uint64(prefix[:])
	if len(rest) > 0 {
		last := len(s.chunks) - 1
		if last < 0 || len(s.chunks[last])+len(rest) > sortChunk {
			if err := s.grow(sortChunk); err != nil {
				return err
			}
			s.chunks = append(s.chunks, make([]byte, 0, sortChunk))
			last++
		}
		r.chunk, r.off, r.len = uint32(last), uint16(len(s.chunks[last])), uint16(len(rest))
		s.chunks[last] = append(s.chunks[last], rest...)
	}
	if len(s.records) == cap(s.records) {
		more := max(1024, len(s.records)/4)
		if err := s.grow(int64(more) * sortRecordSize); err != nil {
			return err
		}
		s.records = slices.Grow(s.records, more)
	}
	s.records = append(s.records, r)
	return nil
}

// grow accounts for memory.
func (s *Sorter) grow(n int64) error {
	s.size += n
	return s.memory.take(s.size)
}

// Sorted returns the messages in order.
func (s *Sorter) Sorted() []mailaccess.UID {
	slices.SortFunc(s.records, func(a, b sortRecord) int {
		if a.prefix != b.prefix {
			if a.prefix < b.prefix {
				return -1
			}
			return 1
		}
		if c := bytes.Compare(s.rest(&a), s.rest(&b)); c != 0 {
			return c
		}
		return int(int64(a.uid) - int64(b.uid))
	})
	uids := make([]mailaccess.UID, len(s.records))
	for i := range s.records {
		uids[i] = s.records[i].uid
	}
	return uids
}

func (s *Sorter) rest(r *sortRecord) []byte {
	if r.len == 0 {
		return nil
	}
	return s.chunks[r.chunk][r.off : int(r.off)+int(r.len)]
}

func sortError(kind mailaccess.Kind, format string, a ...any) error {
	return &mailaccess.Error{Kind: kind, Op: "sort", Err: fmt.Errorf(format, a...)}
}
