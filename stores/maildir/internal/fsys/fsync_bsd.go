//go:build freebsd || netbsd || openbsd

package fsys

import "golang.org/x/sys/unix"

func syncAll(fd int) error { return unix.Fsync(fd) }
