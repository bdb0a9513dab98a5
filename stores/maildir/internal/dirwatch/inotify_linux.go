package dirwatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Watcher watches directories, see inotify(7). Drain is called by one goroutine at a time; all
// else may be called at the same time.
type Watcher struct {
	file *os.File
	conn syscall.RawConn
	buf  [64 << 10]byte
}

// New returns a Watcher that watches nothing.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &Watcher{file: os.NewFile(uintptr(fd), "inotify")}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	return w, nil
}

const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// Add watches a directory, and returns the number by which events name it. For one that is watched
// already that is the same.
func (w *Watcher) Add(path string) (id int, err error) {
	err = w.control(func(fd int) (err error) {
		id, err = unix.InotifyAddWatch(fd, path, mask)
		return err
	})
	if err != nil {
		return 0, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return id, nil
}

// Remove ends the watch of a directory. It is no error if that has ended.
func (w *Watcher) Remove(id int) error {
	err := w.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(id))
		return err
	})
	if err == unix.EINVAL {
		return nil
	}
	return err
}

// Wait returns when there is something to drain. Once the watcher is closed that is os.ErrClosed.
func (w *Watcher) Wait() error {
	var failed error
	err := w.conn.Read(func(fd uintptr) bool {
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		failed = err
		return err != nil || n > 0
	})
	if err != nil {
		return err
	}
	return failed
}

// Drain calls take with all that has happened by now and was not drained. It does not wait.
func (w *Watcher) Drain(take func(Event)) error {
	return w.control(func(fd int) error {
		for {
			n, err := unix.Read(fd, w.buf[:])
			switch err {
			case nil:
				parse(w.buf[:n], take)
			case unix.EAGAIN:
				return nil
			case unix.EINTR:
			default:
				return err
			}
		}
	})
}

// parse reads events as read(2) returns them.
func parse(b []byte, take func(Event)) {
	for len(b) >= unix.SizeofInotifyEvent {
		e := Event{ID: int(int32(binary.NativeEndian.Uint32(b)))}
		bits, size := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
		b = b[unix.SizeofInotifyEvent:]
		e.Name = b[:min(uint64(size), uint64(len(b)))]
		b = b[len(e.Name):]
		if i := bytes.IndexByte(e.Name, 0); i >= 0 {
			e.Name = e.Name[:i]
		}
		switch {
		case bits&unix.IN_Q_OVERFLOW != 0:
			e.Kind = Lost
		case bits&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0:
			e.Kind = Gone
		case bits&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
			e.Kind = Came
		case bits&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
			e.Kind = Went
		default:
			continue // the end of a watch
		}
		take(e)
	}
}

// control calls a function with the descriptor, which is not closed meanwhile.
func (w *Watcher) control(call func(fd int) error) (err error) {
	if e := w.conn.Control(func(fd uintptr) { err = call(int(fd)) }); e != nil {
		return e
	}
	return err
}

// Close ends all watches.
func (w *Watcher) Close() error { return w.file.Close() }
