package engine

import (
	"context"
	"errors"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// Progress is told now and then how many messages work has done with, of how many that
// will be at most. Its error ends the work; nil is told nothing.
type Progress func(done, total int) error

func (p Progress) tell(done, total int) error {
	if p == nil {
		return nil
	}
	return p(done, total)
}

// SearchOptions say how much of a search is needed. The zero value is all of it.
type SearchOptions struct {
	// Limit, when above 0, lets the search end once it knows the Limit lowest
	// messages that match, or with FromEnd the highest. Those found are right;
	// beyond the Limit some may be missing.
	Limit   int
	FromEnd bool
	// Progress is told how many messages were looked at.
	Progress Progress
	// Room is asked when messages are opened.
	Room Room
}

// Search returns the messages of the view that match e. A store that searches
// better narrows down which messages are looked at; what it may have missed since,
// or found too much, is evaluated here.
func (v *View) Search(ctx context.Context, e mailaccess.Expr, o SearchOptions) (mailaccess.UIDSet, error) {
	m, err := query.Compile(e, nil)
	if err != nil {
		return mailaccess.UIDSet{}, err
	}
	look, sure, err := v.candidates(ctx, e)
	if err != nil {
		return mailaccess.UIDSet{}, err
	}
	look = query.Among(e, look)
	s := search{v: v, m: m, o: o, sure: sure, total: look.Len(), batch: searchBatch}
	if o.Limit > 0 {
		s.batch = 1 // the first may be enough
	}
	for uids := range s.parts(look) {
		if err := s.look(ctx, v.s.acct.Messages(ctx, v.at.ID, uids)); err != nil {
			return mailaccess.UIDSet{}, err
		}
	}
	return s.found.Set().Union(sure), nil
}

// candidates asks the store's search, if it has one. look are the messages that
// must be looked at, sure those that are known to match.
func (v *View) candidates(ctx context.Context, e mailaccess.Expr) (look, sure mailaccess.UIDSet, err error) {
	if v.s.caps.Search == nil {
		return v.uids, sure, nil
	}
	found, err := v.s.caps.Search.Search(ctx, v.at.ID, e)
	switch {
	case errors.Is(err, mailaccess.ErrSkip):
		return v.uids, sure, nil
	case err != nil:
		return look, sure, err
	}
	may := found.UIDs.Intersect(v.uids)
	// The answer holds up to some change; what changed after it is looked at.
	var later mailaccess.UIDSetBuilder
	changes, err := v.s.acct.MailboxChanges(ctx, v.at.ID, found.UpTo)
	if err != nil {
		return look, sure, err
	}
	for msg, err := range changes.Messages {
		if err != nil {
			return look, sure, err
		}
		later.AddUID(msg.UID)
	}
	changedUIDs := later.Set().Intersect(v.uids)
	if found.Exact {
		return changedUIDs, may.Minus(changedUIDs), nil
	}
	return may.Union(changedUIDs), sure, nil
}

// search is a search under way.
type search struct {
	v     *View
	m     *query.Matcher
	o     SearchOptions
	sure  mailaccess.UIDSet
	done  int
	total int

	found mailaccess.UIDSetBuilder
	n     int // how many are in found
	// waiting are messages that their metadata do not decide. Once there are batch
	// of them they are opened, one after another: only so many are in memory, and
	// what is derived from them is asked for together.
	waiting []mailaccess.Message
	batch   int
	ids     []mailaccess.EmailID // theirs
	subject subject              // the one that is evaluated
	headers *Headers             // of those that wait; nil: the expression tests no field
	header  []byte
}

// searchBatch is how many messages wait to be opened.
const searchBatch = 64

// searchPart is how many messages are listed at once when a search begins at the
// end, at first; it grows.
const searchPart = 256

// parts yields what is to be looked at, all at once or, from the end, in pieces.
func (s *search) parts(look mailaccess.UIDSet) iter.Seq[mailaccess.UIDSet] {
	return func(yield func(mailaccess.UIDSet) bool) {
		if s.o.Limit == 0 || !s.o.FromEnd {
			yield(look)
			return
		}
		for n, size := look.Len(), searchPart; n > 0; n, size = n-size, 2*size {
			first, last := look.Select(max(n-size+1, 1)), look.Select(n)
			if above := s.sure.Len() - s.sure.Rank(last); above+s.n >= s.o.Limit {
				return
			}
			if !yield(look.Intersect(mailaccess.UIDSetRange(first, last))) {
				return
			}
		}
	}
}

// look evaluates messages, which come ascending.
func (s *search) look(ctx context.Context, messages iter.Seq2[mailaccess.Message, error]) error {
	for msg, err := range messages {
		if err != nil {
			return err
		}
		if s.enough(msg.UID) {
			break
		}
		if matches, decided := s.m.Decide(&msg); matches {
			s.add(msg.UID)
		} else if !decided {
			s.waiting = append(s.waiting, msg)
		}
		if err := s.progress(len(s.waiting)); err != nil {
			return err
		}
		if len(s.waiting) >= s.batch {
			if err := s.open(ctx); err != nil {
				return err
			}
		}
	}
	return s.open(ctx)
}

// enough reports whether the messages from uid on need not be looked at.
func (s *search) enough(uid mailaccess.UID) bool {
	return s.o.Limit > 0 && !s.o.FromEnd && s.sure.Rank(uid-1)+s.n >= s.o.Limit
}

func (s *search) add(uid mailaccess.UID) {
	s.found.AddUID(uid)
	s.n++
}

// progress counts a message, and tells of it when those that wait are few.
func (s *search) progress(waiting int) error {
	s.done++
	if s.done%searchBatch != 0 {
		return nil
	}
	return s.o.Progress.tell(s.done-waiting, s.total)
}

// open evaluates the messages that wait.
func (s *search) open(ctx context.Context) error {
	if len(s.waiting) == 0 {
		return nil
	}
	s.ids = s.ids[:0]
	for i := range s.waiting {
		s.ids = append(s.ids, s.waiting[i].EmailID)
	}
	structures := s.v.s.Structures(s.ids, s.o.Room)
	defer structures.Close(ctx)
	if s.v.s.caps.Derived != nil && s.m.NeedsFields() {
		if s.headers == nil {
			s.headers = s.v.s.Headers(s.o.Room)
		}
		s.headers.Load(ctx, s.ids)
		defer s.headers.Save(ctx)
	}
	for i := range s.waiting {
		msg := &s.waiting[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		s.subject = subject{of: structures, id: msg.EmailID}
		matches, err := s.match(ctx, i, &s.subject)
		if err != nil {
			return err
		}
		if matches {
			s.add(msg.UID)
		}
		if err := s.o.Progress.tell(s.done-len(s.waiting)+i+1, s.total); err != nil {
			return err
		}
	}
	s.waiting = s.waiting[:0]
	s.batch = min(2*s.batch, searchBatch)
	return nil
}

// match evaluates message i of those that wait, by the header fields that are kept of it if
// they decide.
func (s *search) match(ctx context.Context, i int, sub *subject) (bool, error) {
	msg := &s.waiting[i]
	if s.headers == nil {
		return s.m.Match(ctx, msg, sub)
	}
	h := s.headers.Of(i)
	if h == nil {
		h = s.readHeader(ctx, i, sub)
	}
	if h != nil {
		if matches, decided := s.m.DecideHeader(ctx, msg, h, ListedField); decided {
			return matches, sub.close()
		}
	}
	matches, err := s.m.Match(ctx, msg, sub)
	return matches, errors.Join(err, sub.close())
}

// readHeader opens the message and keeps its listed header fields; nil when they cannot be
// had: whoever matches finds out why.
func (s *search) readHeader(ctx context.Context, i int, sub *subject) message.Header {
	c, err := sub.Content(ctx)
	if err != nil {
		return nil
	}
	sub.opened = c
	full, err := message.ReadHeader(c, c.Size(), s.header)
	if err != nil {
		return nil
	}
	if cap(full) > cap(s.header) && cap(full) <= 64<<10 {
		s.header = full[:0]
	}
	return s.headers.Made(i, full)
}

// subject is a message whose content is opened only when the question needs it.
type subject struct {
	of     *Structures
	id     mailaccess.EmailID
	opened mailaccess.Content // for whoever asks for it next; nil: it is not open
}

func (s *subject) Content(ctx context.Context) (mailaccess.Content, error) {
	if c := s.opened; c != nil {
		s.opened = nil
		return c, nil
	}
	return s.of.s.ContentToWork(ctx, s.id)
}

// close closes the content if nobody asked for it. It was only read.
func (s *subject) close() error {
	if s.opened == nil {
		return nil
	}
	return s.opened.Close()
}

func (s *subject) Structure(ctx context.Context, c mailaccess.Content) (*message.Part, error) {
	return s.of.Of(ctx, s.id, c)
}
