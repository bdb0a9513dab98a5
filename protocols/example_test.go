package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

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

// A server takes connections from any number of listeners: here it speaks TLS on one of them.
func ExampleServer() {
	cert, err := protocols.SelfSigned() // to try it; else LoadCertificates
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &protocols.Server{
		Protocol:  echo{},
		TLSConfig: protocols.NewTLSConfig(cert),
		Limits:    &protocols.Limits{Connections: 100, IdleTimeout: 10 * time.Minute},
	}
	var served []chan error
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			return ""
		}
		ended := make(chan error, 1)
		go func() { ended <- serve(l) }()
		served = append(served, ended)
		return l.Addr().String()
	}
	plain, secure := listen(server.Serve), listen(server.ServeTLS)

	a, err := net.Dial("tcp", plain)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		greeting, err := bufio.NewReader(c).ReadString('\n')
		fmt.Println(strings.TrimSpace(greeting))
		if err != nil {
			fmt.Println(err)
		}
	}
	if err := server.Close(); err != nil {
		fmt.Println(err)
	}
	for _, ended := range served {
		fmt.Println(<-ended)
	}
	// Output:
	// hello
	// hello
	// protocols: server closed
	// protocols: server closed
}
