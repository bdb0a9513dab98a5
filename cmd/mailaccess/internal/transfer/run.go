package transfer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

const (
	// defaultRetries is how many times in a row something is tried again that brings nothing.
	defaultRetries = 8
	// maxPause is the longest wait between.
	maxPause = time.Minute
	// maxBlame is how many times a message may be what is being carried when it goes wrong.
	maxBlame = 3
)

// interrupted is why nothing more was done.
const interrupted = "interrupted"

// Options say what [Run] does.
type Options struct {
	Selection Selection
	// DryRun: nothing is written, neither at the destination nor in the journal.
	DryRun bool
	// Delete: messages that were carried and are no more at the source are removed from the
	// destination.
	Delete bool
	// Retries is how many times in a row a mailbox is begun anew after an error that may
	// pass, while no message gets through; 0: 8, negative: none.
	Retries int
	// Progress is called whenever there is some; nil: never.
	Progress func(Progress)
	// Wait waits between tries; nil: it does so.
	Wait func(ctx context.Context, d time.Duration) error
}

// run is a call of Run.
type run struct {
	src     Source
	dst     Destination
	journal *Journal
	opts    Options
	report  *Report
	now     Progress

	there map[string]Mailbox // of the destination, by name
	taken map[string]string  // names at the destination, and the mailbox that each is for
	blame map[string]int     // of messages, by mailbox and key
	lost  int                // mailboxes in a row that were given up for want of a connection
	// given are the messages that are not tried again.
	given map[string]bool
}

// Run carries what src has and dst lacks, and returns the account of it. It goes on whatever
// happens to single messages and mailboxes, and ends early when ctx does, when it is not let
// in, or when the destination is full.
func Run(ctx context.Context, src Source, dst Destination, journal *Journal, opts *Options) *Report {
	r := &run{
		src: src, dst: dst, journal: journal,
		report: &Report{Mailboxes: []MailboxReport{}, Failures: []Failure{}, Unreadable: []string{}, Notes: []string{}},
		there:  make(map[string]Mailbox), taken: make(map[string]string), blame: make(map[string]int), given: make(map[string]bool),
	}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Retries == 0 {
		r.opts.Retries = defaultRetries
	}
	if r.opts.Wait == nil {
		r.opts.Wait = wait
	}
	r.report.DryRun = r.opts.DryRun
	begun := time.Now()
	err := r.all(ctx)
	switch {
	case ctx.Err() != nil:
		r.report.Error = interrupted
	case err != nil:
		r.report.Error = err.Error()
	}
	if p, ok := src.(interface{ Unreadable() []string }); ok {
		r.report.Unreadable = append(r.report.Unreadable, p.Unreadable()...)
	}
	for _, place := range []Source{src, dst} {
		if p, ok := place.(interface{ Notes() []string }); ok {
			r.report.Notes = append(r.report.Notes, p.Notes()...)
		}
	}
	r.report.Elapsed = time.Since(begun)
	return r.report
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (r *run) all(ctx context.Context) error {
	// What does not work at the beginning is told at once: a name may be mistyped.
	boxes, err := r.src.Mailboxes(ctx)
	if err != nil {
		return fmt.Errorf("list the mailboxes of the source: %w", err)
	}
	there, err := r.dst.Mailboxes(ctx)
	if err != nil {
		return fmt.Errorf("list the mailboxes of the destination: %w", err)
	}
	for _, b := range there {
		r.there[b.Name] = b
	}
	for _, asked := range r.opts.Selection.idle(boxes) {
		r.note("no mailbox is called like %s", asked)
	}
	boxes = r.choose(boxes)
	r.now.MailboxesTotal = len(boxes)
	for _, b := range boxes {
		r.now.MessagesTotal += max(0, b.Messages)
	}
	for _, b := range boxes {
		if err := r.mailbox(ctx, b); err != nil {
			return err
		}
	}
	if err := r.subscribe(ctx); err != nil {
		return err
	}
	if r.opts.DryRun {
		return nil
	}
	return r.dst.Finish(ctx)
}

// choose leaves out what was not asked for.
func (r *run) choose(boxes []Mailbox) []Mailbox {
	chosen := boxes[:0:0]
	for _, b := range boxes {
		if r.opts.Selection.Has(b.Name) {
			chosen = append(chosen, b)
		}
	}
	return chosen
}

// again calls f until it does not fail with something that may pass, or has failed too often.
func (r *run) again(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil || !passes(ctx, err) || n > r.opts.Retries {
			return err
		}
		if err := r.pause(ctx, n, err); err != nil {
			return err
		}
	}
}

