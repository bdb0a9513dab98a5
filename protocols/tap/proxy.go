package tap

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// linger is how long a client may take to close its side when the server has closed
// its own, so that what was said last is not lost.
const linger = time.Second

// A proxy is one connection. Two goroutines hand on: upstream what the client says,
// downstream what the server does. The latter changes the channel while the former
// waits for an answer.
type proxy struct {
	o              Options
	h              Handler
	client, server *side
	ctx            context.Context
	cancel         context.CancelFunc

	// say is a token for whoever writes to the client: nothing is said in the
	// middle of an answer. It is not a mutex, so that waiting for it counts as
	// waiting in testing/synctest.
	say  chan struct{}
	left int // octets until the connection closes; below 0: no limit

	greeted chan struct{} // closed once the server has said something

	mu  sync.Mutex
	cur *command // under way
}

// A command is under way from when it is handed on until it is answered.
type command struct {
	Command
	verdict Verdict
	leave   chan struct{} // one for each request to go on
	done    chan struct{}
}

// errEnd ends a conversation that the tap itself has closed.
var errEnd = errors.New("tap: closed")

func newProxy(o Options, client, server net.Conn) *proxy {
	p := &proxy{o: o, client: newSide(client), server: newSide(server), say: make(chan struct{}, 1), left: -1, greeted: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.h = o.Open(client.RemoteAddr())
	return p
}

// abort closes both sides at once.
func (p *proxy) abort() {
	p.cancel()
	p.client.raw.Close() //nolint:errcheck // there is nothing left to lose
	p.server.raw.Close() //nolint:errcheck // as above
}

func (p *proxy) run() {
	defer p.abort()
	if p.begin() != nil {
		p.h.Event(Event{Kind: ServerEnd})
		p.closeInOrder()
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		if err := p.upstream(); errors.Is(err, io.EOF) {
			p.h.Event(Event{Kind: ClientEnd})
			p.answered()
		}
		p.server.raw.Close() //nolint:errcheck // as in abort
	})
	p.downstream() //nolint:errcheck // however it ended, it did
	p.cancel()
	p.h.Event(Event{Kind: ServerEnd})
	p.closeInOrder()
	p.abort()
	up.Wait()
}

// begin does what comes before the greeting.
func (p *proxy) begin() error {
	if p.o.Implicit {
		if err := p.startTLS(); err != nil {
			return err
		}
	}
	v := p.h.Command(p.ctx, Command{Name: Connect})
	switch {
	case v.Answer != "":
		p.write(ServerLine, p.o.Syntax.answer(v.Answer, ""), false) //nolint:errcheck // it ends either way
		return errEnd
	case v.Drop == DropCommand:
		return errEnd
	case v.Drop == DropAnswer:
		p.left = v.After
	}
	return p.ctx.Err()
}

// closeInOrder lets the client read what was said last: closing while there is
// something unread would reset the connection.
func (p *proxy) closeInOrder() {
	p.client.raw.SetDeadline(time.Now().Add(linger)) //nolint:errcheck // it fails on a closed connection
	if t, ok := p.client.conn.(*tls.Conn); ok {
		t.CloseWrite() //nolint:errcheck // the close_notify alert is a courtesy
	}
	if half, ok := p.client.raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		// Upstream may be reading as well; both get the end.
		io.Copy(io.Discard, p.client.raw) //nolint:errcheck // what is read does not matter
	}
}

// upstream hands on what the client says.
func (p *proxy) upstream() error {
	for {
		piece, whole, err := p.client.piece()
		if len(piece) > 0 {
			if herr := p.heard(piece, whole); herr != nil {
				return herr
			}
		}
		if err != nil {
			return err
		}
	}
}

// answered returns when no command is under way that can come to an end without the
// client: it may have closed its side alone, and listen.
func (p *proxy) answered() {
	if cur := p.current(); cur != nil {
		select {
		case <-cur.leave:
		case <-cur.done:
		case <-p.ctx.Done():
		}
	}
}

