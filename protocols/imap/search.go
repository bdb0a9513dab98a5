package imap

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// searchKey is a search key that was parsed. It becomes an expression when the
// command runs: message numbers and \Recent mean what they mean then.
type searchKey func(c *conn) (mailaccess.Expr, error)

// parseSearch is RFC 3501, section 6.4.4.
func parseSearch(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		key, err := c.parseCriteria()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error { return c.search(ctx, key, how) }, c.r.CRLF()
	}
}

// search writes the SEARCH response (RFC 3501, section 7.2.5).
func (c *conn) search(ctx context.Context, key searchKey, how addressing) error {
	expr, err := key(c)
	if err != nil {
		return err
	}
	found, err := c.view.Search(ctx, expr)
	if err != nil {
		return err
	}
	if _, err := c.w.WriteString("* SEARCH"); err != nil {
		return err
	}
	for uid := range found.All() {
		n := uint32(uid)
		if how == byNumber {
			n = uint32(c.view.Number(uid))
		}
		if err := c.w.End(imapwire.AppendNumber(append(c.w.Begin(), ' '), n)); err != nil {
			return err
		}
	}
	_, err = c.w.WriteString("\r\n")
	return err
}

// parseCriteria reads the charset, if there is one, and the keys up to the end of
// the line.
func (c *conn) parseCriteria() (searchKey, error) {
	p := searchParser{c: c}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	name, err := p.keyword()
	if err != nil {
		return nil, err
	}
	if string(name) != "CHARSET" {
		return p.keysFrom(name)
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	charset, err := c.r.ReadAStringBytes()
	if err != nil {
		return nil, err
	}
	if !bytes.EqualFold(charset, []byte("UTF-8")) && !bytes.EqualFold(charset, []byte("US-ASCII")) {
		// RFC 3501, section 7.1.
		return nil, no("BADCHARSET (US-ASCII UTF-8)", "unknown charset")
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	return p.keys()
}

// searchParser reads search keys.
type searchParser struct {
	c *conn
	n int
}

// maxSearchKeys bounds the size of an expression.
const maxSearchKeys = 1000

// keys reads one or more keys with spaces between: all must match.
func (p *searchParser) keys() (searchKey, error) {
	first, err := p.key()
	if err != nil {
		return nil, err
	}
	return p.more(first)
}

// keysFrom is keys when the name of the first has been read.
func (p *searchParser) keysFrom(name []byte) (searchKey, error) {
	first, err := p.named(name)
	if err != nil {
		return nil, err
	}
	return p.more(first)
}

func (p *searchParser) more(first searchKey) (searchKey, error) {
	keys := []searchKey{first}
	for {
		if more, err := p.c.r.Accept(' '); err != nil {
			return nil, err
		} else if !more {
			return allOf(keys), nil
		}
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
}

// allOf is the conjunction of keys.
func allOf(keys []searchKey) searchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	return func(c *conn) (mailaccess.Expr, error) {
		all := make(mailaccess.And, len(keys))
		for i, key := range keys {
			var err error
			if all[i], err = key(c); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
}

// key reads a key: a list of keys, a sequence set, or a name with its arguments.
func (p *searchParser) key() (searchKey, error) {
	name, err := p.keyword()
	if err != nil {
		return nil, err
	}
	return p.named(name)
}

// keyword reads the name of a key; it is empty when a list or a set is next.
func (p *searchParser) keyword() ([]byte, error) {
	next, err := p.c.r.Peek()
	if err != nil {
		return nil, err
	}
	if next == '(' || next == '*' || next == '$' || next >= '0' && next <= '9' {
		return nil, nil
	}
	return p.c.r.ReadKeyword()
}

func (p *searchParser) named(name []byte) (searchKey, error) {
	if p.n++; p.n > maxSearchKeys {
		return nil, bad("more search keys than are taken")
	}
	if len(name) == 0 {
		return p.listOrSet()
	}
	if k, ok := searchFlags[string(name)]; ok {
		return constant(k), nil
	}
	return p.argued(string(name))
}

func (p *searchParser) listOrSet() (searchKey, error) {
	if next, err := p.c.r.Peek(); err != nil {
		return nil, err
	} else if next != '(' {
		return p.set(byNumber)
	}
	var keys []searchKey
	err := p.c.r.ReadList(func() error {
		key, err := p.key()
		keys = append(keys, key)
		return err
	})
	if err == nil && len(keys) == 0 {
		err = bad("an empty list of search keys")
	}
	return allOf(keys), err
}

// set reads a sequence set.
func (p *searchParser) set(how addressing) (searchKey, error) {
	var set imapwire.NumSet
	if err := p.c.r.ReadNumSet(&set); err != nil {
		return nil, err
	}
	if set.Saved {
		return nil, bad("no search result is saved")
	}
	return func(c *conn) (mailaccess.Expr, error) {
		uids, err := c.resolve(&set, how)
		return mailaccess.UIDIn{UIDs: uids}, err
	}, nil
}

// constant is a key that means the same at any time.
func constant(e mailaccess.Expr) searchKey {
	return func(*conn) (mailaccess.Expr, error) { return e, nil }
}

// text reads a string to search for. Whatever the charset is called, it is UTF-8;
// what is not cannot be found and is refused.
func (p *searchParser) text() (string, error) {
	s, err := p.c.r.ReadAString()
	if err == nil && !utf8.ValidString(s) {
		err = no("BADCHARSET (US-ASCII UTF-8)", "the text is not UTF-8")
	}
	return s, err
}
