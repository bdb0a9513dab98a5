//go:build darwin || freebsd || netbsd || openbsd

package fsys

func renameNew(fd int, old string, tofd int, new string) error {
	return lookAndRename(fd, old, tofd, new)
}
