package mailaccesstest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Source is where mail comes from. It ends after an error.
type Source = iter.Seq2[Message, error]

// Messages is a source of these messages.
func Messages(all ...Message) Source {
	return func(yield func(Message, error) bool) {
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// FS is a source of the files in fsys whose names end in .eml, each a message, in the
// order of their names. What lies in a directory is in the mailbox of that name, what
// lies in none in INBOX; a directory that is called inbox, in any case, is INBOX too.
func FS(fsys fs.FS) Source {
	return func(yield func(Message, error) bool) {
		err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Ext(name) != ".eml" {
				return err
			}
			raw, err := fs.ReadFile(fsys, name)
			if err != nil {
				return err
			}
			m := Message{Mailbox: path.Dir(name), Raw: string(raw)}
			if m.Mailbox == "." || strings.EqualFold(m.Mailbox, mailaccess.Inbox) {
				m.Mailbox = mailaccess.Inbox
			}
			if !yield(m, nil) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			yield(Message{}, err)
		}
	}
}

// Maildir is a source of the Maildir++ in fsys (os.DirFS("testdata/mail")): the messages
// in cur and new and those of its folders, by name, with flags, keywords where there is
// a file dovecot-keywords, and dates. It is only read.
func Maildir(fsys fs.FS) Source {
	return func(yield func(Message, error) bool) {
		if err := readMaildir(fsys, func(m Message) bool { return yield(m, nil) }); err != nil && !errors.Is(err, fs.SkipAll) {
			yield(Message{}, err)
		}
	}
}

func readMaildir(fsys fs.FS, yield func(Message) bool) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return err
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), ".") {
			dirs = append(dirs, e.Name())
		}
	}
	encoding := maildirname.Detect(slices.Values(dirs)).Encoding
	folders, refused := encoding.Folders(slices.Values(dirs))
	if len(refused) > 0 {
		return fmt.Errorf("maildir: %w", errors.Join(refused...))
	}
	folders = append([]maildirname.Folder{{Name: mailaccess.Inbox, Dir: "."}}, folders...)
	found := false
	for _, f := range folders {
		for _, dir := range []string{"cur", "new"} {
			dir = path.Join(f.Dir, dir)
			files, err := fs.ReadDir(fsys, dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			found = true
			if err := readFolder(fsys, f, dir, files, yield); err != nil {
				return err
			}
		}
	}
	if !found {
		return errors.New("maildir: there is neither cur nor new")
	}
	return nil
}

func readFolder(fsys fs.FS, f maildirname.Folder, dir string, files []fs.DirEntry, yield func(Message) bool) error {
	var keywords maildirname.Keywords
	if b, err := fs.ReadFile(fsys, path.Join(f.Dir, maildirname.KeywordsFile)); err == nil {
		if keywords, _, err = maildirname.ReadKeywords(bytes.NewReader(b)); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range files {
		name, ok := maildirname.ParseMessage(file.Name())
		if !ok || file.IsDir() {
			continue
		}
		info, err := file.Info()
		if err != nil {
			return err
		}
		raw, err := fs.ReadFile(fsys, path.Join(dir, file.Name()))
		if err != nil {
			return err
		}
		flags, _ := keywords.Flags(name.Flags)
		if !yield(Message{Mailbox: f.Name, Flags: flagNames(flags), Received: info.ModTime(), Raw: string(raw)}) {
			return fs.SkipAll
		}
	}
	return nil
}

// Mbox is a source of the messages in a file in mbox format, for a mailbox. A line of
// "From " begins a message where it stands first or after an empty line; the > before
// one that is text is taken away (RFC 4155). The fields Status, X-Status and X-Keywords,
// as mail readers write them, are flags, and not part of the message.
func Mbox(r io.Reader, mailbox string) Source {
	return func(yield func(Message, error) bool) {
		in := bufio.NewReader(r)
		var raw []byte // of the message so far; nil before the first
		var received time.Time
		blank := true
		flush := func() bool {
			if raw == nil {
				return true
			}
			// The empty line before the next message is the format's.
			m := Message{Mailbox: mailbox, Received: received, Raw: string(bytes.TrimSuffix(raw, []byte("\n")))}
			m.Flags, m.Raw = mboxFlags(m.Raw)
			return yield(m, nil)
		}
		for {
			line, err := in.ReadBytes('\n')
			line = bytes.ReplaceAll(line, []byte("\r\n"), []byte("\n"))
			switch {
			case blank && bytes.HasPrefix(line, []byte("From ")):
				if !flush() {
					return
				}
				raw, received = []byte{}, mboxDate(string(line))
			case raw == nil && len(bytes.TrimSpace(line)) > 0:
				yield(Message{}, errors.New("mbox: it does not begin with a line of From"))
				return
			case raw != nil:
				if quoted := bytes.TrimLeft(line, ">"); len(quoted) < len(line) && bytes.HasPrefix(quoted, []byte("From ")) {
					line = line[1:]
				}
				raw = append(raw, line...)
			}
			blank = len(line) == 1
			if errors.Is(err, io.EOF) {
				flush()
				return
			}
			if err != nil {
				yield(Message{}, fmt.Errorf("mbox: %w", err))
				return
			}
		}
	}
}

// mboxDate reads the date in a line of From; zero when there is none.
func mboxDate(line string) time.Time {
	_, rest, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "From ")), " ")
	date, err := time.Parse(time.ANSIC, strings.TrimSpace(rest))
	if err != nil {
		return time.Time{}
	}
	return date
}

// mboxFlags takes flags from the header of a message.
func mboxFlags(raw string) (flags []string, rest string) {
	letters := map[string]map[rune]string{
		"status":   {'R': `\Seen`},
		"x-status": {'A': `\Answered`, 'F': `\Flagged`, 'D': `\Deleted`, 'T': `\Draft`},
	}
	header, text, _ := strings.Cut(raw, "\n\n")
	var kept strings.Builder
	for line := range strings.Lines(strings.TrimSuffix(header, "\n") + "\n") {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(name)
		switch {
		case name == "x-keywords":
			flags = append(flags, strings.Fields(value)...)
		case letters[name] != nil:
			for _, c := range value {
				if flag := letters[name][c]; flag != "" {
					flags = append(flags, flag)
				}
			}
		default:
			kept.WriteString(line)
		}
	}
	return flags, kept.String() + "\n" + text
}
