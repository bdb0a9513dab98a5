// Package account is an account of a store as a place of mail.
package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// Place is an account of a store.
type Place struct {
	account mailaccess.Account
	can     mailaccess.Capabilities
	queue   []mailaccess.NewMessage
}

var _ transfer.Destination = (*Place)(nil)

// New returns the place of an account, which Close closes.
func New(a mailaccess.Account) *Place { return &Place{account: a, can: a.Capabilities()} }

// Close implements transfer.Source.
func (p *Place) Close() error { return errors.Join(p.drop(), p.account.Close()) }

// Mailboxes implements transfer.Source.
func (p *Place) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	state, err := p.account.State(ctx)
	if err != nil {
		return nil, err
	}
	var boxes []transfer.Mailbox
	for m, err := range p.account.Mailboxes(ctx) {
		if err != nil {
			return nil, err
		}
		status, err := p.account.Status(ctx, m.ID)
		if errors.Is(err, mailaccess.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b := place(m)
		b.Messages = status.Messages
		b.State = fmt.Sprintf("%s %d", state.Epoch, status.ModSeq)
		boxes = append(boxes, b)
	}
	return boxes, nil
}

func place(m mailaccess.Mailbox) transfer.Mailbox {
	return transfer.Mailbox{
		Name: m.Name, ID: fmt.Sprintf("%s %d", m.ID, m.UIDValidity), Ref: string(m.ID), Use: m.Use,
	}
}

func id(box transfer.Mailbox) mailaccess.MailboxID { return mailaccess.MailboxID(box.Ref) }

// Subscriptions implements transfer.Source.
func (p *Place) Subscriptions(ctx context.Context) ([]string, error) {
	if p.can.Subscriptions == nil {
		return nil, unsupported("subscriptions")
	}
	var names []string
	for name, err := range p.can.Subscriptions.Subscriptions(ctx) {
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func unsupported(op string) error {
	return &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: op, Err: errors.New("the store cannot")}
}

// Messages implements transfer.Source. The keys are UIDs.
func (p *Place) Messages(ctx context.Context, box transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(yield func(transfer.Message, error) bool) {
		for m, err := range p.account.Messages(ctx, id(box), mailaccess.UIDSetRange(1, math.MaxUint32)) {
			if err != nil {
				yield(transfer.Message{}, err)
				return
			}
			if !yield(transfer.Message{Key: key(m.UID), Flags: m.Flags, Received: m.Received, Size: m.Size}, nil) {
				return
			}
		}
	}
}

func key(uid mailaccess.UID) string { return strconv.FormatUint(uint64(uid), 10) }

// set is the set of the UIDs that are keys, and which key each is.
func set(keys iter.Seq2[int, string]) (mailaccess.UIDSet, map[mailaccess.UID]int, error) {
	uids := mailaccess.UIDSet{}
	at := make(map[mailaccess.UID]int)
	for i, k := range keys {
		n, err := strconv.ParseUint(k, 10, 32)
		if err != nil {
			return uids, nil, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "read the state", Err: fmt.Errorf("%q is no UID", k)}
		}
		uid := mailaccess.UID(n)
		uids = uids.WithRange(uid, uid)
		at[uid] = i
	}
	return uids, at, nil
}

// Read implements transfer.Source.
func (p *Place) Read(ctx context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		uids, at, err := set(func(yield func(int, string) bool) {
			for i, m := range msgs {
				if !yield(i, m.Key) {
					return
				}
			}
		})
		if err != nil {
			yield(transfer.Body{}, err)
			return
		}
		for m, err := range p.account.Messages(ctx, id(box), uids) {
			if err != nil {
				yield(transfer.Body{}, err)
				return
			}
			content, err := p.account.Content(ctx, m.EmailID)
			if mailaccess.KindOf(err) == mailaccess.KindUnavailable && err != nil {
				yield(transfer.Body{}, err)
				return
			}
			b := transfer.Body{N: at[m.UID], Err: err}
			if err == nil {
				b.Size, b.Reader = content.Size(), io.NewSectionReader(content, 0, content.Size())
			}
			more := yield(b, nil)
			if err == nil {
				content.Close() //nolint:errcheck // it was only read
			}
			if !more {
				return
			}
		}
	}
}

