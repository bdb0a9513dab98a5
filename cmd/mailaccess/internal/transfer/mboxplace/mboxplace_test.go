package mboxplace

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/files"
)

type message struct {
	key, flags, text string
	received         time.Time
}

// read reads a mailbox, the n-th of a place.
func read(t *testing.T, path string, n int) (name string, all []message) {
	t.Helper()
	p, err := Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	boxes, err := p.Mailboxes(t.Context())
	if err != nil || len(boxes) <= n {
		t.Fatalf("%v, %v", boxes, err)
	}
	var msgs []transfer.Message
	for m, err := range p.Messages(t.Context(), boxes[n]) {
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, m)
	}
	for b, err := range p.Read(t.Context(), boxes[n], msgs) {
		if err != nil || b.Err != nil {
			t.Fatal(err, b.Err)
		}
		text, err := io.ReadAll(b.Reader)
		if err != nil || int64(len(text)) != b.Size {
			t.Fatalf("%d octets, said to be %d: %v", len(text), b.Size, err)
		}
		m := msgs[b.N]
		all = append(all, message{m.Key, files.FormatFlags(m.Flags), strings.ReplaceAll(string(text), "\r\n", "\n"), m.Received.UTC()})
	}
	return boxes[n].Name, all
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What other programs write is understood, whatever flavour it is.
func TestFlavours(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       []string // flags and text
		dates      []string
	}{
		{
			"mboxo", "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\n>From me\nFrom you\n\nFrom here on, no date\n\nFrom c@d Tue Jan  2 10:00 2024\nSubject: y\n\ny\n",
			[]string{"|Subject: x\n\nFrom me\nFrom you\n\nFrom here on, no date\n", "|Subject: y\n\ny\n"},
			[]string{"2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z"},
		},
		{
			"mboxrd", "From a@b Mon Jan  1 10:00:00 2024 +0200\nSubject: x\n\n>>From me\n>>>From\n\n\n",
			[]string{"|Subject: x\n\n>From me\n>>>From\n\n"}, // the last one is no "From "
			[]string{"2024-01-01T08:00:00Z"},
		},
		{
			"mboxcl2", "From a@b Mon Jan  1 10:00:00 CET 2024\nContent-Length: 13\n\n>From me\nxyz\n\nFrom c@d Tue Jan  2 10:00:00 2024\nContent-Length: 99\n\n>From me\n\n",
			[]string{"|Content-Length: 13\n\n>From me\nxyz\n", "|Content-Length: 99\n\nFrom me\n"},
			nil,
		},
		{
			"mutt's flags", "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\nStatus: RO\nX-Status: AFDT\nX-Keywords: work $Forwarded (no)\n\nStatus: no\n\nFrom c@d Tue Jan  2 10:00:00 2024\nStatus: O\n\n\n",
			[]string{"\\Seen \\Answered \\Flagged \\Deleted \\Draft $Forwarded work|Subject: x\nStatus: RO\nX-Status: AFDT\nX-Keywords: work $Forwarded (no)\n\nStatus: no\n", "|Status: O\n\n"},
			nil,
		},
		{
			"c-client", "From MAILER-DAEMON Mon Jan  1 10:00:00 2024\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nThis text is part of the internal format of your mail folder.\n\nFrom c@d Tue Jan  2 10:00:00 2024\nX-UID: 2\n\ny\n\n",
			[]string{"|X-UID: 2\n\ny\n"},
			nil,
		},
		{"CRLF", "From a@b Mon Jan  1 10:00:00 2024\r\nSubject: x\r\n\r\nx\r\n\r\nFrom a@b Mon Jan  1 10:00:00 2024\r\n\r\ny\r\n", []string{"|Subject: x\n\nx\n", "|\ny\n"}, nil},
		{"no end", "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\nx", []string{"|Subject: x\n\nx"}, nil},
		{"long lines", "From a@b Mon Jan  1 10:00:00 2024\n\n" + strings.Repeat("x", 200_000) + "\n\n", []string{"|\n" + strings.Repeat("x", 200_000) + "\n"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "work.mbox")
			writeFile(t, file, c.file)
			name, got := read(t, file, 0)
			if name != "work" || len(got) != len(c.want) {
				t.Fatalf("%s: %d messages, want %d: %v", name, len(got), len(c.want), got)
			}
			for i, m := range got {
				if text := m.flags + "|" + m.text; text != c.want[i] {
					t.Errorf("message %d is\n%.300q, want\n%.300q", i, text, c.want[i])
				}
				if c.dates != nil && m.received.Format(time.RFC3339) != c.dates[i] {
					t.Errorf("message %d is of %v, want %s", i, m.received, c.dates[i])
				}
			}
		})
	}
}

