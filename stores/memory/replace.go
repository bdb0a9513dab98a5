package memory

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Replace puts a message in the place of another.
func (h *handle) Replace(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
	const op = "replace"
	// RFC 8508, section 4.1: what APPEND, STORE and EXPUNGE need.
	if err := h.begin(ctx, op, mailaccess.RightInsert|mailaccess.RightDeleted|mailaccess.RightExpunge); err != nil {
		return mailaccess.Appended{}, err
	}
	msgs := []mailaccess.NewMessage{m}
	if err := h.sealAll(op, dst, msgs); err != nil {
		return mailaccess.Appended{}, err
	}
	done, n, err := h.append(op, dst, msgs, &replaced{id: src, uid: uid})
	if n > 0 {
		h.ring(dst, n)
		if src != dst {
			h.ring(src, n)
		}
	}
	return done, err
}

// replaced is the message that goes.
type replaced struct {
	id  mailaccess.MailboxID
	uid mailaccess.UID

	box *mailbox
	out removal
	// octets are those of its content, if it is in no other place.
	octets int64
}

// find looks for the message. a.mu is held.
func (r *replaced) find(h *handle, op string) (err error) {
	if r.box, err = h.box(op, r.id); err != nil {
		return err
	}
	r.box.messages.walk(mailaccess.UIDSetOf(r.uid), 1, func(c *chunk, j int) bool {
		m := &c.msgs[j]
		r.out.add(m)
		if content := h.contents[m.EmailID]; content.first == (place{r.box, m.UID}) && len(content.others) == 0 {
			r.octets = m.Size
		}
		return true
	})
	if len(r.out.gone) == 0 {
		return fail(op, mailaccess.KindContentGone, string(r.id), nil)
	}
	return nil
}
