package memory

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// calls returns every call that asks for rights or for a context, with the
// rights that it needs. Each succeeds when nothing is in its way.
func calls(f *fixture, box mailaccess.MailboxID) map[string]struct {
	need mailaccess.Rights
	call func(context.Context, *handle) error
} {
	const read = mailaccess.RightRead
	type result = struct {
		need mailaccess.Rights
		call func(context.Context, *handle) error
	}
	uids := mailaccess.UIDSetOf(1)
	staged := f.stage("x")
	return map[string]result{
		"Mailboxes": {0, func(ctx context.Context, h *handle) error {
			for _, err := range h.Mailboxes(ctx) {
				return err
			}
			return nil
		}},
		"Lookup":   {0, func(ctx context.Context, h *handle) error { _, err := h.Lookup(ctx, mailaccess.Inbox); return err }},
		"Status":   {read, func(ctx context.Context, h *handle) error { _, err := h.Status(ctx, box); return err }},
		"Snapshot": {read, func(ctx context.Context, h *handle) error { _, err := h.Snapshot(ctx, box); return err }},
		"Messages": {read, func(ctx context.Context, h *handle) error {
			for _, err := range h.Messages(ctx, box, uids) {
				return err
			}
			return nil
		}},
		"Messages of none": {read, func(ctx context.Context, h *handle) error {
			for _, err := range h.Messages(ctx, box, mailaccess.UIDSet{}) {
				return err
			}
			return nil
		}},
		"MailboxChanges": {read, func(ctx context.Context, h *handle) error { _, err := h.MailboxChanges(ctx, box, 0); return err }},
		"Changes":        {0, func(ctx context.Context, h *handle) error { _, err := h.Changes(ctx, mailaccess.State{}); return err }},
		"Content": {read, func(ctx context.Context, h *handle) error {
			_, err := h.Content(ctx, f.list(box, uids)[0].EmailID)
			return err
		}},
		"Stage": {mailaccess.RightInsert, func(ctx context.Context, h *handle) error { _, err := h.Stage(ctx, 1); return err }},
		"Append": {mailaccess.RightInsert, func(ctx context.Context, h *handle) error {
			_, err := h.Append(ctx, box, []mailaccess.NewMessage{{Staged: staged}})
			return err
		}},
		"SetFlags": {mailaccess.RightFlags, func(ctx context.Context, h *handle) error {
			_, err := h.SetFlags(ctx, box, uids, mailaccess.FlagChange{Add: flagged}, mailaccess.AnyModSeq)
			return err
		}},
		"Expunge": {mailaccess.RightExpunge, func(ctx context.Context, h *handle) error {
			_, err := h.Expunge(ctx, box, mailaccess.UIDSetOf(1000), 0)
			return err
		}},
		"Copy": {read | mailaccess.RightInsert, func(ctx context.Context, h *handle) error {
			_, err := h.Copy(ctx, box, uids, f.inbox)
			return err
		}},
		"Move": {read | mailaccess.RightInsert | mailaccess.RightDeleted | mailaccess.RightExpunge, func(ctx context.Context, h *handle) error {
			_, err := h.Move(ctx, box, mailaccess.UIDSetOf(1000), f.inbox)
			return err
		}},
		"CreateMailbox": {mailaccess.RightCreate, func(ctx context.Context, h *handle) error {
			m, err := h.CreateMailbox(ctx, "New", 0)
			if err == nil {
				f.must(f.DeleteMailbox(context.Background(), m.ID))
			}
			return err
		}},
		"RenameMailbox": {mailaccess.RightRemove | mailaccess.RightCreate, func(ctx context.Context, h *handle) error {
			err := h.RenameMailbox(ctx, box, "Renamed")
			if err == nil {
				f.must(f.RenameMailbox(context.Background(), box, "Box"))
			}
			return err
		}},
		"DeleteMailbox": {mailaccess.RightRemove, func(ctx context.Context, h *handle) error {
			m, err := f.CreateMailbox(context.Background(), "Gone", 0)
			f.must(err)
			err = h.DeleteMailbox(ctx, m.ID)
			if err != nil {
				f.must(f.DeleteMailbox(context.Background(), m.ID))
			}
			return err
		}},
		"Subscriptions": {0, func(ctx context.Context, h *handle) error {
			for _, err := range h.Subscriptions(ctx) {
				return err
			}
			return nil
		}},
		"Search": {read, func(ctx context.Context, h *handle) error {
			_, err := h.Search(ctx, box, mailaccess.And{})
			return err
		}},
		"Derived": {read, func(ctx context.Context, h *handle) error {
			for _, err := range h.Derived(ctx, "x/1", nil) {
				return err
			}
			return nil
		}},
		"PutDerived": {read, func(ctx context.Context, h *handle) error { return h.PutDerived(ctx, "x/1", nil) }},
		"Lease": {0, func(ctx context.Context, h *handle) error {
			l, err := h.Lease(ctx, "name", time.Hour)
			if err == nil {
				l.Release()
			}
			return err
		}},
		"Recent":      {read, func(ctx context.Context, h *handle) error { _, err := h.Recent(ctx, box); return err }},
		"ClaimRecent": {read, func(ctx context.Context, h *handle) error { _, err := h.ClaimRecent(ctx, box); return err }},
		"Locate": {read, func(ctx context.Context, h *handle) error {
			for _, err := range h.Locate(ctx, []mailaccess.EmailID{"x"}) {
				return err
			}
			return nil
		}},
		"Hold": {read, func(ctx context.Context, h *handle) error {
			release, err := h.Hold(ctx, box)
			if err == nil {
				release()
			}
			return err
		}},
	}
}

