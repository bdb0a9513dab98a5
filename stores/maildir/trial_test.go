package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// trial is a store on a disk in memory, driven step by step, with the oracle beside it.
// Nothing happens in the background: the upkeep is a step too.
type trial struct {
	t    testing.TB
	disk *memfs.FS
	opts Options
	past *time.Duration // how much the clock has gone on

	store   *Store
	handles map[string]mailaccess.Account
	uploads map[string]mailaccess.Staged

	model oracle          // what was acknowledged
	after oracle          // what the step that is being done leads to
	stale map[string]bool // mailboxes that other programs changed since they were looked at

	announced map[string]string            // what a UID was shown with
	high      map[string]mailaccess.ModSeq // highest numbers that were shown
	epochs    map[string]string            // of accounts
	external  atomic.Bool                  // another program is at work: no faults for it
}

func newTrial(t testing.TB, opts Options) *trial {
	r := &trial{t: t, opts: opts, past: new(time.Duration), model: make(oracle), stale: make(map[string]bool),
		announced: make(map[string]string), high: make(map[string]mailaccess.ModSeq), epochs: make(map[string]string)}
	r.disk = memfs.New(&memfs.Options{Now: r.now})
	return r
}

var trialBegan = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// now goes on a little with each look at it, as clocks do.
func (r *trial) now() time.Time {
	*r.past += time.Microsecond
	return trialBegan.Add(*r.past)
}

func (r *trial) open() error {
	p, err := parsePattern("mail")
	if err != nil {
		return err
	}
	root := r.disk.Root()
	s, err := openQuiet(root, p, &r.opts, r.now)
	if err != nil {
		root.Close()
		return err
	}
	r.store, r.handles, r.uploads = s, make(map[string]mailaccess.Account), make(map[string]mailaccess.Staged)
	return nil
}

// close closes the store, which is gone afterwards whatever is returned.
func (r *trial) close() error {
	s := r.store
	r.store, r.handles, r.uploads = nil, nil, nil
	if s == nil {
		return nil
	}
	return s.Close()
}

// account returns an account, which stays open.
func (r *trial) account(name string) (mailaccess.Account, error) {
	if h := r.handles[name]; h != nil {
		return h, nil
	}
	h, err := r.store.Open(context.Background(), name, mailaccess.Identity{User: name, Account: name})
	if err == nil {
		r.handles[name] = h
	}
	return h, err
}

// box returns an account and one of its mailboxes.
func (r *trial) box(account, box string) (mailaccess.Account, mailaccess.MailboxID, error) {
	h, err := r.account(account)
	if err != nil {
		return nil, "", err
	}
	m, err := h.Lookup(context.Background(), box)
	return h, m.ID, err
}

// uids returns those of messages that were acknowledged.
func (r *trial) uids(account, box string, texts ...string) mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	for _, text := range texts {
		a := r.model[account]
		b.AddUID(a.boxes[box][a.index(box, text)].uid)
	}
	return b.Set()
}

// do does a step, and enters it into the model when it succeeds.
func (r *trial) do(s *step) error {
	r.after = r.model.clone()
	if s.effect != nil {
		s.effect(r.after)
	}
	if err := s.do(r); err != nil {
		return err
	}
	r.model = r.after
	return r.compare()
}

// compare holds what is in memory against the model, which learns UIDs from it.
func (r *trial) compare() error {
	if r.store == nil {
		return nil
	}
	for _, a := range r.store.loadedAccounts() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if r.model[a.key] == nil {
			continue // it was being made
		}
		if err := r.rises(a.key+" state", a.ModSeq); err != nil {
			return err
		}
		r.epochs[a.key] = a.Epoch
		for _, b := range a.boxes {
			if r.stale[a.key+"/"+b.Name] {
				continue
			}
			if err := r.rises(a.key+" "+string(b.ID), b.ix.ModSeq()); err != nil {
				return err
			}
			want := r.model[a.key].boxes[b.Name]
			if len(want) != b.ix.UIDs().Len() {
				return fmt.Errorf("%s %s has UIDs %v for %v", a.key, b.Name, b.ix.UIDs(), want)
			}
			i := 0
			for uid := range b.ix.UIDs().All() {
				if err := r.announce(a.key, &b.Mailbox, uid, want[i].text); err != nil {
					return err
				}
				want[i].uid = uid
				i++
			}
		}
	}
	return nil
}

