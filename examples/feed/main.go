// Command feed serves a feed (RSS 2.0) as mail: each entry is a message, and who waits is told
// of a new one as soon as it was fetched. rss.go reads feeds and writes messages; inbox.go is
// what makes mail of them: three functions, and a file for what has been read.
//
//	go run ./examples/feed --feed https://example.org/news.rss --user ann --password secret
//
// What clients need to know besides (UIDs, change numbers) is kept in feed.json.sync.
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
	"time"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/hooks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "feed:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("feed", flag.ContinueOnError)
	address := f.String("listen", "127.0.0.1:1143", "`address` to listen on for IMAP")
	url := f.String("feed", "", "`URL` of the feed")
	every := f.Duration("every", 15*time.Minute, "`time` from one look at the feed to the next")
	path := f.String("state", "feed.json", "`file` that keeps entries and their flags")
	user := f.String("user", "demo", "`name` of the user, and of the account")
	password := f.String("password", "demo", "the user's `password`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *url == "" || *every <= 0 {
		return errors.New("--feed must be given, and --every be above 0")
	}
	box, err := openInbox(*path)
	if err != nil {
		return err
	}
	store, err := hooks.New(box.handlers(), &hooks.Options{SyncState: *path + ".sync"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s, err := mailserver.New(store, auth.Static(map[string]string{*user: *password}), &mailserver.Options{PlaintextOnLoopback: true})
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

	from := newSource(*url)
	look := time.NewTicker(*every)
	defer look.Stop()
	for {
		news, err := from.fetch(ctx)
		if err == nil && len(news) > 0 {
			err = box.add(news)
		}
		if err == nil {
			store.Push(*user, "INBOX")
		} else if ctx.Err() == nil {
			fmt.Fprintln(out, err) // the next time may go better
		}
		select {
		case <-look.C:
		case err := <-served:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}
