package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
)

// archive is a store of the mbox files below a directory: a/b.mbox is the mailbox a/b. It is
// one account, and nobody can change it. Files may grow; what is in them stays, so that a
// message has its place in the file as its UID.
type archive struct {
	root  *os.Root
	name  string
	epoch string // numbers are counted anew each time the archive is opened

	refreshing sync.Mutex // held by Refresh

	mu     sync.RWMutex // guards all that follows
	closed bool
	modseq mailaccess.ModSeq
	boxes  []*mailbox // by name; the slice is never changed once made

	bell      sync.RWMutex // guards listeners; held for reading while they are rung
	listeners map[*func(mailaccess.Ring)]bool
}

// mailbox is a file. Its messages are only added to.
type mailbox struct {
	mailaccess.Mailbox
	path     string // below the root; empty: an INBOX without a file
	file     os.FileInfo
	modified time.Time // when it was opened
	end      int64     // of what was read, in octets
	open     bool      // more may come of the last message

	modseq   mailaccess.ModSeq
	messages []received // the message of UID n is the n-th
	size     int64
}

// received is a message, and the number of its arrival.
type received struct {
	entry
	modseq mailaccess.ModSeq
}

// openArchive opens the files below dir as the mail of an account.
func openArchive(dir, name string) (*archive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	a := &archive{root: root, name: name, epoch: rand.Text(), listeners: make(map[*func(mailaccess.Ring)]bool)}
	// The number that was reached before is not known; this one is above it.
	a.modseq = mailaccess.ModSeq(time.Now().UnixMicro())
	if err := a.Refresh(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return a, nil
}

// Refresh reads what was added to the files since, and files that are new. Whoever adds to
// a file is done when it is called.
func (a *archive) Refresh() error {
	a.refreshing.Lock()
	defer a.refreshing.Unlock()
	a.mu.RLock()
	boxes, number, began := a.boxes, a.modseq+1, a.boxes != nil
	a.mu.RUnlock()
	boxes = slices.Clone(boxes)
	var rings []mailaccess.Ring
	add := func(name, path string) error {
		i, known := slices.BinarySearchFunc(boxes, name, func(b *mailbox, name string) int { return strings.Compare(b.Name, name) })
		var old mailbox
		if known && (boxes[i].path == path || boxes[i].path == "") {
			old = *boxes[i]
		} else if known {
			return fmt.Errorf("%s: %s is the mailbox %s already", path, boxes[i].path, name)
		}
		b, err := a.read(old, name, path, number)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		switch {
		case !known:
			boxes = slices.Insert(boxes, i, b)
			rings = append(rings, mailaccess.Ring{Account: a.name, ModSeq: number})
		case b.modseq > old.modseq:
			rings = append(rings, mailaccess.Ring{Account: a.name, Mailbox: b.ID, ModSeq: number})
		}
		boxes[i] = b
		return nil
	}
	err := fs.WalkDir(a.root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		name, isMbox := strings.CutSuffix(norm.NFC.String(file), ".mbox")
		if err != nil || !isMbox || !d.Type().IsRegular() {
			return err
		}
		if top, below, nested := strings.Cut(name, "/"); strings.EqualFold(top, mailaccess.Inbox) {
			if name = mailaccess.Inbox; nested {
				name = path.Join(name, below)
			}
		}
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return add(name, file)
	})
	if err == nil && !began && !slices.ContainsFunc(boxes, func(b *mailbox) bool { return b.Name == mailaccess.Inbox }) {
		err = add(mailaccess.Inbox, "") // there is always one
	}
	if err != nil || len(rings) == 0 {
		return err
	}
	a.mu.Lock()
	a.boxes, a.modseq = boxes, number
	a.mu.Unlock()
	a.ring(rings)
	return nil
}

// read returns the mailbox with what was added to its file since old, which is the zero value
// for a file that is new.
func (a *archive) read(old mailbox, name, path string, number mailaccess.ModSeq) (*mailbox, error) {
	b := old
	b.path = path
	if path != "" {
		f, err := a.root.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if b.file == nil {
			b.file, b.modified = info, info.ModTime()
		} else if !os.SameFile(b.file, info) {
			return nil, errors.New("another file has taken its place: an archive only grows")
		}
		if info.Size() == old.end && old.file != nil {
			return &b, nil
		}
		if info.Size() < old.end {
			return nil, errors.New("it has become shorter: an archive only grows")
		}
		found, whole, err := scan(io.NewSectionReader(f, old.end, info.Size()-old.end), old.end, !old.open)
		if err != nil {
			return nil, err
		}
		b.end, b.open = info.Size(), !whole && len(found) > 0
		for _, e := range found {
			if e.received.IsZero() {
				e.received = b.modified
			}
			b.messages = append(b.messages, received{e, number})
			b.size += e.size
			b.modseq = number
		}
	}
	if old.ID == "" {
		// The file is known by its first message: one that was put in its place, or that has
		// lost its beginning, has other UIDs (RFC 3501, section 2.3.1.1).
		b.UIDValidity = uint32(max(b.modified.Unix(), 1))
		if len(b.messages) > 0 {
			b.UIDValidity = uint32(max(b.messages[0].received.Unix(), 1))
		}
		id := sha256.Sum256(fmt.Appendf(nil, "%d %s", b.UIDValidity, name))
		b.Mailbox = mailaccess.Mailbox{ID: mailaccess.MailboxID(fmt.Sprintf("%x", id[:12])), Name: name,
			UIDValidity: b.UIDValidity, Created: number, Changed: number}
		b.modseq = number
	}
	return &b, nil
}

// Open lets whoever may read the account do so.
func (a *archive) Open(ctx context.Context, name string, who mailaccess.Identity) (mailaccess.Account, error) {
	r := &account{archive: a, rights: mailaccess.RightsReadOnly &^ who.Without}
	switch err := r.begin(ctx, "open"); {
	case err != nil:
		return nil, err
	case name != a.name:
		return nil, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "open"}
	case r.rights == 0:
		return nil, &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "open"}
	}
	return r, nil
}

// Watch registers a listener.
func (a *archive) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	if err := (&account{archive: a}).begin(ctx, "watch"); err != nil {
		return nil, err
	}
	a.bell.Lock()
	a.listeners[&ring] = true
	a.bell.Unlock()
	return func() {
		a.bell.Lock() // nobody is rung now
		delete(a.listeners, &ring)
		a.bell.Unlock()
	}, nil
}

func (a *archive) ring(rings []mailaccess.Ring) {
	a.bell.RLock()
	defer a.bell.RUnlock()
	for ring := range a.listeners {
		for _, r := range rings {
			(*ring)(r)
		}
	}
}

// Close closes the directory. What was opened cannot be read any more.
func (a *archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	return a.root.Close()
}
