// Package mboxplace is a file in mbox format, or a directory of such files, as a place of
// mail.
//
// Read are all kinds of the format: a line "From ", with a date as asctime has it, begins a
// message where the line before is empty; Content-Length is believed only where it is right.
// Flags are those that mutt, Dovecot and c-client keep in Status, X-Status and X-Keywords, and
// these fields stay part of the message. What export writes is mboxrd, with such fields of its
// own before each message, which are taken off again.
package mboxplace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
)

// errNoMbox says that a file is something else.
var errNoMbox = errors.New("it does not begin like a mbox")

// keyLen is how long the key of a message is: hexadecimal digits.
const keyLen = 32

// Place is a file or a directory.
type Place struct {
	path     string
	single   bool // path is a file
	manifest *files.Manifest

	box   string // the file that was looked at last
	found map[string]found
	order []string
	rest  int64 // where in it a message begins of which there is no more, or -1
	queue []found
	out   *os.File // the file that is appended to
	outAt int64
}

var _ transfer.Destination = (*Place)(nil)

// Open returns the place at path. With create it becomes a directory if it is not there.
func Open(path string, create bool) (*Place, error) {
	const op = "open the mbox"
	info, err := os.Stat(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, files.Failed(op, err)
		}
		info, err = os.Stat(path)
	}
	if err != nil {
		return nil, files.Failed(op, err)
	}
	p := &Place{path: path, single: !info.IsDir(), manifest: &files.Manifest{}}
	if p.single && create {
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: op, Err: fmt.Errorf("%s is a file: mailboxes become files in a directory", path)}
	}
	if !p.single {
		if p.manifest, err = files.LoadManifest(filepath.Join(path, files.ManifestName)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close implements transfer.Source.
func (p *Place) Close() error { return p.drop() }

// Mailboxes implements transfer.Source.
func (p *Place) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	const op = "list the mailboxes"
	if p.single {
		b, err := p.mailbox(p.path)
		if err != nil {
			return nil, files.Failed(op, err)
		}
		b.Name, b.Ref = transfer.CleanName([]string{strings.TrimSuffix(filepath.Base(p.path), ".mbox")}), p.path
		return []transfer.Mailbox{b}, nil
	}
	var boxes []transfer.Mailbox
	names := make(map[string]bool)
	err := filepath.WalkDir(p.path, func(at string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			return nil
		}
		rel, err := filepath.Rel(p.path, at)
		if err != nil {
			return err
		}
		b, err := p.mailbox(at)
		if errors.Is(err, errNoMbox) {
			return nil
		}
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		b.Ref = at
		if known, ok := p.manifest.Mailboxes[strings.TrimSuffix(rel, ".mbox")]; ok {
			b.Name, b.Use = known.Name, known.SpecialUse()
		} else {
			b.Name = nameOf(rel)
		}
		if !names[b.Name] {
			names[b.Name] = true
			boxes = append(boxes, b)
		}
		return nil
	})
	if err != nil {
		return nil, files.Failed(op, err)
	}
	slices.SortFunc(boxes, func(a, b transfer.Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return boxes, nil
}

// nameOf makes a name of a path: "a/b.mbox" is a/b, and so are Thunderbird's "a.sbd/b" and
// Apple Mail's "a/b.mbox/mbox".
func nameOf(rel string) string {
	levels := strings.Split(rel, "/")
	if n := len(levels); n > 1 && levels[n-1] == "mbox" && strings.HasSuffix(levels[n-2], ".mbox") {
		levels = levels[:n-1]
	}
	for i, level := range levels {
		if cut := strings.TrimSuffix(level, ".sbd"); i < len(levels)-1 && cut != "" {
			level = cut
		}
		if cut := strings.TrimSuffix(level, ".mbox"); cut != "" {
			level = cut
		}
		levels[i] = level
	}
	return transfer.CleanName(levels)
}

// mailbox looks whether a file is a mbox.
func (p *Place) mailbox(name string) (transfer.Mailbox, error) {
	f, err := os.Open(name)
	if err != nil {
		return transfer.Mailbox{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return transfer.Mailbox{}, err
	}
	line, err := bufio.NewReaderSize(f, 4096).ReadSlice('\n')
	if info.Size() == 0 {
		if !strings.HasSuffix(name, ".mbox") && !p.single {
			return transfer.Mailbox{}, errNoMbox
		}
	} else if _, ok := isFrom(line); !ok || err != nil {
		return transfer.Mailbox{}, errNoMbox
	}
	return transfer.Mailbox{
		ID: "mbox", Messages: -1, State: fmt.Sprint(info.Size(), info.ModTime().UnixNano()),
	}, nil
}

// look goes through a file.
func (p *Place) look(name string) error {
	p.box, p.found, p.order = "", make(map[string]found), nil
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	p.rest, err = scan(f, func(m found) error {
		p.found[m.key] = m
		p.order = append(p.order, m.key)
		return nil
	})
	if err = errors.Join(err, f.Close()); err == nil {
		p.box = name
	}
	return err
}

func (p *Place) need(name string) error {
	if p.box == name {
		return nil
	}
	return p.look(name)
}

// Messages implements transfer.Source. The keys are sums of what does not change, or those
// that export has written.
func (p *Place) Messages(ctx context.Context, box transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		err := p.look(box.Ref)
		for _, key := range p.order {
			m := p.found[key]
			if err = errors.Join(err, ctx.Err()); err != nil {
				break
			}
			if m.cut {
				continue // a run was ended while it wrote it
			}
			if !yield(transfer.Message{Key: key, Flags: m.flags, Received: m.received, Size: -1}, nil) {
				return
			}
		}
		if err != nil {
			yield(transfer.Message{}, files.Failed("list the messages", err))
		}
	}
}

// Read implements transfer.Source.
func (p *Place) Read(ctx context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		err := p.need(box.Ref)
		var f *os.File
		if err == nil {
			f, err = os.Open(box.Ref)
		}
		if err != nil {
			yield(transfer.Body{}, files.Failed("read", err))
			return
		}
		defer f.Close() //nolint:errcheck // it was only read
		for i, m := range msgs {
			at, ok := p.found[m.Key]
			if !ok {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(transfer.Body{}, err)
				return
			}
			s, err := files.Spool(content(f, at))
			if !files.Yield(yield, i, s, err) {
				return
			}
		}
	}
}

// content reads a message as it was.
func content(f io.ReaderAt, m found) io.Reader {
	end := m.end
	if m.noEnd {
		end = max(m.body, end-1)
	}
	r := io.NewSectionReader(f, m.body, end-m.body)
	if m.plain {
		return r
	}
	return &unquoted{in: bufio.NewReader(r)}
}

// unquoted takes one ">" off each line that begins with some of them and "From ".
type unquoted struct {
	in     *bufio.Reader
	inside bool // of a line, behind where it could be one
	quote  bool // a ">" is held back
	held   int  // octets of "From " behind it
	out    []byte
	rest   []byte
}

func (u *unquoted) Read(b []byte) (int, error) {
	for len(u.rest) == 0 {
		piece, err := u.in.ReadSlice('\n')
		u.out = u.out[:0]
		for _, c := range piece {
			u.take(c)
		}
		if err == io.EOF { //nolint:errorlint // ReadSlice returns it as it is
			u.giveUp()
		}
		u.rest = u.out
		if len(u.rest) == 0 && err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // as above
			return 0, err
		}
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *unquoted) take(c byte) {
	switch {
	case u.inside:
	case c == '>' && u.held == 0:
		if u.quote {
			u.out = append(u.out, '>')
		}
		u.quote = true
		return
	case u.quote && c == from[u.held]:
		if u.held++; u.held == len(from) {
			u.out = append(u.out, from...)
			u.inside, u.quote, u.held = true, false, 0
		}
		return
	}
	u.giveUp()
	u.out = append(u.out, c)
	u.inside = c != '\n'
}

// giveUp lets go of what was held back: it is no quoted line.
func (u *unquoted) giveUp() {
	if u.quote {
		u.out = append(append(u.out, '>'), from[:u.held]...)
	}
	u.quote, u.held = false, 0
}

// Subscriptions implements transfer.Source.
func (p *Place) Subscriptions(context.Context) ([]string, error) {
	return p.manifest.Subscriptions, nil
}
