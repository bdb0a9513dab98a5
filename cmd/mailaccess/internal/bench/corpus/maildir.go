package corpus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// WriteMaildir writes the messages as the files of a new Maildir, whose directory must not be there
// or be empty: with names and line ends (LF) as an MTA delivers, or with CRLF; the time of the
// message is the file's, and its flags are in the name. progress, if not nil, is called now and then
// with how many were written. Nothing is synced.
func (c Corpus) WriteMaildir(ctx context.Context, dir string, crlf bool, progress func(int)) error {
	if entries, err := os.ReadDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write maildir: %w", err)
	} else if len(entries) > 0 {
		return fmt.Errorf("write maildir: %s is not empty", dir)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("write maildir: %w", err)
		}
	}
	var next, written atomic.Int64
	errs := make([]error, runtime.GOMAXPROCS(0))
	var writers sync.WaitGroup
	for w := range errs {
		writers.Go(func() {
			var buf []byte
			for errs[w] == nil {
				i := int(next.Add(1) - 1)
				if i >= c.Messages {
					return
				}
				if errs[w] = ctx.Err(); errs[w] != nil {
					return
				}
				if buf = c.AppendMessage(buf[:0], i); !crlf {
					buf = bytes.ReplaceAll(buf, []byte("\r\n"), []byte("\n"))
				}
				errs[w] = c.writeFile(filepath.Join(dir, "cur"), i, buf)
				if n := written.Add(1); progress != nil && n%256 == 0 {
					progress(int(n))
				}
			}
		})
	}
	writers.Wait()
	return errors.Join(errs...)
}

func (c Corpus) writeFile(cur string, i int, data []byte) error {
	date := c.Date(i)
	// The name sorts as the date does: so do the UIDs that a server gives.
	name := filepath.Join(cur, strconv.FormatInt(date.Unix(), 10)+fmt.Sprintf(".M%06dP1.bench:2,", i)+c.Flags(i).letters())
	if err := os.WriteFile(name, data, 0o644); err != nil {
		return fmt.Errorf("write message %d: %w", i, err)
	}
	if err := os.Chtimes(name, date, date); err != nil {
		return fmt.Errorf("write message %d: %w", i, err)
	}
	return nil
}
