package hooks_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// What is asked for is no more than what is needed: a listing asks for no bodies, a
// body for no other message, and with versions only for what changed since.
func TestQueries(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	f := newFixture(t, hookstest.Style{Versions: true, Changes: true}, func(h *hooks.Handlers) {
		items := h.MailItems
		h.OpenMailItem = nil
		h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, fmt.Sprintf("%+v", q))
			return items(ctx, email, q)
		}
	}, hooks.Options{Reconcile: -1, CacheBytes: -1})
	version := func() string {
		boxes, err := f.h.MailBoxes(t.Context(), user, hooks.BoxQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return boxes[0].Version
	}
	f.put(mailaccess.Inbox, hookstest.Message{})
	key := f.put(mailaccess.Inbox, hookstest.Message{})
	acc := f.session()
	s := f.inbox(acc)
	first := version()
	if _, err := f.read(acc, f.messages(acc, s.ID)[1].EmailID); err != nil {
		t.Fatal(err)
	}
	f.sync()
	f.put(mailaccess.Inbox, hookstest.Message{})
	f.sync()
	listing := hooks.FieldFlags | hooks.FieldReceived | hooks.FieldRevision
	want := []string{
		fmt.Sprintf("%+v", hooks.ItemQuery{Mailbox: mailaccess.Inbox, Fields: listing}),
		fmt.Sprintf("%+v", hooks.ItemQuery{Mailbox: mailaccess.Inbox, Keys: []string{key}, Fields: hooks.FieldRevision | hooks.FieldBody}),
		fmt.Sprintf("%+v", hooks.ItemQuery{Mailbox: mailaccess.Inbox, Fields: listing, Since: first}),
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(asked, want) {
		t.Errorf("asked\n%q\nwant\n%q", asked, want)
	}
}
