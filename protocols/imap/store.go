package imap

import (
	"bytes"
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

// parseStore is RFC 3501, section 6.4.6.
func parseStore(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		if err := c.readSet(); err != nil {
			return nil, err
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		item, err := c.r.ReadKeyword()
		if err != nil {
			return nil, err
		}
		verb, silent := bytes.CutSuffix(item, []byte(".SILENT"))
		op := string(verb)
		if op != "FLAGS" && op != "+FLAGS" && op != "-FLAGS" {
			return nil, bad("unknown item to store")
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		names, err := c.r.ReadStoreFlags(nil)
		if err != nil {
			return nil, err
		}
		flags, err := parseFlags(names)
		if err != nil {
			return nil, err
		}
		change := mailaccess.FlagChange{Add: flags}
		switch op {
		case "FLAGS":
			change.Replace = true
		case "-FLAGS":
			change = mailaccess.FlagChange{Remove: flags}
		}
		return func(ctx context.Context, c *conn) error {
			return c.store(ctx, how, change, silent)
		}, c.r.CRLF()
	}
}

func (c *conn) store(ctx context.Context, how addressing, change mailaccess.FlagChange, silent bool) error {
	uids, err := c.resolve(&c.set, how)
	if err != nil {
		return err
	}
	if err := c.writable(); err != nil {
		return err
	}
	stop := c.reportProgress()
	res, err := c.view.SetFlags(ctx, uids, change, mailaccess.AnyModSeq)
	stop()
	if err != nil {
		if werr := c.tellKeywordsFull(err, change.Add.Keywords); werr != nil {
			return werr
		}
		// Some may have been changed: the client must not stay in the dark.
		return errorsFirst(err, c.sendFlags(ctx, changedUIDs(res)))
	}
	if silent {
		return nil
	}
	// A keyword that is new is told before it is used, in FLAGS (RFC 3501,
	// section 7.2.6), as Dovecot does.
	if err := c.update(ctx, how == byNumber); err != nil {
		return err
	}
	return c.sendStored(ctx, how, uids)
}

// errorsFirst returns the first error that is one.
func errorsFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func changedUIDs(res mailaccess.FlagResult) mailaccess.UIDSet {
	var all mailaccess.UIDSet
	for _, commit := range res.Changed {
		all = all.Union(commit.UIDs)
	}
	return all
}

// sendStored tells the flags of all messages that were named. One that is gone
// has no flags to tell: the others were changed, and the answer is NO with
// EXPUNGEISSUED (RFC 5530, section 3).
func (c *conn) sendStored(ctx context.Context, how addressing, uids mailaccess.UIDSet) error {
	sent := 0
	for m, err := range c.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		if err := c.w.End(c.appendFetchFlags(c.w.Begin(), m)); err != nil {
			return err
		}
		sent++
	}
	if how == byNumber && sent < uids.Len() {
		return no(codeExpungeIssued, "some of the messages are no longer there")
	}
	return nil
}

// sendFlags tells the flags of messages.
func (c *conn) sendFlags(ctx context.Context, uids mailaccess.UIDSet) error {
	return c.sendStored(ctx, byUID, uids)
}
