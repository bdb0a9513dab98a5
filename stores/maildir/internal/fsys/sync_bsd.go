//go:build darwin || freebsd || netbsd || openbsd

package fsys

import "golang.org/x/sys/unix"

func syncData(fd int) error { return syncAll(fd) }

func setTime(fd int, t unix.Timespec) error {
	tv := unix.NsecToTimeval(t.Nano())
	return unix.Futimes(fd, []unix.Timeval{tv, tv})
}
