package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

// Physics is what the machine can do, so that it can be seen what of a server's time is its own.
type Physics struct {
	Syncs    float64 `json:"syncs"`    // per second: one writer, 4 KiB at the end of one file each
	Syncs16  float64 `json:"syncs16"`  // per second: 16 writers at once, each to a file of its own
	Creates  float64 `json:"creates"`  // per second: one writer, a new file of 4 KiB, which is synced, and then its directory
	Opens    float64 `json:"opens"`    // messages per second: files opened, read to the end and closed, which are in memory
	Renames  float64 `json:"renames"`  // of files per second, within a directory, not synced
	Unlinks  float64 `json:"unlinks"`  // of empty files per second, not synced
	Copy     float64 `json:"copy"`     // octets per second, memory to memory
	Loopback float64 `json:"loopback"` // octets per second through a connection on this machine
}

// physicsTime is how long each is measured at most.
const physicsTime = time.Second

// MeasurePhysics measures on the disk that dir is on, each thing for that time.
func MeasurePhysics(ctx context.Context, dir string, mail corpus.Corpus, each time.Duration) (p Physics, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("measure the machine: %w", err)
		}
	}()
	if dir, err = os.MkdirTemp(dir, "physics"); err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	m := machine{ctx, dir, min(each, physicsTime)}
	for _, one := range []struct {
		figure  *float64
		measure func() (float64, error)
	}{
		{&p.Syncs, func() (float64, error) { return m.syncs(1) }},
		{&p.Syncs16, func() (float64, error) { return m.syncs(16) }},
		{&p.Creates, m.creates},
		{&p.Opens, func() (float64, error) { return m.opens(mail) }},
		{&p.Renames, m.renames},
		{&p.Unlinks, m.unlinks},
		{&p.Copy, m.copies},
		{&p.Loopback, m.loopback},
	} {
		if *one.figure, err = one.measure(); err != nil {
			return p, err
		}
	}
	return p, ctx.Err()
}

// A machine is measured in a directory.
type machine struct {
	ctx  context.Context
	dir  string
	each time.Duration
}

// rate does something again and again for a while, and returns how much of it a second has.
func (m machine) rate(each float64, do func() error) (float64, error) {
	begun, n := time.Now(), 0.0
	for n == 0 || time.Since(begun) < m.each && m.ctx.Err() == nil {
		if err := do(); err != nil {
			return 0, err
		}
		n += each
	}
	return n / time.Since(begun).Seconds(), nil
}

// syncs is how many syncs some writers do together.
func (m machine) syncs(writers int) (perSecond float64, err error) {
	rates, errs := make([]float64, writers), make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() { rates[w], errs[w] = m.syncsOf(w) })
	}
	all.Wait()
	for _, r := range rates {
		perSecond += r
	}
	return perSecond, errors.Join(errs...)
}

func (m machine) syncsOf(writer int) (perSecond float64, err error) {
	f, err := os.Create(filepath.Join(m.dir, fmt.Sprint("syncs", writer)))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	return m.rate(1, func() error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
}

func (m machine) creates() (perSecond float64, err error) {
	parent, err := os.Open(m.dir)
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	block, n := make([]byte, 4096), 0
	return m.rate(1, func() error {
		n++
		f, err := os.Create(filepath.Join(m.dir, fmt.Sprint("creates", n)))
		if err != nil {
			return err
		}
		_, err = f.Write(block)
		return errors.Join(err, f.Sync(), f.Close(), parent.Sync())
	})
}

// physicsFiles is how many files there are that are opened or removed.
const physicsFiles = 500

// opens reads messages as a server does that has nothing else to do.
func (m machine) opens(mail corpus.Corpus) (perSecond float64, err error) {
	names := make([]string, min(physicsFiles, mail.Messages))
	largest := 0
	for i := range names {
		names[i] = filepath.Join(m.dir, fmt.Sprint("opens", i))
		message := mail.AppendMessage(nil, i)
		largest = max(largest, len(message))
		if err := os.WriteFile(names[i], message, 0o600); err != nil {
			return 0, err
		}
	}
	n, buf := 0, make([]byte, largest+1)
	return m.rate(1, func() error {
		f, err := os.Open(names[n%len(names)])
		if err != nil {
			return err
		}
		n++
		if _, err = io.ReadFull(f, buf); errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		return errors.Join(err, f.Close())
	})
}

func (m machine) renames() (perSecond float64, err error) {
	from, to := filepath.Join(m.dir, "renames:2,"), filepath.Join(m.dir, "renames:2,S")
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		return 0, err
	}
	return m.rate(1, func() error {
		err := os.Rename(from, to)
		from, to = to, from
		return err
	})
}

// unlinks does not take as long as the others: it makes the files first, and that takes longer.
func (m machine) unlinks() (perSecond float64, err error) {
	name := func(i int) string { return filepath.Join(m.dir, fmt.Sprint("unlinks", i)) }
	for i := range physicsFiles {
		if err := os.WriteFile(name(i), nil, 0o600); err != nil {
			return 0, err
		}
	}
	begun := time.Now()
	for i := range physicsFiles {
		if err := os.Remove(name(i)); err != nil {
			return 0, err
		}
	}
	return physicsFiles / time.Since(begun).Seconds(), nil
}

func (m machine) copies() (float64, error) {
	const size = 64 << 20 // more than caches hold
	from, to := make([]byte, size), make([]byte, size)
	return m.rate(size, func() error {
		copy(to, from)
		return nil
	})
}

func (m machine) loopback() (perSecond float64, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	read := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 256<<10))
			err = errors.Join(err, c.Close())
		}
		read <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	block := make([]byte, 256<<10)
	perSecond, err = m.rate(float64(len(block)), func() error {
		_, err := c.Write(block)
		return err
	})
	return perSecond, errors.Join(err, c.Close(), <-read)
}
