package engine_test

import (
	"io"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// While the store changes something, by itself or by emulation, the session rests; it does not
// otherwise.
func TestChangesAreRests(t *testing.T) {
	for name, wrap := range map[string]func(mailaccess.Store) mailaccess.Store{
		"by the store": nil,
		"emulated":     without(func(c *mailaccess.Capabilities) { c.Move, c.Replace = nil, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wrap)
			w.deliver(5)
			s := w.session()
			began, ended := 0, 0
			s.SetRest(func() func() {
				began++
				return func() { ended++ }
			})
			archive, err := s.Create(w.ctx, "Archive", 0)
			w.check(err)
			v := w.open(s, engine.ViewOptions{})
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
			if began != 0 {
				t.Errorf("it rested %d times before any change", began)
			}
			for _, change := range []struct {
				name string
				do   func() error
			}{
				{"append", func() error {
					u, err := s.NewUpload(w.ctx, 1)
					w.check(err)
					defer u.Close()
					_, err = io.WriteString(u, "x")
					w.check(err)
					_, err = s.Append(w.ctx, archive.ID, engine.NewMessage{Upload: u})
					return err
				}},
				{"flags", func() error {
					_, err := v.SetFlags(w.ctx, mailaccess.UIDSetOf(1), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
					return err
				}},
				{"copy", func() error {
					_, err := v.Copy(w.ctx, mailaccess.UIDSetOf(1), archive.ID)
					return err
				}},
				{"move", func() error {
					_, err := v.Move(w.ctx, mailaccess.UIDSetOf(2), archive.ID, nil)
					return err
				}},
				{"replace", func() error {
					_, err := v.Replace(w.ctx, 3, v.Status().ID, w.replacement(v, "new"))
					return err
				}},
				{"expunge", func() error { return v.Expunge(w.ctx, mailaccess.UIDSetOf(4), 0) }},
			} {
				began, ended = 0, 0
				w.check(change.do())
				if began == 0 || began != ended {
					t.Errorf("%s: %d rests began, %d ended", change.name, began, ended)
				}
			}
		})
	}
}
