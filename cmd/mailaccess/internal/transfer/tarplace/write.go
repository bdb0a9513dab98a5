package tarplace

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
)

// trailer is what ends an archive (POSIX.1-2017, pax Interchange Format): two empty blocks.
const trailer = 1024

// cut takes off what ends the archive, and what a run that was ended has left half done.
// In a compressed one that begins with a member: each ends with an entry.
func (p *Place) cut() error {
	p.end = p.archive
	if p.gz {
		p.end = 0
		known := p.in.members
		p.archive = max(p.archive, 0)
		for _, m := range known {
			if m.archive > p.archive {
				break
			}
			p.end = m.file
			if m.archive == p.archive {
				break
			}
		}
		if err := p.whole(known); err != nil {
			return err
		}
	}
	if err := p.f.Truncate(p.end); err != nil {
		return err
	}
	if p.archive > 0 {
		return nil
	}
	p.manifest = &files.Manifest{}
	return p.writeManifest()
}

// whole goes back to where a member begins that is not whole. The entries in it are not there.
func (p *Place) whole(members []member) error {
	for _, m := range members {
		if m.file != p.end {
			continue
		}
		p.archive = m.archive
		for _, b := range p.boxes {
			kept := b.order[:0]
			for _, name := range b.order {
				if b.entries[name].at <= m.archive {
					kept = append(kept, name)
				} else {
					delete(b.entries, name)
				}
			}
			b.order = kept
		}
		return nil
	}
	if len(members) == 0 && p.archive == 0 {
		return nil
	}
	return fmt.Errorf("%s: nothing can be added to it: it was compressed by another program", p.path)
}

// writer returns the writer of entries.
func (p *Place) writer() *tar.Writer {
	if p.out != nil {
		return p.out
	}
	to := &appender{p}
	if p.gz {
		p.zip = gzip.NewWriter(to)
		p.out = tar.NewWriter(&archived{p, p.zip})
	} else {
		p.out = tar.NewWriter(&archived{p, to})
	}
	return p.out
}

// appender writes at the end of the file.
type appender struct{ p *Place }

func (a *appender) Write(b []byte) (int, error) {
	n, err := a.p.f.WriteAt(b, a.p.end)
	a.p.end += int64(n)
	return n, err
}

// archived counts what goes into the archive.
type archived struct {
	p *Place
	w io.Writer
}

func (a *archived) Write(b []byte) (int, error) {
	n, err := a.w.Write(b)
	a.p.archive += int64(n)
	return n, err
}

// entriesDone ends what was written with whole blocks, and a member of the file with them.
func (p *Place) entriesDone() error {
	if p.out == nil {
		return nil
	}
	err := p.out.Flush()
	if p.zip != nil {
		err = errors.Join(err, p.zip.Close())
	}
	p.out, p.zip = nil, nil
	return err
}

// Name implements transfer.Destination.
func (p *Place) Name(name string) string { return name }

// Create implements transfer.Destination.
func (p *Place) Create(_ context.Context, name string, use mailaccess.SpecialUse) (transfer.Mailbox, error) {
	e := files.ManifestEntry{}
	dir := files.Path(name)
	for {
		clash := false
		for other := range p.dirs {
			clash = clash || strings.EqualFold(other, dir)
		}
		if !clash {
			break
		}
		dir += files.Suffix(name)
	}
	e.SetUse(use)
	h := &tar.Header{
		Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o700, ModTime: time.Now().Truncate(time.Second), Format: tar.FormatPAX,
		PAXRecords: map[string]string{recordMailbox: name},
	}
	if e.Use != "" {
		h.PAXRecords[recordUse] = e.Use
	}
	err := p.writer().WriteHeader(h)
	if err == nil {
		err = p.entriesDone()
	}
	if err != nil {
		return transfer.Mailbox{}, p.broken("make "+name, err)
	}
	p.box(name, dir).use = use
	return transfer.Mailbox{Name: name, Ref: name, ID: "tar"}, nil
}

// broken is the error of an archive that cannot be written: nothing comes behind it.
func (p *Place) broken(op string, err error) error {
	return fmt.Errorf("%w: %w", transfer.ErrOver, files.Failed(op, err))
}

