package content

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// tableBlock is how many octets of a file lie between two places that are kept.
const tableBlock = 64 << 10

// lines leads to any place in a file that has bare LFs.
type lines struct {
	mu sync.Mutex
	// blocks has for each block of the file, from the first on as far as it was read,
	// how many bare LFs lie before it, shifted left by one for whether its octet before
	// is a CR.
	blocks []uint64
	loaded int   // how many of them were loaded
	last   place // where the last reader stopped
}

func newLines() *lines { return &lines{} }

func (l *lines) block(i int) place {
	p := place{file: int64(i) * tableBlock, state: message.CanonicalState{CR: l.blocks[i]&1 != 0}}
	p.canon = p.file + int64(l.blocks[i]>>1)
	return p
}

// note keeps p, which lies where a block begins, with no LF due. It returns false when
// something else is kept for it.
func (l *lines) note(p place) bool {
	e := uint64(p.canon-p.file) << 1
	if p.state.CR {
		e |= 1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i := int(p.file / tableBlock)
	if i < len(l.blocks) {
		return l.blocks[i] == e
	}
	if i == len(l.blocks) {
		l.blocks = append(l.blocks, e)
	}
	return true
}

// before returns the last known place that is not after off.
func (l *lines) before(off int64) place {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p place
	if i := sort.Search(len(l.blocks), func(i int) bool { return l.block(i).canon > off }); i > 0 {
		p = l.block(i - 1)
	}
	if l.last.canon <= off && l.last.canon > p.canon {
		p = l.last
	}
	return p
}

func (l *lines) stopped(p place) {
	l.mu.Lock()
	l.last = p
	l.mu.Unlock()
}

// Table returns what is known of where the lines of the file lie, for
// [Options.Table] the next time that it is opened: with it, to read from the middle of a
// large file with bare LFs no more than 64 KiB have to be read before that. nil: nothing
// was learned that was not known when it was opened. It has some 3 octets for 64 KiB of
// the file that were read.
func (c *Content) Table() []byte {
	if c.lines == nil {
		return nil
	}
	return c.lines.save(c.was, c.measured)
}

// A saved table: version, FileSize, Size, nanoseconds of the modification time, for each
// block but the first the difference of its entry to that before, less the bit; CRC-32C.
const tableVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func tableHead(was fsys.Info, m Measured) []byte {
	b := []byte{tableVersion}
	b = binary.AppendVarint(b, m.FileSize)
	b = binary.AppendVarint(b, m.Size)
	return binary.AppendVarint(b, was.ModTime.UnixNano())
}

func (l *lines) save(was fsys.Info, m Measured) []byte {
	l.mu.Lock()
	blocks := l.blocks // only ever appended to
	l.mu.Unlock()
	if len(blocks) <= max(l.loaded, 1) {
		return nil
	}
	b := tableHead(was, m)
	for i, e := range blocks[1:] {
		b = binary.AppendUvarint(b, (e>>1-blocks[i]>>1)<<1|e&1)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// load takes a saved table, if it is one of this file. Nobody else uses l yet.
func (l *lines) load(b []byte, was fsys.Info, m Measured) {
	if len(b) == 0 {
		return
	}
	head := tableHead(was, m)
	end := len(b) - 4
	if end < len(head) || string(b[:len(head)]) != string(head) || binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return
	}
	blocks := []uint64{0}
	var bare uint64
	for rest := b[len(head):end]; len(rest) > 0; {
		e, n := binary.Uvarint(rest)
		if bare += e >> 1; n <= 0 || e>>1 > tableBlock || bare > uint64(m.BareLF()) || int64(len(blocks))*tableBlock > m.FileSize {
			return
		}
		blocks, rest = append(blocks, bare<<1|e&1), rest[n:]
	}
	l.blocks, l.loaded = slices.Clip(blocks), len(blocks)
}

// stream reads a range of a message on from some place. It is in nobody's hands once it is
// closed.
type stream struct {
	c   *Content
	op  string
	off int64 // in canonical form, where reading goes on
	end int64 // and where it ends
	at  place // of a file with bare LFs, how far it was read: not after off
	in  []byte
	raw [16 << 10]byte // what has to be converted is read into it; in is the end of that
}

var streams = sync.Pool{New: func() any { return new(stream) }}

// stream begins reading n octets from off on.
func (c *Content) stream(op string, off, n int64) *stream {
	s := streams.Get().(*stream)
	s.c, s.op, s.off, s.end = c, op, off, off+n
	if c.lines != nil {
		s.at = c.lines.before(off)
	}
	return s
}

// close gives the memory back and leaves a note of where the reading stopped.
func (s *stream) close() {
	if s.c.lines != nil {
		s.c.lines.stopped(s.at)
	}
	s.c, s.in = nil, nil
	streams.Put(s)
}

// Read implements io.Reader. The last octets are handed out when the file is found unchanged
// after they were read.
func (s *stream) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), s.end-s.off)]
	if err := s.read(p); err != nil {
		return 0, err
	}
	if s.off < s.end {
		return len(p), nil
	}
	if err := s.c.unchanged(s.op); err != nil {
		return 0, err
	}
	return len(p), io.EOF
}

// read fills p with what comes next.
func (s *stream) read(p []byte) error {
	if s.c.lines == nil {
		err := s.c.pread(s.op, p, s.off)
		s.off += int64(len(p))
		return err
	}
	if err := s.skip(); err != nil {
		return err
	}
	for n := 0; n < len(p); {
		if err := s.fill(); err != nil {
			return err
		}
		n += s.convert(p[n:])
	}
	s.off = s.at.canon
	// At the end of the one the other has to end too.
	if s.at.canon == s.c.Size() && (s.at.file != s.c.measured.FileSize || s.at.state.LF) {
		return fail(s.op, mailaccess.KindCorrupt, errLines)
	}
	return nil
}

// skip goes to where reading goes on. It counts lines rather than convert them: of half as
// many octets as are to be passed no more than those become.
func (s *stream) skip() error {
	var passed [64]byte
	for left := s.off - s.at.canon; left > 0; left = s.off - s.at.canon {
		if err := s.fill(); err != nil {
			return err
		}
		n := min(left/2, int64(len(s.in)))
		if left <= int64(len(passed)) || s.at.state.LF {
			s.convert(passed[:min(left, int64(len(passed)))])
			continue
		}
		s.at.pass(s.in[:n])
		s.in = s.in[n:]
	}
	return nil
}

func (s *stream) convert(p []byte) int {
	written, read := s.at.state.Convert(p, s.in)
	s.at.canon += int64(written)
	s.at.file += int64(read)
	s.in = s.in[read:]
	return written
}

// fill reads on in the file if nothing is there to be converted: no more than can be wanted to
// the end, and not past the block.
func (s *stream) fill() error {
	if len(s.in) > 0 || s.at.state.LF {
		return nil
	}
	if s.at.file%tableBlock == 0 && !s.c.lines.note(s.at) {
		return fail(s.op, mailaccess.KindCorrupt, errLines)
	}
	n := min(s.end-s.at.canon, int64(len(s.raw)), tableBlock-s.at.file%tableBlock, s.c.measured.FileSize-s.at.file)
	if n <= 0 {
		return fail(s.op, mailaccess.KindCorrupt, errLines)
	}
	if err := s.c.pread(s.op, s.raw[:n], s.at.file); err != nil {
		return err
	}
	s.in = s.raw[:n]
	return nil
}
