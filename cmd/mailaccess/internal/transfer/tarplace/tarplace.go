// Package tarplace is a tar archive of messages, as a place of mail: a directory for each
// mailbox, a file .eml for each message, its time that at which it was received. Any program
// that reads archives reads it; a name that ends in .gz or .tgz is compressed.
//
// What a file does not tell is in PAX records, as extended attributes: the flags of a message,
// the name of a mailbox as it is. An archive is only added to: a message
// whose flags change is named in a manifest that is put behind it.
package tarplace

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
	"github.com/hashmail/mailaccess/mailaccess"
)

// Extended attributes, in the records in which star, GNU tar and bsdtar keep those.
const (
	recordFlags   = "SCHILY.xattr.user.mailaccess.flags"
	recordMailbox = "SCHILY.xattr.user.mailaccess.mailbox"
	recordUse     = "SCHILY.xattr.user.mailaccess.special-use"
)

// Place is an archive.
type Place struct {
	path  string
	f     *os.File
	in    *stream
	write bool
	gz    bool

	boxes    map[string]*box // by name
	dirs     map[string]string
	manifest *files.Manifest
	state    string
	lacking  bool // it ends before its end

	// What follows is for writing.
	out     *tar.Writer
	zip     *gzip.Writer
	end     int64 // where the file ends, without what ends the archive
	archive int64 // and where the archive does
	changed bool  // the manifest is to be written
	queue   []string
	count   int // the number of the last message
}

// box is a mailbox in the archive.
type box struct {
	dir     string
	use     mailaccess.SpecialUse
	entries map[string]entry
	order   []string
}

type entry struct {
	at, size int64
	msg      transfer.Message
}

var _ transfer.Destination = (*Place)(nil)

// Open returns the place that is the archive at name. With create it is added to, and made if
// it is not there.
func Open(name string, create bool) (*Place, error) {
	const op = "open the archive"
	p := &Place{path: name, write: create, boxes: make(map[string]*box), dirs: make(map[string]string), manifest: &files.Manifest{}}
	flag := os.O_RDONLY
	if create {
		flag = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, files.Failed(op, err)
	}
	p.f = f
	if err := p.load(); err != nil {
		return nil, errors.Join(files.Failed(op, err), f.Close())
	}
	return p, nil
}

// load reads what is in the archive.
func (p *Place) load() error {
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	p.state = fmt.Sprint(info.Size(), info.ModTime().UnixNano())
	if p.gz, err = isGzip(p.f); err != nil {
		return err
	}
	if info.Size() == 0 {
		lower := strings.ToLower(p.path)
		p.gz = strings.HasSuffix(lower, ".gz") || strings.HasSuffix(lower, ".tgz")
	}
	p.in = &stream{f: p.f, gz: p.gz}
	p.in.rewind()
	r := tar.NewReader(p.in)
	ours := info.Size() == 0
	for first := true; ; first = false {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			p.lacking = p.in.at < p.archive+trailer
			break
		}
		if err == nil {
			err = p.entry(h, r)
		}
		if err != nil {
			// What a run wrote that was ended, or that was cut later, is read as far as it goes.
			if cut := errors.Is(err, io.ErrUnexpectedEOF); cut && (ours || p.archive > 0) {
				p.lacking = true
				break
			}
			return fmt.Errorf("%s: %w", p.path, err)
		}
		ours = ours || first && h.Name == files.ManifestName
		p.archive = (p.in.at + 511) &^ 511 // entries end at whole blocks
	}
	for path, flags := range p.manifest.Flags {
		for _, b := range p.boxes {
			if e, ok := b.entries[path]; ok {
				e.msg.Flags = files.ParseFlags(flags)
				b.entries[path] = e
			}
		}
	}
	if !p.write {
		return nil
	}
	p.lacking = false // it is added to, and gets an end
	if !ours {
		return fmt.Errorf("%s is there already, and export has not written it", p.path)
	}
	return p.cut()
}

// Unreadable tells that something is missing.
func (p *Place) Unreadable() []string {
	if !p.lacking {
		return nil
	}
	return []string{p.path + " ends before its end: what came there is missing"}
}

