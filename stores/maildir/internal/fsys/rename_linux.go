package fsys

import "golang.org/x/sys/unix"

// renameNew is rename(2) with RENAME_NOREPLACE, which some file systems do not have.
func renameNew(fd int, old string, tofd int, new string) error {
	err := unix.Renameat2(fd, old, tofd, new, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		err = lookAndRename(fd, old, tofd, new)
	}
	return err
}
