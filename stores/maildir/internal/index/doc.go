// Package index keeps one mailbox of the Maildir store's index: its rows in memory
// and its checkpoint on disk. What is authoritative about a message, except its
// content, is here.
//
// # In memory
//
// An open [Mailbox] knows what its head says: numbers, counts and the UID sets. Its
// rows come with [Mailbox.Load] and go with [Mailbox.Unload]: 56 octets for a message,
// in chunks by UID. Names of files stay on disk but for those that changed since the
// last checkpoint.
//
// The mutations change memory only and cannot fail. They take absolute values, so that
// a log of them can be played again from the head's [Mailbox.LogPos] or from earlier, to
// its end, with the same outcome.
//
// # On disk
//
// A mailbox called ID has three files, in the format described in format.go:
//
//	ID.head     what is known without the rows, and how much of the other two counts
//	ID.rows.G   records of fixed size, only ever appended: the last one for a UID holds
//	ID.names.G  base names, suffixes and keywords, only ever appended
//
// A checkpoint appends the rows that changed, syncs, and then replaces the head by a
// rename. What an earlier head counts is never written again. Hence a write that is torn, in
// whatever unit, or fails, or is lost with the power harms nothing that counts, and everything
// that is read must agree with the head to the octet: what does not is damage, not an
// interrupted checkpoint. It also means that readers of a checkpoint need no lock. The price is
// space: when more than half of the records, and some thousands, are superseded or of
// messages that are gone, the checkpoint writes a new generation G+1, in UID order, which
// takes memory for 4 octets a message.
package index
