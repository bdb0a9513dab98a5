package protocols_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/hashmail/mailaccess/protocols"
)

// echo says back what it is told, line by line.
type echo struct{}

func (echo) Name() string { return "echo" }

func (echo) Refuse(reason string) []byte { return []byte("bye: " + reason + "\r\n") }

func (echo) Serve(ctx context.Context, c *protocols.Conn) error {
	fmt.Fprint(c, "hello\r\n")
	lines := bufio.NewReaderSize(c, int(c.Limits().MaxLine))
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, protocols.ErrShutdown), errors.Is(err, protocols.ErrIdle):
			fmt.Fprint(c, "goodbye\r\n")
			return err
		case err != nil:
			return err
		}
		if _, err := c.Write(line); err != nil {
			return err
		}
	}
}

func ExampleProtocol() {
	server := &protocols.Server{Protocol: echo{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()

	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	fmt.Fprint(client, "is there anybody?\r\n")
	answers := bufio.NewScanner(client)
	for range 2 {
		answers.Scan()
		fmt.Println(answers.Text())
	}

	go server.Shutdown(context.Background())
	for answers.Scan() {
		fmt.Println(answers.Text())
	}
	client.Close()
	fmt.Println(<-served)
	// Output:
	// hello
	// is there anybody?
	// goodbye
	// protocols: server closed
}