// heard deals with the first piece of a line.
func (p *proxy) heard(piece []byte, whole bool) error {
	select {
	case <-p.greeted: // a client may speak first, and is heard second
	case <-p.ctx.Done():
		return errEnd
	}
	if cur := p.current(); cur != nil {
		asked, err := p.asked(cur)
		if err != nil {
			return err
		}
		if asked {
			_, err := p.line(piece, whole, false)
			return err
		}
	}
	cmd := p.o.Syntax.parse(piece)
	v := p.h.Command(p.ctx, cmd)
	if p.ctx.Err() != nil {
		return errEnd
	}
	instead := v.Answer != "" || v.Drop == DropCommand
	cur := &command{Command: cmd, verdict: v, leave: make(chan struct{}, 8), done: make(chan struct{})}
	// IMAP has no answer to what has no tag.
	if !instead && (cmd.Tag != "" || p.o.Syntax == POP3) {
		p.mu.Lock()
		p.cur = cur
		p.mu.Unlock()
	}
	if err := p.unit(piece, whole, cur, instead); err != nil {
		return err
	}
	if _, turns := p.o.Syntax.turns(cmd); turns && !instead {
		// What comes next may be of another channel.
		_, err := p.asked(cur)
		return err
	}
	if v.Answer != "" {
		if err := p.answer(p.o.Syntax.answer(v.Answer, cmd.Tag)); err != nil {
			return err
		}
	}
	if v.Drop == DropCommand {
		p.server.raw.Close() //nolint:errcheck // downstream does the rest
		return errEnd
	}
	return nil
}

// asked waits until the server asks for more of a command (true), or has answered it.
func (p *proxy) asked(cur *command) (bool, error) {
	select {
	case <-cur.done: // whatever it asked for before
		return false, nil
	default:
	}
	select {
	case <-cur.leave:
		return true, nil
	case <-cur.done:
		return false, nil
	case <-p.ctx.Done():
		return false, errEnd
	}
}

// unit hands on a command with its literals, or reads it only.
func (p *proxy) unit(piece []byte, whole bool, cur *command, discard bool) error {
	for {
		tail, err := p.line(piece, whole, discard)
		if err != nil {
			return err
		}
		size, waits, ok := literal(tail)
		if p.o.Syntax != IMAP || !ok {
			return nil
		}
		if waits {
			if discard {
				return nil // it is refused, hence not sent
			}
			if asked, err := p.asked(cur); err != nil || !asked {
				return err // as above, by the server
			}
		}
		for size > 0 {
			data, err := p.client.data(size)
			if err != nil {
				return err
			}
			size -= int64(len(data))
			p.h.Event(Event{ClientLiteral, data, true})
			if err := p.pass(data, discard); err != nil {
				return err
			}
		}
		if piece, whole, err = p.client.piece(); err != nil {
			return err
		}
	}
}

// line hands on a line whose first piece was read, and returns its end.
func (p *proxy) line(piece []byte, whole, discard bool) (tail []byte, err error) {
	for {
		kind := ClientLine
		if !whole {
			kind = ClientPart
		}
		tail = append(tail[max(0, len(tail)-literalEnd):], piece...)
		_, _, more := literal(tail)
		p.h.Event(Event{kind, piece, !whole || more && p.o.Syntax == IMAP})
		if err := p.pass(piece, discard); err != nil || whole {
			return tail, err
		}
		if piece, whole, err = p.client.piece(); err != nil {
			return nil, err
		}
	}
}

// literalEnd is more than the announcement of a literal takes.
const literalEnd = 32

func (p *proxy) pass(data []byte, discard bool) error {
	if discard {
		return nil
	}
	return p.server.write(data)
}

func (p *proxy) current() *command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cur
}

// finish ends the command under way.
func (p *proxy) finish(cur *command) {
	p.mu.Lock()
	p.cur = nil
	p.mu.Unlock()
	close(cur.done)
}

// answer says something to the client between two answers of the server.
func (p *proxy) answer(data []byte) error {
	select {
	case p.say <- struct{}{}:
	case <-p.ctx.Done():
		return errEnd
	}
	defer func() { <-p.say }()
	return p.write(ServerLine, data, false)
}

// write says something to the client, who has the token, and closes the connection
// when that is the end of what it may hear.
func (p *proxy) write(kind Kind, data []byte, more bool) error {
	cut := p.left >= 0 && len(data) >= p.left
	if cut {
		data = data[:p.left]
	}
	if len(data) > 0 {
		p.h.Event(Event{kind, data, more})
		if err := p.client.write(data); err != nil {
			return err
		}
	}
	if cut {
		return errEnd
	}
	p.left = max(-1, p.left-len(data))
	return nil
}

// startTLS makes both sides TLS.
func (p *proxy) startTLS() error {
	config := p.o.TLS.Clone()
	if v := p.h.Command(p.ctx, Command{Name: Handshake}); v != (Verdict{}) {
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errEnd }
	}
	client := tls.Server(p.client.buffered(), config)
	if err := client.HandshakeContext(p.ctx); err != nil {
		return err
	}
	// The server is at the other end of a pipe: there is nobody else to be.
	server := tls.Client(p.server.buffered(), &tls.Config{InsecureSkipVerify: true})
	if err := server.HandshakeContext(p.ctx); err != nil {
		return err
	}
	p.h.Event(Event{Kind: StartTLS})
	p.client.become(client)
	p.server.become(server)
	return nil
}
