package tap_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"

	"github.com/hashmail/mailaccess/protocols/tap"
)

// busy answers every command in the server's stead.
type busy struct{}

func (busy) Event(e tap.Event) {
	if e.Kind == tap.ClientLine {
		fmt.Printf("client: %q\n", e.Data)
	}
}

func (busy) Command(_ context.Context, c tap.Command) tap.Verdict {
	if c.Name == tap.Connect {
		return tap.Verdict{} // the greeting goes through
	}
	return tap.Verdict{Answer: "-ERR [SYS/TEMP] busy"}
}

func ExampleListen() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	l := tap.Listen(inner, tap.Options{Syntax: tap.POP3, Open: func(net.Addr) tap.Handler { return busy{} }})
	go func() { // the server
		if nc, err := l.Accept(); err == nil {
			fmt.Fprint(nc, "+OK ready\r\n")
		}
	}()
	nc, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(nc)
	lines.Scan()
	fmt.Println("server:", lines.Text())
	fmt.Fprint(nc, "STAT\r\n")
	lines.Scan()
	fmt.Println("server:", lines.Text())
	nc.Close()
	l.Close()
	l.Cut()
	// Output:
	// server: +OK ready
	// client: "STAT\r\n"
	// server: -ERR [SYS/TEMP] busy
}
