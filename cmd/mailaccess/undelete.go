package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// undelete are the flags of "undelete".
type undelete struct {
	store   string
	mailbox string
	since   string
	list    bool
}

func newUndeleteCommand() *cobra.Command {
	o := undelete{store: defaultStore}
	cmd := &cobra.Command{
		Use:   "undelete USER",
		Short: "Bring expunged messages back",
		Long: `Bring the messages of a user back that were expunged from a Maildir store, or were in
a mailbox that was deleted, as far as they are still kept (see mailaccess serve
--keep-expunged). They arrive like new mail in the mailbox that they were in, whether or
not a server has the store open. A mailbox that was deleted with messages in it is made
again; what was expunged from one that is no more goes to INBOX.

Each message is a line on standard output: when it was expunged, its size in octets, its
mailbox, and the file where it is, or was, kept, with tabs between.

A time is in RFC 3339 (2026-03-01T12:00:00Z), a date, or how long ago (3h, 2d).`,
		Example: `  mailaccess undelete alice --list
  mailaccess undelete alice --mailbox Work --since 3h --store maildir:/srv/mail`,
		Args: exactly("USER"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: maildir:PATH")
	registerConfig(f)
	f.StringVar(&o.mailbox, "mailbox", "", "`name` of the mailbox that they were in; empty: any")
	f.StringVar(&o.since, "since", "", "`time` since when they were expunged; empty: any")
	f.BoolVar(&o.list, "list", false, "only show what there is")
	return cmd
}

func (o *undelete) run(cmd *cobra.Command, user string) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	if err := configureAsServe(cmd.Flags()); err != nil {
		return fmt.Errorf("undelete: %w", err)
	}
	path, err := stores.MaildirPath(o.store)
	if err != nil {
		return err
	}
	account, err := accountOf(user)
	if err != nil {
		return fmt.Errorf("undelete: %w", err)
	}
	opts := maildir.UndeleteOptions{Mailbox: o.mailbox, List: o.list}
	if o.since != "" {
		if opts.Since, err = parseSince(o.since, time.Now()); err != nil {
			return fmt.Errorf("undelete: --since %w", err)
		}
	}
	return maildir.Undelete(ctx, path, account, &opts, func(u maildir.Undeleted) {
		box := u.Mailbox
		if u.To != box {
			box += " -> " + u.To
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s\t%d\t%s\t%s\n", u.Expunged.Format(time.RFC3339), u.Size, box, u.File)
	})
}
