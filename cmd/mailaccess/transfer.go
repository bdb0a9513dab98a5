package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
)

// transferring are the flags of "import" and "export", which are one thing in two directions.
type transferring struct {
	export bool

	store, user               string
	include, exclude, renames []string
	dryRun, delete, json      bool
	state                     string
	place, home               access // PLACE, and the store when it is behind IMAP
}

const placesHelp = `PLACE is one of

  imaps://USER@HOST[:PORT]  an account of another server, over TLS
  imap://USER@HOST[:PORT]   with STARTTLS
  maildir:DIR               a Maildir++, as Dovecot and Courier have it
  mbox:FILE, mbox:DIR       a file in mbox format, or a directory of them
  tar:FILE                  an archive of .eml files; FILE.gz and FILE.tgz are compressed

In the URL of IMAP a @ or / in USER is written %40 or %2F. The password is asked for on
the terminal, or read from a file; with --token-file it is an OAuth 2.0 access token. A
file is read again whenever a connection is made.

What was carried is noted in a file (--state), so that another run carries only what
has changed, and one that was interrupted goes on. Without that file what is there is
known by its content: nothing comes twice. Messages that cannot be carried are told at
the end, and stop nothing; the exit code is 1 then.`

func newImportCommand() *cobra.Command {
	o := transferring{store: defaultStore}
	cmd := &cobra.Command{
		Use:   "import PLACE --user NAME",
		Short: "Bring mail from another server, or from files, into a store",
		Long: `Bring the mail of a user from another place into a store: all mailboxes, flags,
keywords, dates, subscriptions and special uses. The place is only read.

` + placesHelp + `

While a server has the store open, mail gets in through it: --store imaps://NAME@HOST.`,
		Example: `  mailaccess import imaps://ann@old.example.org --user ann --store maildir:/srv/mail
  mailaccess import maildir:/home/ann/Maildir --user ann --dry-run
  mailaccess import mbox:/home/ann/Mail --user ann --map 'saved-messages=Archive'`,
		Args: exactly("PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.register(cmd)
	return cmd
}

func newExportCommand() *cobra.Command {
	o := transferring{store: defaultStore, export: true}
	cmd := &cobra.Command{
		Use:   "export PLACE --user NAME",
		Short: "Bring mail out of a store to another server, or into files",
		Long: `Bring the mail of a user out of a store to another place: all mailboxes, flags,
keywords, dates, subscriptions and, where the place has them, special uses. The store is
only read.

` + placesHelp + `

While a server has the store open, mail gets out through it: --store imaps://NAME@HOST.`,
		Example: `  mailaccess export tar:ann.tgz --user ann --store maildir:/srv/mail
  mailaccess export imaps://ann@new.example.org --user ann
  mailaccess export mbox:/backup/ann --user ann --include 'Work/*'`,
		Args: exactly("PLACE"),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.register(cmd)
	return cmd
}

func (o *transferring) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: maildir:PATH, or an account of a server as PLACE has it")
	f.StringVar(&o.user, "user", "", "`name` of the user whose mail it is, in a maildir: store")
	f.StringArrayVar(&o.include, "include", nil, "only mailboxes whose names match this `pattern`: * is anything, % anything but /")
	f.StringArrayVar(&o.exclude, "exclude", nil, "no mailboxes whose names match this `pattern`")
	f.StringArrayVar(&o.renames, "map", nil, "give a mailbox, and those below it, another name: `OLD=NEW`")
	f.BoolVar(&o.dryRun, "dry-run", false, "only tell what there is to do")
	f.BoolVar(&o.delete, "delete", false, "remove what was carried before and is no more where it came from")
	f.BoolVar(&o.json, "json", false, "print the account of it as one JSON object")
	f.StringVar(&o.state, "state", "", "`file` in which is noted what was carried (default one for each pair of places in the user's state directory)")
	o.place.register(f, "", "at PLACE")
	o.home.register(f, "store-", "at the store, when that is behind IMAP")
}

func (o *transferring) op() string {
	if o.export {
		return "export"
	}
	return "import"
}

func (o *transferring) run(cmd *cobra.Command, place string) error {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	report, err := o.transfer(ctx, cmd, place)
	return o.account(cmd.OutOrStdout(), report, err)
}

// account tells what became of the mail. err is why there is no report, or what went wrong after it.
func (o *transferring) account(w io.Writer, report *transfer.Report, err error) error {
	if report == nil {
		return fmt.Errorf("%s: %w", o.op(), err)
	}
	if err != nil && report.Error == "" {
		report.Error = err.Error()
	}
	if o.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = writeReport(w, report)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", o.op(), err)
	case report.Error != "":
		return fmt.Errorf("%s: %s", o.op(), report.Error)
	case !report.OK():
		return &exitError{code: 1}
	}
	return nil
}

// transfer opens both places and carries the mail. Its error is one of opening them, without a
// report, or of closing them.
func (o *transferring) transfer(ctx context.Context, cmd *cobra.Command, place string) (_ *transfer.Report, err error) {
	selection, err := o.selection()
	if err != nil {
		return nil, err
	}
	there, err := parsePlace(place, &o.place)
	if err != nil {
		return nil, err
	}
	here, err := o.homePlace()
	if err != nil {
		return nil, err
	}
	from, to := there, here
	if o.export {
		from, to = here, there
	}
	if from.name == to.name {
		return nil, fmt.Errorf("%s is both where mail comes from and where it goes", from.name)
	}
	state := o.state
	if state == "" {
		if state, err = defaultState(from.name, to.name); err != nil {
			return nil, err
		}
	}
	if o.dryRun {
		if _, err := os.Stat(state); err != nil {
			// None is left behind.
			dir, err := os.MkdirTemp("", "mailaccess-*")
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
			state = filepath.Join(dir, "state")
		}
	}
	src, err := from.open(ctx, cmd, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	// A dry run makes nothing: what is not there is empty.
	var dst transfer.Destination = nowhere{}
	if !o.dryRun || to.exists() {
		if dst, err = to.open(ctx, cmd, !o.dryRun); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, dst.Close()) }()
	}
	journal, err := transfer.OpenJournal(state, from.name, to.name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	show := newProgress(cmd.ErrOrStderr())
	defer show.end()
	return transfer.Run(ctx, src, dst, journal, &transfer.Options{
		Selection: selection, DryRun: o.dryRun, Delete: o.delete, Progress: show.tell,
	}), nil
}

func (o *transferring) selection() (transfer.Selection, error) {
	s := transfer.Selection{Include: o.include, Exclude: o.exclude, Rename: make(map[string]string)}
	for _, text := range o.renames {
		from, to, err := transfer.ParseRename(text)
		if err != nil {
			return s, fmt.Errorf("--map %w", err)
		}
		s.Rename[from] = to
	}
	return s, nil
}

// writeReport tells what became of the mail.
func writeReport(w io.Writer, r *transfer.Report) error {
	if r.Error != "" && len(r.Mailboxes) == 0 {
		return nil // it has not begun
	}
	out := &printer{w: w}
	moved := "moved"
	if r.DryRun {
		moved = "to move"
	}
	for _, b := range r.Mailboxes {
		name := b.Name
		if b.To != "" && b.To != b.Name {
			name += " -> " + b.To
		}
		switch {
		case b.Error != "":
			out.printf("%s: given up: %s\n", name, b.Error)
		case b.Skipped != "":
			out.printf("%s: %s\n", name, b.Skipped)
		default:
			out.printf("%s: %s\n", name, countsText(b.Counts, moved))
		}
	}
	for _, f := range r.Failures {
		out.printf("failed: %s: message %s: %s\n", f.Mailbox, f.Key, f.Reason)
	}
	if more := r.Total.Failed - len(r.Failures); more > 0 {
		out.printf("failed: %d more\n", more)
	}
	for _, what := range r.Unreadable {
		out.printf("not read: %s\n", what)
	}
	for _, n := range r.Notes {
		out.printf("note: %s\n", n)
	}
	if r.Subscribed > 0 {
		out.printf("subscribed: %d\n", r.Subscribed)
	}
	out.printf("total: %s\n", countsText(r.Total, moved))
	return out.err
}

func countsText(c transfer.Counts, moved string) string {
	text := fmt.Sprintf("%d %s (%s), %d skipped as they are there", c.Moved, moved, sizeText(c.Bytes), c.Present)
	for _, n := range []struct {
		n    int
		what string
	}{
		{c.Updated, "with other flags"}, {c.Removed, "removed"}, {c.Gone, "gone where they came from, and kept"}, {c.Failed, "failed"},
	} {
		if n.n > 0 {
			text += fmt.Sprintf(", %d %s", n.n, n.what)
		}
	}
	return text
}

// printer keeps the first error of several prints.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
