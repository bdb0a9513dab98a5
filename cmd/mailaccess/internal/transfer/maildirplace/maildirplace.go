// Package maildirplace is a Maildir++ as a place of mail: one that others keep, or that they
// are to read. It keeps no index, takes nothing over, and as a source writes nothing.
//
// Mail of programs that make a directory with cur and new in it for each mailbox, one in
// the other (mbsync, offlineimap), is read too.
package maildirplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Place is a Maildir++.
type Place struct {
	path     string
	encoding maildirname.Encoding
	nested   bool // directories in directories
	names    *maildirname.Generator

	box      string // the directory of the mailbox that was looked at last
	found    map[string]file
	keywords maildirname.Keywords
	taken    uint32 // letters that files have and nobody knows
	queue    []queued
	lost     map[string]bool // mailboxes with keywords that could not be kept
	// unreadable is why directories and files make no mailbox and no message, by where they
	// are.
	unreadable map[string]string
}

// file is where a message is.
type file struct{ dir, name string }

// id: keys mean the same for good.
const id = "maildir"

var _ transfer.Destination = (*Place)(nil)

// Open returns the place at path, a directory, which is made if create says so.
func Open(dir string, create bool) (*Place, error) {
	const op = "open the Maildir"
	if create {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				return nil, files.Failed(op, err)
			}
		}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // only part of a unique name
	}
	p := &Place{path: dir, names: maildirname.NewGenerator(host, os.Getpid(), time.Now), lost: make(map[string]bool), unreadable: make(map[string]string)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, files.Failed(op, err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, e.Name())
		}
	}
	p.encoding = maildirname.Detect(slices.Values(dirs)).Encoding
	p.nested = !isMaildir(dir)
	return p, nil
}

// isMaildir: programs that copy files may leave out new and tmp, which are empty most of the time.
func isMaildir(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "cur"))
	return err == nil && info.IsDir()
}

// files lists a directory of messages, or nothing if it is not there.
func (p *Place) files(dir, sub string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(p.path, dir, sub))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// Close implements transfer.Source.
func (p *Place) Close() error { return p.drop() }

// Unreadable tells what is no mailbox or message, though it lies where those do.
func (p *Place) Unreadable() []string {
	var all []string
	for _, at := range slices.Sorted(maps.Keys(p.unreadable)) {
		all = append(all, p.unreadable[at])
	}
	return all
}

// Notes tells what could not be kept.
func (p *Place) Notes() []string {
	var notes []string
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		notes = append(notes, fmt.Sprintf("%s: more keywords than the %d that names of files have letters for: some are not kept", name, maildirname.MaxLetters))
	}
	return notes
}

