package imapplace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// queued is an APPEND that was sent.
type queued struct {
	cmd  *imapclient.AppendCommand
	size int64
}

// flags are those that the selected mailbox keeps.
func (p *Place) flags(f mailaccess.Flags) []imap.Flag {
	var flags []imap.Flag
	for flag, s := range systemFlags() {
		if f.System&s != 0 {
			flags = append(flags, imap.Flag(flag))
		}
	}
	for w := range f.Keywords.All() {
		if p.keywords(w) {
			flags = append(flags, imap.Flag(w))
		}
	}
	slices.Sort(flags)
	return flags
}

// Append implements transfer.Destination. Where the server takes literals without being
// asked (RFC 7888), several are on their way at once.
func (p *Place) Append(ctx context.Context, box transfer.Mailbox, m transfer.Message, b transfer.Body) error {
	c, done, err := p.open(ctx, box, true)
	if err != nil {
		return err
	}
	defer done()
	cmd := c.Append(box.Ref, b.Size, &imap.AppendOptions{Flags: p.flags(m.Flags), Time: m.Received})
	n, err := io.Copy(cmd, b.Reader)
	if err == nil && n != b.Size {
		err = fmt.Errorf("%d octets instead of %d", n, b.Size)
	}
	if err != nil {
		refused := p.refusal(cmd)
		p.drop() // in the middle of a literal, or so it seems to the client
		if refused != nil {
			return refused
		}
		return lost("append", err)
	}
	if err := cmd.Close(); err != nil {
		p.drop()
		return lost("append", err)
	}
	p.queue = append(p.queue, queued{cmd, b.Size})
	return nil
}

// refusal is the server's answer to a literal that it does not want, if there is one.
func (p *Place) refusal(cmd *imapclient.AppendCommand) error {
	p.c.Close() //nolint:errcheck // whoever waits is told
	cmd.Close() //nolint:errcheck // it failed already
	_, err := cmd.Wait()
	var answer *imap.Error
	if errors.As(err, &answer) {
		return failed("append", err)
	}
	return nil
}

// Flush implements transfer.Destination.
func (p *Place) Flush(ctx context.Context, box transfer.Mailbox) ([]transfer.Appended, error) {
	queue := p.queue
	p.queue = nil
	if len(queue) == 0 {
		return nil, nil
	}
	if p.c != nil {
		c := p.c
		stop := context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // whoever waits is told
		defer stop()
	}
	became := make([]transfer.Appended, len(queue))
	var unknown []int // those of which the server did not tell the UID
	for i, q := range queue {
		data, err := q.cmd.Wait()
		switch err := failed("append", err); {
		case err != nil && mailaccess.KindOf(err) == mailaccess.KindUnavailable:
			return nil, err
		case err != nil:
			became[i].Err = err
		case data.UID != 0:
			became[i].Key = key(data.UID)
		default:
			unknown = append(unknown, i)
		}
	}
	if len(unknown) == 0 {
		return became, nil
	}
	return became, p.find(ctx, box, queue, unknown, became)
}

// find finds the UIDs of what was just appended: if as many messages arrived, of the same
// sizes, they are those. Otherwise the keys stay empty.
func (p *Place) find(ctx context.Context, box transfer.Mailbox, queue []queued, unknown []int, became []transfer.Appended) error {
	if p.next == 0 || p.selected != box.Ref {
		return nil
	}
	c, done, err := p.open(ctx, box, true)
	if err != nil {
		return err
	}
	defer done()
	if err := c.Noop().Wait(); err != nil {
		return failed("look for what was appended", err)
	}
	got, err := c.Fetch(imap.UIDSet{{Start: p.next, Stop: 0}}, &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
	if err != nil {
		return failed("look for what was appended", err)
	}
	// "*" is the last message, whatever its UID.
	got = slices.DeleteFunc(got, func(g *imapclient.FetchMessageBuffer) bool { return g.UID < p.next })
	slices.SortFunc(got, func(a, b *imapclient.FetchMessageBuffer) int { return int(int64(a.UID) - int64(b.UID)) })
	if len(got) > 0 {
		p.next = got[len(got)-1].UID + 1
	}
	if len(got) != len(unknown) {
		return nil
	}
	for n, i := range unknown {
		if got[n].RFC822Size != queue[i].size {
			return nil
		}
	}
	for n, i := range unknown {
		became[i].Key = key(got[n].UID)
	}
	return nil
}

// SetFlags implements transfer.Destination.
func (p *Place) SetFlags(ctx context.Context, box transfer.Mailbox, keys []string, change mailaccess.FlagChange) error {
	c, done, err := p.open(ctx, box, true)
	if err != nil {
		return err
	}
	defer done()
	uids, err := set(keys)
	if err != nil {
		return err
	}
	for _, s := range []*imap.StoreFlags{
		{Op: imap.StoreFlagsAdd, Silent: true, Flags: p.flags(change.Add)},
		{Op: imap.StoreFlagsDel, Silent: true, Flags: p.flags(change.Remove)},
	} {
		if len(s.Flags) == 0 {
			continue
		}
		if err := c.Store(uids, s, nil).Close(); err != nil {
			return failed("change flags", err)
		}
	}
	return nil
}

// Remove implements transfer.Destination. Without UIDPLUS (RFC 4315) it would remove what
// others marked.
func (p *Place) Remove(ctx context.Context, box transfer.Mailbox, keys []string) error {
	c, done, err := p.open(ctx, box, true)
	if err != nil {
		return err
	}
	defer done()
	if caps := c.Caps(); !caps.Has(imap.CapUIDPlus) && !caps.Has(imap.CapIMAP4rev2) {
		return &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "remove messages", Err: errors.New("the server has no UIDPLUS (RFC 4315)")}
	}
	uids, err := set(keys)
	if err != nil {
		return err
	}
	mark := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(uids, mark, nil).Close(); err != nil {
		return failed("remove messages", err)
	}
	return failed("remove messages", c.UIDExpunge(uids).Close())
}
