package imap

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// searchContext is a searching command with UPDATE, whose client is told how the
// result changes (RFC 5267, section 4.3). It ends with the selected state.
type searchContext struct {
	tag string
	how addressing
	// named: responses name the mailbox (RFC 7377, section 2.1).
	named bool
	crit  criteria
	// scope is that of the command: message numbers mean what they meant then.
	scope searchScope
	live  *engine.LiveSearch
	// order is how the result is sorted; nil: as the mailbox is. sorted are the
	// messages in that order, unsorted those that have no place in it yet.
	order    []query.SortCriterion
	sorted   []mailaccess.UID
	unsorted mailaccess.UIDSet
	// whole: a search in a part of the messages is of no use.
	whole bool
	// asked is when all messages were asked last.
	asked time.Time
}

// maxContexts is how many contexts a session may have. Each keeps a set of UIDs. RFC
// 5267, section 4.3.1 asks for one at least.
const maxContexts = 16

// maxSorted is how many messages all sorted contexts of a session may hold when one is
// added: each takes four octets.
const maxSorted = 1 << 20

// unsteadyAfter is how long a context is not asked again whose criteria change their
// answers by themselves. RFC 5032, section 2 permits the delay.
const unsteadyAfter = time.Minute

// checkTag refuses a tag that a context has already (RFC 5267, section 4.3).
func (c *conn) checkTag(ret *returnOptions) error {
	if ret.has(returnUpdate) && c.contextOf(string(c.r.Tag())) >= 0 {
		return bad("tag reuse")
	}
	return nil
}

// contextOf returns where the context of a tag is, or -1.
func (c *conn) contextOf(tag string) int {
	for i, x := range c.contexts {
		if x.tag == tag {
			return i
		}
	}
	return -1
}

// addContext keeps a context from now on; without live it is refused.
func (c *conn) addContext(x *searchContext) error {
	x.tag = string(c.r.Tag())
	sorted := len(x.sorted)
	for _, have := range c.contexts {
		sorted += len(have.sorted)
	}
	if x.live == nil || x.order != nil && sorted > maxSorted {
		return c.sendNoUpdate(x)
	}
	x.asked = x.scope.now
	c.contexts = append(c.contexts, x)
	return nil
}

// sendNoUpdate is RFC 5267, section 4.3.1.
func (c *conn) sendNoUpdate(x *searchContext) error {
	b := append(append(c.w.Begin(), `* NO [NOUPDATE "`...), x.tag...)
	return c.w.End(append(b, "\"] will not notify\r\n"...))
}

// endNumberedContexts ends the contexts that tell message numbers.
func (c *conn) endNumberedContexts() error {
	var err error
	c.contexts = slices.DeleteFunc(c.contexts, func(x *searchContext) bool {
		if x.how == byNumber && err == nil {
			err = c.sendNoUpdate(x)
		}
		return x.how == byNumber
	})
	return err
}

// updateContexts tells what changed in the results of contexts, after the view was
// brought up to date: what arrived was told before (RFC 5267, section 4.3.3).
func (c *conn) updateContexts(ctx context.Context) error {
	for _, x := range c.contexts {
		if err := x.update(ctx, c); err != nil {
			if c.w.Err() != nil {
				return err
			}
			// The store cannot say now: the client is told another time.
			c.log().Warn("update of a search", zap.Error(err))
			c.view.TryAgain()
		}
	}
	return nil
}

func (x *searchContext) update(ctx context.Context, c *conn) error {
	now := time.Now()
	again := x.crit.unsteady && (x.live.Stale() || now.Sub(x.asked) >= unsteadyAfter)
	if !again && !x.live.Stale() && x.unsorted.IsEmpty() {
		return nil
	}
	x.scope.now = now
	expr, err := x.crit.key(&x.scope)
	if err != nil {
		return err
	}
	added, removed, err := x.live.Update(ctx, expr, again)
	if err != nil {
		return err
	}
	if again {
		x.asked = now
	}
	if x.order == nil {
		return c.sendContext(x, c.view.UIDs(), added, removed)
	}
	x.unsorted = x.unsorted.Union(added)
	if err := c.removeSorted(x, c.view.UIDs(), removed); err != nil {
		return err
	}
	return c.addSorted(ctx, x)
}

// contextsWithout tells that messages leave the results, before their EXPUNGE (RFC
// 5267, section 4.3.4: their numbers are still valid then).
func (c *conn) contextsWithout(gone engine.Gone) error {
	for _, x := range c.contexts {
		var err error
		if removed := x.live.Forget(gone.UIDs); x.order == nil {
			err = c.sendContext(x, gone.Before(), mailaccess.UIDSet{}, removed)
		} else {
			err = c.removeSorted(x, gone.Before(), removed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sendContext writes how a result changed. RFC 5267, section 4.3.3: at position 0 the
// client keeps the result in the order of the mailbox.
func (c *conn) sendContext(x *searchContext, numbers, added, removed mailaccess.UIDSet) error {
	if added.IsEmpty() && removed.IsEmpty() {
		return nil
	}
	b := c.appendContext(x)
	for _, part := range []struct {
		name string
		uids mailaccess.UIDSet
	}{{" REMOVEFROM (0 ", removed}, {" ADDTO (0 ", added}} {
		if part.uids.IsEmpty() {
			continue
		}
		var err error
		if b, err = c.sendSet(append(b, part.name...), found{uids: part.uids}.runs(numbers, x.how)); err != nil {
			return err
		}
		b = append(b, ')')
	}
	return c.w.End(append(b, "\r\n"...))
}

// appendContext begins a response about a context.
func (c *conn) appendContext(x *searchContext) []byte {
	if x.named {
		return c.appendNamedESearch(c.w.Begin(), []byte(x.tag), c.view)
	}
	return appendESearch(c.w.Begin(), x.tag, x.how)
}

// parseCancelUpdate is RFC 5267, section 4.3.5.
func parseCancelUpdate(c *conn) (action, error) {
	var tags []string
	for {
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		tag, err := c.r.ReadString()
		if err != nil {
			return nil, err
		}
		if c.contextOf(tag) < 0 {
			return nil, bad("no search with UPDATE has that tag") // as Dovecot does
		}
		tags = append(tags, tag)
		if end, err := c.r.AtEnd(); err != nil {
			return nil, err
		} else if end {
			break
		}
		if len(tags) == maxContexts {
			return nil, bad("more tags than there are searches")
		}
	}
	return func(_ context.Context, c *conn) error {
		for _, tag := range tags {
			if i := c.contextOf(tag); i >= 0 {
				c.contexts = append(c.contexts[:i], c.contexts[i+1:]...)
			}
		}
		return nil
	}, c.r.CRLF()
}

// appendESearch begins an ESEARCH response to the command with a tag (RFC 4466,
// section 2.6.2).
func appendESearch[T string | []byte](b []byte, tag T, how addressing) []byte {
	b = imapwire.AppendString(append(b, "* ESEARCH (TAG "...), tag, false)
	if b = append(b, ')'); how == byUID {
		b = append(b, " UID"...)
	}
	return b
}
