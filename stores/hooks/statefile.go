package hooks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

// stateFile keeps accounts in a bbolt database:
//
//	format                               1
//	accounts / NAME / head               accountHead
//	                  boxes  / ID        boxHead
//	                  items  / ID / UID  entry
//	                  gone   / ID / number and UID of what vanished
//	                  hidden / ID / KEY
//	                  tombs  / number and id of deleted mailboxes
//	                  subs   / NAME of what is subscribed to
//
// A transaction of an account is one of the database, synced. When one fails,
// nobody can say what of it is there: the file takes no more until it is opened
// again.
type stateFile struct {
	db      *bolt.DB
	failed  atomic.Bool  // a transaction failed
	damaged atomic.Bool  // it ended in a panic: see close
	writes  atomic.Int64 // how many transactions there were
}

var (
	keyFormat   = []byte("format")
	keyAccounts = []byte("accounts")
	keyHead     = []byte("head")
	keyBoxes    = []byte("boxes")
	keyItems    = []byte("items")
	keyGone     = []byte("gone")
	keyHidden   = []byte("hidden")
	keyTombs    = []byte("tombs")
	keySubs     = []byte("subs")
)

const formatVersion = "1"

// lockWait is how long another process may take to let go of the file.
const lockWait = time.Second

func openStateFile(path string) (*stateFile, error) {
	const op = "open sync state"
	f := new(stateFile)
	// The list of free pages is kept in the file: bbolt makes it anew in a
	// goroutine of its own, where nobody can recover from a damaged page.
	options := &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType}
	err := f.guard(func() (err error) {
		if f.db, err = bolt.Open(path, 0o600, options); err == nil {
			err = f.prepare(op)
		}
		return err
	})
	if err == nil {
		return f, nil
	}
	f.damaged.Store(errors.Is(err, errState))
	_ = f.close()
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fail(op, mailaccess.KindInUse, "", err)
	case errors.Is(err, errState), errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fail(op, mailaccess.KindCorrupt, "", err)
	case errors.Is(err, mailaccess.KindUnsupported):
		return nil, err
	}
	return nil, fail(op, mailaccess.KindUnavailable, "", err)
}

// prepare makes a new file one of this format. Others are not written.
func (f *stateFile) prepare(op string) error {
	fresh := false
	err := f.db.View(func(tx *bolt.Tx) error {
		format := tx.Bucket(keyFormat)
		if fresh = format == nil; fresh {
			return nil
		}
		if have := format.Get(keyFormat); string(have) != formatVersion {
			return fail(op, mailaccess.KindUnsupported, "", fmt.Errorf("format %q, this program knows %q", have, formatVersion))
		}
		if tx.Bucket(keyAccounts) == nil {
			return errState
		}
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return f.db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(keyAccounts); err != nil {
			return err
		}
		format, err := tx.CreateBucket(keyFormat)
		if err != nil {
			return err
		}
		return format.Put(keyFormat, []byte(formatVersion))
	})
}

// guard runs use, which uses the database. bbolt panics when a page is not what it
// should be, and touches memory that is not there when the file has become shorter:
// both are damage, which one account may have and others not.
func (f *stateFile) guard(use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errState, v)
		}
	}()
	return use()
}

// close lets go of the file, unless it turned out to be damaged: what bbolt had
// locked then may be locked still, for as long as the process runs.
func (f *stateFile) close() error {
	if f.db == nil || f.damaged.Load() {
		return nil
	}
	if err := f.db.Close(); err != nil {
		return fail("close sync state", mailaccess.KindUnavailable, "", err)
	}
	return nil
}

// write makes t part of the file.
func (f *stateFile) write(t *txn) error {
	if f.failed.Load() {
		return errors.New("the sync state could not be written before")
	}
	f.writes.Add(1)
	err := f.guard(func() error {
		return f.db.Update(func(tx *bolt.Tx) error {
			acc, err := tx.Bucket(keyAccounts).CreateBucketIfNotExists([]byte(t.a.name))
			if err != nil {
				return err
			}
			w := stateWriter{t: t, acc: acc}
			return w.all()
		})
	})
	if err != nil {
		f.failed.Store(true)
		f.damaged.Store(errors.Is(err, errState))
	}
	return err
}

// stateWriter writes one transaction. Its first error ends it.
type stateWriter struct {
	t   *txn
	acc *bolt.Bucket
	err error
}

