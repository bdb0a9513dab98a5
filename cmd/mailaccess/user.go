package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

func newUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage the users file",
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newUserAddCommand())
	return cmd
}

// userAdd are the flags of "user add".
type userAdd struct {
	file          string
	passwordStdin bool
	replace       bool
	scheme        string
	app           string
	protocols     []string
}

func newUserAddCommand() *cobra.Command {
	var o userAdd
	cmd := &cobra.Command{
		Use:   "add NAME --users FILE",
		Short: "Add a user, or change a password",
		Long: `Add a user to the users file, which is created when it is not there. What is
kept of the password is an argon2id hash, or what --scheme says: scram-sha-256 lets
clients prove that they know the password without sending it, once every user of the
file has it; blf-crypt is for other programs that read the file; plain is the password
itself.

With --app the password is a further one of a user who exists, for one program or
device, which can be limited to --protocols.

The password is asked for on the terminal, or read from standard input. A
server that runs sees the change at the next login.`,
		Example: `  mailaccess user add alice --users users
  pass show mail/alice | mailaccess user add alice --users users --password-stdin
  mailaccess user add alice --users users --app phone --protocols imap`,
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "users", "", "users `file`; it, or a configuration that names it, is needed")
	registerConfig(f)
	f.BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from standard input: one line")
	f.BoolVar(&o.replace, "replace", false, "change the password if the user exists")
	f.StringVar(&o.scheme, "scheme", "argon2id", "how the password is kept: argon2id, scram-sha-256, blf-crypt or plain")
	f.StringVar(&o.app, "app", "", "`name` of the program or device whose password it is")
	f.StringSliceVar(&o.protocols, "protocols", nil, "`protocols` that an app password is for: imap, pop3 (default all)")
	return cmd
}

func (o *userAdd) run(cmd *cobra.Command, name string) error {
	if err := configureAsServe(cmd.Flags()); err != nil {
		return fmt.Errorf("user add: %w", err)
	}
	if o.file == "" {
		return errors.New("user add: no users file: give --users FILE")
	}
	user, err := auth.NormalizeUser(name)
	if err != nil {
		return fmt.Errorf("user add %q: %w", name, err)
	}
	// Before the password is asked for, in vain; SetUser looks again, under
	// its lock.
	exists, err := auth.HasUser(o.file, user)
	if err != nil {
		return fmt.Errorf("user add: %w", err)
	}
	switch {
	case exists && !o.replace && o.app == "":
		return o.refuseExisting(user)
	case !exists && o.app != "":
		return fmt.Errorf("user add %s: there is no such user in %s to have an app password", user, o.file)
	}
	password, err := o.password(cmd, user)
	if err != nil {
		return fmt.Errorf("user add %s: %w", user, err)
	}
	if password == "" {
		return fmt.Errorf("user add %s: the password is empty", user)
	}
	err = auth.SetUser(o.file, user, password, &auth.SetUserOptions{
		Replace: o.replace, Scheme: auth.Scheme(strings.ToUpper(o.scheme)), App: o.app, Protocols: o.protocols,
	})
	switch {
	case errors.Is(err, mailaccess.KindExists):
		return o.refuseExisting(user)
	case err != nil:
		return err
	case o.app != "":
		fmt.Fprintf(cmd.OutOrStdout(), "Set the password of %s for %s in %s.\n", user, o.app, o.file)
	case exists:
		fmt.Fprintf(cmd.OutOrStdout(), "Set the password of %s in %s.\n", user, o.file)
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "Added %s to %s.\n", user, o.file)
	}
	return nil
}

func (o *userAdd) refuseExisting(user string) error {
	if o.app != "" {
		return fmt.Errorf("user add %s: there is a password for %s already in %s; --replace changes it", user, o.app, o.file)
	}
	return fmt.Errorf("user add %s: the user exists already in %s; --replace changes the password", user, o.file)
}

func (o *userAdd) password(cmd *cobra.Command, user string) (string, error) {
	if o.passwordStdin {
		return readPassword(cmd.InOrStdin())
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("standard input is no terminal to ask for the password; --password-stdin reads it from there")
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
	defer stop()
	prompt := cmd.ErrOrStderr() // so that standard output stays clean
	first, err := askPassword(ctx, in, prompt, "Password of "+user+": ")
	if err != nil || first == "" {
		return "", err
	}
	second, err := askPassword(ctx, in, prompt, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}

// askPassword asks on a terminal without showing what is typed. Reading from a
// terminal cannot be called off: when ctx ends first, a goroutine stays behind
// until somebody presses Enter or, as here, the program ends.
func askPassword(ctx context.Context, tty *os.File, prompt io.Writer, text string) (string, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(prompt, text)
	type answer struct {
		password []byte
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		p, err := term.ReadPassword(fd)
		answers <- answer{p, err}
	}()
	select {
	case a := <-answers:
		fmt.Fprintln(prompt)
		if errors.Is(a.err, io.EOF) {
			return "", errors.New("no password was typed")
		}
		if a.err != nil {
			return "", fmt.Errorf("read the password: %w", a.err)
		}
		return string(a.password), nil
	case <-ctx.Done():
		fmt.Fprintln(prompt)
		// The terminal must not stay without echo.
		return "", errors.Join(errors.New("interrupted"), term.Restore(fd, state))
	}
}

// readPassword reads the one line that r consists of.
func readPassword(r io.Reader) (string, error) {
	const most = auth.MaxPassword + 2 // the end of the line
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if bytes.ContainsAny(b, "\r\n") {
		return "", errors.New("standard input has more than the one line of the password")
	}
	return string(b), nil
}
