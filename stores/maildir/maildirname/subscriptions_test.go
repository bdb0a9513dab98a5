package maildirname

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestReadSubscriptions(t *testing.T) {
	for _, tt := range []struct {
		title, file string
		e           Encoding
		want        []string
		skipped     int
	}{
		{"nothing", "", UTF7, nil, 0},
		{"plain", "INBOX\nSent\nWork.Old\nINBOX.Sub\n&ZeVnLIqe-\nv1\\2e2", UTF7, []string{"INBOX", "Sent", "Work/Old", "INBOX/Sub", "日本語", "v1.2"}, 0},
		{"plain in UTF-8", "日本語\na & b\n", UTF8, []string{"日本語", "a & b"}, 0},
		{"decomposed", "Entwu\u0308rfe\nEntwürfe\n", UTF8, []string{"Entwürfe"}, 0},
		{"separator at the end", "Work.\nWork\n", UTF7, []string{"Work"}, 0},
		{"any case of INBOX", "inbox\nInbox\ninbox.a\n", UTF7, []string{"INBOX"}, 1},
		{"broken", "a..b\n\xff\n&\n.\n\nok\na\tb\n", UTF7, []string{"ok"}, 4},
		{"too long", strings.Repeat("x", 9000) + "\nok\n", UTF7, []string{"ok"}, 1},
		// As Dovecot 2.3 wrote it.
		{"version 2", "V\t2\n\nv1\\2e2\na\t\\7etilde\n&ZeVnLIqe-\nback\\5cslash\n", UTF7, []string{"v1.2", "a/~tilde", "日本語", `back\slash`}, 0},
		{"version 2, dots", "V\t2\n\nINBOX\na.b\tc\nd\t\n\x011\n", UTF7, []string{"INBOX", "a.b/c", "d"}, 1},
		{"header later", "a\nV\t2\nb\tc\n", UTF7, []string{"a"}, 2},
	} {
		got, err := tt.e.ReadSubscriptions(strings.NewReader(tt.file))
		if err != nil || !slices.Equal(got.Names, tt.want) || got.Skipped != tt.skipped {
			t.Errorf("%s: %q, %d skipped, %v; want %q, %d skipped", tt.title, got.Names, got.Skipped, err, tt.want, tt.skipped)
		}
	}
	if _, err := UTF7.ReadSubscriptions(strings.NewReader("V\t3\n\na\n")); !errors.Is(err, mailaccess.KindUnsupported) {
		t.Errorf("version 3: %v", err)
	}
	if _, err := UTF7.ReadSubscriptions(io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(errBroken))); !errors.Is(err, errBroken) {
		t.Errorf("broken file: %v", err)
	}
}

func TestReadCourierSubscriptions(t *testing.T) {
	for _, tt := range []struct {
		title, file string
		e           Encoding
		want        []string
		skipped     int
	}{
		{"usual", "INBOX\nINBOX.Sent\nINBOX.Work.Old\nINBOX.Entw&APw-rfe\n", UTF7, []string{"INBOX", "Sent", "Work/Old", "Entwürfe"}, 0},
		{"version 5", "INBOX.Entwürfe\n", UTF8, []string{"Entwürfe"}, 0},
		{"below INBOX on disk", "INBOX.INBOX.a\nINBOX.INBOX\n", UTF7, []string{"INBOX/a"}, 1},
		{"elsewhere", "#shared.x.y\nSent\nshared.a\n\nINBOX.\n", UTF7, []string{"INBOX"}, 3},
		{"broken", "INBOX.a..b\nINBOX.\xff\n", UTF7, nil, 2},
	} {
		got, err := tt.e.ReadCourierSubscriptions(strings.NewReader(tt.file))
		if err != nil || !slices.Equal(got.Names, tt.want) || got.Skipped != tt.skipped {
			t.Errorf("%s: %q, %d skipped, %v; want %q, %d skipped", tt.title, got.Names, got.Skipped, err, tt.want, tt.skipped)
		}
	}
}

func TestManySubscriptions(t *testing.T) {
	var file bytes.Buffer
	for i := range maxSubscriptions + 3 {
		fmt.Fprintf(&file, "m%d\n", i)
	}
	if got, err := UTF7.ReadSubscriptions(&file); len(got.Names) != maxSubscriptions || got.Skipped != 3 || err != nil {
		t.Errorf("%d names, %d skipped, %v", len(got.Names), got.Skipped, err)
	}
}

func TestAppendSubscriptions(t *testing.T) {
	got, err := UTF7.AppendSubscriptions(nil, slices.Values([]string{"INBOX", "INBOX/Sub", "v1.2", "日本語/~a"}))
	if want := "INBOX\nINBOX.Sub\nv1\\2e2\n&ZeVnLIqe-.\\7ea\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, name := range []string{"", "a\nb", "inbox", "a//b"} {
		if _, err := UTF7.AppendSubscriptions(nil, slices.Values([]string{name})); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Names come back whole, those too that no directory can have.
func TestSubscriptionsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Encoding{UTF7, UTF8}).Draw(t, "encoding")
		name := rapid.OneOf(mailboxName(), rapid.SampledFrom([]string{"INBOX", strings.Repeat(".", mailaccess.MaxMailboxName), strings.Repeat("éa", 341)}))
		names := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "names")
		file, err := e.AppendSubscriptions(nil, slices.Values(names))
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.ReadSubscriptions(bytes.NewReader(file))
		if err != nil || got.Skipped != 0 || !slices.Equal(got.Names, names) {
			t.Fatalf("%q as %q: %q, %d skipped, %v", names, file, got.Names, got.Skipped, err)
		}
	})
}

func FuzzReadSubscriptions(f *testing.F) {
	f.Add([]byte("INBOX\nWork.Old\n&ZeVnLIqe-\n"))
	f.Add([]byte("V\t2\n\na\tb\n"))
	f.Add([]byte("INBOX.Sent\nINBOX.Work.Old\n#shared.a\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, e := range []Encoding{UTF7, UTF8} {
			for _, read := range []func(io.Reader) (Subscriptions, error){e.ReadSubscriptions, e.ReadCourierSubscriptions} {
				got, err := read(bytes.NewReader(file))
				if err != nil && !errors.Is(err, mailaccess.KindUnsupported) {
					t.Fatal(err)
				}
				if n := bytes.Count(file, []byte("\n")) + 1; len(got.Names)+got.Skipped > n {
					t.Fatalf("%d names and %d skipped of %d lines", len(got.Names), got.Skipped, n)
				}
				again, err := e.AppendSubscriptions(nil, slices.Values(got.Names))
				if err != nil {
					t.Fatalf("%q has a name that the contract does not allow: %v", file, err)
				}
				if back, err := e.ReadSubscriptions(bytes.NewReader(again)); err != nil || !slices.Equal(back.Names, got.Names) {
					t.Fatalf("%q was written as %q: %q, %v", got.Names, again, back.Names, err)
				}
			}
		}
	})
}