// Append implements transfer.Destination.
func (p *Place) Append(_ context.Context, mailbox transfer.Mailbox, m transfer.Message, b transfer.Body) error {
	const op = "append"
	// Whatever the reader does: the size stands before the content.
	s, err := files.Spool(b.Reader)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it was only read
	at := p.boxes[mailbox.Ref]
	p.count++
	received := m.Received
	if received.IsZero() {
		received = time.Now()
	}
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/%08d.eml", at.dir, p.count), Mode: 0o600, Size: s.Size(), ModTime: received.Truncate(time.Second), Format: tar.FormatPAX,
	}
	if text := files.FormatFlags(m.Flags); text != "" {
		h.PAXRecords = map[string]string{recordFlags: text}
	}
	w := p.writer()
	if err := w.WriteHeader(h); err != nil {
		return p.broken(op, err)
	}
	m.Key, m.Size = h.Name, -1
	at.entries[h.Name] = entry{at: p.archive, size: s.Size(), msg: m}
	at.order = append(at.order, h.Name)
	p.queue = append(p.queue, h.Name)
	if _, err := io.Copy(w, s.Reader()); err != nil {
		return p.broken(op, err)
	}
	return nil
}

// Flush implements transfer.Destination.
func (p *Place) Flush(context.Context, transfer.Mailbox) ([]transfer.Appended, error) {
	queue := p.queue
	p.queue = nil
	err := p.entriesDone()
	if err == nil {
		err = p.f.Sync()
	}
	if err != nil {
		return nil, p.broken("append", err)
	}
	p.forgetMembers()
	became := make([]transfer.Appended, len(queue))
	for i, key := range queue {
		became[i].Key = key
	}
	return became, nil
}

// forgetMembers has the next reading find out anew where they begin.
func (p *Place) forgetMembers() { p.in.rewind() }

// SetFlags implements transfer.Destination.
func (p *Place) SetFlags(_ context.Context, mailbox transfer.Mailbox, keys []string, change mailaccess.FlagChange) error {
	b := p.boxes[mailbox.Ref]
	if p.manifest.Flags == nil {
		p.manifest.Flags = make(map[string]string)
	}
	for _, key := range keys {
		if e, ok := b.entries[key]; ok {
			e.msg.Flags = change.Apply(e.msg.Flags)
			b.entries[key] = e
			p.manifest.Flags[key] = files.FormatFlags(e.msg.Flags)
		}
	}
	return p.writeManifest()
}

// writeManifest adds the manifest to the archive. The last one counts.
func (p *Place) writeManifest() error {
	const op = "write " + files.ManifestName
	text, err := p.manifest.Bytes()
	if err != nil {
		return err
	}
	w := p.writer()
	err = w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: files.ManifestName, Mode: 0o600, Size: int64(len(text)), ModTime: time.Now().Truncate(time.Second), Format: tar.FormatPAX,
	})
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = p.entriesDone()
	}
	if err == nil {
		err = p.f.Sync()
	}
	if err != nil {
		return p.broken(op, err)
	}
	return nil
}

// Remove implements transfer.Destination.
func (p *Place) Remove(context.Context, transfer.Mailbox, []string) error {
	return &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "remove messages", Err: errors.New("an archive is only added to")}
}

// Subscribe implements transfer.Destination.
func (p *Place) Subscribe(_ context.Context, name string) error {
	p.manifest.Subscribe(name)
	p.changed = true
	return nil
}

// Finish implements transfer.Destination.
func (p *Place) Finish(context.Context) error {
	if p.changed {
		p.changed = false
		return p.writeManifest()
	}
	return nil
}

// Close implements transfer.Source.
func (p *Place) Close() error {
	if !p.write {
		return p.f.Close()
	}
	err := p.entriesDone()
	if err == nil {
		err = p.finish()
	}
	return errors.Join(err, p.f.Close())
}

// finish ends the archive.
func (p *Place) finish() error {
	var w io.Writer = &appender{p}
	if p.gz {
		z := gzip.NewWriter(w)
		if _, err := z.Write(bytes.Repeat([]byte{0}, trailer)); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
	} else if _, err := w.Write(bytes.Repeat([]byte{0}, trailer)); err != nil {
		return err
	}
	return p.f.Sync()
}
