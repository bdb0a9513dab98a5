package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// UndeleteOptions say which expunged messages are meant. Nil and the zero value: all that
// are kept.
type UndeleteOptions struct {
	// Mailbox is the name of the mailbox that they were expunged from, or that was deleted
	// with them in it; empty: any.
	Mailbox string
	// Since is the earliest time at which they were expunged.
	Since time.Time
	// List only tells what there is.
	List bool
}

// Undeleted is a message that was brought back, or could be.
type Undeleted struct {
	// Mailbox is where the message was, and To where it is now, or would be.
	Mailbox, To string
	Expunged    time.Time
	Received    time.Time
	Size        int64 // of the file, in octets
	// File is where the message is kept, below the account's directory.
	File string
}

// undeleteBatch is how many messages are brought back with one sync.
const undeleteBatch = 512

// Undelete brings expunged messages back, whether or not a process serves the store: each
// is renamed into the new directory of the mailbox that it was in, under a new name, and
// arrives there as delivered mail does. When that mailbox is no more it is the one of its
// name, which is made again if it was deleted with the message in it; else INBOX. Messages
// keep the flags that their file names tell, but for \Deleted, and keywords only if they
// return to their own mailbox.
//
// report hears of each message, in no order, when it is on disk in its new place; after an
// error too, of those that came back before. A stop at any time loses none: a message is in
// the one place or the other. path is as for [New].
//
// Errors: KindNotFound when there is no such account, KindInvalid for a path or a name of a
// mailbox that cannot be, KindOverQuota, KindUnavailable.
func Undelete(ctx context.Context, path, account string, opts *UndeleteOptions, report func(Undeleted)) error {
	const op = "undelete"
	p, err := parsePattern(path)
	if err != nil {
		return fail(op, mailaccess.KindInvalid, "", err)
	}
	parts, err := p.account(account)
	if err != nil {
		return fail(op, mailaccess.KindNotFound, "", err)
	}
	root, err := fsys.OpenRoot(p.root)
	if err != nil {
		return failAccount(op, err)
	}
	defer root.Close()
	return undelete(ctx, op, root, parts, opts, report)
}

func undelete(ctx context.Context, op string, root fsys.Dir, parts []string, opts *UndeleteOptions, report func(Undeleted)) error {
	dir, err := descendInto(root, parts)
	if err != nil {
		return failAccount(op, err)
	}
	if dir != root {
		defer dir.Close()
	}
	u := undeleting{ctx: ctx, op: op, dir: dir, report: report}
	if opts != nil {
		u.opts = *opts
	}
	if strings.EqualFold(u.opts.Mailbox, mailaccess.Inbox) {
		u.opts.Mailbox = mailaccess.Inbox
	}
	if u.opts.Mailbox != "" {
		if err := mailaccess.CheckMailboxName(u.opts.Mailbox); err != nil {
			return err
		}
	}
	if err := u.all(); err != nil {
		return failDisk(op, u.opts.Mailbox, err)
	}
	return nil
}

// failAccount is failDisk for opening an account that has to be there.
func failAccount(op string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fail(op, mailaccess.KindNotFound, "", err)
	}
	return failDisk(op, "", err)
}

// descendInto opens a directory below another, or returns that one.
func descendInto(root fsys.Dir, parts []string) (fsys.Dir, error) {
	dir := root
	for _, part := range parts {
		sub, err := dir.Sub(part)
		if dir != root {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			return nil, err
		}
		dir = sub
	}
	return dir, nil
}

// undeleting is a call of Undelete.
type undeleting struct {
	ctx    context.Context
	op     string
	opts   UndeleteOptions
	report func(Undeleted)
	dir    fsys.Dir // of the account

	encoding maildirname.Encoding
	byID     map[mailaccess.MailboxID]maildirname.Folder
	byName   map[string]maildirname.Folder
	unique   *maildirname.Generator
}

