package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Physics is what the machine can do, so that it can be seen what of a server's time is its own.
type Physics struct {
	Syncs    float64 `json:"syncs"`    // per second: one writer, 4 KiB at the end of one file each
	Creates  float64 `json:"creates"`  // per second: one writer, a new file of 4 KiB, which is synced, and then its directory
	Copy     float64 `json:"copy"`     // octets per second, memory to memory
	Loopback float64 `json:"loopback"` // octets per second through a connection on this machine
}

// physicsTime is how long each is measured.
const physicsTime = time.Second

// MeasurePhysics measures on the disk that dir is on.
func MeasurePhysics(ctx context.Context, dir string) (p Physics, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("measure the machine: %w", err)
		}
	}()
	if p.Syncs, err = syncs(ctx, dir); err != nil {
		return p, err
	}
	if p.Creates, err = creates(ctx, dir); err != nil {
		return p, err
	}
	p.Copy = copies(ctx)
	p.Loopback, err = loopback(ctx)
	return p, errors.Join(err, ctx.Err())
}

// rate does something again and again for a while, and returns how much of it a second has.
func rate(ctx context.Context, each float64, do func() error) (float64, error) {
	begun, n := time.Now(), 0.0
	for time.Since(begun) < physicsTime && ctx.Err() == nil {
		if err := do(); err != nil {
			return 0, err
		}
		n += each
	}
	return n / time.Since(begun).Seconds(), nil
}

func syncs(ctx context.Context, dir string) (perSecond float64, err error) {
	f, err := os.CreateTemp(dir, "physics")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	return rate(ctx, 1, func() error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
}

func creates(ctx context.Context, dir string) (perSecond float64, err error) {
	if dir, err = os.MkdirTemp(dir, "physics"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	parent, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	block, n := make([]byte, 4096), 0
	return rate(ctx, 1, func() error {
		n++
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(n)))
		if err != nil {
			return err
		}
		_, err = f.Write(block)
		return errors.Join(err, f.Sync(), f.Close(), parent.Sync())
	})
}

func copies(ctx context.Context) float64 {
	const size = 64 << 20 // more than caches hold
	from, to := make([]byte, size), make([]byte, size)
	perSecond, _ := rate(ctx, size, func() error { // it does not fail
		copy(to, from)
		return nil
	})
	return perSecond
}

func loopback(ctx context.Context) (perSecond float64, err error) {
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
	perSecond, err = rate(ctx, float64(len(block)), func() error {
		_, err := c.Write(block)
		return err
	})
	return perSecond, errors.Join(err, c.Close(), <-read)
}
