//go:build unix

package auth

import (
	"errors"
	"os"
	"syscall"
)

// keepOwner gives f the owner and the group of the file that info describes, as
// far as the system permits, and reports whether it has the group.
func keepOwner(f *os.File, info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if f.Chown(int(st.Uid), int(st.Gid)) == nil {
		return true
	}
	// Who does not own the file, or owns it without being root, can still give
	// it to a group of theirs.
	return f.Chown(-1, int(st.Gid)) == nil
}

// syncDir makes durable which names a directory holds.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync a directory, and say so.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

// openToAll reports whether every user of the machine has some access to the
// file that info describes.
func openToAll(info os.FileInfo) bool { return info.Mode().Perm()&0o007 != 0 }
