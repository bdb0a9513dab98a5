package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

func names(w *world, s *engine.Session) string {
	w.t.Helper()
	all, err := collect(s.Mailboxes(w.ctx))
	w.check(err)
	var out []string
	for _, m := range all {
		out = append(out, m.Name)
	}
	if !slices.IsSorted(out) {
		w.t.Fatalf("names out of order: %q", out)
	}
	return strings.Join(out, " ")
}

// RFC 3501, sections 6.3.3 to 6.3.5.
func TestMailboxNames(t *testing.T) {
	w := newWorld(t, nil)
	s := w.session()
	create := func(name string) {
		t.Helper()
		_, err := s.Create(w.ctx, name, 0)
		w.check(err)
	}
	want := func(list string) {
		t.Helper()
		if got := names(w, s); got != list {
			t.Fatalf("mailboxes are %q, want %q", got, list)
		}
	}
	kind := func(err error, k mailaccess.Kind) {
		t.Helper()
		if err == nil || mailaccess.KindOf(err) != k {
			t.Fatalf("error %v, want %v", err, k)
		}
	}

	create("a/b/c")
	want("INBOX a a/b a/b/c")
	_, err := s.Create(w.ctx, "a/b", 0)
	kind(err, mailaccess.KindExists)
	_, err = s.Create(w.ctx, "inbox", 0)
	kind(err, mailaccess.KindExists)
	_, err = s.Create(w.ctx, "x//y", 0)
	kind(err, mailaccess.KindInvalid)
	create("Inbox/sub")
	want("INBOX INBOX/sub a a/b a/b/c")

	w.check(s.Delete(w.ctx, "a/b"))
	want("INBOX INBOX/sub a a/b/c")
	kind(s.Delete(w.ctx, "a/b"), mailaccess.KindHasChildren)
	kind(s.Delete(w.ctx, "nothing"), mailaccess.KindNotFound)

	// A level that is no mailbox is renamed by renaming what is below it.
	create("a/b/c/d")
	create("a/b/e")
	w.check(s.Delete(w.ctx, "a/b"))
	w.check(s.Rename(w.ctx, "a/b", "new/place"))
	want("INBOX INBOX/sub a new new/place/c new/place/c/d new/place/e")
	kind(s.Rename(w.ctx, "new", "new/below"), mailaccess.KindInvalid)
	kind(s.Rename(w.ctx, "new/place/e", "a"), mailaccess.KindExists)
	kind(s.Rename(w.ctx, "nothing", "b"), mailaccess.KindNotFound)
	kind(s.Rename(w.ctx, "a", "bad\x00name"), mailaccess.KindInvalid)

	// Renaming INBOX moves its messages and leaves what is below it.
	w.deliver(3)
	w.check(s.Rename(w.ctx, "inbox", "old/inbox"))
	want("INBOX INBOX/sub a new new/place/c new/place/c/d new/place/e old old/inbox")
	for name, n := range map[string]int{"INBOX": 0, "old/inbox": 3} {
		m, err := s.Lookup(w.ctx, name)
		w.check(err)
		st, err := s.Status(w.ctx, m.ID)
		w.check(err)
		if st.Messages != n {
			t.Errorf("%s holds %d messages, want %d", name, st.Messages, n)
		}
	}

	// NFC: two spellings are one name (RFC 5198, section 3).
	create("cafe\u0301")
	if _, err := s.Lookup(w.ctx, "caf\u00e9"); err != nil {
		t.Error(err)
	}
}
