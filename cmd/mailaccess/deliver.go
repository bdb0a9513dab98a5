package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// The exit codes of "deliver", from sysexits.h, which mail servers understand.
const (
	exitUsage     = 64
	exitData      = 65 // the message
	exitNoUser    = 67
	exitTemporary = 75 // worth trying again
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
user or name of a mailbox, 75 whatever else fails, which somebody may put right: the
mail server keeps the message and tries again. Where a disk fails at the very end the
message may be there all the same, and then twice.`,
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
	registerConfig(f)
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
	if err := configureAsServe(cmd.Flags()); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("deliver: %w", err)}
	}
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
	if _, err := maildir.Deliver(ctx, path, account, o.mailbox, cmd.InOrStdin()); err != nil {
		return &exitError{deliverCode(err), err}
	}
	return nil
}

// deliverCode returns the exit code for a delivery that failed with err. Whatever may be
// otherwise the next time, a disk or a permission that somebody puts right, is temporary: the
// mail server would return the message to who sent it.
func deliverCode(err error) int {
	switch {
	case errors.Is(err, mailaccess.KindNotFound):
		return exitNoUser
	case errors.Is(err, maildir.ErrEmptyMessage):
		return exitData
	}
	return exitTemporary
}
