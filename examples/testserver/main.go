// Command testserver is a mail server for the tests of a mail client that is not written in Go:
// the client's tests start it, read the addresses from its first lines, and end it when they are
// done. (In Go a test starts one by itself: see package mailaccesstest.)
//
//	go run ./examples/testserver --mail testdata/mail --transcript said.txt
//
// It serves what is in a directory: files .eml, or a Maildir, or a file .mbox. All is in memory
// and forgotten in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testserver:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("testserver", flag.ContinueOnError)
	user := f.String("user", "ann", "`name` of the user")
	password := f.String("password", "secret", "the user's `password`")
	mail := f.String("mail", "", "directory or file of the mail that is there at first; empty: none")
	transcript := f.String("transcript", "", "`file` for what was said, written in the end; empty: none")
	refuse := f.String("refuse", "", "`command` that is refused, and the answer to it: \"FETCH NO [UNAVAILABLE] Not now\"")
	if err := f.Parse(args); err != nil {
		return err
	}
	var messages mailaccesstest.Source
	if *refuse != "" && !strings.Contains(*refuse, " ") {
		return fmt.Errorf("--refuse %s: no answer is given", *refuse)
	}
	if *mail != "" {
		if messages, err = source(*mail); err != nil {
			return fmt.Errorf("%s: %w", *mail, err)
		}
	}
	srv, err := mailaccesstest.Start(&mailaccesstest.Options{Users: map[string]string{*user: *password}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	if messages != nil {
		srv.Load(*user, messages)
	}
	if command, answer, ok := strings.Cut(*refuse, " "); ok {
		srv.Inject(mailaccesstest.Fault{Command: command, Times: -1, Answer: answer})
	}
	fmt.Fprintf(out, "imap %s\nimaps %s\npop3 %s\npop3s %s\nca %s\n", srv.IMAP, srv.IMAPS, srv.POP3, srv.POP3S, srv.CAFile())
	<-ctx.Done()
	if *transcript != "" {
		return os.WriteFile(*transcript, []byte(srv.Transcript()), 0o600)
	}
	return nil
}

// source is the mail at path, read through: it can be loaded.
func source(path string) (mailaccesstest.Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var from mailaccesstest.Source
	switch _, err := fs.Stat(os.DirFS(path), "cur"); {
	case !info.IsDir():
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it was only read
		from = mailaccesstest.Mbox(file, "INBOX")
	case err == nil:
		from = mailaccesstest.Maildir(os.DirFS(path))
	default:
		from = mailaccesstest.FS(os.DirFS(path))
	}
	var all []mailaccesstest.Message
	for m, err := range from {
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return mailaccesstest.Messages(all...), nil
}
