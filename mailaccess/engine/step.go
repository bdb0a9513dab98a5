package engine

import (
	"context"
	"io"

	"github.com/hashmail/mailaccess/mailaccess"
)

// SetStep makes work of the session that may take long call step now and then, each few
// milliseconds at the longest: while it goes through messages ([Progress] is told of that
// as well), and while it reads one that is large. step may wait, so that others have their turn. Its
// error ends the work, and is returned. It is called from whatever goroutine works, by none that holds a
// lock. It must be set before the session is used by others.
func (s *Session) SetStep(step func() error) { s.step = step }

// SetRest makes the session say when it waits for the store to change something, which is mostly
// for a disk: rest is called before, and what it returns after that. It must be set before the session
// is used by others.
func (s *Session) SetRest(rest func() (work func())) { s.rest = rest }

// resting says that the store is waited for, until the function that it returns is called.
func (s *Session) resting() (work func()) {
	if s.rest == nil {
		return func() {}
	}
	return s.rest()
}

// stepped calls the session's step whenever something is read.
func (s *Session) stepped(c mailaccess.Content) mailaccess.Content {
	if s.step == nil {
		return c
	}
	return &stepping{c, s.step}
}

type stepping struct {
	mailaccess.Content
	step func() error
}

func (c *stepping) ReadAt(p []byte, off int64) (int, error) {
	if err := c.step(); err != nil {
		return 0, err
	}
	return c.Content.ReadAt(p, off)
}

// WriteRange is for who does something with what is written: each piece is a step.
func (c *stepping) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return c.Content.WriteRange(stepWriter{w, c.step}, off, n)
}

type stepWriter struct {
	w    io.Writer
	step func() error
}

func (s stepWriter) Write(p []byte) (int, error) {
	if err := s.step(); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// ContentToWork opens the bytes of a message as Content does, for who reads much of them
// and makes something of it, which takes long: see SetStep.
func (s *Session) ContentToWork(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	c, err := s.Content(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.stepped(c), nil
}
