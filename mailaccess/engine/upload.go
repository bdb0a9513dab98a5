package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// Upload is a message on its way in. What is written to it is made canonical and
// goes to the store; it holds no lock. It belongs to one goroutine.
type Upload struct {
	staged    mailaccess.Staged
	canonical io.Writer
	most      int64
	err       error
}

// NewUpload begins to take a message in. size is the length that the client
// announced, in octets, or -1. A message that is too big is KindTooBig, here or
// while writing.
func (s *Session) NewUpload(ctx context.Context, size int64) (*Upload, error) {
	if s.caps.Append == nil {
		return nil, unsupported("append")
	}
	most := s.Can().MaxUpload
	if size > most {
		return nil, tooBig(most)
	}
	staged, err := s.caps.Append.Stage(ctx, size)
	if err != nil {
		return nil, err
	}
	u := &Upload{staged: staged, most: most}
	u.canonical = message.NewCanonicalWriter(capped{u})
	return u, nil
}

func tooBig(most int64) error {
	return &mailaccess.Error{Kind: mailaccess.KindTooBig, Op: "append", Err: fmt.Errorf("at most %d octets are taken", most)}
}

// capped is the way from the canonical writer to the store, with the limit.
type capped struct{ u *Upload }

func (c capped) Write(p []byte) (int, error) {
	if c.u.staged.Size()+int64(len(p)) > c.u.most {
		return 0, tooBig(c.u.most)
	}
	return c.u.staged.Write(p)
}

// Write adds octets as they came. After an error every further call returns it.
func (u *Upload) Write(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.canonical.Write(p)
	u.err = err
	return n, err
}

// Size is the length so far in canonical form, in octets.
func (u *Upload) Size() int64 { return u.staged.Size() }

// Close discards what was not appended. It must be called in the end, and may be
// called more than once.
func (u *Upload) Close() error { return u.staged.Close() }

// NewMessage is a message to append. A zero Received means now.
type NewMessage struct {
	Upload   *Upload
	Flags    mailaccess.Flags
	Received time.Time
}

// staged is the message as the store takes it.
func (m *NewMessage) staged(s *Session) mailaccess.NewMessage {
	return mailaccess.NewMessage{Staged: m.Upload.staged, Flags: s.kept(m.Flags), Received: m.Received}
}

// Append puts messages into a mailbox: all or none. More than one needs
// Can().AppendMany.
func (s *Session) Append(ctx context.Context, box mailaccess.MailboxID, msgs ...NewMessage) (mailaccess.Appended, error) {
	if s.caps.Append == nil || len(msgs) > 1 && !s.caps.AppendMany {
		return mailaccess.Appended{}, unsupported("append")
	}
	staged := make([]mailaccess.NewMessage, len(msgs))
	for i, m := range msgs {
		if m.Upload.err != nil {
			return mailaccess.Appended{}, m.Upload.err
		}
		staged[i] = m.staged(s)
	}
	work := s.resting()
	done, err := s.caps.Append.Append(ctx, box, staged)
	work()
	s.e.changed(s.id.Account, box)
	return done, err
}

// kept leaves out the flags that the store does not keep.
func (s *Session) kept(f mailaccess.Flags) mailaccess.Flags {
	f.System &= s.caps.SystemFlags
	if !s.caps.NewKeywords {
		f.Keywords = mailaccess.Keywords{}
	}
	return f
}
