package flagrights_test

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

func TestRights(t *testing.T) {
	words, err := mailaccess.NewKeywords("work")
	if err != nil {
		t.Fatal(err)
	}
	seen := mailaccess.Flags{System: mailaccess.FlagSeen}
	all := mailaccess.Flags{System: mailaccess.SystemFlagsAll, Keywords: words}
	for _, test := range []struct {
		rights mailaccess.Rights
		change mailaccess.FlagChange
		old    mailaccess.Flags
		allow  bool
		want   mailaccess.Flags
	}{
		{mailaccess.RightSeen, mailaccess.FlagChange{Add: all}, mailaccess.Flags{}, true, seen},
		{mailaccess.RightSeen, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagDraft, Keywords: words}}, seen, false, seen},
		{mailaccess.RightDeleted, mailaccess.FlagChange{Remove: all}, all, true, mailaccess.Flags{System: all.System &^ mailaccess.FlagDeleted, Keywords: words}},
		{mailaccess.RightFlags, mailaccess.FlagChange{Replace: true}, all, true, mailaccess.Flags{System: mailaccess.FlagSeen | mailaccess.FlagDeleted}},
		{mailaccess.RightFlags, mailaccess.FlagChange{Add: mailaccess.Flags{Keywords: words}}, seen, true, seen.Union(mailaccess.Flags{Keywords: words})},
		{mailaccess.RightsReadOnly, mailaccess.FlagChange{Replace: true}, all, false, all},
		{mailaccess.RightsReadOnly, mailaccess.FlagChange{}, all, true, all},
	} {
		f := flagrights.Of(test.rights)
		if got := f.Allow(test.change); got != test.allow {
			t.Errorf("rights %b, %+v: allowed %v", test.rights, test.change, got)
		}
		if got := f.Apply(test.change, test.old); got != test.want {
			t.Errorf("rights %b, %+v of %+v: %+v, want %+v", test.rights, test.change, test.old, got, test.want)
		}
	}
}
