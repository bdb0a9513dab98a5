package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A batch is what is appended before it is noted in the journal: after an interruption so
// much is looked for at the destination.
const (
	batchMessages = 64
	batchBytes    = 8 << 20
)

var errJournal = errors.New("the state cannot be written")

// pass is one try at a mailbox.
type pass struct {
	*run
	box   Mailbox
	rep   *MailboxReport
	again bool // not the first

	to      Mailbox
	fresh   bool // to was made by this run, and is empty
	absent  bool // there is no to, in a dry run
	journal *boxJournal
	entries map[string]entry
	pending map[string]bool
	// unclaimed are the messages of to that nobody knows where they came from, once they
	// were asked for.
	unclaimed *unclaimed
}

func (p *pass) do(ctx context.Context, name string) (err error) {
	if err := p.open(ctx, name); err != nil {
		return err
	}
	if p.journal.info.State == p.box.State && p.box.State != "" && !p.again {
		p.rep.Skipped = "unchanged"
		p.count(len(p.entries))
		p.rep.Present = len(p.entries)
		return nil
	}
	todo, changed, gone, err := p.compare(ctx)
	if err != nil {
		return err
	}
	if err := p.update(ctx, changed); err != nil {
		return err
	}
	if err := p.bring(ctx, todo); err != nil {
		return err
	}
	if err := p.remove(ctx, gone); err != nil {
		return err
	}
	if p.opts.DryRun || p.rep.Failed > 0 || p.rep.Gone > 0 {
		return nil // next time it is looked at again
	}
	return noted(p.journal.finish(p.box.State))
}

func noted(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", errJournal, err)
	}
	return nil
}

// open finds or makes the mailbox of the destination, and reads what is known.
func (p *pass) open(ctx context.Context, name string) error {
	to, ok := p.there[name]
	if !ok {
		if p.absent = p.opts.DryRun; !p.absent {
			var err error
			if to, err = p.dst.Create(ctx, name, p.box.Use); err != nil {
				return err
			}
			p.there[name], p.fresh = to, true
		}
	}
	p.to = to
	var err error
	if p.journal, err = p.run.journal.box(p.box.Name, p.box.ID, to.ID, !p.opts.DryRun); err != nil {
		return noted(err)
	}
	if p.entries, err = p.journal.entries(); err != nil {
		return noted(err)
	}
	p.pending, err = p.journal.pending()
	return noted(err)
}

