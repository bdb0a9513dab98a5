package fsys

import (
	"io"
	"iter"
	"os"
	"syscall"
	"time"
)

// Counting returns d with all that is done to it, and to what is opened from it,
// passing through c. The targets of Link and Rename must come from a Counting too.
func Counting(d Dir, c *Counters) Dir { return &countedDir{d, c} }

type countedDir struct {
	d Dir
	c *Counters
}

func linkError(o Op, err error) error {
	return &os.LinkError{Op: o.Kind.String(), Old: o.Path(), New: o.ToDir + "/" + o.ToName, Err: err}
}

func (d *countedDir) begin(k Kind, name string) error {
	_, err := d.c.begin(Op{Kind: k, Dir: d.d.Path(), Name: name})
	return err
}

func (d *countedDir) Sub(name string) (Dir, error) {
	if err := d.begin(OpSub, name); err != nil {
		return nil, err
	}
	sub, err := d.d.Sub(name)
	if err != nil {
		return nil, err
	}
	return &countedDir{sub, d.c}, nil
}

func (d *countedDir) Mkdir(name string) error {
	if err := d.begin(OpMkdir, name); err != nil {
		return err
	}
	return d.d.Mkdir(name)
}

func (d *countedDir) Open(name string) (File, error)   { return d.file(OpOpen, name, d.d.Open) }
func (d *countedDir) OpenRW(name string) (File, error) { return d.file(OpOpenRW, name, d.d.OpenRW) }
func (d *countedDir) Create(name string) (File, error) { return d.file(OpCreate, name, d.d.Create) }

func (d *countedDir) file(k Kind, name string, open func(string) (File, error)) (File, error) {
	if err := d.begin(k, name); err != nil {
		return nil, err
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &countedFile{f, d, name}, nil
}

func (d *countedDir) Link(old string, to Dir, new string) error {
	return d.two(OpLink, old, to, new, d.d.Link)
}

func (d *countedDir) Rename(old string, to Dir, new string) error {
	return d.two(OpRename, old, to, new, d.d.Rename)
}

func (d *countedDir) RenameNew(old string, to Dir, new string) error {
	return d.two(OpRename, old, to, new, d.d.RenameNew)
}

func (d *countedDir) two(k Kind, old string, to Dir, new string, call func(string, Dir, string) error) error {
	o := Op{Kind: k, Dir: d.d.Path(), Name: old, ToDir: to.Path(), ToName: new}
	t, ok := to.(*countedDir)
	if !ok {
		return linkError(o, syscall.EXDEV)
	}
	if _, err := d.c.begin(o); err != nil {
		return err
	}
	return call(old, t.d, new)
}

func (d *countedDir) Remove(name string) error {
	if err := d.begin(OpRemove, name); err != nil {
		return err
	}
	return d.d.Remove(name)
}

func (d *countedDir) RemoveDir(name string) error {
	if err := d.begin(OpRemoveDir, name); err != nil {
		return err
	}
	return d.d.RemoveDir(name)
}

func (d *countedDir) Lstat(name string) (Info, error) {
	if err := d.begin(OpLstat, name); err != nil {
		return Info{}, err
	}
	return d.d.Lstat(name)
}

func (d *countedDir) Stat() (Info, error) {
	if err := d.begin(OpStat, ""); err != nil {
		return Info{}, err
	}
	return d.d.Stat()
}

func (d *countedDir) Names(buf int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := d.begin(OpList, ""); err != nil {
			yield(Entry{}, err)
			return
		}
		d.d.Names(buf)(yield)
	}
}

func (d *countedDir) SetModTime(name string, t time.Time) error {
	if err := d.begin(OpSetModTime, name); err != nil {
		return err
	}
	return d.d.SetModTime(name, t)
}

func (d *countedDir) Lock(name string) (io.Closer, error) {
	if err := d.begin(OpLock, name); err != nil {
		return nil, err
	}
	return d.d.Lock(name)
}

func (d *countedDir) Sync() error {
	if err := d.begin(OpSyncDir, ""); err != nil {
		return err
	}
	return d.d.Sync()
}

func (d *countedDir) Path() string { return d.d.Path() }
func (d *countedDir) Close() error { return d.d.Close() }

type countedFile struct {
	f    File
	dir  *countedDir
	name string
}

func (f *countedFile) begin(k Kind, size int) (fault, error) {
	return f.dir.c.begin(Op{Kind: k, Dir: f.dir.d.Path(), Name: f.name, Size: size})
}

func (f *countedFile) ReadAt(p []byte, off int64) (int, error) {
	if _, err := f.begin(OpRead, len(p)); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

func (f *countedFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) { return f.f.WriteAt(p, off) })
}

func (f *countedFile) Write(p []byte) (int, error) { return f.write(p, f.f.Write) }

func (f *countedFile) write(p []byte, write func([]byte) (int, error)) (int, error) {
	fault, err := f.begin(OpWrite, len(p))
	if err == nil {
		return write(p)
	}
	if fault.short == 0 {
		return 0, err
	}
	n, werr := write(p[:fault.short])
	if werr != nil {
		err = werr
	}
	return n, err
}

func (f *countedFile) Truncate(size int64) error {
	if _, err := f.begin(OpTruncate, 0); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

func (f *countedFile) Sync() error     { return f.sync(OpSyncFile, f.f.Sync) }
func (f *countedFile) SyncData() error { return f.sync(OpSyncData, f.f.SyncData) }

func (f *countedFile) sync(k Kind, sync func() error) error {
	fault, err := f.begin(k, 0)
	if err == nil {
		return sync()
	}
	if l, ok := f.f.(Loser); ok && fault.lose {
		l.LoseUnsynced()
	}
	return err
}

func (f *countedFile) Size() (int64, error) {
	if _, err := f.begin(OpStat, 0); err != nil {
		return 0, err
	}
	return f.f.Size()
}

func (f *countedFile) Opened() Info { return f.f.Opened() }

func (f *countedFile) Info() (Info, error) {
	if _, err := f.begin(OpStat, 0); err != nil {
		return Info{}, err
	}
	return f.f.Info()
}

func (f *countedFile) SetModTime(t time.Time) error {
	if _, err := f.begin(OpSetModTime, 0); err != nil {
		return err
	}
	return f.f.SetModTime(t)
}

func (f *countedFile) Std() *os.File {
	if _, err := f.begin(OpRead, 0); err != nil {
		return nil
	}
	return f.f.Std()
}

func (f *countedFile) Close() error { return f.f.Close() }

var (
	_ Dir  = (*countedDir)(nil)
	_ File = (*countedFile)(nil)
)