// all goes through what is kept: deleted mailboxes first, so that they are there for what
// was expunged from them before.
func (u *undeleting) all() error {
	kept, err := u.dir.Sub(expungedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer kept.Close()
	host, err := os.Hostname()
	if err != nil {
		host = "" // only part of unique names
	}
	u.unique = maildirname.NewGenerator(host, os.Getpid(), time.Now)
	if err := u.folders(); err != nil {
		return err
	}
	var boxes, deleted []string
	for e, err := range kept.Names(0) {
		if err != nil {
			return err
		}
		if !e.Type.IsDir() {
			continue
		}
		if isID(e.Name) {
			boxes = append(boxes, e.Name)
		} else if _, _, ok := parseDeleted(e.Name); ok {
			deleted = append(deleted, e.Name)
		}
	}
	slices.Sort(deleted)
	for _, name := range deleted {
		if err := u.deleted(kept, name); err != nil {
			return err
		}
	}
	for _, id := range boxes {
		if err := u.expunged(kept, id); err != nil {
			return err
		}
	}
	return nil
}

// folders finds out which mailboxes there are.
func (u *undeleting) folders() error {
	var dirs []string
	for e, err := range u.dir.Names(0) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Name, ".") && e.Type.IsDir() {
			dirs = append(dirs, e.Name)
		}
	}
	var err error
	if u.encoding, err = encodingOf(u.dir, dirs); err != nil {
		return err
	}
	found, _ := u.encoding.Folders(slices.Values(dirs))
	u.byID = make(map[mailaccess.MailboxID]maildirname.Folder)
	u.byName = make(map[string]maildirname.Folder)
	for _, f := range append(found, maildirname.Folder{Name: mailaccess.Inbox}) {
		if f.Dir == "" && f.Name != mailaccess.Inbox {
			continue
		}
		u.byName[f.Name] = f
		d, err := u.open(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if text, err := readSmall(d, mailboxFile); err == nil {
			if meta, err := parseMailboxMeta(text); err == nil {
				u.byID[meta.id] = f
			}
		}
		if err := u.close(d); err != nil {
			return err
		}
	}
	return nil
}

func (u *undeleting) open(f maildirname.Folder) (fsys.Dir, error) {
	if f.Dir == "" {
		return u.dir, nil
	}
	return u.dir.Sub(f.Dir)
}

func (u *undeleting) close(d fsys.Dir) error {
	if d == u.dir {
		return nil
	}
	return d.Close()
}

// wanted reports whether what was expunged from a mailbox is meant.
func (u *undeleting) wanted(names ...string) bool {
	return u.opts.Mailbox == "" || slices.Contains(names, u.opts.Mailbox)
}

// expunged brings back what was expunged from one mailbox.
func (u *undeleting) expunged(kept fsys.Dir, id string) error {
	d, err := kept.Sub(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	name := keptMailbox(d)
	names := []string{name}
	to, own := u.byID[mailaccess.MailboxID(id)]
	switch there, ok := u.byName[name]; {
	case own:
		names = append(names, to.Name) // it may have been renamed since
		name = to.Name
	case ok:
		to = there
	default:
		to = maildirname.Folder{Name: mailaccess.Inbox}
	}
	if !u.wanted(names...) {
		return nil
	}
	b := batch{u: u, from: d, path: expungedDir + "/" + id, to: to, mailbox: name, letters: own}
	for e, err := range d.Names(0) {
		if err != nil {
			return err
		}
		k, ok := parseKept(e.Name)
		if !ok || e.Type != 0 || k.time.Before(u.opts.Since.Truncate(time.Second)) {
			continue
		}
		if err := b.add(e.Name, k.name, k.time); err != nil {
			return err
		}
	}
	return b.flush()
}

// deleted brings back the messages of a mailbox that was deleted.
func (u *undeleting) deleted(kept fsys.Dir, dir string) error {
	at, _, _ := parseDeleted(dir)
	if at.Before(u.opts.Since.Truncate(time.Second)) {
		return nil
	}
	d, err := kept.Sub(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	name := keptMailbox(d)
	if !u.wanted(name) {
		return nil
	}
	to, there := u.byName[name]
	if !there {
		if to.Dir, err = u.encoding.Encode(name); err != nil || to.Dir == "" {
			to = maildirname.Folder{} // a name that was damaged
		}
		if to.Name = name; to.Dir == "" {
			to.Name = mailaccess.Inbox
		}
	}
	fresh := !there && to.Dir != ""
	b := batch{u: u, from: d, path: expungedDir + "/" + dir, to: to, mailbox: name, letters: fresh, fresh: fresh}
	for _, sub := range []string{"cur", "new"} {
		if err := b.directory(sub, at); err != nil {
			return err
		}
	}
	return nil
}

// keptMailbox reads the name of the mailbox that kept messages were in; "" when it does not
// say or makes no sense.
func keptMailbox(d fsys.Dir) string {
	b, err := readSmall(d, expungedName)
	name := strings.TrimSuffix(string(b), "\n")
	if err != nil || mailaccess.CheckMailboxName(name) != nil {
		return ""
	}
	return name
}
