package transfer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// unclaimed are messages of a destination of which nobody knows where they came from: those
// that a run carried and could not note, or that were there before. They are known by their
// content; what is compared first is size and date.
type unclaimed struct {
	byDate map[int64][]int
	bySize map[int64][]int
	msgs   []Message
	taken  []bool
	sums   map[string][]byte // by key, as far as they were needed
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// look lists them, once.
func (p *pass) look(ctx context.Context) error {
	if p.unclaimed != nil {
		return nil
	}
	u := &unclaimed{byDate: make(map[int64][]int), bySize: make(map[int64][]int), sums: make(map[string][]byte)}
	if !p.absent && (!p.fresh || p.again) {
		claimed := make(map[string]bool, len(p.entries))
		for _, e := range p.entries {
			claimed[e.Dest] = true
		}
		for m, err := range p.dst.Messages(ctx, p.to) {
			if err != nil {
				return fmt.Errorf("list the messages of the destination: %w", err)
			}
			if claimed[m.Key] {
				continue
			}
			u.byDate[unix(m.Received)] = append(u.byDate[unix(m.Received)], len(u.msgs))
			u.bySize[m.Size] = append(u.bySize[m.Size], len(u.msgs))
			u.msgs = append(u.msgs, m)
		}
		u.taken = make([]bool, len(u.msgs))
	}
	p.unclaimed = u
	return p.claim(ctx)
}

// candidates are those that may be a message of some size and date; anyDate: whatever date.
func (u *unclaimed) candidates(size, date int64, anyDate bool) []int {
	fits := func(i int) bool {
		return !u.taken[i] && (u.msgs[i].Size == size || u.msgs[i].Size < 0 || size < 0)
	}
	var found []int
	for _, i := range u.byDate[date] {
		if fits(i) {
			found = append(found, i)
		}
	}
	if !anyDate {
		return found
	}
	if size < 0 {
		for i := range u.msgs {
			if fits(i) && unix(u.msgs[i].Received) != date {
				found = append(found, i)
			}
		}
		return found
	}
	for _, s := range []int64{size, -1} {
		for _, i := range u.bySize[s] {
			if fits(i) && unix(u.msgs[i].Received) != date {
				found = append(found, i)
			}
		}
	}
	return found
}

// take finds the one with a content, and takes it.
func (u *unclaimed) take(found []int, sum []byte) (Message, bool) {
	for _, i := range found {
		if have, ok := u.sums[u.msgs[i].Key]; ok && !u.taken[i] && string(have) == string(sum) {
			u.taken[i] = true
			return u.msgs[i], true
		}
	}
	return Message{}, false
}

// read reads the contents of those that are not known yet.
func (p *pass) read(ctx context.Context, found []int) error {
	u := p.unclaimed
	var msgs []Message
	for _, i := range found {
		if _, ok := u.sums[u.msgs[i].Key]; !ok {
			msgs = append(msgs, u.msgs[i])
			u.sums[u.msgs[i].Key] = nil
		}
	}
	return sums(ctx, p.dst, p.to, msgs, p.most(), func(m Message, sum []byte) { u.sums[m.Key] = sum }, func(Message, error) {})
}

// sums reads messages and tells the sums of their contents. What cannot be read has none. When
// that ends with an error that may pass, blame is told at which message.
func sums(ctx context.Context, from Source, box Mailbox, msgs []Message, some int, tell func(Message, []byte), blame func(Message, error)) error {
	for msgs := range slices.Chunk(msgs, some) {
		at := 0
		err := func() error {
			for b, err := range from.Read(ctx, box, msgs) {
				if err != nil {
					return err
				}
				at = b.N
				if b.Err != nil {
					continue
				}
				h := sha256.New()
				if _, err := io.Copy(h, b.Reader); err != nil {
					if passes(ctx, err) || ends(ctx, err) {
						return err
					}
					continue
				}
				tell(msgs[b.N], h.Sum(nil))
				at = min(b.N+1, len(msgs)-1)
			}
			return nil
		}()
		if err != nil {
			if passes(ctx, err) {
				blame(msgs[at], err)
			}
			return err
		}
	}
	return nil
}

// claim finds the keys of messages that the destination did not tell when they were
// appended.
func (p *pass) claim(ctx context.Context) error {
	u := p.unclaimed
	found := make(map[string]entry)
	for key, e := range p.entries {
		if e.Dest != "" {
			continue
		}
		may := u.candidates(e.Size, e.Received, true)
		if err := p.read(ctx, may); err != nil {
			return err
		}
		if m, ok := u.take(may, e.Sum); ok {
			e.Dest, e.Sum, e.Received, e.Size = m.Key, nil, 0, 0
			found[key] = e
		}
	}
	if len(found) == 0 {
		return nil
	}
	for key, e := range found {
		p.entries[key] = e
	}
	if p.opts.DryRun {
		return nil
	}
	return noted(p.journal.put(found))
}

// name makes sure that the keys at the destination of some entries are known, where it can
// be known.
func (p *pass) name(ctx context.Context, keys []string) error {
	if slices.ContainsFunc(keys, func(key string) bool { return p.entries[key].Dest == "" }) {
		return p.look(ctx)
	}
	return nil
}

// match finds those of todo that are at the destination already, notes them, and returns the
// rest.
func (p *pass) match(ctx context.Context, todo []Message) (rest []Message, err error) {
	if len(todo) == 0 {
		return nil, nil
	}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	u := p.unclaimed
	may := make(map[string][]int)
	var ask []Message
	for _, m := range todo {
		anyDate := p.pending[m.Key] || m.Received.IsZero()
		if found := u.candidates(m.Size, unix(m.Received), anyDate); len(found) > 0 {
			may[m.Key] = found
			ask = append(ask, m)
			if err := p.read(ctx, found); err != nil {
				return nil, err
			}
		}
	}
	entries := make(map[string]entry)
	err = sums(ctx, p.src, p.box, ask, p.most(), func(m Message, sum []byte) {
		there, ok := u.take(may[m.Key], sum)
		if !ok {
			return
		}
		e := entry{Dest: there.Key}
		// What a run carried has the flags that the source had then; what was there before
		// keeps its own.
		e.setFlags(m.Flags)
		if p.pending[m.Key] {
			e.setFlags(there.Flags)
		}
		entries[m.Key] = e
	}, p.blameFor)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 && !p.opts.DryRun {
		if err := noted(p.journal.put(entries)); err != nil {
			return nil, err
		}
	}
	late := make(map[string]Message)
	for _, m := range todo {
		e, ok := entries[m.Key]
		if !ok {
			rest = append(rest, m)
			continue
		}
		p.entries[m.Key] = e
		late[m.Key] = m
		p.rep.Present++
	}
	p.count(len(entries))
	return rest, p.catchUp(ctx, late)
}

// catchUp brings the flags in line of messages that were just found.
func (p *pass) catchUp(ctx context.Context, late map[string]Message) error {
	changed := make(map[mailaccess.FlagChange][]string)
	for key, m := range late {
		if c, ok := changeOf(m, p.entries[key]); ok {
			changed[c] = append(changed[c], key)
		}
	}
	before := p.rep.Updated
	err := p.update(ctx, changed)
	p.rep.Updated = before // they are new in any case
	return err
}