// A message stays the same when a program notes flags in it, or puts others behind it.
func TestKeysStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "work")
	writeFile(t, file, "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\nx\n")
	_, before := read(t, file, 0)
	writeFile(t, file, "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\nStatus: RO\nContent-Length: 2\n\nx\n\nFrom c@d Mon Jan  1 10:00:00 2024\n\ny\n\n")
	_, after := read(t, file, 0)
	if len(after) != 2 || before[0].key != after[0].key || after[0].flags != `\Seen` || after[1].key == after[0].key {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// Another program may change the flags in a file that export has written, in its own way.
func TestOthersChangeOurs(t *testing.T) {
	text := "From MAILER-DAEMON Mon Jan  1 10:00:00 2024\nX-Mailaccess-Mbox: 1 3 14 end " + strings.Repeat("0a", keyLen/2) +
		"\nStatus: O\nX-Status: \nX-Keywords: \nSubject: x\n\nx\n\n"
	file := filepath.Join(t.TempDir(), "work")
	writeFile(t, file, text)
	_, before := read(t, file, 0)
	if len(before) != 1 || before[0].text != "Subject: x\n\nx\n" || before[0].flags != "" {
		t.Fatalf("%+v", before)
	}
	writeFile(t, file, strings.Replace(strings.Replace(text, "Status: O\nX-Status: \nX-Keywords: \n", "", 1), "\n\nx", "\nStatus: RO\nX-Status: F\n\nx", 1))
	_, after := read(t, file, 0)
	if len(after) != 1 || after[0].key != before[0].key || after[0].flags != `\Seen \Flagged` {
		t.Errorf("%+v", after)
	}
}

// Directories of other programs are mailboxes; what is no mbox is left alone.
func TestDirectories(t *testing.T) {
	dir := t.TempDir()
	const text = "From a@b Mon Jan  1 10:00:00 2024\nSubject: x\n\nx\n"
	for _, name := range []string{"Inbox", "Inbox.sbd/Lists", "Inbox.sbd/Lists.sbd/Go", "Apple.mbox/mbox", "plain/100%20.mbox"} {
		writeFile(t, filepath.Join(dir, filepath.FromSlash(name)), text)
	}
	writeFile(t, filepath.Join(dir, "empty.mbox"), "")
	writeFile(t, filepath.Join(dir, "empty"), "")
	writeFile(t, filepath.Join(dir, "Inbox.msf"), "// <!-- -->\n")
	writeFile(t, filepath.Join(dir, ".hidden"), text)
	for i, want := range []string{"Apple", "INBOX", "INBOX/Lists", "INBOX/Lists/Go", "empty", "plain/100%20"} {
		if name, _ := read(t, dir, i); name != want {
			t.Errorf("mailbox %d is %q, want %q", i, name, want)
		}
	}
}

// Whatever a file is, messages lie in it one after the other.
func FuzzScan(f *testing.F) {
	f.Add([]byte("From a@b Mon Jan  1 10:00:00 2024\nSubject: x\nStatus: R\n\n>From x\n\nFrom MAILER-DAEMON Mon Jan  1 10:00:00 2024\nX-Mailaccess-Mbox: 1 3 14 noend 0123456789abcdef0123456789abcdef\nStatus: O\n"))
	f.Add([]byte("From MAILER-DAEMON Mon Jan  1 10:00:00 2024\nX-Mail"))
	f.Fuzz(func(t *testing.T, text []byte) {
		at := int64(0)
		keys := make(map[string]bool)
		rest, err := scan(strings.NewReader(string(text)), func(m found) error {
			if m.start < at || m.body < m.start || m.end < m.body || m.end > int64(len(text)) || keys[m.key] {
				return fmt.Errorf("%+v", m)
			}
			keys[m.key] = true
			at = m.end
			got, err := io.ReadAll(content(strings.NewReader(string(text)), m))
			if int64(len(got)) > m.end-m.body {
				return fmt.Errorf("%d octets of %+v", len(got), m)
			}
			return err
		})
		if err != nil && err != errNoMbox { //nolint:errorlint // scan returns it as it is
			t.Fatal(err)
		}
		if rest < -1 || rest > int64(len(text)) {
			t.Fatalf("rest at %d", rest)
		}
	})
}
