package memory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

var errUIDs = errors.New("the mailbox has used up its UIDs")

// stageFirst is how much room an upload gets at first at most, in octets: the
// size that was announced is not trusted beyond it.
const stageFirst = 1 << 20

// staged is an upload. It is a content once it was appended.
type staged struct {
	a      *account
	hint   int64 // the announced size, or -1
	data   []byte
	sealed bool // nothing may be written any more
	closed bool
	err    error    // why it is not whole
	keys   []uint64 // of threads; once sealed
	// content has the id that the message got, guarded by the account's lock.
	content *content
}

// Stage begins an upload.
func (h *handle) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	const op = "stage"
	if err := h.begin(ctx, op, mailaccess.RightInsert); err != nil {
		return nil, err
	}
	if limit := h.store.opts.MaxMessageSize; size > limit {
		return nil, tooBig(op, limit)
	}
	h.mu.Lock()
	err := h.quota(op, "", max(size, 0))
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return &staged{a: h.account, hint: size}, nil
}

func tooBig(op string, limit int64) error {
	return fail(op, mailaccess.KindTooBig, "", fmt.Errorf("more than %d octets", limit))
}

// quota reports whether n octets more fit. a.mu is held.
func (a *account) quota(op string, box mailaccess.MailboxID, n int64) error {
	if q := a.store.opts.Quota; q > 0 && n > 0 && n > q-a.used {
		return fail(op, mailaccess.KindOverQuota, string(box), nil)
	}
	return nil
}

func (s *staged) Write(p []byte) (int, error) {
	const op = "write staged message"
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	case s.sealed:
		return 0, fail(op, mailaccess.KindInvalid, "", errors.New("it was opened for reading or appended"))
	}
	if limit := s.a.store.opts.MaxMessageSize; int64(len(p)) > limit-s.Size() {
		s.err = tooBig(op, limit)
		s.data = nil
		return 0, s.err
	}
	s.grow(len(p))
	s.data = append(s.data, p...)
	return len(p), nil
}

// grow makes room for n octets more. Room doubles, but not beyond the size that
// was announced as long as that suffices.
func (s *staged) grow(n int) {
	need := len(s.data) + n
	if need <= cap(s.data) {
		return
	}
	room := max(need, 2*cap(s.data))
	if s.data == nil && s.hint > 0 {
		room = max(need, int(min(s.hint, stageFirst)))
	}
	if hint := int(s.hint); need <= hint && room > hint {
		room = hint
	}
	s.data = append(make([]byte, 0, room), s.data...)
}

func (s *staged) Size() int64 { return int64(len(s.data)) }

func (s *staged) Content() (mailaccess.Content, error) {
	if err := s.whole("open staged message", s.a); err != nil {
		return nil, err
	}
	s.sealed = true
	return &reader{store: s.a.store, data: s.data}, nil
}

// whole reports whether s can be used in a.
func (s *staged) whole(op string, a *account) error {
	switch {
	case s.err != nil:
		return s.err
	case s.closed:
		return fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	case s.a != a:
		return fail(op, mailaccess.KindInvalid, "", errors.New("the message was staged for another account"))
	}
	return nil
}

func (s *staged) Close() error {
	s.closed, s.data, s.content = true, nil, nil
	return nil
}

// Append puts messages into a mailbox.
func (h *handle) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	const op = "append"
	if err := h.begin(ctx, op, mailaccess.RightInsert); err != nil {
		return mailaccess.Appended{}, err
	}
	if err := h.sealAll(op, box, msgs); err != nil {
		return mailaccess.Appended{}, err
	}
	done, n, err := h.append(op, box, msgs, nil)
	if n > 0 {
		h.ring(box, n)
	}
	return done, err
}

// sealAll reports whether all uploads can be appended, and ends writing to them.
func (h *handle) sealAll(op string, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) error {
	for _, m := range msgs {
		s, ok := m.Staged.(*staged)
		if !ok {
			return fail(op, mailaccess.KindInvalid, string(box), errors.New("the message was not staged here"))
		}
		if err := s.whole(op, h.account); err != nil {
			return err
		}
		s.seal()
		if s.keys == nil {
			s.keys = h.threads.keys(s.data)
		}
	}
	return nil
}

