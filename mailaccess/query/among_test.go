package query_test

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

func TestAmong(t *testing.T) {
	in := func(first, last mailaccess.UID) mailaccess.Expr {
		return mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(first, last)}
	}
	seen := mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}
	for _, test := range []struct {
		e    mailaccess.Expr
		want string
	}{
		{mailaccess.And{}, "1:10"},
		{seen, "1:10"},
		{in(8, 20), "8:10"},
		{mailaccess.And{seen, in(2, 6), mailaccess.And{in(5, 9)}}, "5:6"},
		{mailaccess.Not{X: in(2, 6)}, "1:10"},
		{mailaccess.Or{in(2, 6), seen}, "1:10"},
		{in(11, 12), ""},
	} {
		if got := query.Among(test.e, mailaccess.UIDSetRange(1, 10)).String(); got != test.want {
			t.Errorf("%v: %q, want %q", test.e, got, test.want)
		}
	}
}
