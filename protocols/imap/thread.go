package imap

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// threadNames are the threading algorithms by name (RFC 5256, section 5). REFS is
// Dovecot's.
var threadNames = map[string]query.ThreadAlgorithm{
	"ORDEREDSUBJECT": query.ThreadOrderedSubject,
	"REFERENCES":     query.ThreadReferences,
	"REFS":           query.ThreadRefs,
}

// parseThread is RFC 5256, section 3, BASE.6.4.THREAD.
func parseThread(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		name, err := c.r.ReadKeyword()
		if err != nil {
			return nil, err
		}
		algorithm, known := threadNames[string(name)]
		if !known {
			return nil, bad("unknown threading algorithm")
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		crit, err := c.parseCriteria()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error {
			return c.thread(ctx, algorithm, &crit, how)
		}, c.r.CRLF()
	}
}

func (c *conn) thread(ctx context.Context, algorithm query.ThreadAlgorithm, crit *criteria, how addressing) error {
	scope := c.scope()
	expr, err := crit.key(&scope)
	if err != nil {
		return err
	}
	if expr, err = c.limitSearch(expr, c.view, true); err != nil {
		return err
	}
	if err := c.reserveResult(int64(c.view.Len()), sortedMessage); err != nil {
		return err
	}
	var threads *query.Threads
	err = c.attended(ctx, func(ctx context.Context) error {
		uids, err := c.view.Search(ctx, expr, engine.SearchOptions{Progress: c.advance})
		if err == nil {
			threads, err = c.view.Thread(ctx, uids, algorithm, engine.SortOptions{Progress: c.further(), Memory: c.reserveKeys(int64(c.view.Len()))})
		}
		return err
	})
	if err != nil {
		return err
	}
	return c.sendThreads(threads, how)
}

// sendThreads writes the THREAD response (RFC 5256, section 4), which has no space
// between threads (section 5). A thread may be as deep as the mailbox is large: what
// is still to be written stands in a stack of its own.
func (c *conn) sendThreads(t *query.Threads, how addressing) error {
	b := append(c.w.Begin(), "* THREAD"...)
	if t.First() != 0 {
		b = append(b, ' ')
	}
	// later is what comes after each list that was opened.
	var later []query.ThreadNode
	for list := t.First(); list != 0; {
		later = append(later, t.Next(list))
		split, err := c.sendMembers(append(b, '('), t, list, how)
		if err != nil {
			return err
		}
		b, list = c.w.Begin(), split
		for list == 0 && len(later) > 0 {
			b = append(b, ')')
			list, later = later[len(later)-1], later[:len(later)-1]
		}
	}
	return c.w.End(append(b, "\r\n"...))
}

// sendMembers appends to b a message and those below it in a row. It returns the
// first of several siblings that the thread splits into, if it does.
func (c *conn) sendMembers(b []byte, t *query.Threads, n query.ThreadNode, how addressing) (query.ThreadNode, error) {
	for {
		child := t.Child(n)
		split := child != 0 && t.Next(child) != 0
		if uid := t.UID(n); uid != 0 {
			number := uint32(uid)
			if how == byNumber {
				number = uint32(c.view.Number(uid))
			}
			b = imapwire.AppendNumber(b, number)
			if child != 0 {
				b = append(b, ' ')
			}
		}
		if err := c.w.End(b); err != nil {
			return 0, err
		}
		if child == 0 || split {
			return child, nil
		}
		n, b = child, c.w.Begin()
	}
}
