package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// The exit codes of "deliver", from sysexits.h, which mail servers understand.
const (
	exitUsage       = 64
	exitData        = 65 // the message
	exitNoUser      = 67
	exitCantCreate  = 73
	exitIO          = 74
	exitTemporary   = 75 // worth trying again
	exitPermissions = 77
)

// deliver are the flags of "deliver".
type deliver struct {
	store   string
	mailbox string
}

func newDeliverCommand() *cobra.Command {
	o := deliver{store: defaultStore}
	cmd := &cobra.Command{
		Use:   "deliver USER",
		Short: "Deliver one message into a Maildir store",
		Long: `Deliver the message on standard input into a Maildir store, whether or not a server
has it open: a mail server calls this for local users. The message is on disk when the
command ends. A mailbox that is not there is INBOX, so that no mail is lost.

The exit codes are those of sysexits.h: 64 usage, 65 the message is empty, 67 no such
user or name of a mailbox, 73 a directory or file cannot be made, 74 reading or
writing fails, 75 try again (the disk is full, the system lacks something), 77 no
permission.`,
		Example: `  mailaccess deliver alice --store maildir:/srv/mail < message
  mailaccess deliver alice --mailbox Lists/go < message`,
		Args: func(cmd *cobra.Command, args []string) error { return usage(exactly("USER")(cmd, args)) },
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath()))
	})
	f := cmd.Flags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: maildir:PATH")
	f.StringVar(&o.mailbox, "mailbox", mailaccess.Inbox, "`name` of the mailbox, with / between levels")
	return cmd
}

func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitUsage, err}
}

func (o *deliver) run(cmd *cobra.Command, user string) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	path, err := stores.MaildirPath(o.store)
	if err != nil {
		return usage(err)
	}
	if _, err := maildir.OwnDir(path); err != nil { // the path makes no sense
		return usage(err)
	}
	account, err := accountOf(user)
	if err == nil && o.mailbox != "" {
		err = mailaccess.CheckMailboxName(o.mailbox)
	}
	if err != nil {
		return &exitError{exitNoUser, fmt.Errorf("deliver: %w", err)}
	}
	in := &input{Reader: cmd.InOrStdin()}
	if _, err := maildir.Deliver(ctx, path, account, o.mailbox, in); err != nil {
		return &exitError{deliverCode(ctx, err, in.err), err}
	}
	return nil
}

// input is a reader that remembers that it failed.
type input struct {
	io.Reader
	err error
}

func (r *input) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// deliverCode returns the exit code for a delivery that failed with err, inErr being what
// reading the message failed with.
func deliverCode(ctx context.Context, err, inErr error) int {
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(err, target) {
				return true
			}
		}
		return false
	}
	switch {
	case ctx.Err() != nil:
		return exitTemporary
	case inErr != nil:
		return exitIO
	case is(mailaccess.KindNotFound):
		return exitNoUser
	case is(fs.ErrPermission):
		return exitPermissions
	case is(mailaccess.KindOverQuota, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.ESTALE):
		return exitTemporary
	case is(syscall.EROFS, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EMLINK, fs.ErrNotExist, fs.ErrExist):
		return exitCantCreate
	case is(mailaccess.KindInvalid):
		return exitData
	}
	return exitIO
}
