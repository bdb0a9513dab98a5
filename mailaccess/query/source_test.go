package query

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// source is a message in memory that counts what is asked of it.
type source struct {
	*strings.Reader
	raw string

	err, readErr, structErr    error
	opened, closed, structured int
	read                       int64
	missing                    int64 // octets that are gone from the end
}

func newSource(raw string) *source { return &source{Reader: strings.NewReader(raw), raw: raw} }

func (s *source) Content(context.Context) (mailaccess.Content, error) {
	s.opened++
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}

func (s *source) Structure(_ context.Context, c mailaccess.Content) (*message.Part, error) {
	s.structured++
	if s.structErr != nil {
		return nil, s.structErr
	}
	return message.Parse(strings.NewReader(s.raw), c.Size(), nil)
}

func (s *source) ReadAt(b []byte, off int64) (int, error) {
	if s.readErr != nil {
		return 0, s.readErr
	}
	n, err := io.NewSectionReader(s.Reader, 0, s.Size()-s.missing).ReadAt(b, off)
	s.read += int64(n)
	return n, err
}

func (s *source) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(s, off, n))
}

func (s *source) Close() error {
	s.closed++
	return nil
}

func mustCompile(t testing.TB, e mailaccess.Expr, opts *Options) *Matcher {
	t.Helper()
	m, err := Compile(e, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// matches evaluates e over a message with that content.
func matches(t *testing.T, e mailaccess.Expr, msg *mailaccess.Message, raw string) bool {
	t.Helper()
	src := newSource(raw)
	got, err := mustCompile(t, e, nil).Match(t.Context(), msg, src)
	if err != nil {
		t.Fatal(err)
	}
	if src.opened > 1 || src.opened != src.closed {
		t.Errorf("opened %d times, closed %d times", src.opened, src.closed)
	}
	return got
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
