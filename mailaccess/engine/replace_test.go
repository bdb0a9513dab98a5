package engine_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// replacement is an upload that replaces.
func (w *world) replacement(v *engine.View, text string) engine.NewMessage {
	w.t.Helper()
	u, err := v.NewReplacement(w.ctx, int64(len(text)))
	w.check(err)
	w.t.Cleanup(func() { u.Close() })
	_, err = io.WriteString(u, text)
	w.check(err)
	return engine.NewMessage{Upload: u}
}

// A message is replaced in one transaction, or by appending and expunging: what comes
// of it is the same.
func TestReplace(t *testing.T) {
	for name, wrap := range map[string]func(mailaccess.Store) mailaccess.Store{
		"by the store": nil,
		"by appending": without(func(c *mailaccess.Capabilities) { c.Replace = nil }),
		"declined": without(func(c *mailaccess.Capabilities) {
			c.Replace = replacer(func() error { return mailaccess.ErrSkip })
		}),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wrap)
			w.deliver(3)
			v := w.open(w.session(), engine.ViewOptions{})
			done, err := v.Replace(w.ctx, 2, v.Status().ID, w.replacement(v, "new"))
			w.check(err)
			if len(done.Messages) != 1 || done.Messages[0].UID != 4 || done.UIDValidity != v.Status().UIDValidity {
				t.Fatalf("replaced by %+v", done)
			}
			c := newClient(v)
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
			if got := v.UIDs().String(); got != "1,3:4" {
				t.Errorf("there are %s", got)
			}
			// What is gone is not replaced, and nothing comes.
			done, err = v.Replace(w.ctx, 2, v.Status().ID, w.replacement(v, "newer"))
			if mailaccess.KindOf(err) != mailaccess.KindContentGone || len(done.Messages) != 0 {
				t.Errorf("replacing what is gone: %+v, %v", done, err)
			}
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
			if got := v.UIDs().String(); got != "1,3:4" {
				t.Errorf("there are %s", got)
			}
		})
	}
}

// When the old message cannot be removed, the new one is taken back; when nobody knows
// whether it was, or when that fails too, both stay: never none.
func TestReplaceFailsHalfway(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kinds   []mailaccess.Kind // of what Expunge answers, in turn; 0: it works
		want    mailaccess.Kind
		there   string
		isThere bool
	}{
		{"taken back", []mailaccess.Kind{mailaccess.KindUnavailable, 0}, mailaccess.KindUnavailable, "1:2", false},
		{"not taken back", []mailaccess.Kind{mailaccess.KindForbidden, mailaccess.KindUnavailable}, mailaccess.KindForbidden, "1:3", true},
		{"unknown", []mailaccess.Kind{mailaccess.KindUncertain}, mailaccess.KindUncertain, "1:3", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, without(func(c *mailaccess.Capabilities) {
				c.Replace = nil
				c.Expunge = &failingExpunger{Expunger: c.Expunge, kinds: tt.kinds}
			}))
			w.deliver(2)
			v := w.open(w.session(), engine.ViewOptions{})
			done, err := v.Replace(w.ctx, 1, v.Status().ID, w.replacement(v, "new"))
			if mailaccess.KindOf(err) != tt.want || (len(done.Messages) == 1) != tt.isThere {
				t.Errorf("%+v, %v", done, err)
			}
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
			if got := v.UIDs().String(); got != tt.there {
				t.Errorf("there are %s, want %s", got, tt.there)
			}
		})
	}
}

// What cannot be done is refused before anything is.
func TestReplaceRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(1)
	s := w.session()
	v := w.open(s, engine.ViewOptions{ReadOnly: true})
	if _, err := v.Replace(w.ctx, 1, v.Status().ID, w.replacement(v, "x")); mailaccess.KindOf(err) != mailaccess.KindForbidden {
		t.Errorf("in a view that is read only: %v", err)
	}
	v = w.open(s, engine.ViewOptions{})
	if _, err := v.NewReplacement(w.ctx, s.Can().MaxUpload+1); mailaccess.KindOf(err) != mailaccess.KindTooBig {
		t.Errorf("too big: %v", err)
	}
	w = newWorld(t, without(func(c *mailaccess.Capabilities) { c.Replace, c.Expunge = nil, nil }))
	w.deliver(1)
	s = w.session()
	v = w.open(s, engine.ViewOptions{})
	if s.Can().Replace {
		t.Error("replaces without removing")
	}
	if _, err := v.Replace(w.ctx, 1, v.Status().ID, w.replacement(v, "x")); mailaccess.KindOf(err) != mailaccess.KindUnsupported {
		t.Errorf("without a way to remove: %v", err)
	}
}

type replacer func() error

func (r replacer) Replace(context.Context, mailaccess.MailboxID, mailaccess.UID, mailaccess.MailboxID, mailaccess.NewMessage) (mailaccess.Appended, error) {
	return mailaccess.Appended{}, r()
}

// failingExpunger fails in turn.
type failingExpunger struct {
	mailaccess.Expunger
	kinds []mailaccess.Kind
}

func (f *failingExpunger) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	kind := f.kinds[0]
	f.kinds = f.kinds[1:]
	if kind != 0 {
		return nil, &mailaccess.Error{Kind: kind, Op: "expunge", Err: errors.New("not today")}
	}
	return f.Expunger.Expunge(ctx, box, uids, need)
}
