package imap

import (
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// savedDates is SAVEDATESUPPORTED: every message or none (RFC 8514, section 4.3).
func savedDates(s *searchScope) (mailaccess.Expr, error) {
	if s.sess.Can().SavedDates {
		return mailaccess.And{}, nil
	}
	return mailaccess.Or{}, nil
}

// savedOn compares the saved date, and where none is kept the internal date (RFC
// 8514, section 4.3).
func savedOn(op mailaccess.DayOp, day mailaccess.Day) searchKey {
	return func(s *searchScope) (mailaccess.Expr, error) {
		e := mailaccess.OnDay{Date: mailaccess.DateReceived, Op: op, Day: day}
		if s.sess.Can().SavedDates {
			e.Date = mailaccess.DateSaved
		}
		return e, nil
	}
}

// objectID parses EMAILID and THREADID (RFC 8474, section 6).
func (p *searchParser) objectID(name string) (searchKey, error) {
	word, err := p.c.r.ReadAtom()
	if err != nil {
		return nil, err
	}
	id := string(word)
	if !validObjectID(id) {
		return nil, bad("not an object id")
	}
	if name == "EMAILID" {
		return constant(mailaccess.EmailIs{ID: mailaccess.EmailID(id)}), nil
	}
	return func(s *searchScope) (mailaccess.Expr, error) {
		// RFC 8474, section 5.2: without threads nothing matches.
		if !s.sess.Can().Threads {
			return mailaccess.Or{}, nil
		}
		return mailaccess.ThreadIs{ID: mailaccess.ThreadID(id)}, nil
	}, nil
}

// validObjectID reports whether id has the form of RFC 8474, section 7.
func validObjectID(id string) bool {
	return id != "" && len(id) <= 255 && strings.IndexFunc(id, func(r rune) bool {
		return !('A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	}) < 0
}
