package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// headerKey is something that is made of a message's header and kept by the store.
type headerKey struct {
	kind mailaccess.DerivedKind
	// make appends it; at most most octets.
	make func(b []byte, h message.Header) []byte
	most int
	// use takes the key of a message. ok is false when it is none.
	use func(m *mailaccess.Message, key []byte) (ok bool, err error)
}

// keysBatch is how many messages are asked for at once.
const keysBatch = 512

// eachKey goes through messages of a mailbox in ascending order and uses the key of
// each: the one that the store keeps, or one made of the header, which the store is
// offered. Messages that are gone are passed over.
func (s *Session) eachKey(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, k *headerKey, progress Progress) error {
	b := keyBatch{s: s, k: k, total: uids.Len(), progress: progress}
	for m, err := range s.acct.Messages(ctx, box, uids) {
		if err != nil {
			return err
		}
		b.messages = append(b.messages, m)
		if len(b.messages) == keysBatch {
			if err := b.run(ctx); err != nil {
				return err
			}
		}
	}
	return b.run(ctx)
}

// keyBatch is some messages and their keys. Its memory is used again.
type keyBatch struct {
	s        *Session
	k        *headerKey
	messages []mailaccess.Message
	ids      []mailaccess.EmailID
	keys     []keyRange // of messages, in arena
	arena    []byte
	fresh    []int // those of messages whose key was made
	// done of total messages were gone through in batches before.
	done, total int
	progress    Progress
	header      []byte
}

type keyRange struct{ from, to int }

func (b *keyBatch) run(ctx context.Context) error {
	if len(b.messages) == 0 {
		return nil
	}
	b.load(ctx)
	for i := range b.messages {
		ok := false
		if r := b.keys[i]; r.to > 0 {
			var err error
			if ok, err = b.k.use(&b.messages[i], b.arena[r.from+sealLen:r.to]); err != nil {
				return err
			}
		}
		if !ok {
			if err := b.fill(ctx, i); err != nil {
				return err
			}
			if err := b.progress.tell(b.done+i+1, b.total); err != nil {
				return err
			}
		}
	}
	b.save(ctx)
	b.done += len(b.messages)
	if err := b.progress.tell(b.done, b.total); err != nil {
		return err
	}
	b.messages, b.fresh = b.messages[:0], b.fresh[:0]
	return nil
}

// load asks the store for the keys that it keeps.
func (b *keyBatch) load(ctx context.Context) {
	b.ids, b.keys, b.arena = b.ids[:0], b.keys[:0], b.arena[:0]
	for i := range b.messages {
		b.ids = append(b.ids, b.messages[i].EmailID)
		b.keys = append(b.keys, keyRange{})
	}
	next := 0 // mostly they come in order
	for d, err := range b.s.Derived(ctx, b.k.kind, b.ids) {
		if err != nil {
			break // a cache that fails is no cache
		}
		if next == len(b.ids) || b.ids[next] != d.ID {
			if next = slices.Index(b.ids, d.ID); next < 0 {
				next = 0
				continue
			}
		}
		i := next
		next++
		if _, ok := Unsealed(d.Bytes); !ok || len(d.Bytes) > b.k.most+sealLen {
			continue // it is made anew
		}
		b.keys[i] = keyRange{len(b.arena), len(b.arena) + len(d.Bytes)}
		b.arena = append(b.arena, d.Bytes...)
	}
}

// fill makes a key of the header and uses it.
func (b *keyBatch) fill(ctx context.Context, i int) error {
	m := &b.messages[i]
	h, err := b.readHeader(ctx, m.EmailID)
	if err := orGone(err); err != nil {
		return &mailaccess.Error{Kind: mailaccess.KindOf(err), Op: "read header", Err: fmt.Errorf("UID %d: %w", m.UID, err)}
	}
	if err != nil {
		return nil
	}
	from := len(b.arena)
	b.arena = append(b.arena, make([]byte, sealLen)...)
	b.arena = b.k.make(b.arena, h)
	seal(b.arena[from:])
	b.keys[i] = keyRange{from, len(b.arena)}
	b.fresh = append(b.fresh, i)
	_, err = b.k.use(m, b.arena[from+sealLen:])
	return err
}

func (b *keyBatch) readHeader(ctx context.Context, id mailaccess.EmailID) (message.Header, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := b.s.Content(ctx, id)
	if err != nil {
		return nil, err
	}
	// Nothing was written: closing has nothing to tell.
	defer func() { _ = c.Close() }()
	h, err := message.ReadHeader(c, c.Size(), b.header)
	if cap(h) > cap(b.header) && cap(h) <= 64<<10 {
		b.header = h[:0]
	}
	return h, err
}

// save offers the store what was made.
func (b *keyBatch) save(ctx context.Context) {
	if len(b.fresh) == 0 {
		return
	}
	items := make([]mailaccess.Derived, len(b.fresh))
	for n, i := range b.fresh {
		items[n] = mailaccess.Derived{ID: b.ids[i], Bytes: b.arena[b.keys[i].from:b.keys[i].to]}
	}
	// Losing a cache entry is no failure.
	_ = b.s.PutDerived(ctx, b.k.kind, items)
}

// What a store keeps of derived bytes comes back as it may: a store need not sync its
// cache. So a checksum stands before them.
const sealLen = 4

// Sealed is what a store is given to keep of b.
func Sealed(b []byte) []byte {
	kept := append(make([]byte, sealLen, sealLen+len(b)), b...)
	seal(kept)
	return kept
}

// seal writes the checksum before what stands behind it.
func seal(kept []byte) { binary.BigEndian.PutUint32(kept, checksum(kept[sealLen:])) }

// Unsealed is what was given to [Sealed], unless it was damaged.
func Unsealed(kept []byte) (b []byte, ok bool) {
	if len(kept) < sealLen {
		return nil, false
	}
	b = kept[sealLen:]
	return b, binary.BigEndian.Uint32(kept) == checksum(b)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
