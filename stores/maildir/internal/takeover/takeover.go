// Package takeover reads what other servers left in a Maildir++, so that clients find
// UIDs, keywords, subscriptions and UIDLs as they know them. It opens nothing: it is
// given readers and names, takes any octets, and never holds a file in memory.
//
// What it reads of a folder is dovecot-uidlist ([ReadUIDList]) or courierimapuiddb
// (the same), and courierimapkeywords ([ReadCourierKeywords]); of an account's root
// courierpop3dsizelist ([ReadCourierPOP3]) too. Dovecot's keywords and both servers'
// subscriptions are read by package maildirname, since they stay in use.
package takeover

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// The files that this package reads, in a folder and, the last, in an account's root.
const (
	DovecotUIDList  = "dovecot-uidlist"
	CourierUIDList  = "courierimapuiddb"
	CourierKeywords = "courierimapkeywords" // a directory
	CourierPOP3List = "courierpop3dsizelist"

	// CourierSubscriptions is for [maildirname.Encoding.ReadCourierSubscriptions].
	CourierSubscriptions = "courierimapsubscribed"

	// CourierKeywordList is the file in CourierKeywords that has those of all messages.
	CourierKeywordList = ":list"
)

// maxLine is the longest line that is read, in octets; over it a line is left out.
const maxLine = 4096

// Report is what of a file was left out.
type Report struct {
	// Skipped counts lines.
	Skipped int
	// Reasons tell why, of the first ones, without what is in them.
	Reasons []string
}

const maxReasons = 10

func (r *Report) skip(line int, reason string) {
	r.Skipped++
	if len(r.Reasons) < maxReasons {
		r.Reasons = append(r.Reasons, fmt.Sprintf("line %d: %s", line, reason))
	}
}

// long counts lines that the reader of lines left out.
func (r *Report) long(n int) {
	if n > 0 {
		r.Skipped += n
		r.Reasons = append(r.Reasons, fmt.Sprintf("%d lines longer than %d octets", n, maxLine))
	}
}

func corrupt(file, format string, args ...any) error {
	return &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "read " + file, Err: fmt.Errorf(format, args...)}
}

// parse takes the name of a file apart; false when it can be none in a folder.
func parse(file string) (maildirname.Message, bool) {
	if strings.ContainsAny(file, "/\x00") {
		return maildirname.Message{}, false
	}
	return maildirname.ParseMessage(file)
}

// Server is a program that kept a Maildir++.
type Server uint8

// The servers.
const (
	Unknown Server = iota
	Dovecot
	Courier
)

// String returns the name of the server.
func (s Server) String() string {
	return [...]string{"unknown", "Dovecot", "Courier"}[min(s, Courier)]
}

// Namespace returns the separator and the prefix under which clients of the server know
// the mailboxes of their account, INBOX excepted, unless it was configured otherwise:
// Courier has "." and "INBOX.", Dovecot up to 2.3 over a Maildir "." and no prefix.
func (s Server) Namespace() (separator byte, prefix string) {
	switch s {
	case Dovecot:
		return '.', ""
	case Courier:
		return '.', "INBOX."
	}
	return '/', ""
}

// Recognize tells which server kept an account, from the names and the times of last
// modification of what is in its root. Where several did, it is the one whose file is
// the newest. Files that this store writes too tell nothing.
func Recognize(files iter.Seq2[string, time.Time]) Server {
	server, newest := Unknown, time.Time{}
	for name, modified := range files {
		s := Unknown
		switch {
		case strings.HasPrefix(name, "dovecot-uid"), strings.HasPrefix(name, "dovecot."):
			s = Dovecot
		case strings.HasPrefix(name, "courierimap"), strings.HasPrefix(name, "courierpop3d"):
			s = Courier
		}
		if s != Unknown && (server == Unknown || modified.After(newest)) {
			server, newest = s, modified
		}
	}
	return server
}

// LastValidity returns the highest UIDVALIDITY that Dovecot gave in an account, to
// mailboxes that are gone too, from the names in its root; 0 when it says nothing. It
// is in the name of a file, "dovecot-uidvalidity." and eight hexadecimal digits. A new
// mailbox needs one above it, since its name may have been used.
func LastValidity(names iter.Seq[string]) uint32 {
	last := uint32(0)
	for name := range names {
		digits, found := strings.CutPrefix(name, "dovecot-uidvalidity.")
		if n, err := strconv.ParseUint(digits, 16, 32); found && len(digits) == 8 && err == nil {
			last = max(last, uint32(n))
		}
	}
	return last
}
