package imap

import (
	"bytes"
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// searchKey is a search key that was parsed. It becomes an expression when the
// command runs: message numbers and \Recent mean what they mean then.
type searchKey func(s *searchScope) (mailaccess.Expr, error)

// searchScope is what search keys mean something in.
type searchScope struct {
	sess *engine.Session
	view *engine.View
	// numbers are the messages that message numbers count.
	numbers mailaccess.UIDSet
	// saved is what $ stands for.
	saved mailaccess.UIDSet
	now   time.Time
}

// scope is that of the selected mailbox at this moment.
func (c *conn) scope() searchScope { return scopeOf(c.sess, c.view, c.saved) }

func scopeOf(sess *engine.Session, view *engine.View, saved mailaccess.UIDSet) searchScope {
	return searchScope{sess: sess, view: view, numbers: view.UIDs(), saved: saved, now: time.Now()}
}

// criteria are the search keys of a command.
type criteria struct {
	key searchKey
	// modSeq: MODSEQ is among them (RFC 7162, section 3.1.5).
	modSeq bool
	// unsteady: the answer of a message may change although the message does not.
	unsteady bool
}

// parseSearch is RFC 3501, section 6.4.4, with RETURN (RFC 4466, section 2.6.1).
func parseSearch(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		a := searchAnswer{how: how, plain: "SEARCH"}
		crit, err := c.parseSearchProgram(&a.ret)
		if err == nil {
			err = c.checkTag(&a.ret)
		}
		if err != nil {
			return nil, c.notSaved(&a.ret, err)
		}
		a.modSeq = crit.modSeq
		return func(ctx context.Context, c *conn) error {
			return c.notSaved(&a.ret, c.search(ctx, &a, &crit))
		}, c.r.CRLF()
	}
}

// notSaved passes on how a searching command ended. RFC 5182, section 2.1: when it
// should have saved its result and is answered with NO, the result is empty.
func (c *conn) notSaved(ret *returnOptions, err error) error {
	if err != nil && ret.has(returnSave) {
		if st, fatal := c.status(err); fatal == nil && st.status == "NO" {
			c.saved = mailaccess.UIDSet{}
		}
	}
	return err
}

func (c *conn) search(ctx context.Context, a *searchAnswer, crit *criteria) error {
	x := searchContext{how: a.how, crit: *crit, scope: c.scope()}
	return c.searched(ctx, a, &x)
}

// searched answers a searching command.
func (c *conn) searched(ctx context.Context, a *searchAnswer, x *searchContext) error {
	f, err := c.find(ctx, x, &a.ret)
	if err != nil {
		return err
	}
	if err := c.answerFound(ctx, a, f); err != nil || !a.ret.has(returnUpdate) {
		return err
	}
	x.sorted = f.sorted
	return c.addContext(x, &a.ret)
}

// find searches in the scope of x, and sorts what was found if x has an order, as far
// as the answer needs it. When the result will be kept up to date, and there is room for
// it, x gets it.
func (c *conn) find(ctx context.Context, x *searchContext, ret *returnOptions) (f found, err error) {
	if ret.has(returnPartial) {
		if err := c.limitRange(ret.partial); err != nil {
			return f, err
		}
	}
	expr, err := x.crit.key(&x.scope)
	if err != nil {
		return f, err
	}
	view, needed := x.scope.view, ret.needed()
	if expr, err = c.limitSearch(expr, view, x.whole); err != nil {
		return f, err
	}
	if x.order != nil {
		needed = engine.SearchOptions{} // what is first in order may be anywhere
	}
	perMessage := int64(searchedMessage)
	if x.order != nil {
		perMessage = sortedMessage
	}
	if err := c.reserveResult(int64(view.Len()), perMessage); err != nil {
		return f, err
	}
	needed.Progress, needed.Room = c.advance, c.searchRoom(int64(view.Len())*perMessage)
	err = c.attended(ctx, func(ctx context.Context) error {
		var err error
		// A result that was cut short is not followed: it would grow beyond the limit.
		if !ret.has(returnUpdate) || len(c.contexts) == maxContexts || c.limited != 0 {
			f.uids, err = view.Search(ctx, expr, needed)
		} else if x.live, err = view.SearchLive(ctx, expr, needed); err == nil {
			f.uids = x.live.Found()
		}
		if err == nil && x.order != nil {
			f.sorted, err = view.Sort(ctx, f.uids, x.order, engine.SortOptions{Progress: c.further(), Memory: c.reserveKeys(int64(view.Len()))})
			f.uids = mailaccess.UIDSet{}
		}
		return err
	})
	held := sortedUID*int64(len(f.sorted)) + sizeOf(f.uids)
	if held <= unreserved {
		held = 0
	}
	c.nc.TryReserve(protocols.Work, held) // which is less
	return f, err
}