// pause waits before the n-th new try.
func (r *run) pause(ctx context.Context, n int, cause error) error {
	d := min(maxPause, time.Second<<min(n-1, 10))
	r.tell(fmt.Sprintf("%v; trying again in %v", cause, d))
	return r.opts.Wait(ctx, d)
}

// passes reports whether an error may be another time.
func passes(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	k := mailaccess.KindOf(err)
	return k == mailaccess.KindUnavailable || k == mailaccess.KindUncertain
}

// ends reports whether there is no use in going on after err.
func ends(ctx context.Context, err error) bool {
	var unverified *tls.CertificateVerificationError
	if ctx.Err() != nil || errors.Is(err, ErrOver) || errors.As(err, &unverified) {
		return true
	}
	switch mailaccess.KindOf(err) {
	case mailaccess.KindAuthFailed, mailaccess.KindAuthExpired, mailaccess.KindOverQuota:
		return true
	}
	return false
}

// mailbox carries a mailbox. It fails when the run is over.
func (r *run) mailbox(ctx context.Context, box Mailbox) error {
	r.now.Mailbox = box.Name
	r.now.Mailboxes++
	r.tell("")
	rep := MailboxReport{Name: box.Name}
	seen := r.now.Messages
	err := r.carry(ctx, box, &rep)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		rep.Error = interrupted // whatever that did to what was under way
	default:
		rep.Error = err.Error()
	}
	r.report.Total.add(rep.Counts)
	r.report.Mailboxes = append(r.report.Mailboxes, rep)
	// Whatever there was, this mailbox is over.
	r.now.Messages = max(r.now.Messages, min(seen+max(0, box.Messages), r.now.MessagesTotal))
	// One mailbox may be what a server cannot bear; a second one after it says that there is
	// nobody to talk to.
	if err != nil && passes(ctx, err) {
		r.lost++
	} else {
		r.lost = 0
	}
	if err != nil && (ends(ctx, err) || errors.Is(err, errJournal) || r.lost > 1) {
		return fmt.Errorf("%s: %w", box.Name, err)
	}
	return nil
}

// carry begins a mailbox anew as long as there is hope.
func (r *run) carry(ctx context.Context, box Mailbox, rep *MailboxReport) error {
	to := r.dst.Name(r.opts.Selection.Target(box.Name))
	rep.To = to
	if other, ok := r.taken[to]; ok {
		return fmt.Errorf("it would be called %q, as %q is: rename one of them", to, other)
	}
	r.taken[to] = box.Name
	for n := 1; ; n++ {
		p := &pass{run: r, box: box, rep: rep, again: n > 1}
		before := rep.Moved + rep.Failed
		err := p.do(ctx, to)
		if err == nil || !passes(ctx, err) {
			return err
		}
		if rep.Moved+rep.Failed > before {
			n = 1
		}
		if n > r.opts.Retries {
			return err
		}
		if err := r.pause(ctx, n, err); err != nil {
			return err
		}
	}
}

// subscribe carries subscriptions. Names without a mailbox are carried too.
func (r *run) subscribe(ctx context.Context) error {
	var from, have []string
	err := r.again(ctx, func() (err error) { from, err = r.src.Subscriptions(ctx); return err })
	if err == nil && len(from) > 0 {
		err = r.again(ctx, func() (err error) { have, err = r.dst.Subscriptions(ctx); return err })
	}
	if err != nil {
		return r.unsubscribed(ctx, err)
	}
	is := make(map[string]bool)
	for _, name := range have {
		is[name] = true
	}
	for _, name := range from {
		if !r.opts.Selection.Has(name) {
			continue
		}
		to := r.dst.Name(r.opts.Selection.Target(name))
		if is[to] {
			continue
		}
		is[to] = true
		if !r.opts.DryRun {
			if err := r.again(ctx, func() error { return r.dst.Subscribe(ctx, to) }); err != nil {
				if err := r.unsubscribed(ctx, fmt.Errorf("%s: %w", name, err)); err != nil {
					return err
				}
				continue
			}
		}
		r.report.Subscribed++
	}
	return nil
}

// unsubscribed notes why subscriptions were not carried, unless the run is over.
func (r *run) unsubscribed(ctx context.Context, err error) error {
	if ends(ctx, err) || passes(ctx, err) {
		return err
	}
	r.note("subscriptions: %v", err)
	return nil
}

func (r *run) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

func (r *run) tell(note string) {
	if r.opts.Progress != nil {
		now := r.now
		now.Note = note
		r.opts.Progress(now)
	}
}
