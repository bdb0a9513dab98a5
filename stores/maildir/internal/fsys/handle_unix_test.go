//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys

import (
	"errors"
	"io/fs"
	"testing"

	"golang.org/x/sys/unix"
)

// A close while calls are inside waits for the last of them: until then the number of
// the descriptor is nobody else's.
func TestCloseLetsCallsFinish(t *testing.T) {
	fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	open := func() bool {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		return err == nil
	}
	h := &handle{fd: fd}
	for range 2 {
		if !h.enter() {
			t.Fatal("the handle is closed")
		}
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if h.enter() {
		t.Error("a call began after the close")
	}
	h.leave()
	if !open() {
		t.Error("the descriptor was closed under a call")
	}
	h.leave()
	if open() {
		t.Error("the descriptor is open after the last call")
	}
	if err := h.close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
}