// parseSearchProgram reads the return options and the charset, if there are any, and
// the keys up to the end of the line.
func (c *conn) parseSearchProgram(ret *returnOptions) (criteria, error) {
	p := searchParser{c: c}
	if err := c.r.SP(); err != nil {
		return criteria{}, err
	}
	name, err := p.keyword()
	if err != nil {
		return criteria{}, err
	}
	return p.program(name, ret)
}

// program is parseSearchProgram when the first word has been read.
func (p *searchParser) program(name []byte, ret *returnOptions) (criteria, error) {
	c := p.c
	if string(name) == "RETURN" {
		var err error
		if *ret, err = c.readReturn(); err != nil {
			return criteria{}, err
		}
		if err := c.r.SP(); err != nil {
			return criteria{}, err
		}
		if name, err = p.keyword(); err != nil {
			return criteria{}, err
		}
	}
	if string(name) != "CHARSET" {
		return p.criteria(p.keysFrom(name))
	}
	if c.has(enabledUTF8) {
		// RFC 6855, section 3: two charsets would contradict each other.
		return criteria{}, bad("no charset is named once UTF8=ACCEPT is enabled")
	}
	if err := c.r.SP(); err != nil {
		return criteria{}, err
	}
	return c.parseCriteria()
}

// parseCriteria reads a charset and the keys up to the end of the line.
func (c *conn) parseCriteria() (criteria, error) {
	charset, err := c.r.ReadAStringBytes()
	if err != nil {
		return criteria{}, err
	}
	if !bytes.EqualFold(charset, []byte("UTF-8")) && !bytes.EqualFold(charset, []byte("US-ASCII")) {
		// RFC 3501, section 7.1.
		return criteria{}, no("BADCHARSET (US-ASCII UTF-8)", "unknown charset")
	}
	if err := c.r.SP(); err != nil {
		return criteria{}, err
	}
	p := searchParser{c: c}
	return p.criteria(p.keys())
}

// searchParser reads search keys.
type searchParser struct {
	c *conn
	n int
	// modSeq and unsteady are those of the criteria.
	modSeq, unsteady bool
}

// maxSearchKeys bounds the size of an expression.
const maxSearchKeys = 1000

// criteria makes criteria of the keys that were read.
func (p *searchParser) criteria(key searchKey, err error) (criteria, error) {
	return criteria{key: key, modSeq: p.modSeq, unsteady: p.unsteady}, err
}

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
	return func(s *searchScope) (mailaccess.Expr, error) {
		all := make(mailaccess.And, len(keys))
		for i, key := range keys {
			var err error
			if all[i], err = key(s); err != nil {
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
	// * as a UID names another message after each arrival.
	p.unsteady = p.unsteady || how == byUID && set.Star()
	if how == byNumber && !set.Saved {
		if p.c.has(enabledUIDOnly) {
			return nil, errUIDRequired // RFC 9586, section 3.5
		}
		// RFC 7162, section 3.2.10.2: nor may numbers change in a UID SEARCH.
		p.c.keepsNumbers = true
	}
	return func(s *searchScope) (mailaccess.Expr, error) {
		return mailaccess.UIDIn{UIDs: s.resolve(set, how)}, nil
	}, nil
}

// resolve turns a set into UIDs. RFC 7377, section 2: numbers above those of the
// messages that there are, here as in any SEARCH, are no error.
func (s *searchScope) resolve(set imapwire.NumSet, how addressing) mailaccess.UIDSet {
	if set.Saved {
		return s.saved
	}
	// The key may be asked again later.
	set.Ranges = slices.Clone(set.Ranges)
	if how == byUID {
		return resolveUIDs(s.view, &set)
	}
	return resolveNumbers(s.numbers, &set)
}

// constant is a key that means the same at any time.
func constant(e mailaccess.Expr) searchKey {
	return func(*searchScope) (mailaccess.Expr, error) { return e, nil }
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
