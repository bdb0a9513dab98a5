package imap

import (
	"context"

	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parsePreview is what may follow PREVIEW in a FETCH (RFC 8970, section 6). A list after
// it is its own, never one of modifiers: those follow a list of items.
func (c *conn) parsePreview(plan *fetchPlan) error {
	item := fetchItem{kind: fetchPreview}
	if list, err := c.r.NextIsList(); err != nil {
		return err
	} else if list {
		err := c.r.ReadList(func() error {
			word, err := c.r.ReadKeyword()
			if err == nil && string(word) != "LAZY" {
				err = bad("unknown modifier of a preview")
			}
			item.lazy = true
			return err
		})
		if err == nil && !item.lazy {
			err = bad("no modifier of the preview")
		}
		if err != nil {
			return err
		}
	}
	plan.add(item)
	return nil
}

// renderPreview makes a preview as it is sent. RFC 8970, section 3.2: where there is
// nothing to show it is empty, and not NIL.
func renderPreview(ctx context.Context, open *opened) ([]byte, error) {
	tree, err := open.structure(ctx)
	if err != nil {
		return nil, err
	}
	text, err := tree.Preview(open.content)
	if err != nil {
		return nil, err
	}
	// UTF-8 goes into a literal, whether the client has enabled more or not: what
	// is kept serves all.
	return imapwire.AppendString([]byte("PREVIEW "), text, false), nil
}
