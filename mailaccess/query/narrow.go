package query

import "github.com/hashmail/mailaccess/mailaccess"

// Sets are what a store knows of a mailbox without looking at its messages.
type Sets struct {
	UIDs  mailaccess.UIDSet
	Flags []FlagSet
}

// FlagSet is those messages of a mailbox that have a flag, a single one, or, with Lack, those
// that lack it.
type FlagSet struct {
	Flag mailaccess.SystemFlags
	Lack bool
	UIDs mailaccess.UIDSet
}

// Narrow returns the messages that e can match for all that the sets tell, and what is left of
// e to ask of them: nothing, an empty And, when the sets say it all. Its work grows with the
// sets, not with the number of messages, and of a long e it looks at the first keys only.
func (s *Sets) Narrow(e mailaccess.Expr) (among mailaccess.UIDSet, rest mailaccess.Expr) {
	n := narrowing{s, maxNarrowed}
	return n.narrow(e, s.UIDs)
}

// narrowing is a Narrow under way, which may look at so many keys yet.
type narrowing struct {
	*Sets
	left int
}

// maxNarrowed bounds the time that goes by before anybody else has a turn: sets may have
// hundreds of thousands of runs.
const maxNarrowed = 64

func (s *narrowing) narrow(e mailaccess.Expr, uids mailaccess.UIDSet) (among mailaccess.UIDSet, rest mailaccess.Expr) {
	if s.left--; s.left < 0 {
		return uids, e
	}
	switch e := e.(type) {
	case mailaccess.UIDIn:
		return uids.Intersect(e.UIDs), mailaccess.And{}
	case mailaccess.HasFlags:
		return s.flags(e.Flags, uids)
	case mailaccess.And:
		left := make(mailaccess.And, 0, len(e))
		for _, x := range e {
			if uids, x = s.narrow(x, uids); !isTrue(x) {
				left = append(left, x)
			}
		}
		if len(left) == 1 {
			return uids, left[0]
		}
		return uids, left
	case mailaccess.Or:
		var found mailaccess.UIDSet
		for _, x := range e {
			some, left := s.narrow(x, uids)
			if !isTrue(left) {
				return uids, e
			}
			found = found.Union(some)
		}
		return found, mailaccess.And{}
	case mailaccess.Not:
		if f, ok := e.X.(mailaccess.HasFlags); ok && f.Flags.Keywords.IsEmpty() {
			if lack, known := s.with(f.Flags.System, false, uids); known {
				return lack, mailaccess.And{}
			}
		}
		not, left := s.narrow(e.X, uids)
		if !isTrue(left) {
			return uids, e
		}
		return uids.Minus(not), mailaccess.And{}
	}
	return uids, e
}

func (s *narrowing) flags(f mailaccess.Flags, uids mailaccess.UIDSet) (among mailaccess.UIDSet, rest mailaccess.Expr) {
	for left := f.System; left != 0; left &= left - 1 {
		one := left & -left
		if some, known := s.with(one, true, uids); known {
			uids = some
			f.System &^= one
		}
	}
	if f.System == 0 && f.Keywords.IsEmpty() {
		return uids, mailaccess.And{}
	}
	return uids, mailaccess.HasFlags{Flags: f}
}

// with returns those of uids that have a flag, or lack it, if that is known.
func (s *narrowing) with(flag mailaccess.SystemFlags, have bool, uids mailaccess.UIDSet) (_ mailaccess.UIDSet, known bool) {
	for _, k := range s.Flags {
		switch {
		case k.Flag != flag:
		case k.Lack == have:
			return uids.Minus(k.UIDs), true
		default:
			return uids.Intersect(k.UIDs), true
		}
	}
	return uids, false
}

// isTrue reports whether e is the conjunction of nothing.
func isTrue(e mailaccess.Expr) bool {
	all, ok := e.(mailaccess.And)
	return ok && len(all) == 0
}
