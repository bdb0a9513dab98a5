package imap

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// TestNamespaceLosesNothing: every name of a store has one form that clients see, and no
// other has the same; each is found by it.
func TestNamespaceLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sep := rapid.SampledFrom([]rune("./|_")).Draw(t, "separator")
		prefix := rapid.SampledFrom([]string{"", "INBOX" + string(sep), "inbox" + string(sep), "M" + string(sep) + "x" + string(sep)}).Draw(t, "prefix")
		o := Namespace{Prefix: prefix, Separator: sep}
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		ns := o.compiled()
		name := rapid.SampledFrom([]string{mailaccess.Inbox, ""}).Draw(t, "INBOX")
		if name == "" {
			level := rapid.StringMatching(`(INBOX|[a.|_~2e7fc5é]{1,6})`)
			name = strings.Join(rapid.SliceOfN(level, 1, 3).Draw(t, "levels"), "/")
		}
		shown := ns.shown(name)
		wire := ns.written(shown)
		if back := ns.known(ns.read(wire)); back != name {
			t.Errorf("%q is shown as %q, which is %q", name, wire, back)
		}
		if got := ns.read(wire); got != shown {
			t.Errorf("%q is %q on the wire and %q read", shown, wire, got)
		}
		if levels := strings.Count(wire, string(sep)); name != mailaccess.Inbox && levels != strings.Count(name, "/")+strings.Count(prefix, string(sep)) {
			t.Errorf("%q is shown as %q, which has %d separators", name, wire, levels)
		}
		if normal, ok := ns.normal(shown); !ok && mailaccess.CheckMailboxName(name) == nil || ok && normal != shown {
			t.Errorf("normal(%q) = %q, %t", shown, normal, ok)
		}
	})
}

func TestNamespaceCheck(t *testing.T) {
	for _, test := range []struct {
		ns Namespace
		ok bool
	}{
		{Namespace{}, true},
		{Namespace{Prefix: "INBOX.", Separator: '.'}, true},
		{Namespace{Prefix: "Mail/old/"}, true},
		{Namespace{Separator: '^'}, true},
		{Namespace{Prefix: "INBOX", Separator: '.'}, false},
		{Namespace{Prefix: "INBOX/", Separator: '.'}, false},
		{Namespace{Prefix: "a/b.", Separator: '.'}, false},
		{Namespace{Prefix: ".", Separator: '.'}, false},
		{Namespace{Prefix: "a..", Separator: '.'}, false},
		{Namespace{Prefix: "a*."}, false},
		{Namespace{Prefix: "a*/"}, false},
		{Namespace{Prefix: "é/"}, false},
		{Namespace{Separator: '*'}, false},
		{Namespace{Separator: '\\'}, false},
		{Namespace{Separator: '~'}, false},
		{Namespace{Separator: 'é'}, false},
		{Namespace{Separator: 'a'}, false},
		{Namespace{Separator: ';'}, false},
	} {
		if err := test.ns.Check(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.ns, err)
		}
	}
}
