package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/takeover"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Subscriptions are in Dovecot's file, for other programs and for who loses the index. The
// log and the checkpoint are what counts: the file is written after each change, and what
// another program changed in it becomes a change.

// Subscriptions lists the names as they are when the loop begins.
func (h *handle) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	const op = "list subscriptions"
	return func(yield func(string, error) bool) {
		err := h.begin(ctx, op, 0)
		if err == nil {
			err = h.lookAtSubscriptions(op)
		}
		if err != nil {
			yield("", err)
			return
		}
		h.mu.Lock()
		names := slices.Collect(maps.Keys(h.subscribed))
		h.mu.Unlock()
		slices.Sort(names)
		for _, name := range names {
			if err := h.begin(ctx, op, 0); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Subscribe adds a name or takes it out. Who may change nothing in any mailbox may not change
// this either.
func (h *handle) Subscribe(ctx context.Context, name string, on bool) error {
	const op = "subscribe"
	if err := h.begin(ctx, op, 0); err != nil {
		return err
	}
	if h.rights&^mailaccess.RightsReadOnly == 0 {
		return fail(op, mailaccess.KindForbidden, name, nil)
	}
	if err := h.lookAtSubscriptions(op); err != nil {
		return err
	}
	return h.do(&change{op: op, before: func() error {
		if !on {
			return nil
		}
		// That it can be in the file.
		_, err := h.meta.encoding.AppendSubscriptions(nil, slices.Values([]string{name}))
		return err
	}, plan: func(p *planner) (*record, error) {
		if _, have := h.subscribed[name]; have == on {
			return nil, nil
		}
		if limit := h.store.opts.MaxMailboxes; on && len(h.subscribed) >= limit {
			return nil, fail(op, mailaccess.KindLimit, name, fmt.Errorf("an account has at most %d subscriptions", limit))
		}
		return &record{ModSeq: p.number(), Subscribe: []subscription{{Name: name, On: on}}}, nil
	}})
}

// applySubscribe returns the writing of the file.
func (a *account) applySubscribe(n mailaccess.ModSeq, changes []subscription) []task {
	for _, s := range changes {
		if s.On {
			a.subscribed[s.Name] = struct{}{}
		} else {
			delete(a.subscribed, s.Name)
		}
	}
	a.SubscribedAt = max(a.SubscribedAt, n)
	return []task{{kind: runTask, base: maildirname.SubscriptionsFile, run: a.writeSubscriptions}}
}

// lookAtSubscriptions notices what another program did with the file.
func (a *account) lookAtSubscriptions(op string) error {
	same, err := a.sameSubscriptions()
	if err != nil {
		return failDisk(op, "", err)
	}
	if same {
		return nil
	}
	var names map[string]struct{}
	err = a.do(&change{op: op, before: func() (err error) {
		// Whoever had the lead before may have written it.
		if same, err := a.sameSubscriptions(); same || err != nil {
			return err
		}
		a.mu.Lock()
		busy := len(a.pending) > 0 // it may not be what we want it to be
		a.mu.Unlock()
		if busy {
			return nil
		}
		names, err = a.readSubscriptions()
		return err
	}, plan: func(p *planner) (*record, error) {
		if names == nil {
			return nil, nil
		}
		var changes []subscription
		for name := range a.subscribed {
			if _, on := names[name]; !on {
				changes = append(changes, subscription{Name: name})
			}
		}
		for name := range names {
			if _, on := a.subscribed[name]; !on {
				changes = append(changes, subscription{Name: name, On: true})
			}
		}
		if len(changes) == 0 {
			return nil, nil
		}
		return &record{ModSeq: p.number(), Subscribe: changes}, nil
	}})
	if err != nil {
		return failDisk(op, "", err)
	}
	return nil
}

// sameSubscriptions reports whether the file is the one that was read or written last. It is
// replaced and never written to, by us and by Dovecot.
func (a *account) sameSubscriptions() (bool, error) {
	info, err := a.dir.Lstat(maildirname.SubscriptionsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.listSeen
	return err != nil && len(a.subscribed) == 0 || err == nil && was.Inode == info.Inode && was.Size == info.Size && was.ModTime.Equal(info.ModTime), nil
}

// readSubscriptions reads the file; without one there are none. Nil when it makes no sense,
// which is told once.
func (a *account) readSubscriptions() (map[string]struct{}, error) {
	names := make(map[string]struct{})
	f, err := a.dir.Open(maildirname.SubscriptionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	if errors.Is(err, fsys.ErrNotRegular) || errors.Is(err, fs.ErrPermission) {
		a.store.log.Warn("the file of subscriptions cannot be read", zap.String("account", a.key), zap.Error(err))
		info, err := a.dir.Lstat(maildirname.SubscriptionsFile)
		a.saw(info)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Info()
	if err != nil {
		return nil, err
	}
	s, err := a.meta.encoding.ReadSubscriptions(readerOf(f))
	var no *mailaccess.Error
	if errors.As(err, &no) {
		a.store.log.Warn("the file of subscriptions makes no sense", zap.String("account", a.key), zap.Error(err))
		names, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range s.Names {
		names[name] = struct{}{}
	}
	a.saw(info)
	return names, nil
}

func (a *account) saw(info fsys.Info) {
	a.mu.Lock()
	a.listSeen = info
	a.mu.Unlock()
}

// writeSubscriptions brings the file in line, unless it is. The lead is held, or nobody else
// knows the account.
func (a *account) writeSubscriptions() error {
	a.mu.Lock()
	want := maps.Clone(a.subscribed)
	a.mu.Unlock()
	have, err := a.readSubscriptions()
	if err != nil {
		return err
	}
	if have != nil && maps.Equal(have, want) {
		return nil
	}
	text, err := a.meta.encoding.AppendSubscriptions(nil, slices.Values(slices.Sorted(maps.Keys(want))))
	if err != nil {
		return err
	}
	if err := a.store.writeSmall(a.dir, maildirname.SubscriptionsFile, text); err != nil {
		return err
	}
	info, err := a.dir.Lstat(maildirname.SubscriptionsFile)
	if err == nil {
		a.saw(info)
	}
	return err
}

// loadSubscriptions reads the file when there was no checkpoint. Otherwise it is compared
// when somebody asks: taking a number has to wait until the log was gone through.
func (a *account) loadSubscriptions() (err error) {
	if a.subscribed != nil {
		return nil
	}
	if a.subscribed, err = a.readSubscriptions(); err != nil {
		return err
	}
	if a.subscribed == nil {
		a.subscribed = make(map[string]struct{})
	}
	a.SubscribedAt = a.ModSeq
	if !a.taking || len(a.subscribed) > 0 {
		return nil
	}
	return withFile(a.dir, takeover.CourierSubscriptions, func(r io.Reader) error {
		s, err := a.meta.encoding.ReadCourierSubscriptions(r)
		for _, name := range s.Names {
			a.subscribed[name] = struct{}{}
		}
		return err
	})
}
