package transfer

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Journal is what is known of earlier runs of one transfer: a file, which may be lost. It
// is for one process at a time.
type Journal struct {
	db *bbolt.DB
}

// The file has for each mailbox of the source a bucket, with boxInfo and two buckets in it:
// entries by key, and the keys of messages that are on their way.
var (
	aboutKey   = []byte("about")
	boxesKey   = []byte("mailboxes")
	infoKey    = []byte("info")
	entriesKey = []byte("messages")
	pendingKey = []byte("pending")
)

const journalFormat = 1

// about says to which transfer a journal belongs.
type about struct {
	Format   int
	From, To string
}

// boxInfo says to which mailboxes entries belong.
type boxInfo struct {
	Source, Dest string // Mailbox.ID
	State        string // of the source when all of it was done
}

// entry is a message that was carried.
type entry struct {
	Dest     string                 `json:"d,omitempty"` // its key at the destination
	System   mailaccess.SystemFlags `json:"f,omitempty"` // at the source, when it was last looked at
	Keywords string                 `json:"k,omitempty"`
	// When the destination did not tell the key: what the message can be known by.
	Sum      []byte `json:"h,omitempty"`
	Received int64  `json:"t,omitempty"`
	Size     int64  `json:"n,omitempty"`
}

func (e entry) flags() mailaccess.Flags {
	k, _ := mailaccess.NewKeywords(strings.Fields(e.Keywords)...) // they were some
	return mailaccess.Flags{System: e.System, Keywords: k}
}

func (e *entry) setFlags(f mailaccess.Flags) { e.System, e.Keywords = f.System, f.Keywords.String() }

// OpenJournal opens the journal of the transfer between two places, in a file that is made when
// it is not there. KindInUse while another process has it, KindInvalid when it is another
// transfer's.
func OpenJournal(file, from, to string) (*Journal, error) {
	const op = "open the state"
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op, Err: err}
	}
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		kind := mailaccess.KindUnavailable
		switch {
		case errors.Is(err, bbolterrors.ErrTimeout):
			kind, err = mailaccess.KindInUse, errors.New("another transfer is under way")
		case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch):
			kind = mailaccess.KindCorrupt
		}
		return nil, &mailaccess.Error{Kind: kind, Op: op, Err: fmt.Errorf("%s: %w", file, err)}
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(aboutKey)
		if err != nil {
			return err
		}
		var have about
		if text := b.Get(aboutKey); text != nil {
			if err := json.Unmarshal(text, &have); err != nil {
				return err
			}
			if want := (about{journalFormat, from, to}); have != want {
				return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: op, Err: fmt.Errorf("%s is of another transfer, from %s to %s", file, have.From, have.To)}
			}
			return nil
		}
		if _, err := tx.CreateBucketIfNotExists(boxesKey); err != nil {
			return err
		}
		return putJSON(b, aboutKey, about{journalFormat, from, to})
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Journal{db}, nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.db.Close() }

// boxJournal is the part of a mailbox.
type boxJournal struct {
	db   *bbolt.DB
	name []byte
	info boxInfo
}

// box opens the part of a mailbox. What is known of another one of that name is forgotten,
// unless nothing is to be written.
func (j *Journal) box(name, source, dest string, write bool) (*boxJournal, error) {
	// Names are longer than keys may be.
	sum := sha256.Sum256([]byte(name))
	b := &boxJournal{db: j.db, name: sum[:]}
	err := b.view(func(in *bbolt.Bucket) error { return getJSON(in, infoKey, &b.info) })
	if err != nil || b.info.Source == source && b.info.Dest == dest {
		return b, err
	}
	b.info = boxInfo{Source: source, Dest: dest}
	if !write {
		b.name = []byte("nowhere")
		return b, nil
	}
	return b, j.db.Update(func(tx *bbolt.Tx) error {
		boxes := tx.Bucket(boxesKey)
		if err := boxes.DeleteBucket(b.name); err != nil && !errors.Is(err, bbolterrors.ErrBucketNotFound) {
			return err
		}
		in, err := boxes.CreateBucket(b.name)
		if err != nil {
			return err
		}
		for _, sub := range [][]byte{entriesKey, pendingKey} {
			if _, err := in.CreateBucket(sub); err != nil {
				return err
			}
		}
		return putJSON(in, infoKey, b.info)
	})
}

// view calls f with the mailbox's bucket, if there is one.
func (b *boxJournal) view(f func(*bbolt.Bucket) error) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		if in := tx.Bucket(boxesKey).Bucket(b.name); in != nil {
			return f(in)
		}
		return nil
	})
}

func (b *boxJournal) update(f func(*bbolt.Bucket) error) error {
	return b.db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket(boxesKey).Bucket(b.name)) })
}

// entries reads all entries.
func (b *boxJournal) entries() (map[string]entry, error) {
	all := make(map[string]entry)
	err := b.view(func(in *bbolt.Bucket) error {
		return in.Bucket(entriesKey).ForEach(func(k, v []byte) error {
			var e entry
			if err := json.Unmarshal(v, &e); err != nil {
				return err
			}
			all[string(k)] = e
			return nil
		})
	})
	return all, err
}

// pending reads the keys of messages that were on their way when a run ended.
func (b *boxJournal) pending() (map[string]bool, error) {
	all := make(map[string]bool)
	err := b.view(func(in *bbolt.Bucket) error {
		return in.Bucket(pendingKey).ForEach(func(k, _ []byte) error {
			all[string(k)] = true
			return nil
		})
	})
	return all, err
}

// expect notes messages that are about to be carried.
func (b *boxJournal) expect(msgs []Message) error {
	return b.update(func(in *bbolt.Bucket) error {
		for _, m := range msgs {
			if err := in.Bucket(pendingKey).Put([]byte(m.Key), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	})
}

// put notes entries, which are no longer expected.
func (b *boxJournal) put(entries map[string]entry) error {
	return b.update(func(in *bbolt.Bucket) error {
		for key, e := range entries {
			if err := putJSON(in.Bucket(entriesKey), []byte(key), e); err != nil {
				return err
			}
			if err := in.Bucket(pendingKey).Delete([]byte(key)); err != nil {
				return err
			}
		}
		return nil
	})
}

// forget forgets entries and expectations.
func (b *boxJournal) forget(keys []string) error {
	return b.update(func(in *bbolt.Bucket) error {
		for _, key := range keys {
			if err := errors.Join(in.Bucket(entriesKey).Delete([]byte(key)), in.Bucket(pendingKey).Delete([]byte(key))); err != nil {
				return err
			}
		}
		return nil
	})
}

// finish notes the state of the source at which all was done.
func (b *boxJournal) finish(state string) error {
	b.info.State = state
	return b.update(func(in *bbolt.Bucket) error { return putJSON(in, infoKey, b.info) })
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

func getJSON(b *bbolt.Bucket, key []byte, v any) error {
	if text := b.Get(key); text != nil {
		return json.Unmarshal(text, v)
	}
	return nil
}
