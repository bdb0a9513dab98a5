// Package flagrights says which flags an identity may change (RFC 4314, section 4: STORE), the
// same in every store.
package flagrights

import "github.com/hashmail/mailaccess/mailaccess"

// Flags are the flags that an identity may change.
type Flags struct {
	System   mailaccess.SystemFlags
	Keywords bool
}

// Of returns the flags that rights let one change.
func Of(rights mailaccess.Rights) (f Flags) {
	if rights.Has(mailaccess.RightSeen) {
		f.System |= mailaccess.FlagSeen
	}
	if rights.Has(mailaccess.RightDeleted) {
		f.System |= mailaccess.FlagDeleted
	}
	if rights.Has(mailaccess.RightFlags) {
		f.System |= mailaccess.SystemFlagsAll &^ (mailaccess.FlagSeen | mailaccess.FlagDeleted)
		f.Keywords = true
	}
	return f
}

// Allow reports whether at least some of c may be done.
func (f Flags) Allow(c mailaccess.FlagChange) bool {
	if c.Replace {
		return f.Keywords || f.System != 0
	}
	named := c.Add.Union(c.Remove)
	if named.IsZero() {
		return true
	}
	return named.System&f.System != 0 || f.Keywords && !named.Keywords.IsEmpty()
}

// Apply returns old after that part of c that may be done.
func (f Flags) Apply(c mailaccess.FlagChange, old mailaccess.Flags) mailaccess.Flags {
	to := c.Apply(old)
	to.System = to.System&f.System | old.System&^f.System
	if !f.Keywords {
		to.Keywords = old.Keywords
	}
	return to
}
