// Command mbox serves an archive: mbox files that nobody changes, though messages may be
// added to them. archive.go, account.go and content.go are the fourteen methods that a store
// must have, written over files; mbox.go is the format.
//
//	go run ./examples/mbox --dir ./archive --user ann --password secret
//
// Send it SIGHUP when something was added.
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
	"syscall"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols/mailserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mbox:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("mbox", flag.ContinueOnError)
	address := f.String("listen", "127.0.0.1:1143", "`address` to listen on for IMAP")
	dir := f.String("dir", ".", "`directory` of the files, whose names end in .mbox")
	user := f.String("user", "demo", "`name` of the user")
	password := f.String("password", "demo", "the user's `password`")
	if err := f.Parse(args); err != nil {
		return err
	}
	store, err := openArchive(*dir, *user)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s, err := mailserver.New(store, auth.Static(map[string]string{*user: *password}), &mailserver.Options{PlaintextOnLoopback: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	added := make(chan os.Signal, 1)
	signal.Notify(added, syscall.SIGHUP)
	defer signal.Stop(added)
	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.IMAP.Serve(l) }()
	fmt.Fprintln(out, "IMAP on", l.Addr())
	for {
		select {
		case <-added:
			if err := store.Refresh(); err != nil {
				fmt.Fprintln(out, "not read:", err)
			}
		case err := <-served:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}