// Mailboxes implements transfer.Source.
func (p *Place) Mailboxes(context.Context) ([]transfer.Mailbox, error) {
	const op = "list the mailboxes"
	var boxes []transfer.Mailbox
	add := func(name, dir string) {
		boxes = append(boxes, transfer.Mailbox{Name: name, ID: id, Ref: dir, Messages: p.number(dir)})
	}
	if p.nested {
		err := filepath.WalkDir(p.path, func(at string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() || !isMaildir(at) {
				return err
			}
			rel, err := filepath.Rel(p.path, at)
			if err != nil {
				return err
			}
			add(transfer.CleanName(strings.Split(filepath.ToSlash(rel), "/")), rel)
			return nil
		})
		if err != nil {
			return nil, files.Failed(op, err)
		}
		if len(boxes) == 0 {
			return nil, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: op, Err: fmt.Errorf("%s is no Maildir, and has none in it", p.path)}
		}
	} else {
		entries, err := os.ReadDir(p.path)
		if err != nil {
			return nil, files.Failed(op, err)
		}
		var dirs []string
		for _, e := range entries {
			if e.IsDir() && isMaildir(filepath.Join(p.path, e.Name())) {
				dirs = append(dirs, e.Name())
			}
		}
		folders, refused := p.encoding.Folders(slices.Values(dirs))
		for _, err := range refused {
			p.unreadable[err.Error()] = err.Error()
		}
		add(mailaccess.Inbox, "")
		for _, f := range folders {
			add(f.Name, f.Dir)
		}
	}
	slices.SortFunc(boxes, func(a, b transfer.Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return boxes, nil
}

// number is how many messages there are, more or less.
func (p *Place) number(dir string) int {
	n := 0
	for _, sub := range []string{"cur", "new"} {
		entries, err := p.files(dir, sub)
		if err != nil {
			return -1
		}
		n += len(entries)
	}
	return n
}

// look reads the names in a mailbox.
func (p *Place) look(dir string) error {
	const op = "list the messages"
	p.box, p.found, p.keywords, p.taken = "", make(map[string]file), maildirname.Keywords{}, 0
	text, err := os.ReadFile(filepath.Join(p.path, dir, maildirname.KeywordsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.Failed(op, err)
	}
	if p.keywords, _, err = maildirname.ReadKeywords(bytes.NewReader(text)); err != nil {
		return files.Failed(op, err)
	}
	// A message goes from new to cur: whoever looks in this order misses none.
	for _, sub := range []string{"new", "cur"} {
		entries, err := p.files(dir, sub)
		if err != nil {
			return files.Failed(op, err)
		}
		for _, e := range entries {
			m, ok := maildirname.ParseMessage(e.Name())
			if !ok {
				continue
			}
			at := file{path.Join(dir, sub), e.Name()}
			if !e.Type().IsRegular() {
				// Links are not followed: who owns the Maildir may not be who may read
				// what they lead to.
				p.cannot(at, "is no regular file")
				continue
			}
			if other, twice := p.found[m.Base]; twice && other.dir == at.dir {
				p.cannot(at, fmt.Sprintf("has the name of %q up to the flags", other.name))
				continue
			}
			p.found[m.Base] = at
			_, unknown := p.keywords.Flags(m.Flags)
			p.taken |= unknown
		}
	}
	p.box = dir
	return nil
}

// cannot notes why a file is no message.
func (p *Place) cannot(f file, why string) {
	at := path.Join(f.dir, f.name)
	p.unreadable[at] = fmt.Sprintf("%q %s", at, why)
}

// Messages implements transfer.Source. The keys are names of files up to the flags.
func (p *Place) Messages(ctx context.Context, box transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		if err := p.look(box.Ref); err != nil {
			yield(transfer.Message{}, err)
			return
		}
		// In the order of their names, which begin with the time.
		for _, base := range slices.Sorted(maps.Keys(p.found)) {
			f := p.found[base]
			info, err := os.Lstat(filepath.Join(p.path, f.dir, f.name))
			if errors.Is(err, fs.ErrNotExist) {
				if f, info, err = p.again(box, base); errors.Is(err, fs.ErrNotExist) {
					continue // it was removed
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(transfer.Message{}, files.Failed("list the messages", err))
				return
			}
			m, _ := maildirname.ParseMessage(f.name)
			flags, _ := p.keywords.Flags(m.Flags)
			if !yield(transfer.Message{Key: base, Flags: flags, Received: info.ModTime().Truncate(time.Second), Size: m.Wire}, nil) {
				return
			}
		}
	}
}

// again looks for a file that was renamed meanwhile.
func (p *Place) again(box transfer.Mailbox, base string) (file, fs.FileInfo, error) {
	if err := p.look(box.Ref); err != nil {
		return file{}, nil, err
	}
	f, ok := p.found[base]
	if !ok {
		return file{}, nil, fs.ErrNotExist
	}
	info, err := os.Lstat(filepath.Join(p.path, f.dir, f.name))
	return f, info, err
}

// at returns where a message is.
func (p *Place) at(box transfer.Mailbox, base string) (file, error) {
	if p.box != box.Ref || p.found == nil {
		if err := p.look(box.Ref); err != nil {
			return file{}, err
		}
	}
	f, ok := p.found[base]
	if ok {
		_, err := os.Lstat(filepath.Join(p.path, f.dir, f.name))
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	f, _, err := p.again(box, base)
	return f, err
}

// Read implements transfer.Source.
func (p *Place) Read(ctx context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		for i, m := range msgs {
			if err := ctx.Err(); err != nil {
				yield(transfer.Body{}, err)
				return
			}
			s, err := p.spool(box, m.Key)
			if !files.Yield(yield, i, s, err) {
				return
			}
		}
	}
}

func (p *Place) spool(box transfer.Mailbox, base string) (*files.Spooled, error) {
	at, err := p.at(box, base)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(p.path, at.dir, at.name))
	if err != nil {
		return nil, err
	}
	s, err := files.Spool(f)
	return s, errors.Join(err, f.Close())
}

// Subscriptions implements transfer.Source: those of Dovecot, or of Courier.
func (p *Place) Subscriptions(context.Context) ([]string, error) {
	const op = "read the subscriptions"
	for file, read := range map[string]func([]byte) (maildirname.Subscriptions, error){
		maildirname.SubscriptionsFile: func(b []byte) (maildirname.Subscriptions, error) {
			return p.encoding.ReadSubscriptions(bytes.NewReader(b))
		},
		"courierimapsubscribed": func(b []byte) (maildirname.Subscriptions, error) {
			return p.encoding.ReadCourierSubscriptions(bytes.NewReader(b))
		},
	} {
		text, err := os.ReadFile(filepath.Join(p.path, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, files.Failed(op, err)
		}
		s, err := read(text)
		return s.Names, err
	}
	return nil, nil
}
