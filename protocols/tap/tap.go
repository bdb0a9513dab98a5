// Package tap stands between clients and a server of IMAP or POP3, and knows what
// passes: each command, each line of an answer and each literal, within TLS and
// compression too. Whoever uses it reads along, answers in the server's stead, or
// breaks a conversation at a chosen place.
//
// A [Listener] takes the place of the one that a server serves:
//
//	l := tap.Listen(inner, tap.Options{Syntax: tap.IMAP, TLS: config, Open: open})
//	go server.Serve(l)
//
// The server notices nothing: connections have the addresses of their clients. TLS is
// taken off on the client's side and put on again on the server's, with the server's
// own settings towards the client. What binds to the channel itself does not get
// through: client certificates, and channel binding by exported keys (RFC 9266).
//
// A tap hands on one command at a time, when the one before is answered. What a
// client sends ahead waits in between, which is no difference to it.
//
// It is for tests and demonstrations: everything is seen, passwords too.
package tap

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// Syntax is the grammar of a conversation.
type Syntax int

// The syntaxes.
const (
	IMAP Syntax = iota // RFC 9051, section 2.2
	POP3               // RFC 1939, section 3
)

// Options say how to listen. Open is needed.
type Options struct {
	Syntax Syntax
	// TLS are the settings of the server; nil: TLS does not occur.
	TLS *tls.Config
	// Implicit: TLS begins with the first byte. The server does ServeTLS.
	Implicit bool
	// Open returns who handles a connection that a client has opened.
	Open func(client net.Addr) Handler
}

// A Handler is told of one conversation. Both methods are called from several
// goroutines, though Command from one at a time.
type Handler interface {
	// Event tells what is about to reach the other side. e.Data is good until Event
	// returns.
	Event(e Event)
	// Command is asked what becomes of a command before it is handed on. It may
	// wait, and should not when ctx is over: the connection is.
	Command(ctx context.Context, c Command) Verdict
}

// Event is a piece of a conversation.
type Event struct {
	Kind Kind
	// Data is what was sent. Nil for the kinds that are no data.
	Data []byte
	// More: the command, or the answer's line, goes on after this piece.
	More bool
}

// Kind is what an event is about.
type Kind int

// The kinds of events.
const (
	ClientLine    Kind = iota // a line of the client with its end, or the last part of one
	ClientPart                // 64 KiB of a line that goes on
	ClientLiteral             // some or all of a literal
	ServerLine
	ServerPart
	ServerLiteral
	StartTLS  // the channel is TLS from here on
	Deflate   // the channel is compressed from here on (RFC 4978)
	ClientEnd // the client closed the connection
	ServerEnd // the server, or the tap in its stead, did
)

// Command is a command of a client, as far as its first line says.
type Command struct {
	// Name is what the command is called, in capitals: FETCH, UID FETCH, RETR; or
	// [Connect] or [Handshake].
	Name string
	// Tag of IMAP.
	Tag string
	// Line is all of the line but its end.
	Line string
}

// These are asked about as if they were commands.
const (
	// Handshake is a TLS handshake that is to begin. Where it is answered, whatever
	// with, or dropped, it fails.
	Handshake = "<handshake>"
	// Connect is a connection whose greeting is to come: what is answered is said
	// instead of it, as it stands, and is the end.
	Connect = "<connect>"
)

// A Verdict says what becomes of a command; the zero value, that it is handed on.
type Verdict struct {
	// Answer is said instead of handing the command on: one line or several. In
	// IMAP the command's tag is put before each that does not begin with "* ".
	Answer string
	// Drop closes the connection.
	Drop Drop
	// After is how many octets of the answer still reach the client with
	// [DropAnswer]; of all that is ever said on the connection when the command is
	// [Connect].
	After int
	// Truncate, when above 0, is how many octets get through of the answer's first
	// literal, whose announced size stays, or of the lines after the first in POP3.
	// The rest of the answer follows.
	Truncate int
}

// Drop says when a connection is closed.
type Drop int

// The ways to close a connection.
const (
	Keep Drop = iota
	// DropCommand closes it in the place of handing the command on; after the
	// Answer if there is one.
	DropCommand
	// DropAnswer hands the command on, so that it is executed, and closes the
	// connection in the place of the answer.
	DropAnswer
)

// A Listener is what [Listen] returns.
type Listener struct {
	net.Listener
	taps
}

// taps are the connections of a listener.
type taps struct {
	o       Options
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	all    map[*proxy]struct{}
}

// Listen returns a listener whose connections are those of l with a tap in between.
// It closes l when it is closed.
func Listen(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, taps: taps{o: o, all: make(map[*proxy]struct{})}}
}

// Accept waits for a client and returns the server's end of its connection.
func (l *Listener) Accept() (net.Conn, error) {
	client, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.connect(client), nil
}

// Cut closes every connection that there still is, and returns when nothing is left
// of them. It is called when the server has ended, or is to.
func (l *Listener) Cut() { l.cut() }

// Pipes opens connections in memory, through a tap.
type Pipes struct{ taps }

// NewPipes returns a source of connections.
func NewPipes(o Options) *Pipes {
	return &Pipes{taps{o: o, all: make(map[*proxy]struct{})}}
}

// Dial opens a connection: one end for the client, one to be served.
func (p *Pipes) Dial() (client, server net.Conn) {
	client, ours := net.Pipe()
	return client, p.connect(ours)
}

// Cut is [Listener.Cut].
func (p *Pipes) Cut() { p.cut() }

func (t *taps) connect(client net.Conn) (server net.Conn) {
	ours, server := net.Pipe()
	p := newProxy(t.o, client, ours)
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.all[p] = struct{}{}
		t.running.Add(1)
	}
	t.mu.Unlock()
	if closed {
		p.abort()
		return server
	}
	go func() {
		defer t.running.Done()
		p.run()
		t.mu.Lock()
		delete(t.all, p)
		t.mu.Unlock()
	}()
	return &from{server, client.RemoteAddr(), client.LocalAddr()}
}

func (t *taps) cut() {
	t.mu.Lock()
	t.closed = true
	for p := range t.all {
		p.abort()
	}
	t.mu.Unlock()
	t.running.Wait()
}

// from is the server's end of a connection, with the addresses of the other one.
type from struct {
	net.Conn
	remote, local net.Addr
}

func (f *from) RemoteAddr() net.Addr { return f.remote }
func (f *from) LocalAddr() net.Addr  { return f.local }
