package fsys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

func syncAll(fd int) error  { return unix.Fsync(fd) }
func syncData(fd int) error { return unix.Fdatasync(fd) }

// setTime is futimens(3), which the C library makes of utimensat without a path.
func setTime(fd int, t unix.Timespec) error {
	ts := [2]unix.Timespec{t, t}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
