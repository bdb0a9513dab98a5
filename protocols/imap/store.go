package imap

import (
	"bytes"
	"cmp"
	"context"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
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
		s := storing{how: how}
		if err := c.parseStoreModifiers(&s.modifiers); err != nil {
			return nil, err
		}
		item, err := c.r.ReadKeyword()
		if err != nil {
			return nil, err
		}
		verb, silent := bytes.CutSuffix(item, []byte(".SILENT"))
		s.silent = silent
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
		switch op {
		case "FLAGS":
			s.change = mailaccess.FlagChange{Replace: true, Add: flags}
		case "+FLAGS":
			s.change.Add = flags
		case "-FLAGS":
			s.change.Remove = flags
		}
		return s.run, c.r.CRLF()
	}
}

// storing is a STORE command that was parsed.
type storing struct {
	how       addressing
	modifiers storeModifiers
	change    mailaccess.FlagChange
	silent    bool
}

func (s *storing) run(ctx context.Context, c *conn) error {
	if s.modifiers.conditional {
		if err := c.enable(enabledCondstore); err != nil { // RFC 7162, section 3.1
			return err
		}
	}
	uids, err := c.resolve(&c.set, s.how)
	if err != nil {
		return err
	}
	uids = c.limit(uids)
	if err := c.writable(); err != nil {
		return err
	}
	stop := c.reportProgress()
	res, err := c.view.SetFlags(ctx, uids, s.change, s.modifiers.since)
	stop()
	if err != nil {
		if werr := c.tellKeywordsFull(err, s.change.Add.Keywords); werr != nil {
			return werr
		}
		// Some may have been changed: the client must not stay in the dark.
		return errorsFirst(err, c.sendFlags(ctx, changedUIDs(res)))
	}
	if s.silent && !c.has(enabledCondstore) {
		return nil
	}
	// A keyword that is new is told before it is used, in FLAGS (RFC 3501,
	// section 7.2.6), as Dovecot does.
	told := telling{updateSink: (*updateSink)(c)}
	if err := c.updateTo(ctx, s.how == byNumber, &told); err != nil {
		return err
	}
	return s.answer(ctx, c, uids, res, told.flags.Set())
}

// telling tells what changed, and remembers of which messages it told the flags.
type telling struct {
	*updateSink
	flags mailaccess.UIDSetBuilder
}

func (t *telling) Flags(m *engine.Numbered) error {
	if t.notify.tellsFlags() {
		t.flags.AddUID(m.UID)
	}
	return t.updateSink.Flags(m)
}

// answer tells the flags of all messages that were named, except where told says that
// they were told just now. To a client that knows of CONDSTORE it tells the new change
// numbers even if that asked for silence (RFC 7162, sections 3.1.3 and 3.1.4.2), and
// what those are like whose change was refused, which spares it asking (section 3.1.3).
func (s *storing) answer(ctx context.Context, c *conn, uids mailaccess.UIDSet, res mailaccess.FlagResult, told mailaccess.UIDSet) error {
	how, quiet := s.how, mailaccess.UIDSet{}
	if s.silent {
		quiet = uids.Minus(res.Conflict)
		if !s.modifiers.conditional {
			uids, how = changedUIDs(res), byUID
		}
	}
	sent := 0
	for m, err := range c.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		sent++
		if told.Contains(m.UID) {
			continue
		}
		b := c.w.Begin()
		if quiet.Contains(m.UID) {
			// What the number tells besides our change, the update that
			// follows does.
			b = c.appendFetchModSeq(b, m)
		} else {
			b = c.appendFetchFlags(b, m)
		}
		if err := c.w.End(b); err != nil {
			return err
		}
	}
	code := ""
	if !res.Conflict.IsEmpty() {
		code = c.modified(s.how, res.Conflict)
	}
	// One that is gone has no flags to tell: the others were changed, and the
	// answer is NO with EXPUNGEISSUED (RFC 5530, section 3) or, if there is more to
	// say, with MODIFIED (RFC 7162, section 3.1.3, example 11).
	if how == byNumber && sent < uids.Len() {
		return c.processed(no(cmp.Or(goimap.ResponseCode(code), codeExpungeIssued), "some of the messages are no longer there"))
	}
	if code != "" {
		c.answer = answer{code: code, text: "some messages had changed"}
	}
	return nil
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

// sendFlags tells the flags of messages.
func (c *conn) sendFlags(ctx context.Context, uids mailaccess.UIDSet) error {
	for m, err := range c.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		if err := c.w.End(c.appendFetchFlags(c.w.Begin(), m)); err != nil {
			return err
		}
	}
	return nil
}
