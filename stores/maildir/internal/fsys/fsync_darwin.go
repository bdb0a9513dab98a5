package fsys

import "golang.org/x/sys/unix"

// syncAll: fsync leaves the data in the drive's cache there (fsync(2)).
func syncAll(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	return err
}
