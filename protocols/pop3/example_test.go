package pop3_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/pop3"
	"github.com/hashmail/mailaccess/stores/memory"
)

func ExampleNew() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()
	letter := []byte("Subject: hello\r\n\r\nHello, Anna.\r\n")
	if _, err := store.Deliver(ctx, "anna", mailaccess.Inbox, letter, mailaccess.Flags{}, time.Time{}); err != nil {
		fmt.Println(err)
		return
	}
	mail, err := engine.New(engine.Options{
		Store:         store,
		Authenticator: auth.Static(map[string]string{"anna": "secret"}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer mail.Close()
	server := &protocols.Server{Protocol: pop3.New(pop3.Options{Engine: mail})}
	defer server.Shutdown(ctx)

	client, far := net.Pipe() // or server.Serve(listener)
	defer client.Close()
	go server.ServeConn(far)
	go fmt.Fprint(client, "USER anna\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n")
	for lines := bufio.NewScanner(client); lines.Scan(); {
		fmt.Println(lines.Text())
	}
	// Output:
	// +OK mailaccess ready
	// +OK send PASS
	// +OK maildrop locked and ready
	// +OK 32 octets
	// Subject: hello
	//
	// Hello, Anna.
	// .
	// +OK bye
}
