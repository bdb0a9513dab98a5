package maildir

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/maildirname"
)

// Deliver puts one message into an account, as a delivery agent does: through tmp into
// new, with no lock and no index, whether or not a process serves the store. path is as for
// [New]. It returns the mailbox that has it, which is INBOX when there is none of that name,
// so that no mail is lost by it. The account is made if it is not there.
//
// A first line that begins with "From " is left out: some mail systems put the envelope
// there. Otherwise the file is what r yields. When Deliver returns nil it is on disk.
//
// Errors: KindNotFound for a name that cannot be an account's, KindInvalid for a name that
// cannot be a mailbox's and for a message without an octet, KindOverQuota when there is no
// room, KindUnavailable.
func Deliver(ctx context.Context, path, account, mailbox string, r io.Reader) (string, error) {
	const op = "deliver"
	p, err := parsePattern(path)
	if err != nil {
		return "", fail(op, mailaccess.KindInvalid, "", err)
	}
	parts, err := p.account(account)
	if err != nil {
		return "", fail(op, mailaccess.KindNotFound, "", err)
	}
	root, err := fsys.CreateRoot(p.root)
	if err != nil {
		return "", failDisk(op, mailbox, err)
	}
	defer root.Close()
	dir, err := descend(root, parts)
	if err != nil {
		return "", failDisk(op, mailbox, err)
	}
	defer dir.Close()
	name, folder, err := findFolder(dir, mailbox)
	if err != nil {
		return "", failDisk(op, mailbox, err)
	}
	if folder != dir {
		defer folder.Close()
	}
	if err := deliverInto(ctx, folder, r); err != nil {
		return "", failDisk(op, name, err)
	}
	return name, nil
}

// descend opens a directory below another; what is not there is made.
func descend(root fsys.Dir, parts []string) (fsys.Dir, error) {
	dir := root
	for _, part := range parts {
		sub, err := subdir(dir, part)
		if dir != root {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			return nil, err
		}
		dir = sub
	}
	return dir, nil
}

// findFolder opens the directory of a mailbox of that name, or that of INBOX.
func findFolder(dir fsys.Dir, mailbox string) (string, fsys.Dir, error) {
	if mailbox == "" || strings.EqualFold(mailbox, mailaccess.Inbox) {
		return mailaccess.Inbox, dir, nil
	}
	if err := mailaccess.CheckMailboxName(mailbox); err != nil {
		return "", nil, err
	}
	var dirs []string
	for e, err := range dir.Names(0) {
		if err != nil {
			return "", nil, err
		}
		if strings.HasPrefix(e.Name, ".") {
			dirs = append(dirs, e.Name)
		}
	}
	encoding, err := encodingOf(dir, dirs)
	if err != nil {
		return "", nil, err
	}
	folders, _ := encoding.Folders(func(yield func(string) bool) {
		for _, d := range dirs {
			if !yield(d) {
				return
			}
		}
	})
	for _, f := range folders {
		if f.Name == mailbox && f.Dir != "" {
			sub, err := dir.Sub(f.Dir)
			if err != nil {
				return "", nil, err
			}
			return mailbox, sub, nil
		}
	}
	return mailaccess.Inbox, dir, nil
}

// encodingOf returns how an account's directories write the names of mailboxes.
func encodingOf(dir fsys.Dir, dirs []string) (maildirname.Encoding, error) {
	text, err := readSmall(dir, accountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return maildirname.Detect(func(yield func(string) bool) {
			for _, d := range dirs {
				if !yield(d) {
					return
				}
			}
		}).Encoding, nil
	}
	if err != nil {
		return 0, err
	}
	meta, err := parseAccountMeta(text)
	return meta.encoding, err
}

// deliverInto writes a message into a Maildir.
func deliverInto(ctx context.Context, folder fsys.Dir, r io.Reader) (err error) {
	tmp, err := subdir(folder, "tmp")
	if err != nil {
		return err
	}
	defer tmp.Close()
	fresh, err := subdir(folder, "new")
	if err != nil {
		return err
	}
	defer fresh.Close()
	cur, err := subdir(folder, "cur") // others expect all three
	if err != nil {
		return err
	}
	defer cur.Close()
	host, err := os.Hostname()
	if err != nil {
		host = "" // only part of a unique name
	}
	name := maildirname.NewGenerator(host, os.Getpid(), time.Now).Next()
	f, err := tmp.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Remove(name))
		}
	}()
	size, wire, err := copyMessage(ctx, f, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := tmp.Rename(name, fresh, maildirname.WithSizes(name, size, wire)); err != nil {
		return err
	}
	return fresh.Sync()
}

// copyMessage copies a message without the envelope's line, and returns its length and that
// in canonical form.
func copyMessage(ctx context.Context, f fsys.File, r io.Reader) (size, wire int64, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(5); bytes.Equal(head, []byte("From ")) {
		for more := true; more; {
			if _, more, err = in.ReadLine(); err != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
	}
	canonical := message.NewCanonicalWriter(io.Discard)
	buf := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return 0, 0, err
			}
			if _, err := canonical.Write(buf[:n]); err != nil {
				return 0, 0, err
			}
			size += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if size == 0 {
		return 0, 0, fail("deliver", mailaccess.KindInvalid, "", errors.New("the message is empty"))
	}
	return size, canonical.Size(), nil
}
