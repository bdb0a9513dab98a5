package maildir

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// ErrEmptyMessage: there was nothing to deliver.
var ErrEmptyMessage = errors.New("the message is empty")

// Deliver puts one message into an account, as a delivery agent does: through tmp into
// new, with no lock and no index, whether or not a process serves the store. path is as for
// [New]. It returns the mailbox that has it, which is INBOX when there is none of that name,
// so that no mail is lost by it. The account is made if it is not there.
//
// A first line that begins with "From " is left out: some mail systems put the envelope
// there. Otherwise the file is what r yields. When Deliver returns nil it is on disk. When it
// fails the message is not there, but for one case: if what fails is the last sync, of the
// directory, nobody can tell. Whoever tries again then may deliver it twice, and never loses it.
//
// Errors: KindNotFound for a name that cannot be an account's, KindInvalid for a path that
// makes no sense, a name that cannot be a mailbox's and, with [ErrEmptyMessage], for a message
// without an octet; KindOverQuota when there is no room, KindUnavailable.
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
	name, err := deliverTo(ctx, dir, mailbox, r)
	if err != nil {
		return "", failDisk(op, mailbox, err)
	}
	return name, nil
}

// deliverTo delivers into an account.
func deliverTo(ctx context.Context, dir fsys.Dir, mailbox string, r io.Reader) (string, error) {
	name, folder, err := findFolder(dir, mailbox)
	if err != nil {
		return "", err
	}
	if folder != dir {
		defer folder.Close()
	}
	return name, deliverInto(ctx, folder, r)
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
	folders, _ := encoding.Folders(slices.Values(dirs))
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

// encodingOf returns how an account's directories write the names of mailboxes. When its file
// is not there, or is damaged, the names have to tell: mail must not wait for a repair.
func encodingOf(dir fsys.Dir, dirs []string) (maildirname.Encoding, error) {
	text, err := readSmall(dir, accountFile)
	if onDisk(err) {
		return 0, err
	}
	if err == nil {
		if meta, err := parseAccountMeta(text); err == nil {
			return meta.encoding, nil
		}
	}
	return maildirname.Detect(slices.Values(dirs)).Encoding, nil
}

// deliverInto writes a message into a Maildir.
func deliverInto(ctx context.Context, folder fsys.Dir, r io.Reader) error {
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
	size, wire, err := writeMessage(ctx, f, r)
	if err == nil {
		err = tmp.Rename(name, fresh, maildirname.WithSizes(name, size, wire))
	}
	if err != nil {
		if other := tmp.Remove(name); !errors.Is(other, fs.ErrNotExist) {
			err = errors.Join(err, other)
		}
		return err
	}
	return fresh.Sync()
}

// writeMessage writes a message into a file, which it brings to the disk and closes.
func writeMessage(ctx context.Context, f fsys.File, r io.Reader) (size, wire int64, err error) {
	size, wire, err = copyMessage(ctx, f, r)
	if err == nil {
		err = f.Sync()
	}
	return size, wire, errors.Join(err, f.Close())
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
		return 0, 0, fail("deliver", mailaccess.KindInvalid, "", ErrEmptyMessage)
	}
	return size, canonical.Size(), nil
}
