package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/memory"
)

func ExampleNew() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()
	letter := []byte("Subject: Hello\r\n\r\nHow are you?\r\n")
	if _, err := store.Deliver(ctx, "ann", mailaccess.Inbox, letter, mailaccess.Flags{}, time.Time{}); err != nil {
		log.Fatal(err)
	}
	mail, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"ann": "secret"})})
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()
	server := &protocols.Server{Protocol: imap.New(imap.Options{Engine: mail, PlaintextOnLoopback: true})}
	defer server.Close()

	client, far := net.Pipe() // or server.Serve(listener)
	defer client.Close()
	go server.ServeConn(far)
	go fmt.Fprint(client, "a LOGIN ann secret\r\nb EXAMINE INBOX\r\nc FETCH 1 BODY.PEEK[TEXT]\r\nd LOGOUT\r\n")
	for lines := bufio.NewScanner(client); lines.Scan(); {
		if line := lines.Text(); !strings.Contains(line, "[") || strings.Contains(line, "BODY[") {
			fmt.Println(line) // those with codes differ from time to time
		}
	}
	// Output:
	// * FLAGS (\Answered \Flagged \Deleted \Seen \Draft)
	// * 1 EXISTS
	// * 1 RECENT
	// * 1 FETCH (BODY[TEXT] {14}
	// How are you?
	// )
	// c OK done
	// * BYE logging out
	// d OK done
}
