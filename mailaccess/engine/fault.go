package engine

import (
	"errors"
	"syscall"

	"github.com/hashmail/mailaccess/mailaccess"
)

// IsFault reports whether err is something that the operator has to hear of, because no
// client can help it: a defect, damaged data, an outcome that nobody knows, or what the
// operating system refused, such as a disk that is full. Front-ends log these with the
// command, and answer with the kind as always.
func IsFault(err error) bool {
	switch mailaccess.KindOf(err) {
	case mailaccess.KindInternal, mailaccess.KindCorrupt, mailaccess.KindUncertain:
		return true
	}
	var refused syscall.Errno
	return errors.As(err, &refused)
}
