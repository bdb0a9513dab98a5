// Command sqltable serves the letters in a table of an SQL database over IMAP and POP3.
// letters.go is what an application writes: six functions over its own tables.
//
//	go run ./examples/sqltable --db letters.db --add ann@example.org --password secret
//	go run ./examples/sqltable --db letters.db
//
// What clients need to know besides (UIDs, change numbers) is kept in letters.db.sync.
package main

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"golang.org/x/crypto/bcrypt"
	_ "modernc.org/sqlite" // the driver called sqlite

	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/hooks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sqltable:", err)
		os.Exit(1)
	}
}

// run adds a person, or serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	f := flag.NewFlagSet("sqltable", flag.ContinueOnError)
	path := f.String("db", "letters.db", "`file` of the database")
	email := f.String("add", "", "`address` of a person to add")
	password := f.String("password", "", "the person's `password`")
	imaps := f.String("imaps", "127.0.0.1:1993", "`address` to listen on")
	pop3s := f.String("pop3s", "127.0.0.1:1995", "`address` to listen on")
	if err := f.Parse(args); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", *path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	if *email != "" {
		return addPerson(ctx, db, *email, *password)
	}
	nobody, err := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	store, err := hooks.New(letters{db, nobody}.handlers(), &hooks.Options{SyncState: *path + ".sync", Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cert, err := protocols.SelfSigned()
	if err != nil {
		return err
	}
	s, err := mailserver.New(store, store, &mailserver.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	served := make(chan error, 2)
	for _, e := range []struct {
		name, address string
		serve         func(net.Listener) error
	}{{"IMAP", *imaps, s.IMAP.ServeTLS}, {"POP3", *pop3s, s.POP3.ServeTLS}} {
		l, err := net.Listen("tcp", e.address)
		if err != nil {
			return err
		}
		go func() { served <- e.serve(l) }()
		fmt.Fprintln(out, e.name, "with TLS on", l.Addr())
	}
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	return err
}

// addPerson adds somebody with an INBOX and a first letter.
func addPerson(ctx context.Context, db *sql.DB, email, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	for _, q := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO person (email, password) VALUES (?, ?)`, []any{email, string(hash)}},
		{`INSERT INTO folder (owner, name) VALUES (?, 'INBOX'), (?, 'Archive')`, []any{email, email}},
		{`INSERT INTO letter (owner, folder, body) VALUES (?, 'INBOX', ?)`, []any{email, []byte("Subject: Welcome\n\nThis is a row of a table.\n")}},
	} {
		if _, err := db.ExecContext(ctx, q.text, q.args...); err != nil {
			return fmt.Errorf("add %s: %w", email, err)
		}
	}
	return nil
}