func (w *stateWriter) all() error {
	w.put(w.acc, keyHead, encodeHead(&w.t.head))
	w.sizes()
	for _, x := range w.t.boxes {
		if x.deleted {
			w.deleted(x)
		} else {
			w.box(x)
		}
	}
	if tombs := w.bucket(keyTombs); tombs != nil {
		w.trim(tombs, w.t.head.floor)
	}
	for name, on := range w.t.subs {
		subs := w.bucket(keySubs)
		if on {
			w.put(subs, []byte(name), nil)
		} else {
			w.delete(subs, []byte(name))
		}
	}
	return w.err
}

// bucket returns a bucket of the account, or of a mailbox within one.
func (w *stateWriter) bucket(path ...[]byte) *bolt.Bucket {
	b := w.acc
	for _, name := range path {
		if w.err == nil {
			b, w.err = b.CreateBucketIfNotExists(name)
		}
	}
	if w.err != nil {
		return nil
	}
	return b
}

func (w *stateWriter) put(b *bolt.Bucket, key, value []byte) {
	if w.err == nil {
		w.err = b.Put(key, value)
	}
}

func (w *stateWriter) delete(b *bolt.Bucket, key []byte) {
	if w.err == nil {
		w.err = b.Delete(key)
	}
}

// trim deletes what begins with a number at or below floor.
func (w *stateWriter) trim(b *bolt.Bucket, floor mailaccess.ModSeq) {
	if w.err != nil || floor == 0 {
		return
	}
	c := b.Cursor()
	for k, _ := c.First(); k != nil && bytes.Compare(k[:min(8, len(k))], numberKey(floor, 0)) <= 0; k, _ = c.First() {
		if w.err = c.Delete(); w.err != nil {
			return
		}
	}
}

// sizes writes the entries whose contents were measured since the last time.
func (w *stateWriter) sizes() {
	type sized struct {
		box   mailaccess.MailboxID
		uid   mailaccess.UID
		value []byte
	}
	var all []sized
	a := w.t.a
	a.mu.Lock()
	var places []place
	for _, c := range w.t.sized {
		for _, p := range c.places(places[:0]) {
			if e := p.box.find(p.uid); e != nil && !p.box.deleted {
				all = append(all, sized{p.box.ID, p.uid, encodeEntry(e)})
			}
		}
	}
	a.mu.Unlock()
	for _, s := range all {
		w.put(w.bucket(keyItems, []byte(s.box)), uidKey(s.uid), s.value)
	}
}

func (w *stateWriter) deleted(x *boxTxn) {
	id := []byte(x.head.ID)
	w.delete(w.bucket(keyBoxes), id)
	for _, name := range [][]byte{keyItems, keyGone, keyHidden} {
		if b := w.bucket(name); b != nil && b.Bucket(id) != nil {
			w.err = b.DeleteBucket(id)
		}
	}
	var e encoder
	e.uint(uint64(x.head.Created))
	e.string(x.head.Name)
	w.put(w.bucket(keyTombs), append(numberKey(w.t.n, 0), id...), e)
}

func (w *stateWriter) box(x *boxTxn) {
	id := []byte(x.head.ID)
	w.put(w.bucket(keyBoxes), id, encodeBox(&x.head))
	if items := w.bucket(keyItems, id); items != nil {
		items.FillPercent = 0.9 // UIDs ascend
		for _, e := range x.gone {
			w.delete(items, uidKey(e.uid))
		}
		for _, list := range [][]*entry{x.changed, x.added} {
			for _, e := range list {
				w.t.a.mu.Lock()
				value := encodeEntry(e)
				w.t.a.mu.Unlock()
				w.put(items, uidKey(e.uid), value)
			}
		}
	}
	if gone := w.bucket(keyGone, id); gone != nil {
		gone.FillPercent = 0.9
		for _, e := range x.gone {
			v := e.vanished(w.t.n)
			w.put(gone, numberKey(v.ModSeq, v.UID), encodeVanished(&v))
		}
		w.trim(gone, x.head.floor)
	}
	if len(x.hide)+len(x.unhide) == 0 && len(x.added) == 0 {
		return
	}
	if hidden := w.bucket(keyHidden, id); hidden != nil {
		for _, key := range x.unhide {
			w.delete(hidden, []byte(key))
		}
		for _, e := range x.added {
			if _, was := x.b.hidden[e.key]; was {
				w.delete(hidden, []byte(e.key))
			}
		}
		for _, key := range x.hide {
			w.put(hidden, []byte(key), nil)
		}
	}
}