func (r *trial) rises(what string, n mailaccess.ModSeq) error {
	if n < r.high[what] {
		return fmt.Errorf("%s went back from %d to %d", what, r.high[what], n)
	}
	r.high[what] = n
	return nil
}

// announce notes that a UID was shown with a content: it stays with that.
func (r *trial) announce(account string, m *mailaccess.Mailbox, uid mailaccess.UID, text string) error {
	key := fmt.Sprintf("%s/%s/%d/%d", account, m.ID, m.UIDValidity, uid)
	if was, ok := r.announced[key]; ok && was != text {
		return fmt.Errorf("UID %d of %s %s was %s and is %s", uid, account, m.Name, was, text)
	}
	r.announced[key] = text
	return nil
}

// observe reads everything there is, as a client does.
func (r *trial) observe() (oracle, error) {
	ctx := context.Background()
	have := make(oracle)
	for name := range r.model {
		h, err := r.account(name)
		if err != nil {
			return nil, err
		}
		got := &oracleAccount{boxes: make(map[string][]oracleMessage), subs: make(map[string]bool)}
		have[name] = got
		for m, err := range h.Mailboxes(ctx) {
			if err != nil {
				return nil, err
			}
			if got.boxes[m.Name], err = r.observeBox(h, name, &m); err != nil {
				return nil, fmt.Errorf("%s %s: %w", name, m.Name, err)
			}
		}
		for sub, err := range h.Capabilities().Subscriptions.Subscriptions(ctx) {
			if err != nil {
				return nil, err
			}
			got.subs[sub] = true
		}
		state, err := h.State(ctx)
		if err != nil {
			return nil, err
		}
		if err := r.rises(name+" state", state.ModSeq); err != nil {
			return nil, err
		}
	}
	return have, nil
}

func (r *trial) observeBox(h mailaccess.Account, account string, m *mailaccess.Mailbox) (messages []oracleMessage, err error) {
	ctx := context.Background()
	s, err := h.Snapshot(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	if err := r.rises(account+" "+string(m.ID), s.ModSeq); err != nil {
		return nil, err
	}
	unseen := 0
	for msg, err := range h.Messages(ctx, m.ID, s.UIDs) {
		if err != nil {
			return nil, err
		}
		text, size, err := readAllOf(h, msg.EmailID)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", msg.UID, err)
		}
		if msg.Size != mailaccess.SizeUnknown && msg.Size != size {
			return nil, fmt.Errorf("message %d has %d octets, not %d", msg.UID, size, msg.Size)
		}
		if msg.ModSeq > s.ModSeq || msg.UID >= s.UIDNext {
			return nil, fmt.Errorf("message %d, number %d is above what the mailbox says: %d, %d", msg.UID, msg.ModSeq, s.UIDNext, s.ModSeq)
		}
		if err := r.announce(account, m, msg.UID, text); err != nil {
			return nil, err
		}
		if !msg.Flags.System.Has(mailaccess.FlagSeen) {
			unseen++
		}
		messages = append(messages, oracleMessage{msg.UID, text, msg.Flags})
	}
	if len(messages) != s.Messages || unseen != s.Unseen || s.UIDs.Len() != s.Messages {
		return nil, fmt.Errorf("%d messages, %d unseen; it says %d, %d", len(messages), unseen, s.Messages, s.Unseen)
	}
	return messages, nil
}