func TestRights(t *testing.T) {
	f := newFixture(t, nil)
	box := f.box("Box")
	f.append(box, "x", mailaccess.Flags{})
	for name, c := range calls(f, box) {
		if c.need != 0 {
			if err := c.call(ctx, f.as(c.need)); err != nil {
				t.Errorf("%s with just what it needs: %v", name, err)
			}
		}
		for right := mailaccess.Rights(1); right < mailaccess.RightsAll; right <<= 1 {
			before := f.modseq
			err := c.call(ctx, f.as(mailaccess.RightsAll&^right))
			switch {
			case c.need&right == 0 && err != nil:
				t.Errorf("%s without right %b: %v", name, right, err)
			case c.need&right != 0 && !errors.Is(err, mailaccess.KindForbidden):
				t.Errorf("%s without right %b: %v, want KindForbidden", name, right, err)
			case err != nil && name != "DeleteMailbox" && f.modseq != before:
				t.Errorf("%s without right %b changed something", name, right)
			}
		}
	}
	f.wantKind(f.as(mailaccess.RightsReadOnly).Subscribe(ctx, "x", true), mailaccess.KindForbidden)
	f.must(f.as(mailaccess.RightsReadOnly|mailaccess.RightSeen).Subscribe(ctx, "x", true))
}

// A call whose caller does not wait any more does nothing.
func TestEndedContext(t *testing.T) {
	f := newFixture(t, nil)
	box := f.box("Box")
	f.append(box, "x", mailaccess.Flags{})
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, c := range calls(f, box) {
		before := f.modseq
		err := c.call(ended, f.handle)
		if !errors.Is(err, context.Canceled) || mailaccess.KindOf(err) != mailaccess.KindUnavailable {
			t.Errorf("%s: %v", name, err)
		}
		if name != "DeleteMailbox" && f.modseq != before {
			t.Errorf("%s changed something", name)
		}
	}
	if _, err := f.store.Open(ended, user, mailaccess.Identity{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := f.store.Watch(ended, func(mailaccess.Ring) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
}

// Flags that the identity may not change stay as they are; when it may change
// none of those named, that is an error (RFC 4314, section 4).
func TestFlagRights(t *testing.T) {
	const seen, deleted, flag = mailaccess.FlagSeen, mailaccess.FlagDeleted, mailaccess.FlagFlagged
	work := words(t, "work").Keywords
	for _, tt := range []struct {
		rights mailaccess.Rights
		change mailaccess.FlagChange
		want   mailaccess.Flags // of a message that was \Seen \Draft
		denied bool
	}{
		{rights: mailaccess.RightSeen, change: mailaccess.FlagChange{Add: mailaccess.Flags{System: flag}}, denied: true},
		{rights: mailaccess.RightSeen, change: mailaccess.FlagChange{Add: mailaccess.Flags{Keywords: work}}, denied: true},
		{rights: mailaccess.RightFlags, change: mailaccess.FlagChange{Remove: mailaccess.Flags{System: seen}}, denied: true},
		{rights: mailaccess.RightFlags, change: mailaccess.FlagChange{Add: mailaccess.Flags{System: deleted}}, denied: true},
		{rights: mailaccess.RightExpunge, change: mailaccess.FlagChange{Replace: true}, denied: true},
		{
			rights: mailaccess.RightFlags, change: mailaccess.FlagChange{Add: mailaccess.Flags{System: deleted | flag, Keywords: work}},
			want: mailaccess.Flags{System: seen | mailaccess.FlagDraft | flag, Keywords: work},
		},
		{
			rights: mailaccess.RightSeen, change: mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{System: flag, Keywords: work}},
			want: mailaccess.Flags{System: mailaccess.FlagDraft},
		},
		{
			rights: mailaccess.RightDeleted, change: mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{System: deleted}},
			want: mailaccess.Flags{System: seen | deleted | mailaccess.FlagDraft},
		},
	} {
		f := newFixture(t, nil)
		f.append(f.inbox, "x", mailaccess.Flags{System: seen | mailaccess.FlagDraft})
		_, err := f.as(mailaccess.RightRead|tt.rights).SetFlags(ctx, f.inbox, mailaccess.UIDSetOf(1), tt.change, mailaccess.AnyModSeq)
		if tt.denied {
			f.wantKind(err, mailaccess.KindForbidden)
			continue
		}
		f.must(err)
		if got := f.list(f.inbox, mailaccess.UIDSetOf(1))[0].Flags; got != tt.want {
			t.Errorf("%+v: flags %v, want %v", tt, got, tt.want)
		}
		f.check(f.inbox)
	}

	f := newFixture(t, nil)
	h := f.as(mailaccess.RightInsert | mailaccess.RightSeen)
	done, err := h.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage("x"), Flags: mailaccess.Flags{System: seen | flag, Keywords: work}}})
	f.must(err)
	if got := done.Messages[0].Flags; got != (mailaccess.Flags{System: seen}) {
		t.Errorf("appended with %v", got)
	}
}
