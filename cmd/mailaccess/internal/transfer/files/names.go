package files

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxLevel is the longest level of a path, in octets: what it is extended by fits too
// (NAME_MAX of the file systems in use is 255).
const maxLevel = 180

// Path makes a relative path of a mailbox's name: a directory for each level above the last.
// What has a meaning in paths, on any system, is a percent sign and two digits. The name cannot
// be told from it in all cases.
func Path(name string) string {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		levels[i] = escape(level)
	}
	return strings.Join(levels, "/")
}

func escape(level string) string {
	var b strings.Builder
	for i := range len(level) {
		c := level[i]
		edge := i == 0 && c == '.' || i == len(level)-1 && (c == '.' || c == ' ')
		// Extensions that mean something here.
		ext := c == '.' && (strings.EqualFold(level[i:], ".mbox") || strings.EqualFold(level[i:], ".sbd") || strings.EqualFold(level[i:], ".eml") || strings.EqualFold(level[i:], ".json"))
		if edge || ext || c < ' ' || c == 0x7f || strings.IndexByte(`%\:*?"<>|~`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	s := b.String()
	if len(s) > maxLevel {
		s = strings.ToValidUTF8(s[:maxLevel-17], "") + Suffix(level)
	}
	return s
}

// Suffix tells one name from others of which the same path was made.
func Suffix(name string) string {
	sum := sha256.Sum256([]byte(name))
	return fmt.Sprintf("~%x", sum[:8])
}

// Replace writes a file in place of another, whole or not at all, and durably.
func Replace(name string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".mailaccess-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // it may be gone
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if other := f.Close(); err == nil {
		err = other
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir brings the names in a directory to the disk.
func SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if other := d.Close(); err == nil {
		err = other
	}
	return err
}
