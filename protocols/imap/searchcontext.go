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
	// messages in that order, as the client was told.
	order  []query.SortCriterion
	sorted []mailaccess.UID
	// untold are messages that came into the result or left it of which the client was
	// not told yet.
	untold struct{ added, removed mailaccess.UIDSet }
	// fetches is what is told of new messages in the result; those are above top.
	fetches unasked
	top     mailaccess.UID
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
func (c *conn) addContext(x *searchContext, ret *returnOptions) error {
	x.tag = string(c.r.Tag())
	x.fetches.plan = ret.fetch
	sorted, items := len(x.sorted), x.fetches.items()
	for _, have := range c.contexts {
		sorted += len(have.sorted)
		items += have.fetches.items()
	}
	if x.live == nil || x.order != nil && sorted > maxSorted || items > maxFetchItems || !c.keep(c.saved, append(slices.Clip(c.contexts), x)...) {
		return c.sendNoUpdate(x)
	}
	if ret.fetch != nil && ret.fetch.modSeq {
		if err := c.enable(enabledCondstore); err != nil { // RFC 7162, section 3.1
			return err
		}
	}
	x.asked, x.top = x.scope.now, c.view.UIDs().Max()
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

// lookAtContexts asks how the results of contexts changed, after the view was brought up
// to date: what arrived was told before (RFC 5267, section 4.3.3).
func (c *conn) lookAtContexts(ctx context.Context) {
	for _, x := range c.contexts {
		if err := x.look(ctx, c); err != nil {
			// The store cannot say now: the client is told another time.
			c.log().Warn("update of a search", zap.Error(err))
			c.view.TryAgain()
		}
	}
}

func (x *searchContext) look(ctx context.Context, c *conn) error {
	now := time.Now()
	again := x.crit.unsteady && (x.live.Stale() || now.Sub(x.asked) >= unsteadyAfter)
	if !again && !x.live.Stale() {
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
	x.untold.removed = removed
	x.untold.added = x.untold.added.Union(added).Minus(removed)
	// RFC 5465, section 7: of what became a member by a change nothing is fetched.
	if top := c.view.UIDs().Max(); top > x.top {
		x.fetches.want(added.Intersect(mailaccess.UIDSetRange(x.top+1, top)).Minus(c.created))
		x.top = top
	}
	return nil
}

// tellContexts tells how the results changed.
func (c *conn) tellContexts(ctx context.Context) error {
	for _, x := range c.contexts {
		added, removed := x.untold.added, x.untold.removed
		x.untold.removed = mailaccess.UIDSet{}
		if x.order == nil {
			x.untold.added = mailaccess.UIDSet{}
			if err := c.sendContext(x, c.view.UIDs(), added, removed); err != nil {
				return err
			}
			continue
		}
		err := c.removeSorted(x, c.view.UIDs(), removed)
		if err == nil {
			err = c.addSorted(ctx, x)
		}
		if c.w.Err() != nil {
			return err
		}
		if err != nil {
			c.log().Warn("update of a sorted search", zap.Error(err))
			c.view.TryAgain()
		}
	}
	return nil
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
		c.keep(c.saved, c.contexts...)
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
