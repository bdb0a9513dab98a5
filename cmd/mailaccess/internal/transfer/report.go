package transfer

import (
	"time"
)

// maxFailures is how many failures a report tells one by one.
const maxFailures = 10_000

// Counts are what became of messages.
type Counts struct {
	Moved   int   `json:"moved"`   // carried over
	Bytes   int64 `json:"bytes"`   // of those
	Present int   `json:"present"` // skipped: carried before, or found at the destination
	Updated int   `json:"updated"` // whose flags were changed
	Removed int   `json:"removed"`
	Gone    int   `json:"gone"` // carried before, no more at the source, and left at the destination
	Failed  int   `json:"failed"`
}

func (c *Counts) add(o Counts) {
	c.Moved += o.Moved
	c.Bytes += o.Bytes
	c.Present += o.Present
	c.Updated += o.Updated
	c.Removed += o.Removed
	c.Gone += o.Gone
	c.Failed += o.Failed
}

// MailboxReport is what became of a mailbox.
type MailboxReport struct {
	Name string `json:"name"`
	To   string `json:"to,omitempty"`
	Counts
	// Skipped is why nothing was done: it is unchanged.
	Skipped string `json:"skipped,omitempty"`
	// Error is why it was given up.
	Error string `json:"error,omitempty"`
}

// Failure is a message that could not be carried.
type Failure struct {
	Mailbox string `json:"mailbox"`
	Key     string `json:"key"`
	Reason  string `json:"reason"`
}

// Report is the account of a run.
type Report struct {
	DryRun    bool            `json:"dry_run"`
	Mailboxes []MailboxReport `json:"mailboxes"`
	Total     Counts          `json:"total"`
	// Subscribed counts the names that were subscribed to.
	Subscribed int `json:"subscribed"`
	// Failures are told up to a bound; Total.Failed counts all of them.
	Failures []Failure `json:"failures"`
	// Unreadable is what lies at the source, seems to be mail, and could not be listed.
	Unreadable []string `json:"unreadable"`
	// Notes are what could not be carried of what is no message, and what else is to know.
	Notes []string `json:"notes"`
	// Error is why the run ended before its end.
	Error   string        `json:"error,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"`
}

// OK reports whether all was carried.
func (r *Report) OK() bool {
	if r.Error != "" || r.Total.Failed > 0 || len(r.Unreadable) > 0 {
		return false
	}
	for _, b := range r.Mailboxes {
		if b.Error != "" {
			return false
		}
	}
	return true
}

// Progress is how far a run is.
type Progress struct {
	Mailbox string
	// Mailboxes counts those that were begun, of MailboxesTotal.
	Mailboxes, MailboxesTotal int
	// Messages counts those of which is known what becomes of them, of MessagesTotal, which
	// may grow.
	Messages, MessagesTotal int
	// Bytes is how much was carried.
	Bytes int64
	// Note is something to tell at once: a connection was lost, and when it is tried again.
	Note string
}
