package tap

import (
	"bytes"
	"sync"
)

// downstream hands on what the server says.
func (p *proxy) downstream() error {
	greet := sync.OnceFunc(func() { close(p.greeted) })
	for {
		piece, whole, err := p.server.piece()
		if len(piece) > 0 {
			if err := p.response(piece, whole); err != nil {
				return err
			}
			greet()
		}
		if err != nil {
			return err
		}
	}
}

// response hands on a response, whose first piece was read, and what belongs to it.
func (p *proxy) response(piece []byte, whole bool) error {
	select {
	case p.say <- struct{}{}:
	case <-p.ctx.Done():
		return errEnd
	}
	defer func() { <-p.say }()

	cur := p.current()
	if cur == nil {
		_, err := p.response1(&spout{p: p}, piece, whole)
		return err
	}
	kind, success := p.o.Syntax.classify(piece, cur.Command)
	out := &spout{p: p, cur: cur}
	if kind == goAhead {
		out.cur = nil // without it the command would not come to its end
	}
	if _, err := p.response1(out, piece, whole); err != nil {
		return err
	}
	switch kind {
	case goAhead:
		select {
		case cur.leave <- struct{}{}:
		default: // nobody needs so many
		}
		return nil
	case aside:
		if cur.verdict.Drop == DropAnswer && cur.Name == "IDLE" && cur.verdict.After <= 0 {
			return errEnd // it would not be over before the client ends it
		}
		return nil
	case opens:
		if err := p.body(out); err != nil {
			return err
		}
	}
	if cur.verdict.Drop == DropAnswer {
		return errEnd
	}
	if success {
		if err := p.turn(cur.Command); err != nil {
			return err
		}
	}
	p.finish(cur)
	return nil
}

// response1 hands on a line with the literals in it.
func (p *proxy) response1(out *spout, piece []byte, whole bool) (tail []byte, err error) {
	for {
		kind := ServerLine
		if !whole {
			kind = ServerPart
		}
		tail = append(tail[max(0, len(tail)-literalEnd):], piece...)
		size, _, more := literal(tail)
		more = more && whole && p.o.Syntax == IMAP
		if err := out.write(kind, piece, !whole || more); err != nil {
			return nil, err
		}
		if whole && !more {
			return tail, nil
		}
		if more {
			tail = nil
			if err := p.literal(out, size); err != nil {
				return nil, err
			}
		}
		if piece, whole, err = p.server.piece(); err != nil {
			return nil, err
		}
	}
}

// literal hands on a literal of the server.
func (p *proxy) literal(out *spout, size int64) error {
	through := size
	if out.cur != nil && out.cur.verdict.Truncate > 0 {
		through = min(size, int64(out.cur.verdict.Truncate))
		out.cur.verdict.Truncate = 0 // the first only
	}
	for size > 0 {
		data, err := p.server.data(size)
		if err != nil {
			return err
		}
		size -= int64(len(data))
		data = data[:min(int64(len(data)), through)]
		through -= int64(len(data))
		if err := out.write(ServerLiteral, data, true); err != nil {
			return err
		}
	}
	return nil
}

// body hands on the lines after the first of an answer of POP3, to the last.
func (p *proxy) body(out *spout) error {
	through := out.cur.verdict.Truncate
	begins, begun := true, false // at a line of the server's; within one of the client's
	for {
		piece, whole, err := p.server.piece()
		if err != nil {
			return err
		}
		last := begins && bytes.Equal(piece, []byte(".\r\n"))
		begins = whole
		if out.cur.verdict.Truncate > 0 && !last {
			piece = piece[:min(len(piece), through)]
			through -= len(piece)
			if len(piece) == 0 {
				continue
			}
			begun = !bytes.HasSuffix(piece, []byte("\n"))
			whole = !begun
		} else if last && begun {
			piece = []byte("\r\n.\r\n")
		}
		kind := ServerLine
		if !whole {
			kind = ServerPart
		}
		if err := out.write(kind, piece, !whole); err != nil || last {
			return err
		}
	}
}

// turn changes the channel after a command that does so.
func (p *proxy) turn(c Command) error {
	kind, ok := p.o.Syntax.turns(c)
	switch {
	case !ok:
		return nil
	case kind == StartTLS:
		return p.startTLS()
	}
	p.h.Event(Event{Kind: Deflate})
	p.client.deflate()
	p.server.deflate()
	return nil
}

// A spout lets through of an answer what the verdict on its command says.
type spout struct {
	p   *proxy
	cur *command // nil: it is no answer
}

func (s *spout) write(kind Kind, data []byte, more bool) error {
	if s.cur != nil && s.cur.verdict.Drop == DropAnswer {
		data = data[:min(len(data), s.cur.verdict.After)]
		s.cur.verdict.After -= len(data)
	}
	return s.p.write(kind, data, more)
}
