// Command readonly serves a store that nobody can change: an archive, or mail that must be
// kept as it is. readonly.go is a store around another store, as wrappers are written: it
// names what it lets pass, and all else is hidden.
//
//	go run ./examples/readonly --store maildir:./mail --user ann --password secret
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
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "readonly:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("readonly", flag.ContinueOnError)
	address := f.String("listen", "127.0.0.1:1143", "`address` to listen on for IMAP")
	url := f.String("store", "memory:", "`URL` of the store")
	user := f.String("user", "demo", "`name` of the user, and of the account")
	password := f.String("password", "demo", "the user's `password`")
	if err := f.Parse(args); err != nil {
		return err
	}
	inner, err := stores.Open(ctx, *url, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, inner.Close()) }()
	s, err := mailserver.New(readOnly{inner}, auth.Static(map[string]string{*user: *password}), &mailserver.Options{PlaintextOnLoopback: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.IMAP.Serve(l) }()
	fmt.Fprintln(out, "IMAP on", l.Addr())
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	return err
}
