package imap

import (
	"context"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// catenate takes in a message that is made of parts (RFC 4469, section 3), one after the
// other as they come: the octets of a literal, or of what a URL names. A URL that does
// not do is refused before a literal after it is asked for.
func (in *incoming) catenate(ctx context.Context, h messageHead) error {
	u, err := in.upload(ctx, h, -1)
	if err != nil {
		return err
	}
	r := in.c.r
	for {
		if err := in.part(ctx, u); err != nil {
			return err
		}
		if end, err := r.Accept(')'); err != nil {
			return err
		} else if end {
			break
		}
		if err := r.SP(); err != nil {
			return err
		}
	}
	if u.Size() == 0 {
		return errNoOctets
	}
	return nil
}

// part takes in a cat-part (RFC 4469, section 5; RFC 6855, section 4).
func (in *incoming) part(ctx context.Context, u *engine.Upload) error {
	r := in.c.r
	word, err := r.ReadKeyword()
	if err != nil {
		return err
	}
	switch string(word) {
	case "TEXT":
		if err := r.SP(); err != nil {
			return err
		}
		lit, err := r.ReadLiteral()
		if err != nil {
			return err
		}
		if lit.Binary {
			return bad("a literal8 is no part of a message")
		}
		return in.text(lit, u)
	case "UTF8":
		lit, err := in.c.readUTF8Literal()
		if err != nil {
			return err
		}
		if !in.c.utf8() {
			return errNotEnabled
		}
		if err := in.text(lit, u); err != nil {
			return err
		}
		return r.Expect(')')
	case "URL":
		if err := r.SP(); err != nil {
			return err
		}
		url, err := r.ReadAString()
		if err != nil {
			return err
		}
		return in.url(ctx, url, u)
	}
	return bad("expected TEXT, URL or UTF8")
}

// text adds a literal, which may be empty.
func (in *incoming) text(lit *imapwire.Literal, u *engine.Upload) error {
	if lit.Size > in.c.nc.Limits().MaxLiteral {
		return &mailaccess.Error{Kind: mailaccess.KindTooBig, Op: "append"}
	}
	if err := in.room(u, lit.Size); err != nil {
		return err
	}
	return in.c.readData(lit, u)
}

// url adds what a URL names, in pieces, as FETCH BODY.PEEK would tell it.
func (in *incoming) url(ctx context.Context, url string, u *engine.Upload) error {
	id, loc, err := in.c.resolveURL(ctx, url)
	if err != nil {
		return badURL(url, err)
	}
	open := opened{c: in.c, id: id}
	defer open.close()
	ranges, absent, err := open.section(ctx, nil, loc.section)
	if err != nil {
		return badURL(url, err)
	}
	if absent {
		return badURL(url, errNoPart)
	}
	if loc.partial.n != 0 {
		ranges = ranges.Partial(loc.partial.off, loc.partial.n)
	}
	if err := in.room(u, ranges.Size()); err != nil {
		return err
	}
	_, err = ranges.WriteTo(u, open.content)
	return err
}

// resolveURL finds the message that a URL names.
func (c *conn) resolveURL(ctx context.Context, url string) (id mailaccess.EmailID, loc messageURL, err error) {
	loc, ok := parseMessageURL(url)
	if !ok {
		return "", loc, errNoURL
	}
	var box mailaccess.Mailbox
	if loc.mailbox != "" {
		if box, err = c.sess.Lookup(ctx, c.names.known(c.names.read(loc.mailbox))); err != nil {
			return "", loc, err
		}
	} else if c.view == nil {
		return "", loc, errNoURL // there is none to be relative to
	} else {
		box = c.view.Status().Mailbox
	}
	if !box.Rights.Has(mailaccess.RightRead) {
		return "", loc, &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "catenate"}
	}
	// RFC 5092, section 5: a URL that is stale names nothing.
	if loc.uidValidity != 0 && loc.uidValidity != box.UIDValidity {
		return "", loc, errStaleURL
	}
	for m, err := range c.sess.Messages(ctx, box.ID, mailaccess.UIDSetOf(loc.uid)) {
		return m.EmailID, loc, err
	}
	return "", loc, errNoPart
}

var (
	errNoURL    = no("", "no relative URL of a message")
	errStaleURL = no("", "the mailbox is another one by now")
	errNoPart   = no("", "there is no such message or part")
)

// badURL is the answer when a URL names nothing that is to be had (RFC 4469, section
// 4.1). What the client cannot help is answered as anywhere.
func badURL(url string, err error) error {
	text := "there is nothing to be had under this URL"
	switch mailaccess.KindOf(err) {
	case mailaccess.KindNotFound, mailaccess.KindForbidden, mailaccess.KindContentGone:
	default:
		st, ok := err.(*statusError)
		if !ok {
			return err
		}
		text = st.text
	}
	return no(goimap.ResponseCode(appendURLText([]byte("BADURL "), url)), text)
}
