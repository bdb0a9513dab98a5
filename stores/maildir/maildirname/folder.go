// Package maildirname knows the names in a Maildir++ and the small files beside
// them: the directories of mailboxes, the files of messages, the letters of
// keywords, subscriptions. It is functions over bytes and opens nothing, for whoever reads
// or writes a Maildir++ without the store.
package maildirname

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/utf7"
)

// Encoding is how an account writes the names of mailboxes on disk. All of an
// account are in the same; see [Detect].
//
// The directory of a mailbox is a single component of a path: for each level a dot
// and the level, so that A/B is ".A.B". INBOX is the account's root and has the
// directory "". What a level may not hold is escaped as Dovecot's listescape plugin
// does it, a backslash and two hexadecimal digits: "." is \2e, a backslash \5c, and
// "~" at the beginning of a level \7e. A level never comes out empty, so that no
// name gives "..", and what begins with two dots or with none is free for other
// uses.
type Encoding uint8

const (
	// UTF7 is modified UTF-7 (RFC 3501, section 5.1.3): Dovecot's default up to
	// version 2.3, and Courier's before its version 5.
	UTF7 Encoding = iota
	// UTF8 is UTF-8: Dovecot where it was told so, and Courier since version 5.
	UTF8
)

// MaxDir is the longest name of a directory, in octets (NAME_MAX of the file
// systems in use).
const MaxDir = 255

// String returns the name of the encoding.
func (e Encoding) String() string {
	if e == UTF8 {
		return "UTF-8"
	}
	return "modified UTF-7"
}

// Encode returns the directory of the mailbox, "" for INBOX. It fails with
// KindInvalid on what [mailaccess.CheckMailboxName] refuses, on a name that is not in
// NFC, and on one whose directory would be longer than [MaxDir]. Different names have
// different directories.
func (e Encoding) Encode(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	if name == mailaccess.Inbox {
		return "", nil
	}
	dir := "." + e.encodeLevels(name)
	if len(dir) > MaxDir {
		return "", &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "mailbox name", Mailbox: name,
			Err: fmt.Errorf("its directory would have a name of %d octets, at most %d are possible", len(dir), MaxDir)}
	}
	return dir, nil
}

func checkName(name string) error {
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return err
	}
	if !norm.NFC.IsNormalString(name) {
		return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "mailbox name", Mailbox: name, Err: errors.New("not in NFC")}
	}
	return nil
}

// encodeLevels returns the levels of name with a dot between.
func (e Encoding) encodeLevels(name string) string {
	var b strings.Builder
	begins := true // at the beginning of a level
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '/':
			b.WriteByte('.')
		case c == '.' || c == '\\' || c == '~' && begins:
			fmt.Fprintf(&b, `\%02x`, c)
		default:
			b.WriteByte(c)
		}
		begins = c == '/'
	}
	if e == UTF8 {
		return b.String()
	}
	return utf7.Encode(b.String())
}

// Folder is a mailbox as it was found on disk.
type Folder struct {
	// Name is the mailbox's name as the contract wants it: UTF-8 in NFC.
	Name string
	// Dir is the directory, which is not always what Encode makes of Name: see
	// [Encoding.Decode]. Whoever opens the mailbox uses Dir.
	Dir string
	// Exact says that Encode makes Dir of Name.
	Exact bool
}

// ErrNoFolder says that a directory is none of a mailbox: its name does not begin
// with a dot, or is "." or "..".
var ErrNoFolder = errors.New("not a mailbox's directory")

// Decode returns the mailbox whose directory is called dir. It takes any octets,
// and says why when they can be no mailbox.
//
// What other programs wrote otherwise than Encode does is understood where it can
// mean only one thing, and is not Exact then: names that are not in NFC (macOS
// decomposes them), UTF-8 in an account in modified UTF-7, a plain "~" or backslash,
// escapes of what needs none. Several directories may be one mailbox in that way;
// [Encoding.Folders] lets one of them through. A directory that is Exact for some
// name never decodes to another.
func (e Encoding) Decode(dir string) (Folder, error) {
	if dir == "" {
		return Folder{Name: mailaccess.Inbox, Exact: true}, nil
	}
	if dir[0] != '.' || dir == "." || dir == ".." {
		return Folder{}, ErrNoFolder
	}
	name, err := e.decodeLevels(strings.Split(dir[1:], "."))
	if err == nil && name == mailaccess.Inbox {
		err = errors.New("INBOX is the root")
	}
	if err != nil {
		return Folder{}, fmt.Errorf("directory %q is no mailbox: %w", dir, err)
	}
	again, err := e.Encode(name)
	return Folder{Name: name, Dir: dir, Exact: err == nil && again == dir}, nil
}

