// Command nntp serves mail over another protocol: NNTP, for reading (RFC 3977), with the
// logins of RFC 4643. Mailboxes are its groups, and UIDs its article numbers, which are
// what a UID is: ascending, and never used twice. nntp.go is all that a protocol takes;
// TLS, limits and shutdown are package protocols', and the mail comes from any store.
//
//	go run ./examples/nntp --store maildir:./mail --user ann --password secret
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/stores"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "nntp:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("nntp", flag.ContinueOnError)
	address := f.String("listen", "127.0.0.1:1119", "`address` to listen on")
	url := f.String("store", "memory:", "`URL` of the store")
	user := f.String("user", "demo", "`name` of the user, and of the account")
	password := f.String("password", "demo", "the user's `password`")
	if err := f.Parse(args); err != nil {
		return err
	}
	store, err := stores.Open(ctx, *url, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	users := auth.Static(map[string]string{*user: *password})
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Guard(users, nil)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	s := &protocols.Server{Protocol: &server{engine: e}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	fmt.Fprintln(out, "NNTP on", l.Addr())
	select {
	case err = <-served:
	case <-ctx.Done():
		err = s.Close()
	}
	return err
}
