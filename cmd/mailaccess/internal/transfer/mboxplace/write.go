package mboxplace

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
)

// Name implements transfer.Destination.
func (p *Place) Name(name string) string { return name }

// Create implements transfer.Destination. The name and the use are kept in the manifest.
func (p *Place) Create(_ context.Context, name string, use mailaccess.SpecialUse) (transfer.Mailbox, error) {
	op := "make " + name
	file := filepath.Join(p.path, filepath.FromSlash(p.manifest.Add(name, use)+".mbox"))
	if err := p.save(); err != nil {
		return transfer.Mailbox{}, files.Failed(op, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return transfer.Mailbox{}, files.Failed(op, err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		err = errors.Join(f.Close(), files.SyncDir(filepath.Dir(file)))
	}
	return transfer.Mailbox{Name: name, ID: "mbox", Ref: file}, files.Failed(op, err)
}

func (p *Place) save() error {
	text, err := p.manifest.Bytes()
	if err != nil {
		return err
	}
	return files.Replace(filepath.Join(p.path, files.ManifestName), text)
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
	if err := p.open(box.Ref); err != nil {
		return err
	}
	at, err := write(io.NewOffsetWriter(p.out, p.outAt), newKey(), m, s)
	if err != nil {
		return errors.Join(err, p.out.Truncate(p.outAt))
	}
	at.start += p.outAt
	at.body += p.outAt
	at.end += p.outAt
	p.outAt = at.end + 1
	p.queue = append(p.queue, at)
	return nil
}

func newKey() string {
	b := make([]byte, keyLen/2)
	rand.Read(b) //nolint:errcheck // it never fails
	return fmt.Sprintf("%x", b)
}

// open opens a file to append to it. A message of which a run wrote only a part is cut off.
func (p *Place) open(name string) error {
	if err := p.need(name); err != nil {
		return err
	}
	if p.out != nil && p.out.Name() == name {
		return nil
	}
	if err := p.drop(); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := p.prepare(f); err != nil {
		return errors.Join(err, f.Close())
	}
	p.out = f
	return nil
}

// prepare finds where the next message goes: behind an empty line.
func (p *Place) prepare(f *os.File) error {
	rest := p.rest
	if n := len(p.order); n > 0 && p.found[p.order[n-1]].cut {
		rest = p.found[p.order[n-1]].start
		delete(p.found, p.order[n-1])
		p.order = p.order[:n-1]
	}
	if rest >= 0 {
		if err := f.Truncate(rest); err != nil {
			return err
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if p.outAt = info.Size(); p.outAt == 0 {
		return nil
	}
	tail := make([]byte, min(p.outAt, 3))
	if _, err := f.ReadAt(tail, p.outAt-int64(len(tail))); err != nil {
		return err
	}
	for !bytes.HasSuffix(tail, []byte("\n\n")) && !bytes.HasSuffix(tail, []byte("\n\r\n")) {
		if _, err := f.WriteAt([]byte("\n"), p.outAt); err != nil {
			return err
		}
		tail = append(tail, '\n')
		p.outAt++
	}
	return nil
}

// write writes a message with what tells of it, and an empty line. The offsets that it returns
// are from where it began.
func write(to io.Writer, key string, m transfer.Message, s *files.Spooled) (found, error) {
	received := m.Received
	if received.IsZero() {
		received = time.Now()
	}
	at := found{key: key, received: received, flags: m.Flags, ours: true, noEnd: !s.Ended()}
	count := &counter{}
	if err := body(count, s); err != nil {
		return at, err
	}
	w := bufio.NewWriterSize(to, 64<<10)
	end := "end"
	if at.noEnd {
		end = "noend"
	}
	n, err := fmt.Fprintf(w, "From MAILER-DAEMON %s\n%s: 1 3 %d %s %s\n%s", received.UTC().Format(time.ANSIC), fieldOurs, count.n, end, key, fields(m.Flags))
	if err != nil {
		return at, err
	}
	if err := body(w, s); err != nil {
		return at, err
	}
	if err := w.WriteByte('\n'); err != nil {
		return at, err
	}
	at.body = int64(n)
	at.end = at.body + count.n
	return at, w.Flush()
}

type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

// fields are the three fields in which others look for flags.
func fields(f mailaccess.Flags) string {
	status, more := "O", ""
	if f.System.Has(mailaccess.FlagSeen) {
		status = "RO"
	}
	for flag, c := range map[mailaccess.SystemFlags]string{mailaccess.FlagAnswered: "A", mailaccess.FlagFlagged: "F", mailaccess.FlagDeleted: "D", mailaccess.FlagDraft: "T"} {
		if f.System.Has(flag) {
			more += c
		}
	}
	return fmt.Sprintf("%s: %s\n%s: %s\n%s: %s\n", fieldStatus, status, fieldXStatus, more, fieldKeywords, f.Keywords)
}

// body writes a content with a ">" before each line that begins with any number of them and
// "From ", and an end of the last line.
func body(w io.Writer, s *files.Spooled) error {
	q := &quoter{w: w}
	if s.Plain() {
		lf := files.NewLF(q)
		if _, err := io.Copy(lf, s.Reader()); err != nil {
			return err
		}
		if _, err := lf.Finish(); err != nil {
			return err
		}
	} else if _, err := io.Copy(q, s.Reader()); err != nil {
		return err
	}
	if err := q.finish(); err != nil || s.Ended() {
		return err
	}
	_, err := w.Write([]byte("\n"))
	return err
}

// quoter quotes lines. Where in a run of ">" one more is put makes no difference: it comes
// last, so that no more than "From " is held back.
type quoter struct {
	w      io.Writer
	inside bool // of a line, behind where it could be one to quote
	held   int  // octets of "From "
	out    []byte
}

const from = "From "

func (q *quoter) Write(b []byte) (int, error) {
	q.out = q.out[:0]
	for _, c := range b {
		if !q.inside && c == from[q.held] {
			if q.held++; q.held == len(from) {
				q.out = append(append(q.out, '>'), from...)
				q.inside, q.held = true, 0
			}
			continue
		}
		q.out = append(q.out, from[:q.held]...)
		q.out = append(q.out, c)
		q.inside = c != '\n' && (q.inside || q.held > 0 || c != '>')
		q.held = 0
	}
	if _, err := q.w.Write(q.out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (q *quoter) finish() error {
	_, err := io.WriteString(q.w, from[:q.held])
	q.held = 0
	return err
}

// drop closes the file. What was not flushed is cut off.
func (p *Place) drop() error {
	if p.out == nil {
		return nil
	}
	var err error
	if len(p.queue) > 0 {
		err = p.out.Truncate(p.queue[0].start)
	}
	p.queue = nil
	err = errors.Join(err, p.out.Close())
	p.out = nil
	return err
}

// Flush implements transfer.Destination.
func (p *Place) Flush(context.Context, transfer.Mailbox) ([]transfer.Appended, error) {
	if len(p.queue) == 0 {
		return nil, nil
	}
	if err := p.out.Sync(); err != nil {
		return nil, files.Failed("append", errors.Join(err, p.drop()))
	}
	var became []transfer.Appended
	for _, m := range p.queue {
		p.found[m.key] = m
		p.order = append(p.order, m.key)
		became = append(became, transfer.Appended{Key: m.key})
	}
	p.queue = nil
	return became, nil
}

// SetFlags implements transfer.Destination: it writes the file anew.
func (p *Place) SetFlags(_ context.Context, box transfer.Mailbox, keys []string, change mailaccess.FlagChange) error {
	return files.Failed("change flags", p.rewrite(box.Ref, keys, func(m *found) bool {
		m.flags = change.Apply(m.flags)
		return true
	}))
}

// Remove implements transfer.Destination.
func (p *Place) Remove(_ context.Context, box transfer.Mailbox, keys []string) error {
	return files.Failed("remove messages", p.rewrite(box.Ref, keys, func(*found) bool { return false }))
}

// rewrite writes a file anew, with some messages changed, or left out where change says so.
func (p *Place) rewrite(name string, keys []string, change func(*found) bool) (err error) {
	if err := p.drop(); err != nil {
		return err
	}
	if err := p.look(name); err != nil {
		return err
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.CreateTemp(filepath.Dir(name), ".mailaccess-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.Close())
			if other := os.Remove(out.Name()); !errors.Is(other, fs.ErrNotExist) {
				err = errors.Join(err, other)
			}
		}
	}()
	for _, key := range p.order {
		m := p.found[key]
		if m.cut {
			continue
		}
		if slices.Contains(keys, key) {
			if !change(&m) {
				continue
			}
			if err := p.copyChanged(out, in, m); err != nil {
				return err
			}
			continue
		}
		if _, err := io.Copy(out, io.NewSectionReader(in, m.start, m.end-m.start)); err != nil {
			return err
		}
		if _, err := out.Write([]byte("\n")); err != nil {
			return err
		}
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), name); err != nil {
		return err
	}
	p.box = ""
	return errors.Join(out.Close(), files.SyncDir(filepath.Dir(name)))
}

// copyChanged writes a message with other flags.
func (p *Place) copyChanged(out io.Writer, in io.ReaderAt, m found) error {
	s, err := files.Spool(content(in, m))
	if err != nil {
		return err
	}
	_, err = write(out, m.key, transfer.Message{Flags: m.flags, Received: m.received}, s)
	return errors.Join(err, s.Close())
}

// Subscribe implements transfer.Destination.
func (p *Place) Subscribe(_ context.Context, name string) error {
	p.manifest.Subscribe(name)
	return files.Failed("subscribe", p.save())
}

// Finish implements transfer.Destination.
func (p *Place) Finish(context.Context) error { return nil }
