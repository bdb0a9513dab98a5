package maildirplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// queued is a message in tmp.
type queued struct {
	tmp, name, base string
}

// Name implements transfer.Destination.
func (p *Place) Name(name string) string { return name }

// Create implements transfer.Destination. Special uses are not kept: a Maildir++ has no
// place for them.
func (p *Place) Create(_ context.Context, name string, _ mailaccess.SpecialUse) (transfer.Mailbox, error) {
	op := "make " + name
	if p.nested {
		return transfer.Mailbox{}, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: op, Err: errors.New("the directories there are in one another, which is only read")}
	}
	dir, err := p.encoding.Encode(name)
	if err != nil {
		return transfer.Mailbox{}, err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(p.path, dir, sub), 0o700); err != nil {
			return transfer.Mailbox{}, files.Failed(op, err)
		}
	}
	// The mark of a folder (Maildir++, "Folder quotas").
	if dir != "" {
		if err := os.WriteFile(filepath.Join(p.path, dir, "maildirfolder"), nil, 0o600); err != nil {
			return transfer.Mailbox{}, files.Failed(op, err)
		}
	}
	if err := files.SyncDir(p.path); err != nil {
		return transfer.Mailbox{}, files.Failed(op, err)
	}
	return transfer.Mailbox{Name: name, ID: id, Ref: dir}, nil
}

// letters returns the letters of flags, after those that are missing were given out.
func (p *Place) letters(box transfer.Mailbox, flags mailaccess.Flags) (maildirname.Letters, error) {
	if p.box != box.Ref || p.found == nil {
		if err := p.look(box.Ref); err != nil {
			return maildirname.Letters{}, err
		}
	}
	k := p.keywords
	_, without := k.Letters(flags)
	for w := range without.All() {
		if !k.Add(w, p.taken) {
			p.lost[box.Name] = true
		}
	}
	if k != p.keywords {
		// Before there are files with its letters.
		if err := files.Replace(filepath.Join(p.path, box.Ref, maildirname.KeywordsFile), k.Append(nil)); err != nil {
			return maildirname.Letters{}, err
		}
		p.keywords = k
	}
	l, _ := k.Letters(flags)
	return l, nil
}

// Append implements transfer.Destination.
func (p *Place) Append(_ context.Context, box transfer.Mailbox, m transfer.Message, b transfer.Body) error {
	s, err := files.Spool(b.Reader)
	if err != nil {
		return err
	}
	err = p.append(box, m, s)
	return files.Failed("append", errors.Join(err, s.Close()))
}

func (p *Place) append(box transfer.Mailbox, m transfer.Message, s *files.Spooled) error {
	letters, err := p.letters(box, m.Flags)
	if err != nil {
		return err
	}
	unique := p.names.Next()
	tmp := filepath.Join(p.path, box.Ref, "tmp", unique)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	size, err := write(f, s)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil && !m.Received.IsZero() {
		err = os.Chtimes(tmp, m.Received, m.Received)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	base := maildirname.WithSizes(unique, size, s.Size())
	name, _ := maildirname.ParseMessage(base)
	p.queue = append(p.queue, queued{tmp: tmp, base: base, name: name.WithFlags(letters)})
	return nil
}

// write writes a content with LF at the end of lines, as files have it, unless it would not be
// the same again.
func write(w io.Writer, s *files.Spooled) (int64, error) {
	if !s.Plain() {
		return io.Copy(w, s.Reader())
	}
	lf := files.NewLF(w)
	if _, err := io.Copy(lf, s.Reader()); err != nil {
		return 0, err
	}
	return lf.Finish()
}

// drop removes what was not flushed.
func (p *Place) drop() error {
	var errs []error
	for _, q := range p.queue {
		if err := os.Remove(q.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	p.queue = nil
	return errors.Join(errs...)
}

// Flush implements transfer.Destination.
func (p *Place) Flush(_ context.Context, box transfer.Mailbox) ([]transfer.Appended, error) {
	defer p.drop() //nolint:errcheck // only what could not be renamed is left
	became := make([]transfer.Appended, 0, len(p.queue))
	cur := path.Join(box.Ref, "cur")
	for _, q := range p.queue {
		err := os.Rename(q.tmp, filepath.Join(p.path, cur, q.name))
		if err == nil && p.box == box.Ref && p.found != nil {
			p.found[q.base] = file{cur, q.name}
		}
		became = append(became, transfer.Appended{Key: q.base, Err: files.Failed("append", err)})
	}
	return became, files.Failed("append", files.SyncDir(filepath.Join(p.path, cur)))
}

// SetFlags implements transfer.Destination.
func (p *Place) SetFlags(_ context.Context, box transfer.Mailbox, keys []string, change mailaccess.FlagChange) error {
	for _, key := range keys {
		if err := p.setFlags(box, key, change); err != nil {
			return files.Failed("change flags", err)
		}
	}
	return nil
}

func (p *Place) setFlags(box transfer.Mailbox, key string, change mailaccess.FlagChange) error {
	at, err := p.at(box, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m, _ := maildirname.ParseMessage(at.name)
	was, unknown := p.keywords.Flags(m.Flags)
	letters, err := p.letters(box, change.Apply(was))
	if err != nil {
		return err
	}
	letters.Keywords |= unknown // another program's
	to := file{path.Join(box.Ref, "cur"), m.WithFlags(letters)}
	if to == at {
		return nil
	}
	if err := os.Rename(filepath.Join(p.path, at.dir, at.name), filepath.Join(p.path, to.dir, to.name)); err != nil {
		return err
	}
	p.found[key] = to
	return nil
}

// Remove implements transfer.Destination.
func (p *Place) Remove(_ context.Context, box transfer.Mailbox, keys []string) error {
	for _, key := range keys {
		at, err := p.at(box, key)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.Remove(filepath.Join(p.path, at.dir, at.name))
		}
		if err != nil {
			return files.Failed("remove messages", err)
		}
		delete(p.found, key)
	}
	return nil
}

// Subscribe implements transfer.Destination.
func (p *Place) Subscribe(_ context.Context, name string) error {
	const op = "subscribe"
	file := filepath.Join(p.path, maildirname.SubscriptionsFile)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files.Failed(op, err)
	}
	s, err := p.encoding.ReadSubscriptions(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if s.Skipped > 0 {
		return &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: op, Err: fmt.Errorf("%s has names that make no sense here", maildirname.SubscriptionsFile)}
	}
	text, err = p.encoding.AppendSubscriptions(nil, slices.Values(append(s.Names, name)))
	if err != nil {
		return err
	}
	return files.Failed(op, files.Replace(file, text))
}

// Finish implements transfer.Destination.
func (p *Place) Finish(context.Context) error { return nil }
