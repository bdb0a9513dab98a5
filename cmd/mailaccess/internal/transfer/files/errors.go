package files

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Failed is the error of an operation on files.
func Failed(op string, err error) error {
	var known *mailaccess.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &mailaccess.Error{Kind: mailaccess.KindOverQuota, Op: op, Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: op, Err: err}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: op, Err: err}
	case errors.Is(err, syscall.ENAMETOOLONG):
		return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: op, Err: err}
	}
	return &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: op, Err: err}
}