// decodeLevels returns the name that encoded levels make.
func (e Encoding) decodeLevels(levels []string) (string, error) {
	var b strings.Builder
	for i, level := range levels {
		if level == "" {
			return "", errors.New("empty level")
		}
		if e == UTF7 && !(utf8Only(level) && !strings.Contains(level, "&")) {
			plain, err := utf7.Decode(level)
			if err != nil {
				return "", err
			}
			level = plain
		}
		level = unescape(level)
		if strings.Contains(level, "/") {
			return "", errors.New("a level holds /")
		}
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(level)
	}
	name := norm.NFC.String(b.String())
	var invalid *mailaccess.Error
	if err := mailaccess.CheckMailboxName(name); errors.As(err, &invalid) {
		return "", invalid.Err // the caller says which
	}
	return name, nil
}

// utf8Only reports whether s is UTF-8 and not ASCII.
func utf8Only(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) && utf8.ValidString(s)
}

// unescape resolves a backslash and two hexadecimal digits; other backslashes stand
// for themselves.
func unescape(level string) string {
	if !strings.Contains(level, `\`) {
		return level
	}
	b := make([]byte, 0, len(level))
	for i := 0; i < len(level); i++ {
		if level[i] == '\\' && i+2 < len(level) {
			hi, lo := hexDigit(level[i+1]), hexDigit(level[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, level[i])
	}
	return string(b)
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Folders returns the mailboxes that directories make, by name, and for each that
// begins with a dot and makes none the reason. Where several decode to one name, the
// Exact one is the mailbox, or else the first in the order of octets; the others are
// refused. What is not of a mailbox at all ([ErrNoFolder]) is left out silently.
func (e Encoding) Folders(dirs iter.Seq[string]) (folders []Folder, refused []error) {
	for _, dir := range slices.Sorted(dirs) {
		f, err := e.Decode(dir)
		if err == nil {
			folders = append(folders, f)
		} else if !errors.Is(err, ErrNoFolder) {
			refused = append(refused, err)
		}
	}
	slices.SortStableFunc(folders, func(a, b Folder) int {
		c := strings.Compare(a.Name, b.Name)
		if c != 0 || a.Exact == b.Exact {
			return c
		}
		if a.Exact {
			return -1
		}
		return 1
	})
	kept := folders[:0]
	for _, f := range folders {
		if n := len(kept); n > 0 && kept[n-1].Name == f.Name {
			refused = append(refused, fmt.Errorf("directory %q is no mailbox: %q is the same by name", f.Dir, kept[n-1].Dir))
			continue
		}
		kept = append(kept, f)
	}
	return kept, refused
}

// Detection is what the directories of an account say about its encoding.
type Detection struct {
	// Encoding is what more of them are in; modified UTF-7 when it is even or
	// all are plain ASCII.
	Encoding Encoding
	// UTF7 and UTF8 count those that can only be one of them.
	UTF7, UTF8 int
}

// Mixed reports whether there are some of both: worth a line in a log, since those
// of the other encoding may come out as names that nobody gave.
func (d Detection) Mixed() bool { return d.UTF7 > 0 && d.UTF8 > 0 }

// Detect tells the encoding of an account from all its directories.
func Detect(dirs iter.Seq[string]) Detection {
	var d Detection
	for dir := range dirs {
		switch {
		case !strings.HasPrefix(dir, "."):
		case utf8Only(dir):
			d.UTF8++
		case !strings.Contains(dir, "&"):
		default:
			// A "&" that begins nothing is only possible in UTF-8.
			if _, err := utf7.Decode(dir); err == nil {
				d.UTF7++
			} else if utf8.ValidString(dir) {
				d.UTF8++
			}
		}
	}
	if d.UTF8 > d.UTF7 {
		d.Encoding = UTF8
	}
	return d
}
