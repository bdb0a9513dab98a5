package imapplace

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// listed is how many messages are asked about at once.
const listed = 1000

// Messages implements transfer.Source. The keys are UIDs.
func (p *Place) Messages(ctx context.Context, box transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		uids, err := p.search(ctx, box)
		if err != nil {
			yield(transfer.Message{}, err)
			return
		}
		for some := range slices.Chunk(uids, listed) {
			msgs, err := p.about(ctx, box, some)
			if err != nil {
				yield(transfer.Message{}, err)
				return
			}
			for _, m := range msgs {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// search returns the UIDs of a mailbox.
func (p *Place) search(ctx context.Context, box transfer.Mailbox) ([]imap.UID, error) {
	c, done, err := p.open(ctx, box, false)
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return nil, failed("search", err)
	}
	uids := found.AllUIDs()
	slices.Sort(uids)
	return uids, nil
}

// about asks about messages. When an answer cannot be understood, half of them are asked
// about, and so on: of the one that is to blame only the key is told.
func (p *Place) about(ctx context.Context, box transfer.Mailbox, uids []imap.UID) ([]transfer.Message, error) {
	msgs, err := p.fetch(ctx, box, uids)
	if err == nil || ctx.Err() != nil || mailaccess.KindOf(err) != mailaccess.KindUnavailable || p.c == nil || p.raw.ended.Load() {
		return msgs, err // a connection that was lost says nothing of the answer
	}
	if len(uids) == 1 {
		return []transfer.Message{{Key: key(uids[0]), Size: -1}}, nil
	}
	first, err := p.about(ctx, box, uids[:len(uids)/2])
	if err != nil {
		return nil, err
	}
	second, err := p.about(ctx, box, uids[len(uids)/2:])
	return append(first, second...), err
}

func (p *Place) fetch(ctx context.Context, box transfer.Mailbox, uids []imap.UID) ([]transfer.Message, error) {
	c, done, err := p.open(ctx, box, false)
	if err != nil {
		return nil, err
	}
	defer done()
	got, err := c.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true}).Collect()
	if err != nil {
		return nil, failed("ask about messages", err)
	}
	msgs := make([]transfer.Message, 0, len(got))
	for _, g := range got {
		msgs = append(msgs, transfer.Message{Key: key(g.UID), Flags: flagsOf(g.Flags), Received: g.InternalDate, Size: g.RFC822Size})
	}
	return msgs, nil
}

func key(uid imap.UID) string { return strconv.FormatUint(uint64(uid), 10) }

// set is the set of the UIDs that are keys.
func set(keys []string) (imap.UIDSet, error) {
	var uids imap.UIDSet
	for _, k := range keys {
		n, err := strconv.ParseUint(k, 10, 32)
		if err != nil || n == 0 {
			return nil, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "read the state", Err: fmt.Errorf("%q is no UID", k)}
		}
		uids.AddNum(imap.UID(n))
	}
	return uids, nil
}

func systemFlags() map[string]mailaccess.SystemFlags {
	return map[string]mailaccess.SystemFlags{
		`\seen`: mailaccess.FlagSeen, `\answered`: mailaccess.FlagAnswered, `\flagged`: mailaccess.FlagFlagged,
		`\deleted`: mailaccess.FlagDeleted, `\draft`: mailaccess.FlagDraft,
	}
}

// flagsOf leaves out what is neither a system flag nor a keyword that there can be.
func flagsOf(flags []imap.Flag) (f mailaccess.Flags) {
	system := systemFlags()
	var words []string
	for _, flag := range flags {
		s := system[strings.ToLower(string(flag))]
		f.System |= s
		if s == 0 && mailaccess.CheckKeyword(string(flag)) == nil && len(words) < mailaccess.MaxKeywords {
			words = append(words, string(flag))
		}
	}
	f.Keywords, _ = mailaccess.NewKeywords(words...) // they were checked
	return f
}

// open selects a mailbox, if it is not selected.
func (p *Place) open(ctx context.Context, box transfer.Mailbox, write bool) (c *imapclient.Client, done func(), err error) {
	if c, done, err = p.use(ctx); err != nil {
		return nil, nil, err
	}
	if p.selected == box.Ref || !write && p.examined == box.Ref {
		return c, done, nil
	}
	p.selected, p.examined = "", ""
	data, err := c.Select(box.Ref, &imap.SelectOptions{ReadOnly: !write}).Wait()
	if err == nil && box.ID != "" && fmt.Sprint(data.UIDValidity) != box.ID {
		err = &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "select", Mailbox: box.Name, Err: errors.New("it became another mailbox meanwhile")}
	} else {
		err = failed("select "+box.Name, err)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	if !write {
		p.examined = box.Ref
		return c, done, nil
	}
	p.selected, p.next = box.Ref, data.UIDNext
	permanent := make(map[string]bool)
	for _, f := range data.PermanentFlags {
		permanent[strings.ToLower(string(f))] = true
	}
	p.keywords = func(word string) bool { return permanent[`\*`] || permanent[strings.ToLower(word)] }
	return c, done, nil
}

// Read implements transfer.Source: one command asks for all of them.
func (p *Place) Read(ctx context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		at := make(map[string]int, len(msgs))
		keys := make([]string, len(msgs))
		for i, m := range msgs {
			at[m.Key], keys[i] = i, m.Key
		}
		uids, err := set(keys)
		if err != nil || len(msgs) == 0 {
			if err != nil {
				yield(transfer.Body{}, err)
			}
			return
		}
		c, done, err := p.open(ctx, box, false)
		if err != nil {
			yield(transfer.Body{}, err)
			return
		}
		defer done()
		cmd := c.Fetch(uids, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			n, ok := 0, false
			for item := m.Next(); item != nil; item = m.Next() {
				switch item := item.(type) {
				case imapclient.FetchItemDataUID:
					n, ok = at[key(item.UID)]
				case imapclient.FetchItemDataBodySection:
					if !ok {
						continue
					}
					b := transfer.Body{N: n}
					if item.Literal == nil {
						b.Err = &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "fetch", Err: errors.New("the server gives no content")}
					} else {
						b.Size = item.Literal.Size()
						b.Reader = exact(item.Literal, b.Size)
					}
					if !yield(b, nil) {
						// What is on its way is not waited for. The client ends when it has
						// got rid of what it read.
						p.raw.Close() //nolint:errcheck // it is of no use any more
						cmd.Close()   //nolint:errcheck // it fails
						p.drop()
						return
					}
				}
			}
		}
		if err := cmd.Close(); err != nil {
			if err := failed("fetch", err); len(msgs) > 1 || mailaccess.KindOf(err) == mailaccess.KindUnavailable || ctx.Err() != nil {
				yield(transfer.Body{}, err)
			} else {
				yield(transfer.Body{Err: err}, nil)
			}
		}
	}
}
