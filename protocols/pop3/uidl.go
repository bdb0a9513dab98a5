package pop3

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// uidl is RFC 1939, section 7.
func uidl(ctx context.Context, c *conn, rq *request) error {
	d := c.drop
	if rq.msg != 0 {
		if err := d.check(rq.msg); err != nil {
			return err
		}
		m, err := d.fields(ctx, rq.msg)
		if err != nil {
			return err
		}
		b := append(c.room(listingLine), "+OK "...)
		c.w.Write(d.appendUniqueID(b, rq.msg, &m)) //nolint:errcheck // see out
		return nil
	}
	c.ok("unique-id listing follows")
	for _, b := range d.boxes {
		var err error
		if d.policy.UIDL.perMessage() || d.hasSaved(b) {
			err = c.listContents(ctx, b)
		} else {
			err = c.listNumbers(b)
		}
		if err != nil {
			// The answer began as +OK: the end would say that this was all.
			return &hangUp{"unique-ids broken off", err}
		}
	}
	return c.endOfList()
}

// appendUniqueID appends a line of the listing.
func (d *maildrop) appendUniqueID(b []byte, n int, m *uidlFields) []byte {
	b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	return append(d.policy.UIDL.append(b, m), "\r\n"...)
}

// fields are those that all messages of the mailbox share.
func (b *dropBox) fields() uidlFields {
	at := b.view.Status()
	return uidlFields{box: at.ID, first: b.first, validity: at.UIDValidity}
}

// fields returns what the id of message number n is made of.
func (d *maildrop) fields(ctx context.Context, n int) (uidlFields, error) {
	b, uid := d.find(n)
	f := b.fields()
	f.uid = uid
	saved, err := d.saved(ctx, b, mailaccess.UIDSetOf(uid))
	if err != nil {
		return f, err
	}
	f.saved = saved[uid]
	if !d.policy.UIDL.perMessage() {
		return f, nil
	}
	m, err := d.message(ctx, n)
	if err != nil {
		return f, err
	}
	f.email = m.EmailID
	if d.policy.UIDL.hash {
		hashes, err := d.hashes(ctx, []mailaccess.EmailID{m.EmailID})
		if err != nil {
			return f, err
		}
		hash, ok := hashes[m.EmailID]
		if !ok {
			return f, &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "read message"}
		}
		f.hash = hash
	}
	return f, nil
}

// listNumbers lists the messages of a mailbox of which the maildrop knows enough.
func (c *conn) listNumbers(b *dropBox) error {
	f := b.fields()
	n := b.base
	for f.uid = range b.uids.All() {
		if n++; c.drop.deleted.has(n) {
			continue
		}
		if _, err := c.w.Write(c.drop.appendUniqueID(c.room(listingLine), n, &f)); err != nil {
			return err
		}
	}
	return nil
}

// uidlBatch is how many messages are asked about together.
const uidlBatch = 200

// listContents lists the messages of a mailbox by what the store knows of them.
// Those that somebody else removed have no line: who does not see one takes the
// message for gone, which it is.
func (c *conn) listContents(ctx context.Context, b *dropBox) error {
	var batch mailaccess.UIDSetBuilder
	in, n := 0, b.base
	for uid := range b.uids.All() {
		if n++; c.drop.deleted.has(n) {
			continue
		}
		batch.AddUID(uid)
		if in++; in < uidlBatch {
			continue
		}
		if err := c.listBatch(ctx, b, batch.Set()); err != nil {
			return err
		}
		batch, in = mailaccess.UIDSetBuilder{}, 0
	}
	return c.listBatch(ctx, b, batch.Set())
}

func (c *conn) listBatch(ctx context.Context, b *dropBox, uids mailaccess.UIDSet) error {
	type message struct {
		uid   mailaccess.UID
		email mailaccess.EmailID
	}
	messages := make([]message, 0, uids.Len())
	ids := make([]mailaccess.EmailID, 0, uids.Len())
	for m, err := range b.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		messages = append(messages, message{m.UID, m.EmailID})
		ids = append(ids, m.EmailID)
	}
	var hashes map[mailaccess.EmailID][sha256.Size]byte
	if c.drop.policy.UIDL.hash {
		var err error
		if hashes, err = c.drop.hashes(ctx, ids); err != nil {
			return err
		}
	}
	saved, err := c.drop.saved(ctx, b, uids)
	if err != nil {
		return err
	}
	f := b.fields()
	for _, m := range messages {
		hash, ok := hashes[m.email]
		if !ok && hashes != nil {
			continue
		}
		f.uid, f.email, f.hash, f.saved = m.uid, m.email, hash, saved[m.uid]
		n := b.base + b.uids.Rank(m.uid)
		if _, err := c.out().Write(c.drop.appendUniqueID(c.room(listingLine), n, &f)); err != nil {
			return err
		}
	}
	return nil
}

// hasSaved reports whether messages of b may have unique-ids from a server that kept the mail
// before. POP3 had one mailbox there, which is the first of the maildrop.
func (d *maildrop) hasSaved(b *dropBox) bool {
	_, ok := d.sess.UniqueIDs(context.Background(), b.view.Status().ID, mailaccess.UIDSet{})
	return ok && b.first
}

// saved returns those of the messages in uids.
func (d *maildrop) saved(ctx context.Context, b *dropBox, uids mailaccess.UIDSet) (map[mailaccess.UID]string, error) {
	ids, ok := d.sess.UniqueIDs(ctx, b.view.Status().ID, uids)
	if !ok || !b.first {
		return nil, nil
	}
	saved := make(map[mailaccess.UID]string)
	for id, err := range ids {
		if err != nil {
			return nil, err
		}
		saved[id.UID] = id.ID
	}
	return saved, nil
}

// hashKind is where a store keeps the SHA-256 of contents.
const hashKind = mailaccess.DerivedKind("sha256/1")

// hashes returns the SHA-256 of contents, but for those that are gone.
func (d *maildrop) hashes(ctx context.Context, ids []mailaccess.EmailID) (map[mailaccess.EmailID][sha256.Size]byte, error) {
	found := make(map[mailaccess.EmailID][sha256.Size]byte, len(ids))
	for kept, err := range d.sess.Derived(ctx, hashKind, ids) {
		if err != nil {
			break // they can be had without
		}
		if b, ok := engine.Unsealed(kept.Bytes); ok && len(b) == sha256.Size {
			found[kept.ID] = [sha256.Size]byte(b)
		}
	}
	var made []mailaccess.Derived
	for _, id := range ids {
		if _, ok := found[id]; ok {
			continue
		}
		hash, err := d.hash(ctx, id)
		switch {
		case err != nil && mailaccess.KindOf(err) == mailaccess.KindContentGone:
			continue
		case err != nil:
			return nil, err
		}
		found[id] = hash
		made = append(made, mailaccess.Derived{ID: id, Bytes: engine.Sealed(hash[:])})
	}
	if len(made) > 0 {
		d.sess.PutDerived(ctx, hashKind, made) //nolint:errcheck // a cache
	}
	return found, nil
}

func (d *maildrop) hash(ctx context.Context, id mailaccess.EmailID) (sum [sha256.Size]byte, err error) {
	content, err := d.sess.ContentToWork(ctx, id)
	if err != nil {
		return sum, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	h := sha256.New()
	if n, err := content.WriteRange(h, 0, content.Size()); err != nil || n != content.Size() {
		return sum, errors.Join(err, &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "read message"})
	}
	h.Sum(sum[:0])
	return sum, nil
}
