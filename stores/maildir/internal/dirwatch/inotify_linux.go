package dirwatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Watcher watches directories, see inotify(7). Drain is called by one goroutine at a time, and
// Wait by one; all else may be called at the same time.
//
// It waits in a thread of its own, not in the runtime's poller: that is woken for each event, even
// while nobody waits for any.
type Watcher struct {
	fd, wake int
	buf      [64 << 10]byte

	waiting sync.Mutex // held by Wait

	mu     sync.RWMutex
	closed bool
}

// New returns a Watcher that watches nothing.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("eventfd", err), unix.Close(fd))
	}
	return &Watcher{fd: fd, wake: wake}, nil
}

const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR

// Add watches a directory, and returns the number by which events name it. For one that is watched
// already that is the same.
func (w *Watcher) Add(path string) (id int, err error) {
	err = w.open(func(fd int) (err error) {
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
	err := w.open(func(fd int) error {
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
	w.waiting.Lock()
	defer w.waiting.Unlock()
	for {
		if err := w.open(func(int) error { return nil }); err != nil {
			return err
		}
		set := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
		n, err := unix.Poll(set, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n > 0 && set[1].Revents == 0:
			return nil
		}
	}
}

// Drain calls take with all that has happened by now and was not drained. It does not wait.
func (w *Watcher) Drain(take func(Event)) error {
	return w.open(func(fd int) error {
		for {
			n, err := unix.Read(fd, w.buf[:])
			switch err {
			case nil:
				parse(w.buf[:n], take)
			case unix.EAGAIN:
				return nil
			case unix.EINTR:
			default:
				return os.NewSyscallError("read", err)
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

// open calls a function with the descriptor, which is not closed meanwhile.
func (w *Watcher) open(call func(fd int) error) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return os.ErrClosed
	}
	return call(w.fd)
}

// Close ends all watches, and a Wait.
func (w *Watcher) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return os.ErrClosed
	}
	w.closed = true
	w.mu.Unlock()
	_, err := unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1))
	w.waiting.Lock()
	defer w.waiting.Unlock()
	return errors.Join(os.NewSyscallError("write", err), unix.Close(w.fd), unix.Close(w.wake))
}
