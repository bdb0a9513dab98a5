package imap

import (
	"errors"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/protocols"
)

// What is counted of a session's memory, in octets; docs/security.md has the table.
const (
	// unreserved is what a command may need for its result without reserving it, and
	// the result saved by a search without being counted.
	unreserved = 64 << 10
	// searchedMessage is what a message may take of the result of a search, sortedMessage
	// what it takes as a rule while it is sorted or threaded, sortedUID in what was sorted.
	searchedMessage = 8
	sortedMessage   = 128
	sortedUID       = 4
	// listedName is what a mailbox or a subscription takes of a listing, and notifiedName
	// what NOTIFY remembers of it, with the listing that is made to tell of changes.
	listedName   = 384
	notifiedName = 1 << 10
	// contextMemory is a search that is kept up to date, besides its result.
	contextMemory = 4 << 10
)

// codeNotSaved is RFC 5182, section 2.1: the result of a search was not saved.
const codeNotSaved goimap.ResponseCode = "NOTSAVED"

// reserve sets memory aside before it is used, and waits for it if need be. What was
// answered does not wait with it.
func (c *conn) reserve(use protocols.Use, n int64) error {
	if c.nc.TryReserve(use, n) {
		return nil
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	err := c.nc.Reserve(use, n)
	switch {
	case errors.Is(err, protocols.ErrMemory):
		return errNoMemory
	case errors.Is(err, protocols.ErrMemoryOfConnection):
		return errTooMuchMemory
	case err != nil:
		c.broken = err
	}
	return err
}

var (
	errNoMemory      = no(goimap.ResponseCodeUnavailable, "no memory is free for this now")
	errTooMuchMemory = no(goimap.ResponseCodeLimit, "this takes more memory than one connection may have")
)

// reserveInput is for a command of more than usual length, which is twice as large, at
// most, when it has been parsed. Before the login there is none.
func (c *conn) reserveInput() error {
	if before(c) {
		return nil
	}
	return c.reserve(protocols.Input, 2*c.nc.Limits().MaxCommand)
}

// reserveResult is for what is found among n messages.
func (c *conn) reserveResult(n, perMessage int64) error {
	if n *= perMessage; n <= unreserved {
		return nil
	}
	return c.reserve(protocols.Work, n)
}

// searchRoom is for messages that are opened in a search for whose result the memory was
// reserved: a little, and more if there is memory free.
func (c *conn) searchRoom(result int64) engine.Room {
	if result <= unreserved {
		result = 0
	}
	more := false
	return func(octets int) bool {
		more = more || octets > unreserved && c.nc.TryReserve(protocols.Work, result+3*engine.BatchMemory)
		return more || octets <= unreserved
	}
}

// reserveKeys is for what n messages are sorted or threaded by, for which the memory was
// reserved that they take as a rule. Their texts may be long and their references many:
// what that takes beyond it is there or not, since who holds memory may not wait for more.
func (c *conn) reserveKeys(n int64) query.Memory {
	reserved := max(n*sortedMessage, unreserved)
	return func(octets int64) error {
		octets += 3 * searchedMessage * n // of what was found, and is put in order
		switch {
		case octets <= reserved:
			return nil
		case octets > c.nc.Limits().PerConnection:
			return errTooMuchMemory
		case !c.nc.TryReserve(protocols.Work, octets):
			return errNoMemory
		}
		reserved = octets
		return nil
	}
}

// keep counts what the session will hold from one command to the next: the results that
// it saved, those that it follows, and what NOTIFY remembers.
func (c *conn) keep(saved mailaccess.UIDSet, contexts ...*searchContext) bool {
	return c.keepNotified(c.notify, saved, contexts...)
}

// keepNotified is keep with another notification.
func (c *conn) keepNotified(notify *notification, saved mailaccess.UIDSet, contexts ...*searchContext) bool {
	n := max(0, sizeOf(saved)-unreserved) + max(0, notify.memory()-unreserved)
	for _, x := range contexts {
		n += contextMemory + sortedUID*int64(len(x.sorted)) + sizeOf(x.live.Found())
	}
	return c.nc.Keep(n)
}

// save keeps the result of a search (RFC 5182, section 2.1).
func (c *conn) save(uids mailaccess.UIDSet) error {
	if !c.keep(uids, c.contexts...) {
		c.saved = mailaccess.UIDSet{}
		return no(codeNotSaved, "no memory is free to save the result")
	}
	c.saved = uids
	return nil
}

// sizeOf is what a set takes.
func sizeOf(s mailaccess.UIDSet) (n int64) {
	for range s.Ranges() {
		n += 8
	}
	return n
}
