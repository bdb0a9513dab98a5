package imap

import (
	"context"
	"strings"
)

// listOptions are what a LIST command asks for, beside names (RFC 5258, sections
// 3.1 and 3.2; RFC 6154, section 2; RFC 5819, section 2).
type listOptions struct {
	// extended: the extended syntax was used, so that the client knows of
	// extended data and of \NonExistent (RFC 5258, section 3).
	extended bool

	// Selection options. REMOTE adds nothing: no mailbox is remote.
	subscribed bool // the names that are subscribed to, mailboxes or not
	specialUse bool // only mailboxes that have a special use
	recursive  bool // names above such ones too

	// Return options. CHILDREN and SPECIAL-USE are answered always.
	withSubscribed bool
	status         []*statusItem
}

// parseList is RFC 3501, section 6.3.8, and RFC 5258, section 3.
func parseList(c *conn) (action, error) {
	var o listOptions
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	if err := c.readSelectionOptions(&o); err != nil {
		return nil, err
	}
	patterns, several, err := c.readPatterns()
	if err != nil {
		return nil, err
	}
	o.extended = o.extended || several
	if err := c.readReturnOptions(&o); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		switch {
		case len(patterns) > 0:
			return c.list(ctx, patterns, &o)
		case o.extended: // RFC 5258, section 3
			return nil
		}
		// The separator and the root are asked for.
		b := c.appendSeparator(append(c.w.Begin(), `* LIST (\Noselect) `...))
		return c.w.End(append(b, " \"\"\r\n"...))
	}, c.r.CRLF()
}

// readSelectionOptions reads the options that may come first, and the space
// after them. An option that comes twice counts once (RFC 5258, section 3).
func (c *conn) readSelectionOptions(o *listOptions) error {
	if next, err := c.r.Peek(); err != nil || next != '(' {
		return err
	}
	o.extended = true
	err := c.r.ReadList(func() error {
		option, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		switch string(option) {
		case "SUBSCRIBED":
			o.subscribed = true
		case "SPECIAL-USE":
			o.specialUse = true
		case "RECURSIVEMATCH":
			o.recursive = true
		case "REMOTE":
		default:
			return bad("unknown selection option")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if o.recursive && !o.subscribed && !o.specialUse {
		// RFC 5258, section 3.1.
		return bad("RECURSIVEMATCH needs another selection option")
	}
	return c.r.SP()
}

// readReturnOptions reads the options that may come last, and the space before
// them.
func (c *conn) readReturnOptions(o *listOptions) error {
	if more, err := c.r.Accept(' '); err != nil || !more {
		return err
	}
	o.extended = true
	word, err := c.r.ReadKeyword()
	if err != nil {
		return err
	}
	if string(word) != "RETURN" {
		return bad("expected RETURN")
	}
	if err := c.r.SP(); err != nil {
		return err
	}
	return c.r.ReadList(func() error {
		option, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		switch string(option) {
		case "SUBSCRIBED":
			o.withSubscribed = true
		case "STATUS":
			if err := c.r.SP(); err != nil {
				return err
			}
			o.status, err = c.readStatusItems()
			return err
		case "CHILDREN", "SPECIAL-USE":
		default:
			return bad("unknown return option")
		}
		return nil
	})
}

// list writes a LIST response for each name that is selected, in the order of names.
func (c *conn) list(ctx context.Context, patterns []string, o *listOptions) error {
	var l *listing
	var matched []bool
	var below map[string]below
	subscriptions := o.subscribed || o.withSubscribed
	if err := c.reserveNames(ctx, true, subscriptions); err != nil {
		return err
	}
	// Names and patterns may be many and long.
	err := c.attended(ctx, func(ctx context.Context) (err error) {
		if l, err = c.listing(ctx, subscriptions); err != nil {
			return err
		}
		if matched, err = matchAll(ctx, patterns, l.names, c.nc.Step); err == nil {
			below = l.below(matched, o)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, name := range l.names {
		if err := errorsFirst(c.nc.Step(), ctx.Err()); err != nil {
			return err
		}
		if !matched[i] {
			continue
		}
		r := listed{name: name, extended: o.extended, below: below[name]}
		chosen := l.chosen(name, o)
		if !chosen && !r.below.hidden {
			continue
		}
		var status []byte
		if box := l.boxes[name]; chosen && o.status != nil && box != nil {
			// RFC 5819, section 2: whether it can be selected shows first.
			status, r.noSelect = c.listStatus(ctx, box, o.status)
		}
		b := c.appendListed(c.w.Begin(), l, &r, o)
		if err := c.w.End(append(b, status...)); err != nil {
			return err
		}
	}
	return nil
}

// parseLSub is RFC 3501, section 6.3.9.
func parseLSub(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	patterns, several, err := c.readPatterns()
	if err == nil && several {
		err = bad("one pattern, please")
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		if len(patterns) == 0 {
			return nil
		}
		return c.lsub(ctx, patterns[0])
	}, c.r.CRLF()
}

// lsub lists subscribed names. A level above subscribed names that is not one
// itself is shown as \Noselect when the pattern stops there (RFC 3501, section
// 6.3.9).
func (c *conn) lsub(ctx context.Context, pattern string) error {
	var shown map[string]bool
	var names []string
	var matched []bool
	if err := c.reserveNames(ctx, false, true); err != nil {
		return err
	}
	err := c.attended(ctx, func(ctx context.Context) error {
		subscribed, err := c.subscriptions(ctx)
		if err != nil {
			return err
		}
		shown = c.names.allShown(subscribed)
		names = withLevels(shown)
		matched, err = matchAll(ctx, []string{pattern}, names, c.nc.Step)
		return err
	})
	if err != nil {
		return err
	}
	for i, name := range names {
		if !matched[i] || !shown[name] && !strings.HasSuffix(pattern, "%") {
			continue
		}
		b := append(c.w.Begin(), "* LSUB ("...)
		if !shown[name] {
			b = append(b, `\Noselect`...)
		}
		b = c.appendShown(append(c.appendSeparator(append(b, ") "...)), ' '), name)
		if err := c.w.End(append(b, "\r\n"...)); err != nil {
			return err
		}
	}
	return nil
}
