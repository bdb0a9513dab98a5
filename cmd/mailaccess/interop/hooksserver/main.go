//go:build interop

// Hooksserver serves the mail of an application that has functions of package hooks and
// no store of its own. Like "mailaccess demo" it prints its addresses, writes its
// certificate to a file, and ends when it is interrupted. The user is demo, and so is
// the password.
package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

func main() {
	certOut := flag.String("cert-out", "", "where to write the certificate")
	state := flag.String("state", "", "the file of the store's state")
	addrs := make(map[string]*string)
	for _, name := range []string{"imap", "imaps", "pop3", "pop3s"} {
		addrs[name] = flag.String(name, "127.0.0.1:0", "address")
	}
	flag.Parse()
	if err := run(*certOut, *state, addrs); err != nil {
		log.Fatal(err)
	}
}

func run(certOut, state string, addrs map[string]*string) (err error) {
	app := hookstest.New(hookstest.Style{Versions: true, Changes: true, Revisions: true})
	app.AddUser("demo", "demo")
	if err := app.Create("demo", "Archive", 0); err != nil {
		return err
	}
	store, err := hooks.New(app.Handlers(), &hooks.Options{SyncState: state})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	cert, err := protocols.SelfSigned()
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(certOut, block, 0o600); err != nil {
		return err
	}
	s, err := mailserver.New(store, store, &mailserver.Options{
		TLSConfig:           &tls.Config{Certificates: []tls.Certificate{cert}},
		PlaintextOnLoopback: true,
	})
	if err != nil {
		return err
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for name, serve := range map[string]func(net.Listener) error{
		"imap": s.IMAP.Serve, "imaps": s.IMAP.ServeTLS, "pop3": s.POP3.Serve, "pop3s": s.POP3.ServeTLS,
	} {
		l, err := net.Listen("tcp", *addrs[name])
		if err != nil {
			return errors.Join(err, s.Close())
		}
		fmt.Println(name, l.Addr())
		go serve(l)
	}
	<-interrupted.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Shutdown(ctx)
}
