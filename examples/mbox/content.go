package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hashmail/mailaccess/mailaccess"
)

// content reads a message of its file, and no more of it at a time than is asked for.
type content struct {
	entry
	archive *archive
	file    *os.File
}

func (c *content) Size() int64 { return c.size }

func (c *content) Close() error { return c.file.Close() }

func (c *content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "read"}
	}
	if off >= c.size {
		return 0, io.EOF
	}
	r, err := c.from(off)
	if err != nil {
		return 0, err
	}
	short := int64(len(p)) > c.size-off
	if short {
		p = p[:c.size-off]
	}
	n, err := io.ReadFull(r, p)
	if err != nil {
		return n, failed(err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

func (c *content) WriteRange(w io.Writer, off, n int64) (written int64, err error) {
	if off < 0 || n < 0 || off > c.size || n > c.size-off {
		return 0, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "read"}
	}
	if n == 0 {
		return 0, nil
	}
	r, err := c.from(off)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, min(n, 32<<10))
	for written < n {
		b := buf[:min(n-written, int64(len(buf)))]
		if _, err := io.ReadFull(r, b); err != nil {
			return written, failed(err)
		}
		k, err := w.Write(b)
		written += int64(k)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// from returns a reader from off on.
func (c *content) from(off int64) (io.Reader, error) {
	if err := (&account{archive: c.archive}).begin(context.Background(), "read"); err != nil {
		return nil, err
	}
	r, err := c.open(c.file, off)
	if err != nil {
		return nil, failed(err)
	}
	return r, nil
}

// failed says what a file means that cannot be read: its end has come too early, or something
// else is wrong now.
func failed(err error) error {
	kind := mailaccess.KindUnavailable
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		kind = mailaccess.KindCorrupt
	}
	return &mailaccess.Error{Kind: kind, Op: "read", Err: err}
}
