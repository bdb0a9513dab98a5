package memfs_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys/fsystest"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// The double does what the real one does.
func TestConformance(t *testing.T) {
	var f *memfs.FS
	fsystest.Run(t, func(t *testing.T) fsys.Dir {
		f = memfs.New(nil)
		return f.Root()
	}, func(d fsys.Dir, name string, mode fs.FileMode) error {
		return f.Plant(strings.TrimPrefix(d.Path()+"/"+name, "mem:/"), mode)
	})
}
