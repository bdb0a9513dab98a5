package mailserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

// IMAP and POP3 over one store, with TLS, until told to end.
func ExampleNew() {
	store := memory.New(nil)
	defer store.Close()
	cert, err := protocols.SelfSigned() // to try it; else protocols.LoadCertificates
	if err != nil {
		log.Fatal(err)
	}
	s, err := mailserver.New(store, auth.Static(map[string]string{"ann": "secret"}), &mailserver.Options{
		TLSConfig: protocols.NewTLSConfig(cert),
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.POP3.ServeTLS(l) }()

	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "USER ann\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Println(lines.Text())
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// +OK mailaccess ready
	// +OK send PASS
	// +OK maildrop locked and ready
	// +OK 0 0
	// +OK bye
	// protocols: server closed
}