// seal ends writing and gives back room that was not needed.
func (s *staged) seal() {
	if s.sealed = true; cap(s.data)-len(s.data) > len(s.data)/8 {
		s.data = append(make([]byte, 0, len(s.data)), s.data...)
	}
}

// append does it, and returns the number that it took, or 0. old is what goes in the
// same transaction, or nil.
func (h *handle) append(op string, box mailaccess.MailboxID, msgs []mailaccess.NewMessage, old *replaced) (done mailaccess.Appended, n mailaccess.ModSeq, err error) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return done, 0, err
	}
	done.UIDValidity = b.UIDValidity
	if len(msgs) == 0 {
		return done, 0, nil
	}
	if err := b.room(op, len(msgs)); err != nil {
		return mailaccess.Appended{}, 0, err
	}
	more := h.newOctets(msgs)
	if old != nil {
		if err := old.find(h, op); err != nil {
			return mailaccess.Appended{}, 0, err
		}
		more = max(0, more-old.octets)
	}
	if err := h.quota(op, box, more); err != nil {
		return mailaccess.Appended{}, 0, err
	}
	sets := make([]*keywordSet, len(msgs))
	defer b.keywords.sweep()
	allowed := flagrights.Of(h.rights)
	for i, m := range msgs {
		if !allowed.Keywords {
			continue
		}
		if sets[i], err = b.keywords.intern(op, m.Flags.Keywords, h.store.opts.MaxKeywords); err != nil {
			return mailaccess.Appended{}, 0, err
		}
	}

	h.modseq++
	n = h.modseq
	done.Messages = make([]mailaccess.Message, len(msgs))
	in := b.arrive(n)
	for i, m := range msgs {
		c := h.adopt(m.Staged.(*staged))
		received := m.Received
		if received.IsZero() {
			received = now
		}
		done.Messages[i] = mailaccess.Message{
			// RFC 4314, section 4: flags that may not be set are left out.
			Flags:    mailaccess.Flags{System: m.Flags.System & allowed.System},
			Size:     int64(len(c.data)),
			Received: wholeSeconds(received),
			Saved:    time.Unix(now.Unix(), 0).UTC(),
			EmailID:  c.id,
			ThreadID: c.thread,
		}
		in.add(&done.Messages[i], sets[i], c)
	}
	in.done()
	if old != nil {
		h.remove(old.box, &old.out, n)
	}
	return done, n, nil
}

// newOctets returns how much msgs add to what the account holds. a.mu is held.
func (a *account) newOctets(msgs []mailaccess.NewMessage) (n int64) {
	counted := make(map[*staged]bool, len(msgs))
	for _, m := range msgs {
		s := m.Staged.(*staged)
		if !counted[s] && (s.content == nil || !s.content.placed()) {
			counted[s] = true
			n += s.Size()
		}
	}
	return n
}

// adopt returns the content of an upload, which is now one of the account's. An
// upload that was appended before keeps its id. a.mu is held.
func (a *account) adopt(s *staged) *content {
	if s.content == nil {
		a.lastEmail++
		s.content = &content{id: mailaccess.EmailID(a.newID(a.lastEmail)), data: s.data, keys: s.keys}
	}
	if !s.content.placed() {
		a.used += int64(len(s.data))
		if a.contents[s.content.id] == nil { // else it was retained
			a.contents[s.content.id] = s.content
			a.enter(s.content)
		}
	}
	return s.content
}

// wholeSeconds returns t without fractions. Its zone has no name, so that all
// messages share the zones of whole hours.
func wholeSeconds(t time.Time) time.Time {
	zone := time.UTC
	if _, offset := t.Zone(); offset != 0 {
		zone = time.FixedZone("", offset)
	}
	return time.Unix(t.Unix(), 0).In(zone)
}
