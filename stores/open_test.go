package stores_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestOpen(t *testing.T) {
	for _, url := range []string{"memory:", "MEMORY:"} {
		s, err := stores.Open(context.Background(), url, nil)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if _, ok := s.(*memory.Store); !ok {
			t.Errorf("%s: opened a %T", url, s)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: close: %v", url, err)
		}
	}
}

func TestOpenMaildir(t *testing.T) {
	dir := t.TempDir()
	for _, query := range []string{"", "?sync=full", "?sync=normal", "?sync=off"} {
		s, err := stores.Open(context.Background(), "maildir:"+dir+query, nil)
		if err != nil {
			t.Fatalf("%q: %v", query, err)
		}
		if _, ok := s.(*maildir.Store); !ok {
			t.Errorf("%q: opened a %T", query, s)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%q: close: %v", query, err)
		}
	}
	for _, rest := range []string{"", "?sync=full", dir + "?sync=maybe", dir + "?sync=off&sync=full", dir + "?cache=1", dir + "?%zz", dir + "/%x"} {
		if _, err := stores.Open(context.Background(), "maildir:"+rest, nil); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("maildir:%s: %v, want KindInvalid", rest, err)
		}
	}
}

// Whoever works beside the server finds the path in the same URL.
func TestMaildirPath(t *testing.T) {
	for url, want := range map[string]string{
		"maildir:./mail": "./mail", "MAILDIR:/srv/mail/%d/%n?sync=off": "/srv/mail/%d/%n",
		"memory:": "", "/srv/mail": "", "maildir:/srv?sync=often": "", "maildir:/srv?sync=full&sync=off": "",
	} {
		got, err := stores.MaildirPath(url)
		if got != want || (want == "") != errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%q: %q, %v; want %q", url, got, err, want)
		}
	}
}

func TestOpenUnknown(t *testing.T) {
	for _, url := range []string{"", "memory", "nosuch:secret", ":secret", "memory:secret"} {
		_, err := stores.Open(context.Background(), url, nil)
		if !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%q: %v, want KindInvalid", url, err)
			continue
		}
		if !strings.Contains(err.Error(), "memory:") {
			t.Errorf("%q: %v, which does not say what there is", url, err)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, which tells too much", url, err)
		}
	}
}

func TestOpenWith(t *testing.T) {
	want := errors.New("opened")
	mine := []stores.Scheme{{
		Name: "mine", Usage: "mine:PLACE",
		Open: func(_ context.Context, rest string, opts *stores.Options) (mailaccess.Store, error) {
			if rest != "//here:1" || opts.Logger == nil {
				t.Errorf("opened with %q and logger %v", rest, opts.Logger)
			}
			return nil, want
		},
	}}
	if _, err := stores.OpenWith(context.Background(), "mine://here:1", nil, mine); err != want {
		t.Errorf("got %v, want the scheme's own error", err)
	}
	if _, err := stores.OpenWith(context.Background(), "memory:", nil, mine); err == nil || !strings.Contains(err.Error(), "mine:PLACE") {
		t.Errorf("got %v, want what there is", err)
	}
}

func ExampleOpen() {
	_, err := stores.Open(context.Background(), "floppy:A", nil)
	fmt.Println(err)
	// Output: open store: invalid: unknown scheme "floppy" in the store's URL; there are maildir:PATH[?sync=full|normal|off], memory:
}
