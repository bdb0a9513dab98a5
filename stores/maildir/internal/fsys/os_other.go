//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package fsys

import (
	"errors"
	"io/fs"
)

// OpenRoot needs a system with openat and its relatives.
func OpenRoot(path string) (Dir, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: errors.ErrUnsupported}
}

// CreateRoot needs a system with openat and its relatives.
func CreateRoot(path string) (Dir, error) { return OpenRoot(path) }
