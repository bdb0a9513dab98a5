package query

import "github.com/hashmail/mailaccess/mailaccess"

// Among returns those of uids that e can match for all that its UIDs tell. Whatever else
// it asks need be looked at in no other message.
func Among(e mailaccess.Expr, uids mailaccess.UIDSet) mailaccess.UIDSet {
	switch e := e.(type) {
	case mailaccess.UIDIn:
		return uids.Intersect(e.UIDs)
	case mailaccess.And:
		for _, x := range e {
			uids = Among(x, uids)
		}
	}
	return uids
}
