package imap

import "github.com/hashmail/mailaccess/mailaccess"

// searchFlags are the keys without arguments that mean the same in any session
// (RFC 3501, section 6.4.4).
var searchFlags = map[string]mailaccess.Expr{
	"ALL":        mailaccess.And{},
	"ANSWERED":   system(mailaccess.FlagAnswered),
	"DELETED":    system(mailaccess.FlagDeleted),
	"DRAFT":      system(mailaccess.FlagDraft),
	"FLAGGED":    system(mailaccess.FlagFlagged),
	"SEEN":       system(mailaccess.FlagSeen),
	"UNANSWERED": mailaccess.Not{X: system(mailaccess.FlagAnswered)},
	"UNDELETED":  mailaccess.Not{X: system(mailaccess.FlagDeleted)},
	"UNDRAFT":    mailaccess.Not{X: system(mailaccess.FlagDraft)},
	"UNFLAGGED":  mailaccess.Not{X: system(mailaccess.FlagFlagged)},
	"UNSEEN":     mailaccess.Not{X: system(mailaccess.FlagSeen)},
}

func system(f mailaccess.SystemFlags) mailaccess.Expr {
	return mailaccess.HasFlags{Flags: mailaccess.Flags{System: f}}
}

// recent is \Recent as it stands in the session.
func recent(s *searchScope) (mailaccess.Expr, error) {
	return mailaccess.UIDIn{UIDs: s.view.Recent()}, nil
}

// argued parses the keys that have arguments or belong to the session (RFC 3501,
// section 6.4.4).
func (p *searchParser) argued(name string) (searchKey, error) {
	switch name {
	case "RECENT":
		return recent, p.c.notInRev2()
	case "SAVEDATESUPPORTED":
		return savedDates, nil
	case "NEW":
		return allOf([]searchKey{recent, constant(searchFlags["UNSEEN"])}), p.c.notInRev2()
	case "OLD":
		return negated(recent), p.c.notInRev2()
	}
	if _, known := searchArguments[name]; !known {
		return nil, bad("unknown search key")
	}
	if err := p.c.r.SP(); err != nil {
		return nil, err
	}
	switch name {
	case "NOT":
		key, err := p.nested()
		return negated(key), err
	case "OR":
		return p.or()
	case "UID":
		return p.set(byUID)
	case "UIDAFTER", "UIDBEFORE":
		return p.uidFrom(name)
	case "KEYWORD":
		return p.word()
	case "UNKEYWORD":
		key, err := p.word()
		return negated(key), err
	case "LARGER", "SMALLER":
		n, err := p.c.r.ReadNumber64()
		if name == "LARGER" {
			return constant(mailaccess.Larger{Than: int64(n)}), err
		}
		return constant(mailaccess.Smaller{Than: int64(n)}), err
	case "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE":
		day, err := p.c.r.ReadDate()
		e := searchDates[name]
		e.Day = mailaccess.DayOf(day)
		return constant(e), err
	case "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
		day, err := p.c.r.ReadDate()
		return savedOn(searchDates[name].Op, mailaccess.DayOf(day)), err
	case "EMAILID", "THREADID":
		return p.objectID(name)
	case "HEADER":
		return p.header()
	case "MODSEQ":
		return p.modSeqFrom()
	case "OLDER", "YOUNGER":
		return p.within(name)
	}
	text, err := p.text()
	switch name {
	case "BODY":
		return constant(mailaccess.Body{Text: text}), err
	case "TEXT":
		return constant(mailaccess.FullText{Text: text}), err
	}
	// BCC, CC, FROM, SUBJECT and TO are fields of the header.
	return constant(mailaccess.Header{Name: name, Text: text}), err
}

// searchArguments are the keys that have arguments.
var searchArguments = map[string]struct{}{
	"BCC": {}, "BEFORE": {}, "BODY": {}, "CC": {}, "FROM": {}, "HEADER": {}, "KEYWORD": {}, "LARGER": {}, "MODSEQ": {},
	"NOT": {}, "OLDER": {}, "ON": {}, "OR": {}, "EMAILID": {}, "THREADID": {}, "SAVEDBEFORE": {}, "SAVEDON": {}, "SAVEDSINCE": {}, "SENTBEFORE": {}, "SENTON": {}, "SENTSINCE": {}, "SINCE": {},
	"SMALLER": {}, "SUBJECT": {}, "TEXT": {}, "TO": {}, "UID": {}, "UIDAFTER": {}, "UIDBEFORE": {}, "UNKEYWORD": {}, "YOUNGER": {},
}

// searchDates are the keys that compare a date with a day.
var searchDates = map[string]mailaccess.OnDay{
	"BEFORE":     {Date: mailaccess.DateReceived, Op: mailaccess.DayBefore},
	"ON":         {Date: mailaccess.DateReceived, Op: mailaccess.DayOn},
	"SINCE":      {Date: mailaccess.DateReceived, Op: mailaccess.DaySince},
	"SENTBEFORE": {Date: mailaccess.DateSent, Op: mailaccess.DayBefore},
	"SENTON":     {Date: mailaccess.DateSent, Op: mailaccess.DayOn},
	"SENTSINCE":  {Date: mailaccess.DateSent, Op: mailaccess.DaySince},
	// What is compared is decided in savedOn.
	"SAVEDBEFORE": {Op: mailaccess.DayBefore},
	"SAVEDON":     {Op: mailaccess.DayOn},
	"SAVEDSINCE":  {Op: mailaccess.DaySince},
}

// nested parses a key within a key.
func (p *searchParser) nested() (searchKey, error) {
	if err := p.c.r.Enter(); err != nil {
		return nil, err
	}
	defer p.c.r.Leave()
	return p.key()
}

func negated(key searchKey) searchKey {
	return func(s *searchScope) (mailaccess.Expr, error) {
		e, err := key(s)
		return mailaccess.Not{X: e}, err
	}
}

func (p *searchParser) or() (searchKey, error) {
	a, err := p.nested()
	if err != nil {
		return nil, err
	}
	if err := p.c.r.SP(); err != nil {
		return nil, err
	}
	b, err := p.nested()
	return func(s *searchScope) (mailaccess.Expr, error) {
		x, err := a(s)
		if err != nil {
			return nil, err
		}
		y, err := b(s)
		return mailaccess.Or{x, y}, err
	}, err
}

// word parses a keyword flag.
func (p *searchParser) word() (searchKey, error) {
	name, err := p.c.r.ReadAtom()
	if err != nil {
		return nil, err
	}
	words, err := mailaccess.NewKeywords(string(name))
	return constant(mailaccess.HasFlags{Flags: mailaccess.Flags{Keywords: words}}), err
}

func (p *searchParser) header() (searchKey, error) {
	name, err := p.c.r.ReadAString()
	if err != nil {
		return nil, err
	}
	if err := p.c.r.SP(); err != nil {
		return nil, err
	}
	text, err := p.text()
	return constant(mailaccess.Header{Name: name, Text: text}), err
}
