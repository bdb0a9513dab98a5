package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// headerKind is under which a message's listed header fields are kept. Another list is
// another version.
const headerKind mailaccess.DerivedKind = "header/1"

// listedFields are the header fields that clients list or search in without opening a
// message, in lower case and ascending.
var listedFields = [...]string{
	"auto-submitted", "bcc", "cc", "chat-version", "content-description", "content-transfer-encoding",
	"content-type", "date", "disposition-notification-to", "followup-to", "from", "importance", "in-reply-to",
	"lines", "list-archive", "list-help", "list-id", "list-owner", "list-post", "list-subscribe",
	"list-unsubscribe", "list-unsubscribe-post", "mail-followup-to", "mail-reply-to", "message-id",
	"mime-version", "newsgroups", "precedence", "priority", "references", "reply-to", "resent-bcc", "resent-cc",
	"resent-date", "resent-from", "resent-message-id", "resent-sender", "resent-to", "return-receipt-to", "sender",
	"subject", "to", "user-agent", "x-draft-info", "x-forwarded-message-id", "x-label", "x-mailer",
	"x-original-to", "x-priority", "x-spam-flag", "x-spam-status", "x-uniform-type-identifier",
	"x-universally-unique-identifier",
}

// ListedField reports whether a header field, whatever its case, is among those that
// [Headers] keeps.
func ListedField(name string) bool {
	_, ok := slices.BinarySearch(listedFields[:], strings.ToLower(name))
	return ok
}

// Headers are the listed header fields of a batch of messages: headers with fewer fields,
// each as it is written, and the blank line at the end. What the store keeps is asked for in
// one call by Load; what is new is offered in one call by Save. They belong to one goroutine
// at a time, and their memory is used again for the next batch.
type Headers struct {
	s     *Session
	ids   []mailaccess.EmailID
	kept  []message.Header // of each message; nil: not there
	arena []byte           // one piece of memory for those that the store had
	size  int              // octets in arena, and in fresh
	room  Room
	fresh []mailaccess.Derived
	spare message.Ranges
}

const (
	// headerMost is the longest that is kept, in octets.
	headerMost = 64 << 10
)

// Headers returns an empty batch, which takes no more than room permits.
func (s *Session) Headers(room Room) *Headers { return &Headers{s: s, room: room} }

// Load begins a batch and asks the store for what it keeps of ids.
func (h *Headers) Load(ctx context.Context, ids []mailaccess.EmailID) {
	h.ids = append(h.ids[:0], ids...)
	clear(h.kept)
	h.kept = append(h.kept[:0], make([]message.Header, len(ids))...)
	h.arena, h.size = h.arena[:0], 0
	next := 0 // mostly they come in order
	for d, err := range h.s.Derived(ctx, headerKind, h.ids) {
		if err != nil {
			return // a cache that fails is no cache
		}
		if next == len(h.ids) || h.ids[next] != d.ID {
			if next = slices.Index(h.ids, d.ID); next < 0 {
				next = 0
				continue
			}
		}
		i := next
		next++
		// What does not fit, or is damaged, is made anew.
		if b, ok := Unsealed(d.Bytes); ok && h.room.has(h.size+len(b)) {
			h.size += len(b)
			from := len(h.arena)
			h.arena = append(h.arena, b...)
			h.kept[i] = h.arena[from:len(h.arena):len(h.arena)]
		}
	}
}

// Of returns the listed fields of message i of the batch; nil when they are not known.
func (h *Headers) Of(i int) message.Header { return h.kept[i] }

// Made takes the listed fields out of the header of message i of the batch, and returns them.
// What full begins with is the header, whole; if not, when there is too much, or when the store
// keeps nothing, it returns nil.
func (h *Headers) Made(i int, full []byte) message.Header {
	n, ok := message.HeaderLen(full)
	if !ok || h.s.caps.Derived == nil {
		return nil
	}
	full = full[:n]
	h.spare = message.Header(full).AppendSubset(h.spare[:0], 0, listedFields[:], false)
	size := h.spare.Size()
	if size > headerMost || !h.room.has(h.size+int(size)) {
		return nil
	}
	h.size += int(size)
	b := make([]byte, 0, sealLen+size)
	b = append(b, make([]byte, sealLen)...)
	for _, r := range h.spare {
		b = append(b, full[r.Off:r.End()]...)
	}
	seal(b)
	h.kept[i] = b[sealLen:]
	h.fresh = append(h.fresh, mailaccess.Derived{ID: h.ids[i], Bytes: b})
	return h.kept[i]
}

// Save offers what is new to the store.
func (h *Headers) Save(ctx context.Context) {
	if len(h.fresh) > 0 {
		// Losing a cache entry is no failure.
		_ = h.s.PutDerived(ctx, headerKind, h.fresh)
	}
	clear(h.fresh)
	h.fresh = h.fresh[:0]
}
