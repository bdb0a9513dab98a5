package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

func TestIsFault(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "cur", Err: syscall.ENOSPC}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{&mailaccess.Error{Kind: mailaccess.KindInternal}, true},
		{errors.New("unknown"), true},
		{&mailaccess.Error{Kind: mailaccess.KindCorrupt}, true},
		{&mailaccess.Error{Kind: mailaccess.KindUncertain}, true},
		{&mailaccess.Error{Kind: mailaccess.KindOverQuota, Err: full}, true},
		{&mailaccess.Error{Kind: mailaccess.KindUnavailable, Err: full}, true},
		{&mailaccess.Error{Kind: mailaccess.KindOverQuota}, false},
		{&mailaccess.Error{Kind: mailaccess.KindUnavailable, Err: context.Canceled}, false},
		{&mailaccess.Error{Kind: mailaccess.KindNotFound}, false},
	} {
		if got := engine.IsFault(test.err); got != test.want {
			t.Errorf("IsFault(%v) = %v", test.err, got)
		}
	}
}