func readAllOf(h mailaccess.Account, id mailaccess.EmailID) (text string, size int64, err error) {
	c, err := h.Content(context.Background(), id)
	if err != nil {
		return "", 0, err
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return textOf(string(b)), c.Size(), err
}

// verify opens the store and looks whether one of want is what it has, to the last file.
func (r *trial) verify(want ...oracle) error {
	if r.store == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	have, err := r.observe()
	if err != nil {
		return err
	}
	var all []string
	for _, w := range want {
		d := w.differs(have)
		if d == "" {
			r.model = w.clone()
			clear(r.stale)
			return errors.Join(r.compare(), r.audit(), r.check())
		}
		all = append(all, d)
	}
	return errors.New(strings.Join(all, "or\n"))
}

// audit compares the index of each mailbox with the files in its directories, both ways.
func (r *trial) audit() error {
	var errs []error
	for _, a := range r.store.loadedAccounts() {
		if r.model[a.key] == nil {
			continue
		}
		a.mu.Lock()
		if n := len(a.pending); n > 0 {
			errs = append(errs, fmt.Errorf("%s: %d pieces of work on files are left: %+v", a.key, n, a.pending[0]))
		}
		for _, b := range a.boxes {
			if err := r.auditBox(a, b); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", a.key, b.Name, err))
			}
		}
		a.mu.Unlock()
	}
	return errors.Join(errs...)
}

// check: the store finds nothing wrong with itself.
func (r *trial) check() error {
	var errs []error
	err := r.store.Check(context.Background(), nil, false, func(f Finding) { errs = append(errs, errors.New(f.String())) })
	return errors.Join(append(errs, err)...)
}

func (r *trial) auditBox(a *account, b *mailbox) error {
	if err := errors.Join(b.ix.Load(), a.openDirsLocked(b)); err != nil {
		return err
	}
	files := make(map[string]string) // by place and name
	for at, dir := range map[index.Place]fsys.Dir{index.PlaceNew: b.new, index.PlaceCur: b.cur} {
		for e, err := range dir.Names(0) {
			if err != nil {
				return err
			}
			text, err := readAll(dir, e.Name)
			if err != nil {
				return err
			}
			// Other programs leave out CR.
			canonical := strings.ReplaceAll(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n", "\r\n")
			files[fmt.Sprint(at, e.Name)] = textOf(canonical)
		}
	}
	i := 0
	for uid := range b.ix.UIDs().All() {
		name, err := b.ix.FileName(uid)
		if err != nil {
			return err
		}
		key := fmt.Sprint(name.Place, name.Base+name.Suffix)
		text, ok := files[key]
		if want := r.model[a.key].boxes[b.Name][i].text; !ok || text != want {
			return fmt.Errorf("message %d, %s, should be in %+v: %q", uid, want, name, text)
		}
		delete(files, key)
		i++
	}
	for key, text := range files {
		return fmt.Errorf("file %s, %s, belongs to no message", key, text)
	}
	return nil
}

// outside does what another program does in a mailbox: faults do not meet it.
func (r *trial) outside(account, box string, do func(b *mailbox, dir, fresh, cur fsys.Dir) error) error {
	r.external.Store(true)
	defer r.external.Store(false)
	a := r.store.accounts[account]
	a.mu.Lock()
	b := a.names[box]
	a.mu.Unlock()
	dir, err := r.disk.Root().Sub(account)
	if err == nil && b.dirName != "" {
		dir, err = dir.Sub(b.dirName)
	}
	if err != nil {
		return err
	}
	fresh, err := dir.Sub("new")
	if err != nil {
		return err
	}
	cur, err := dir.Sub("cur")
	if err != nil {
		return err
	}
	r.stale[account+"/"+box] = true
	return do(b, dir, fresh, cur)
}

// fork returns a trial that goes on from here with another disk, whose store is not open.
func (r *trial) fork(disk *memfs.FS) *trial {
	past := *r.past
	return &trial{t: r.t, opts: r.opts, past: &past, disk: disk, model: r.model.clone(), after: r.after.clone(),
		stale: maps.Clone(r.stale), announced: maps.Clone(r.announced), high: maps.Clone(r.high), epochs: maps.Clone(r.epochs)}
}

// crash takes the disk away from the store and puts in its place what is found after it.
func (r *trial) crash(rng *rand.Rand, mode memfs.Mode) {
	r.disk = r.disk.Crash(rng, mode)
	r.store, r.handles, r.uploads = nil, nil, nil
}