// entry takes an entry of the archive.
func (p *Place) entry(h *tar.Header, r io.Reader) error {
	name := path.Clean("/" + h.Name)[1:]
	at := p.in.at
	switch h.Typeflag {
	case tar.TypeDir:
		if name != "" && h.PAXRecords[recordMailbox] != "" {
			b := p.box(h.PAXRecords[recordMailbox], name)
			b.use = files.ManifestEntry{Use: h.PAXRecords[recordUse]}.SpecialUse()
		}
		return nil
	case tar.TypeReg:
	default:
		return nil
	}
	if name == files.ManifestName {
		const most = 256 << 20
		text, err := io.ReadAll(io.LimitReader(r, most))
		if err != nil {
			return err
		}
		if p.manifest, err = files.ReadManifest(text); err != nil {
			return err
		}
		return nil
	}
	// To its end, or it is not there.
	if _, err := io.Copy(io.Discard, r); err != nil || !strings.EqualFold(path.Ext(name), ".eml") {
		return err
	}
	dir := path.Dir(name)
	called, ok := p.dirs[dir]
	if !ok {
		called = mailaccess.Inbox
		if dir != "." {
			called = transfer.CleanName(strings.Split(dir, "/"))
		}
	}
	b := p.box(called, dir)
	if _, twice := b.entries[name]; !twice {
		b.order = append(b.order, name)
	}
	// The last one of a name counts, as when an archive is unpacked.
	b.entries[name] = entry{at: at, size: h.Size, msg: transfer.Message{
		Key: name, Flags: files.ParseFlags(h.PAXRecords[recordFlags]), Received: h.ModTime, Size: -1,
	}}
	// Names go on above the highest number: some may be missing.
	digits, _, _ := strings.Cut(path.Base(name), ".")
	if n, err := strconv.Atoi(digits); err == nil {
		p.count = max(p.count, n)
	}
	return nil
}

// box returns a mailbox by its name.
func (p *Place) box(name, dir string) *box {
	b := p.boxes[name]
	if b == nil {
		b = &box{dir: dir, entries: make(map[string]entry)}
		p.boxes[name] = b
	}
	p.dirs[dir] = name
	return b
}

// Mailboxes implements transfer.Source.
func (p *Place) Mailboxes(context.Context) ([]transfer.Mailbox, error) {
	var boxes []transfer.Mailbox
	for _, name := range slices.Sorted(maps.Keys(p.boxes)) {
		boxes = append(boxes, transfer.Mailbox{
			Name: name, Ref: name, ID: "tar", Use: p.boxes[name].use, Messages: len(p.boxes[name].order), State: p.state,
		})
	}
	return boxes, nil
}

// Messages implements transfer.Source. The keys are the names of entries.
func (p *Place) Messages(ctx context.Context, mailbox transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		b := p.boxes[mailbox.Ref]
		if b == nil {
			return
		}
		for _, name := range b.order {
			if !yield(b.entries[name].msg, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

// Read implements transfer.Source: in the order of the archive.
func (p *Place) Read(ctx context.Context, mailbox transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		b := p.boxes[mailbox.Ref]
		if b == nil {
			return
		}
		var order []int
		for i, m := range msgs {
			if _, ok := b.entries[m.Key]; ok {
				order = append(order, i)
			}
		}
		slices.SortFunc(order, func(i, j int) int { return int(b.entries[msgs[i].Key].at - b.entries[msgs[j].Key].at) })
		for _, i := range order {
			if err := ctx.Err(); err != nil {
				yield(transfer.Body{}, err)
				return
			}
			e := b.entries[msgs[i].Key]
			s, err := p.spool(e)
			if !files.Yield(yield, i, s, err) {
				return
			}
		}
	}
}

func (p *Place) spool(e entry) (*files.Spooled, error) {
	if err := p.in.seek(e.at); err != nil {
		return nil, err
	}
	s, err := files.Spool(io.LimitReader(p.in, e.size))
	if err != nil {
		return nil, err
	}
	if p.in.at != e.at+e.size {
		return nil, errors.Join(fs.ErrNotExist, s.Close())
	}
	return s, nil
}

// Subscriptions implements transfer.Source.
func (p *Place) Subscriptions(context.Context) ([]string, error) {
	return p.manifest.Subscriptions, nil
}
