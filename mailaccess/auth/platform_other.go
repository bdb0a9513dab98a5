//go:build !unix

package auth

import "os"

// keepOwner has nothing to keep where files have no owner and group by number:
// they follow the directory.
func keepOwner(*os.File, os.FileInfo) bool { return true }

// syncDir has nothing to do where directories cannot be opened and synced.
func syncDir(string) error { return nil }

// openToAll has nothing to go by where modes do not say who may read a file.
func openToAll(os.FileInfo) bool { return false }
