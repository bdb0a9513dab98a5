package imap

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess/query"
)

// sortNames are the sort keys by name (RFC 5256, section 5; RFC 5957, section 5).
var sortNames = map[string]query.SortKey{
	"ARRIVAL":     query.SortArrival,
	"CC":          query.SortCc,
	"DATE":        query.SortDate,
	"FROM":        query.SortFrom,
	"SIZE":        query.SortSize,
	"SUBJECT":     query.SortSubject,
	"TO":          query.SortTo,
	"DISPLAYFROM": query.SortDisplayFrom,
	"DISPLAYTO":   query.SortDisplayTo,
}

// maxSortCriteria bounds how many criteria a command may have.
const maxSortCriteria = 50

// parseSort is RFC 5256, section 3, BASE.6.4.SORT, with RETURN (RFC 5267, section 3).
func parseSort(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		a := searchAnswer{how: how, plain: "SORT"}
		order, crit, err := c.parseSortProgram(&a.ret)
		if err == nil {
			err = c.checkTag(&a.ret)
		}
		if err != nil {
			return nil, c.notSaved(&a.ret, err)
		}
		a.modSeq = crit.modSeq
		return func(ctx context.Context, c *conn) error {
			return c.notSaved(&a.ret, c.sort(ctx, &a, order, &crit))
		}, c.r.CRLF()
	}
}

// parseSortProgram reads the return options, if there are any, the sort criteria,
// the charset and the search keys.
func (c *conn) parseSortProgram(ret *returnOptions) (order []query.SortCriterion, crit criteria, err error) {
	if err = c.r.SP(); err != nil {
		return nil, crit, err
	}
	next, err := c.r.Peek()
	if err == nil && next != '(' {
		if *ret, err = c.parseSortReturn(); err == nil {
			err = c.r.SP()
		}
	}
	if err != nil {
		return nil, crit, err
	}
	if order, err = c.parseSortCriteria(); err != nil {
		return nil, crit, err
	}
	if err = c.r.SP(); err != nil {
		return nil, crit, err
	}
	crit, err = c.parseCriteria()
	return order, crit, err
}

func (c *conn) parseSortReturn() (returnOptions, error) {
	name, err := c.r.ReadKeyword()
	if err != nil {
		return returnOptions{}, err
	}
	if string(name) != "RETURN" {
		return returnOptions{}, bad("expected RETURN or sort criteria")
	}
	return c.readReturn()
}

// parseSortCriteria reads a list of sort keys, each perhaps after REVERSE.
func (c *conn) parseSortCriteria() ([]query.SortCriterion, error) {
	var order []query.SortCriterion
	err := c.r.ReadList(func() error {
		var one query.SortCriterion
		name, err := c.r.ReadKeyword()
		if err == nil && string(name) == "REVERSE" {
			one.Reverse = true
			if err = c.r.SP(); err == nil {
				name, err = c.r.ReadKeyword()
			}
		}
		if err != nil {
			return err
		}
		key, known := sortNames[string(name)]
		if !known {
			return bad("unknown sort key")
		}
		if len(order) == maxSortCriteria {
			return bad("more sort keys than are taken")
		}
		one.Key = key
		order = append(order, one)
		return nil
	})
	if err == nil && len(order) == 0 {
		err = bad("no sort key")
	}
	return order, err
}

// sort answers SORT. Like Dovecot's, an answer to no RETURN is a SORT response even
// when nothing was found (RFC 5256, section 3).
func (c *conn) sort(ctx context.Context, a *searchAnswer, order []query.SortCriterion, crit *criteria) error {
	x := searchContext{how: a.how, crit: *crit, scope: c.scope(), order: order, whole: true}
	return c.searched(ctx, a, &x)
}