// Name implements transfer.Destination.
func (p *Place) Name(name string) string { return name }

// Create implements transfer.Destination.
func (p *Place) Create(ctx context.Context, name string, use mailaccess.SpecialUse) (transfer.Mailbox, error) {
	if p.can.Mailboxes == nil {
		return transfer.Mailbox{}, unsupported("make a mailbox")
	}
	m, err := p.can.Mailboxes.CreateMailbox(ctx, name, use)
	if use != 0 && (errors.Is(err, mailaccess.KindUnsupported) || errors.Is(err, mailaccess.KindInvalid)) {
		m, err = p.can.Mailboxes.CreateMailbox(ctx, name, 0)
	}
	if errors.Is(err, mailaccess.KindExists) {
		m, err = p.account.Lookup(ctx, name)
	}
	if err != nil {
		return transfer.Mailbox{}, err
	}
	return place(m), nil
}

// Append implements transfer.Destination.
func (p *Place) Append(ctx context.Context, _ transfer.Mailbox, m transfer.Message, b transfer.Body) error {
	if p.can.Append == nil {
		return unsupported("append")
	}
	s, err := p.can.Append.Stage(ctx, b.Size)
	if err != nil {
		return err
	}
	if _, err := io.Copy(s, b.Reader); err != nil {
		return errors.Join(err, s.Close())
	}
	p.queue = append(p.queue, mailaccess.NewMessage{Staged: s, Flags: m.Flags, Received: m.Received})
	return nil
}

// drop gives up what was not flushed.
func (p *Place) drop() error {
	var errs []error
	for _, m := range p.queue {
		errs = append(errs, m.Staged.Close())
	}
	p.queue = nil
	return errors.Join(errs...)
}

// Flush implements transfer.Destination.
func (p *Place) Flush(ctx context.Context, box transfer.Mailbox) (became []transfer.Appended, err error) {
	defer func() { err = errors.Join(err, p.drop()) }()
	if p.can.AppendMany && len(p.queue) > 1 {
		done, err := p.can.Append.Append(ctx, id(box), p.queue)
		if err == nil {
			for _, m := range done.Messages {
				became = append(became, transfer.Appended{Key: key(m.UID)})
			}
			return became, nil
		}
		if errors.Is(err, mailaccess.KindUncertain) || errors.Is(err, mailaccess.KindUnavailable) {
			return nil, err
		}
		// One of them, perhaps: it is seen which.
	}
	for _, m := range p.queue {
		done, err := p.can.Append.Append(ctx, id(box), []mailaccess.NewMessage{m})
		if errors.Is(err, mailaccess.KindUncertain) || errors.Is(err, mailaccess.KindUnavailable) {
			return nil, err
		}
		a := transfer.Appended{Err: err}
		if err == nil {
			a.Key = key(done.Messages[0].UID)
		}
		became = append(became, a)
	}
	return became, nil
}

// SetFlags implements transfer.Destination.
func (p *Place) SetFlags(ctx context.Context, box transfer.Mailbox, keys []string, change mailaccess.FlagChange) error {
	if p.can.Flags == nil {
		return unsupported("change flags")
	}
	uids, _, err := set(slices.All(keys))
	if err == nil {
		_, err = p.can.Flags.SetFlags(ctx, id(box), uids, change, mailaccess.AnyModSeq)
	}
	return err
}

// Remove implements transfer.Destination.
func (p *Place) Remove(ctx context.Context, box transfer.Mailbox, keys []string) error {
	if p.can.Expunge == nil {
		return unsupported("remove messages")
	}
	uids, _, err := set(slices.All(keys))
	if err == nil {
		_, err = p.can.Expunge.Expunge(ctx, id(box), uids, 0)
	}
	return err
}

// Subscribe implements transfer.Destination.
func (p *Place) Subscribe(ctx context.Context, name string) error {
	if p.can.Subscriptions == nil {
		return unsupported("subscribe")
	}
	return p.can.Subscriptions.Subscribe(ctx, name, true)
}

// Finish implements transfer.Destination.
func (p *Place) Finish(context.Context) error { return nil }
