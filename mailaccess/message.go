package mailaccess

import (
	"io"
	"time"
)

// EmailID names the content of a message (RFC 8474, section 5.1): copies and
// moves keep it, and no other content of the account ever gets it. Opaque, 1 to
// 255 octets of A-Z a-z 0-9 _ -.
type EmailID string

// ThreadID names the thread that a message belongs to (RFC 8474, section 5.2), in
// whatever mailbox; empty when the store does not thread. It belongs to the content:
// all places of one have the same. Once shown it never changes, and it is no
// [EmailID] of the account. Of the same form as that. See [Capabilities.Threads].
type ThreadID string

// Message is a message in a mailbox, apart from its content.
type Message struct {
	UID UID
	// ModSeq is the number of the last change of the message in this
	// mailbox, Created that of its arrival here.
	ModSeq, Created ModSeq
	Flags           Flags
	// Size is the length of the content in canonical form, in octets, or
	// [SizeUnknown] when the store has not measured it yet: opening the content
	// does. An append knows it.
	Size int64
	// Received is the internal date (RFC 3501, section 2.3.3); copies keep
	// it. Whole seconds; the zone offset is kept where the store can.
	Received time.Time
	// Saved is when the message came into this mailbox (RFC 8514), by append,
	// copy or move, whatever its Received; it stays as long as the message does.
	// Whole seconds; zero when the store does not know. See
	// [Capabilities.SavedDates].
	Saved    time.Time
	EmailID  EmailID
	ThreadID ThreadID
}

// SizeUnknown stands for a size that takes reading to find out.
const SizeUnknown = -1

// Content is the bytes of a message in canonical form: every line ends in
// CRLF; bare CR and NUL are kept. A store that holds other line ends converts
// while reading. Methods may be called concurrently, except Close.
type Content interface {
	// ReadAt is io.ReaderAt over [0, Size).
	io.ReaderAt
	// Size is the length in octets; it equals [Message.Size] where that is
	// known.
	Size() int64
	// WriteRange writes n octets from offset off to w and returns how many
	// it wrote. The store chooses how: one copy at most. An error of w is
	// returned as it is. The range must lie within [0, Size), else
	// KindInvalid. When the source fails or has become shorter than Size,
	// fewer octets are written and the error is KindCorrupt or
	// KindUnavailable: never wrong octets under a right length.
	WriteRange(w io.Writer, off, n int64) (int64, error)
	// Close releases what was opened.
	Close() error
}
