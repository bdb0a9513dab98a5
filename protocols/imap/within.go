package imap

import (
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// within parses OLDER and YOUNGER (RFC 5032, section 3): seconds before now.
func (p *searchParser) within(name string) (searchKey, error) {
	p.unsteady = true
	n, err := p.c.r.ReadNZNumber()
	return func(s *searchScope) (mailaccess.Expr, error) {
		return receivedWithin(name == "YOUNGER", time.Duration(n)*time.Second, s.now), nil
	}, err
}

// receivedWithin compares with the moment that lies so long before now. RFC 5032,
// section 2: both keys match that second itself.
func receivedWithin(younger bool, interval time.Duration, now time.Time) mailaccess.Expr {
	then := now.Add(-interval).Truncate(time.Second)
	if younger {
		return mailaccess.Between{Date: mailaccess.DateReceived, From: then}
	}
	return mailaccess.Between{Date: mailaccess.DateReceived, Until: then.Add(time.Second)}
}