// load returns an account, or nil when the file does not have it.
func (f *stateFile) load(s *Store, name string) (a *account, err error) {
	const op = "load account"
	err = f.guard(func() error {
		return f.db.View(func(tx *bolt.Tx) error {
			acc := tx.Bucket(keyAccounts).Bucket([]byte(name))
			if acc == nil {
				return nil
			}
			head, err := decodeHead(acc.Get(keyHead))
			if err != nil {
				return err
			}
			a = newAccount(s, name, head)
			return a.load(acc)
		})
	})
	switch {
	case errors.Is(err, errState):
		return nil, fail(op, mailaccess.KindCorrupt, "", err)
	case err != nil:
		return nil, fail(op, mailaccess.KindUnavailable, "", err)
	}
	return a, nil
}

// load fills in what the file has.
func (a *account) load(acc *bolt.Bucket) error {
	entries := entryDecoder{a.contents, make(map[string]mailaccess.Keywords), make(map[int64]*time.Location)}
	err := each(acc.Bucket(keyBoxes), func(id, value []byte) error {
		head, err := decodeBox(string(id), value)
		if err != nil {
			return err
		}
		b := newMailbox(head)
		if mailaccess.CheckMailboxName(b.Name) != nil || a.names[b.Name] != nil || b.modseq > a.head.modseq || b.UIDValidity == 0 || b.uidNext == 0 {
			return errState
		}
		a.boxes[b.ID], a.names[b.Name] = b, b
		return b.loadFrom(acc, id, &entries)
	})
	if err != nil {
		return err
	}
	err = each(acc.Bucket(keyTombs), func(k, value []byte) error {
		d := decoder{b: value}
		t := tombstone{created: mailaccess.ModSeq(d.uint())}
		t.Name = d.string()
		if len(k) <= 8 {
			return errState
		}
		t.ModSeq, t.ID = mailaccess.ModSeq(binary.BigEndian.Uint64(k)), mailaccess.MailboxID(k[8:])
		a.tombs = append(a.tombs, t)
		return d.err
	})
	if err != nil {
		return err
	}
	return each(acc.Bucket(keySubs), func(name, _ []byte) error {
		a.subscribed[string(name)] = struct{}{}
		return nil
	})
}

func (b *mailbox) loadFrom(acc *bolt.Bucket, id []byte, entries *entryDecoder) error {
	var all []*entry
	err := each(sub(acc, keyItems, id), func(k, value []byte) error {
		if len(k) != 4 {
			return errState
		}
		e, err := entries.decode(mailaccess.UID(binary.BigEndian.Uint32(k)), value)
		all = append(all, e)
		return err
	})
	if err != nil {
		return err
	}
	if err := b.check(all); err != nil {
		return err
	}
	b.load(all)
	err = each(sub(acc, keyGone, id), func(k, value []byte) error {
		if len(k) != 12 {
			return errState
		}
		d := decoder{b: value}
		v := mailaccess.Vanished{
			ModSeq: mailaccess.ModSeq(binary.BigEndian.Uint64(k)),
			UID:    mailaccess.UID(binary.BigEndian.Uint32(k[8:])),
		}
		v.Created, v.EmailID = mailaccess.ModSeq(d.uint()), mailaccess.EmailID(d.string())
		b.vanished = append(b.vanished, v)
		return d.err
	})
	if err != nil {
		return err
	}
	return each(sub(acc, keyHidden, id), func(key, _ []byte) error {
		if b.hidden == nil {
			b.hidden = make(map[string]struct{})
		}
		b.hidden[string(key)] = struct{}{}
		return nil
	})
}

// check reports whether entries can be those of b, which has none yet.
func (b *mailbox) check(entries []*entry) error {
	keys := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		if e.uid == 0 || e.uid >= b.uidNext || e.modseq > b.modseq || e.created > e.modseq || e.key == "" {
			return errState
		}
		keys[e.key] = struct{}{}
	}
	if len(keys) < len(entries) {
		return errState
	}
	return nil
}

func sub(acc *bolt.Bucket, name, id []byte) *bolt.Bucket {
	if b := acc.Bucket(name); b != nil {
		return b.Bucket(id)
	}
	return nil
}

// each calls f with every key and value of a bucket, which may be nil.
func each(b *bolt.Bucket, f func(k, v []byte) error) error {
	if b == nil {
		return nil
	}
	return b.ForEach(f)
}
