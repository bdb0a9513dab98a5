//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys

import (
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// handle is a descriptor that is closed when nobody is inside: a number that was
// closed under a call may already stand for somebody else's file.
type handle struct {
	fd    int
	state atomic.Int32 // calls inside, and closed
	std   *os.File     // has taken the descriptor over, if not nil
}

const closed = 1 << 30

func (h *handle) enter() bool {
	for {
		s := h.state.Load()
		if s&closed != 0 {
			return false
		}
		if h.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

func (h *handle) leave() {
	if h.state.Add(-1) == closed {
		h.release()
	}
}

// close returns the error of close(2) if it is not left to a call that is inside.
func (h *handle) close() error {
	for {
		s := h.state.Load()
		if s&closed != 0 {
			return fs.ErrClosed
		}
		if !h.state.CompareAndSwap(s, s|closed) {
			continue
		}
		if s == 0 {
			return h.release()
		}
		return nil
	}
}

func (h *handle) release() error {
	if h.std != nil {
		return h.std.Close()
	}
	// After EINTR the descriptor is gone all the same, or, elsewhere than on Linux, in
	// an unknown state: closing again could close somebody else's.
	if err := unix.Close(h.fd); err != unix.EINTR {
		return err
	}
	return nil
}
