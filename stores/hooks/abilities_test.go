package hooks_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// Each function switches on what it makes possible, and nothing else.
func TestAbilities(t *testing.T) {
	whole := hookstest.New(hookstest.Style{}).Handlers()
	const reading = mailaccess.RightRead
	const flags = mailaccess.RightSeen | mailaccess.RightFlags | mailaccess.RightDeleted
	for name, test := range map[string]struct {
		add    func(h *hooks.Handlers)
		want   string
		rights mailaccess.Rights
	}{
		"nothing":        {func(*hooks.Handlers) {}, "", reading},
		"OpenMailItem":   {func(h *hooks.Handlers) { h.OpenMailItem = whole.OpenMailItem }, "", reading},
		"AddMailItem":    {func(h *hooks.Handlers) { h.AddMailItem = whole.AddMailItem }, "Append Copy", reading | mailaccess.RightInsert},
		"AddMailItems":   {func(h *hooks.Handlers) { h.AddMailItems = whole.AddMailItems }, "Append AppendMany Copy CopyMany", reading | mailaccess.RightInsert},
		"UpdateMailItem": {func(h *hooks.Handlers) { h.UpdateMailItem = whole.UpdateMailItem }, "Expunge Flags", reading | flags | mailaccess.RightExpunge},
		"RemoveMailItem": {func(h *hooks.Handlers) { h.RemoveMailItem = whole.RemoveMailItem }, "Expunge", reading | mailaccess.RightExpunge},
		"MoveMailItem": {func(h *hooks.Handlers) { h.MoveMailItem = whole.MoveMailItem }, "Move",
			reading | mailaccess.RightInsert | mailaccess.RightDeleted | mailaccess.RightExpunge},
		"CreateMailBox": {func(h *hooks.Handlers) { h.CreateMailBox = whole.CreateMailBox }, "Mailboxes", reading | mailaccess.RightCreate},
		"RenameMailBox": {func(h *hooks.Handlers) { h.RenameMailBox = whole.RenameMailBox }, "Mailboxes",
			reading | mailaccess.RightCreate | mailaccess.RightRemove},
		"DeleteMailBox": {func(h *hooks.Handlers) { h.DeleteMailBox = whole.DeleteMailBox }, "Mailboxes", reading | mailaccess.RightRemove},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
				*h = hooks.Handlers{MailBoxes: h.MailBoxes, MailItems: h.MailItems}
				test.add(h)
			}, hooks.Options{})
			acc := f.session()
			c := acc.Capabilities()
			var can []string
			for what, there := range map[string]bool{
				"Append": c.Append != nil, "AppendMany": c.AppendMany, "Copy": c.Copy != nil, "CopyMany": c.CopyMany,
				"Flags": c.Flags != nil, "Expunge": c.Expunge != nil, "Move": c.Move != nil, "Mailboxes": c.Mailboxes != nil,
			} {
				if there {
					can = append(can, what)
				}
			}
			slices.Sort(can)
			if got := strings.Join(can, " "); got != test.want {
				t.Errorf("it can %q, want %q", got, test.want)
			}
			if got := f.inbox(acc).Rights; got != test.rights {
				t.Errorf("rights %v, want %v", got, test.rights)
			}
			// Without a password nobody is let in.
			_, err := f.store.Authenticate(t.Context(), mailaccess.Login{Username: user, Password: "secret"})
			wantKind(t, "Authenticate", err, mailaccess.KindAuthFailed)
		})
	}
}