// compare finds what the journal does not know, whose flags are not those it knows, and what is
// gone.
func (p *pass) compare(ctx context.Context) (todo []Message, changed map[mailaccess.FlagChange][]string, gone []string, err error) {
	changed = make(map[mailaccess.FlagChange][]string)
	present, seen := 0, make(map[string]bool, len(p.entries))
	for m, err := range p.src.Messages(ctx, p.box) {
		if err != nil {
			return nil, nil, nil, fmt.Errorf("list the messages: %w", err)
		}
		e, ok := p.entries[m.Key]
		if !ok {
			if !p.given[p.id(m.Key)] {
				todo = append(todo, m)
			}
			continue
		}
		present++
		seen[m.Key] = true
		if c, ok := changeOf(m, e); ok {
			changed[c] = append(changed[c], m.Key)
		}
	}
	for key := range p.entries {
		if !seen[key] {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	// What was moved by an earlier pass is not among those that were there before.
	if !p.again {
		p.rep.Present = present
		p.count(present)
		// The total was an estimate.
		if all := present + len(todo); p.box.Messages != all {
			p.now.MessagesTotal += all - max(0, p.box.Messages)
		}
	}
	return todo, changed, gone, nil
}

// changeOf is what changed at the source since an entry was written, if anything did.
func changeOf(m Message, e entry) (mailaccess.FlagChange, bool) {
	was := e.flags()
	c := mailaccess.FlagChange{Add: m.Flags.Minus(was), Remove: was.Minus(m.Flags)}
	return c, c != mailaccess.FlagChange{}
}

// id names a message in the run.
func (p *pass) id(key string) string { return p.box.Name + "\x00" + key }

func (p *pass) count(messages int) {
	p.now.Messages += messages
	p.tell("")
}

// update brings flags in line that changed at the source.
func (p *pass) update(ctx context.Context, changed map[mailaccess.FlagChange][]string) error {
	for c, keys := range changed {
		if p.opts.DryRun {
			p.rep.Updated += len(keys)
			continue
		}
		for keys := range slices.Chunk(keys, 500) {
			if err := p.name(ctx, keys); err != nil {
				return err
			}
			now := make(map[string]entry, len(keys))
			var dest []string
			for _, key := range keys {
				e := p.entries[key]
				if e.Dest == "" {
					continue // it is no more there
				}
				e.setFlags(c.Apply(e.flags()))
				now[key] = e
				dest = append(dest, e.Dest)
			}
			if len(dest) == 0 {
				continue
			}
			if err := p.dst.SetFlags(ctx, p.to, dest, c); err != nil {
				if passes(ctx, err) || ends(ctx, err) {
					return err
				}
				for _, key := range keys {
					p.fail(key, fmt.Errorf("change the flags: %w", err))
				}
				continue
			}
			if err := noted(p.journal.put(now)); err != nil {
				return err
			}
			maps.Copy(p.entries, now)
			p.rep.Updated += len(now)
		}
	}
	return nil
}

// remove removes from the destination what is gone at the source, if that is asked for.
func (p *pass) remove(ctx context.Context, gone []string) error {
	if !p.opts.Delete {
		p.rep.Gone = len(gone)
		return nil
	}
	if p.opts.DryRun {
		p.rep.Removed = len(gone)
		return nil
	}
	for keys := range slices.Chunk(gone, 500) {
		if err := p.name(ctx, keys); err != nil {
			return err
		}
		var dest []string
		for _, key := range keys {
			if d := p.entries[key].Dest; d != "" {
				dest = append(dest, d)
			}
		}
		if len(dest) > 0 {
			if err := p.dst.Remove(ctx, p.to, dest); err != nil {
				if passes(ctx, err) || ends(ctx, err) {
					return err
				}
				for _, key := range keys {
					p.fail(key, fmt.Errorf("remove it: %w", err))
				}
				continue
			}
		}
		if err := noted(p.journal.forget(keys)); err != nil {
			return err
		}
		p.rep.Removed += len(keys)
	}
	return nil
}

// fail notes that something went wrong with a message.
func (p *pass) fail(key string, err error) {
	p.rep.Failed++
	p.given[p.id(key)] = true
	if len(p.report.Failures) < maxFailures {
		p.report.Failures = append(p.report.Failures, Failure{Mailbox: p.box.Name, Key: key, Reason: err.Error()})
	}
}

// bring carries messages that the journal does not know.
func (p *pass) bring(ctx context.Context, todo []Message) error {
	todo, err := p.match(ctx, todo)
	if err != nil {
		return err
	}
	if p.opts.DryRun {
		for _, m := range todo {
			p.rep.Moved++
			p.rep.Bytes += max(0, m.Size)
		}
		p.count(len(todo))
		return nil
	}
	most := p.most()
	for len(todo) > 0 {
		n, bytes := 0, int64(0)
		for n < len(todo) && n < most && (n == 0 || bytes+todo[n].Size <= batchBytes) {
			bytes += max(0, todo[n].Size)
			n++
		}
		if err := p.batch(ctx, todo[:n]); err != nil {
			return err
		}
		todo = todo[n:]
	}
	return nil
}

// most is how many messages are carried at once. After something went wrong it is to be seen
// at which.
func (p *pass) most() int {
	if p.again {
		return 1
	}
	return batchMessages
}

// blameFor notes that a connection was lost at a message, which is left out in the end.
func (p *pass) blameFor(m Message, err error) {
	id := p.id(m.Key)
	if p.blame[id]++; p.blame[id] >= maxBlame {
		p.fail(m.Key, err)
	}
}

// batch carries some messages and notes them.
func (p *pass) batch(ctx context.Context, msgs []Message) error {
	if err := noted(p.journal.expect(msgs)); err != nil {
		return err
	}
	var on []Message // those that were appended
	var bodies []*measured
	asked := make([]bool, len(msgs))
	at := 0 // the message that is being carried
	err := func() error {
		for b, err := range p.src.Read(ctx, p.box, msgs) {
			if err != nil {
				return err
			}
			at = b.N
			asked[b.N] = true
			if b.Err != nil {
				p.fail(msgs[b.N].Key, b.Err)
				continue
			}
			body := &measured{r: b.Reader, sum: sha256.New()}
			b.Reader = body
			m := msgs[b.N]
			m.Size = b.Size
			if err := p.dst.Append(ctx, p.to, m, b); err != nil {
				if body.err != nil && !passes(ctx, body.err) {
					p.fail(m.Key, fmt.Errorf("read it: %w", body.err))
					continue
				}
				if passes(ctx, err) || ends(ctx, err) {
					return err
				}
				p.fail(m.Key, err)
				continue
			}
			on, bodies = append(on, m), append(bodies, body)
			at = min(b.N+1, len(msgs)-1)
		}
		return nil
	}()
	// What arrived is noted, whatever came after it.
	if flushed := p.settle(context.WithoutCancel(ctx), on, bodies); flushed != nil && err == nil {
		err = flushed
	}
	if err != nil {
		if passes(ctx, err) && (p.again || len(msgs) == 1) {
			p.blameFor(msgs[at], err)
		}
		return err
	}
	var over []string
	for i, m := range msgs {
		if !asked[i] {
			p.fail(m.Key, errors.New("the source does not give it"))
		}
		if p.given[p.id(m.Key)] {
			over = append(over, m.Key)
		}
	}
	p.count(len(msgs))
	if len(over) == 0 {
		return nil
	}
	return noted(p.journal.forget(over))
}

// settle flushes what was appended and notes it.
func (p *pass) settle(ctx context.Context, on []Message, bodies []*measured) error {
	if len(on) == 0 {
		return nil
	}
	became, err := p.dst.Flush(ctx, p.to)
	if err == nil && len(became) != len(on) {
		err = fmt.Errorf("%d messages were appended, and %d came of it", len(on), len(became))
	}
	if err != nil {
		return err
	}
	entries := make(map[string]entry)
	var failed error
	for i, m := range on {
		switch err := became[i].Err; {
		case err == nil:
		case passes(ctx, err) || ends(ctx, err):
			failed = err
			continue
		default:
			p.fail(m.Key, err)
			continue
		}
		e := entry{Dest: became[i].Key}
		if e.Dest == "" {
			e.Sum, e.Received, e.Size = bodies[i].sum.Sum(nil), unix(m.Received), bodies[i].n
		}
		e.setFlags(m.Flags)
		entries[m.Key] = e
		p.rep.Bytes += bodies[i].n
		p.now.Bytes += bodies[i].n
	}
	if err := noted(p.journal.put(entries)); err != nil {
		return err
	}
	maps.Copy(p.entries, entries)
	p.rep.Moved += len(entries)
	return failed
}

// measured reads a body and keeps what can be known of it.
type measured struct {
	r   io.Reader
	sum hash.Hash
	n   int64
	err error
}

func (m *measured) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.sum.Write(b[:n])
	m.n += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // a reader's end is that value
		m.err = err
	}
	return n, err
}
