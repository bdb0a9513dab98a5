package dirwatch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func newWatcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() }) //nolint:errcheck // whoever cares has closed it
	return w
}

func drained(t *testing.T, w *Watcher) (all []string) {
	t.Helper()
	if err := w.Drain(func(e Event) {
		all = append(all, fmt.Sprint(e.ID, map[Kind]string{Came: "+", Went: "-", Gone: "gone", Lost: "lost"}[e.Kind], string(e.Name)))
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWatch(t *testing.T) {
	w := newWatcher(t)
	root := t.TempDir()
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	for _, err := range []error{os.Mkdir(a, 0o700), os.Mkdir(b, 0o700), os.WriteFile(filepath.Join(root, "file"), nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	x, err := w.Add(a)
	y, errY := w.Add(b)
	if err != nil || errY != nil {
		t.Fatal(err, errY)
	}
	if again, err := w.Add(a); again != x || err != nil {
		t.Errorf("watched again: %d %v, want %d", again, err, x)
	}
	if _, err := w.Add(filepath.Join(root, "file")); err == nil {
		t.Error("a file is watched")
	}
	if _, err := w.Add(filepath.Join(root, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if got := drained(t, w); got != nil {
		t.Errorf("%q before anything happened", got)
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(a, "1"), []byte("x"), 0o600),
		os.Rename(filepath.Join(a, "1"), filepath.Join(a, "two")),
		os.Rename(filepath.Join(a, "two"), filepath.Join(b, "3")),
		os.Link(filepath.Join(b, "3"), filepath.Join(a, "4")),
		os.Chmod(filepath.Join(a, "4"), 0o400),
		os.Remove(filepath.Join(a, "4")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Wait(); err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for _, s := range []struct {
		id   int
		text string
	}{{x, "+1"}, {x, "-1"}, {x, "+two"}, {x, "-two"}, {y, "+3"}, {x, "+4"}, {x, "-4"}} {
		want = append(want, fmt.Sprint(s.id, s.text[:1], s.text[1:]))
	}
	if got := drained(t, w); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := w.Remove(x); err != nil {
		t.Error(err)
	}
	if err := w.Remove(x); err != nil {
		t.Errorf("again: %v", err)
	}
	for _, err := range []error{os.WriteFile(filepath.Join(a, "5"), nil, 0o600), os.RemoveAll(b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := drained(t, w), []string{fmt.Sprint(y, "-", "3"), fmt.Sprint(y, "gone", "")}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Close ends who waits, and all else fails afterwards.
func TestClose(t *testing.T) {
	w := newWatcher(t)
	waited := make(chan error)
	go func() { waited <- w.Wait() }()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	_, err := w.Add(t.TempDir())
	for _, err := range []error{err, w.Remove(1), w.Drain(func(Event) {}), w.Wait(), w.Close()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}

// Whatever is read, no octet beyond it is looked at, and there is an end.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00name\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff\xff\xffname"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		parse(b, func(e Event) {
			if n++; n > len(b)/16 || len(e.Name) > len(b) {
				t.Fatal(n, e)
			}
		})
	})
}
