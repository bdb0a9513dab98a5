package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// check are the flags of "check".
type check struct {
	store  string
	socket string
	repair bool
}

func newCheckCommand() *cobra.Command {
	o := check{store: defaultStore}
	cmd := &cobra.Command{
		Use:   "check [USER...]",
		Short: "Check a Maildir store",
		Long: `Check whether the index of a Maildir store agrees with the files and with itself,
for the users named or all that there are: sizes, for which all messages are read,
UIDs, change numbers, files that are missing, left over or not as they should be.
Each finding is a line on standard output.

A server that has the store open does the work, and goes on serving; without one
the command opens the store itself.

The exit code is 0 when there is nothing to find, 1 when there is, and 2 with a line
on standard error when the store cannot be checked.`,
		Example: `  mailaccess check
  mailaccess check --repair --store maildir:/srv/mail alice`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: maildir:PATH")
	f.StringVar(&o.socket, "admin-socket", "", adminSocketUsage)
	registerConfig(f)
	f.BoolVar(&o.repair, "repair", false, "put right what can be without guessing: sizes, identities, left-overs")
	return cmd
}

func (o *check) run(cmd *cobra.Command, users []string) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	if err := configureAsServe(cmd.Flags()); err != nil {
		return &exitError{2, fmt.Errorf("check: %w", err)}
	}
	found := 0
	err := o.check(ctx, users, func(f maildir.Finding) {
		found++
		fmt.Fprintln(cmd.OutOrStdout(), f)
	})
	switch {
	case err != nil:
		return &exitError{2, fmt.Errorf("check: %w", err)}
	case found > 0:
		return &exitError{code: 1}
	}
	return nil
}

// check checks the store here, or has the server do it that has it open.
func (o *check) check(ctx context.Context, users []string, report func(maildir.Finding)) (err error) {
	request := checkRequest{Repair: o.repair}
	for _, user := range users {
		name, err := accountOf(user)
		if err != nil {
			return err
		}
		request.Accounts = append(request.Accounts, name)
	}
	path, err := stores.MaildirPath(o.store)
	if err != nil {
		return err
	}
	dir, err := maildir.OwnDir(path)
	if err != nil {
		return err
	}
	// Opening a store makes it.
	if _, err := os.Stat(filepath.Dir(dir)); err != nil {
		return err
	}
	// What expunged messages are kept for is the server's to say: none goes here.
	store, err := stores.Open(ctx, o.store, &stores.Options{KeepExpunged: math.MaxInt64})
	if errors.Is(err, mailaccess.KindInUse) {
		socket, err := adminPath(o.socket, o.store)
		if err != nil {
			return err
		}
		return askCheck(ctx, socket, request, report)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.(*maildir.Store).Check(ctx, request.Accounts, request.Repair, report)
}
