package mailaccesstest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
)

func collect(t *testing.T, from mailaccesstest.Source) []mailaccesstest.Message {
	t.Helper()
	var all []mailaccesstest.Message
	for m, err := range from {
		must(t, err)
		all = append(all, m)
	}
	return all
}

func TestSources(t *testing.T) {
	when := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s), ModTime: when} }
	type msg = mailaccesstest.Message
	for _, test := range []struct {
		name string
		from mailaccesstest.Source
		want []msg
	}{
		{"messages", mailaccesstest.Messages(msg{Raw: "a"}, msg{Raw: "b"}), []msg{{Raw: "a"}, {Raw: "b"}}},
		{"files", mailaccesstest.FS(fstest.MapFS{
			"2.eml": file("two"), "1.eml": file("one"), "notes.txt": file("none"), "Inbox/3.eml": file("three"), "Lists/Go/4.eml": file("four"),
		}), []msg{{Mailbox: "INBOX", Raw: "one"}, {Mailbox: "INBOX", Raw: "two"}, {Mailbox: "INBOX", Raw: "three"}, {Mailbox: "Lists/Go", Raw: "four"}}},
		{"maildir", mailaccesstest.Maildir(fstest.MapFS{
			"cur/1.M1.host:2,FS": file("one"), "new/2.M2.host": file("two"), "tmp/3.M3.host": file("half"), "new/.hidden": file("none"),
			".Sent.Z&APw-rich/cur/4.M4.host,S=4:2,Rab": file("four"), ".Sent.Z&APw-rich/dovecot-keywords": file("0 $Forwarded\n1 red\n"),
			".Empty/cur": &fstest.MapFile{Mode: fs.ModeDir},
		}), []msg{
			{Mailbox: "INBOX", Flags: []string{`\Flagged`, `\Seen`}, Received: when, Raw: "one"},
			{Mailbox: "INBOX", Received: when, Raw: "two"},
			{Mailbox: "Sent/Zürich", Flags: []string{`\Answered`, "$Forwarded", "red"}, Received: when, Raw: "four"},
		}},
		{"mbox", mailaccesstest.Mbox(strings.NewReader(
			"From ann@example.org Tue Mar  4 05:06:07 2025\nSubject: one\nStatus: RO\nX-Status: AF\nX-Keywords: red $Junk\n\n>From here\n>>From there\nFrom inside\n\n"+
				"From MAILER-DAEMON\r\nSubject: two\r\n\r\nStatus: text\r\n"), "Old"), []msg{
			{Mailbox: "Old", Flags: []string{`\Seen`, `\Answered`, `\Flagged`, "red", "$Junk"}, Received: when, Raw: "Subject: one\n\nFrom here\n>From there\nFrom inside\n"},
			{Mailbox: "Old", Raw: "Subject: two\n\nStatus: text"},
		}},
		{"empty mbox", mailaccesstest.Mbox(strings.NewReader(""), "Old"), nil},
	} {
		if diff := cmp.Diff(test.want, collect(t, test.from)); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
		// Who wants no more gets no more.
		for range test.from {
			break
		}
	}
}

func TestSourcesFail(t *testing.T) {
	broken := errors.New("broken")
	for name, from := range map[string]mailaccesstest.Source{
		"no maildir":                mailaccesstest.Maildir(fstest.MapFS{"1.eml": {}}),
		"a folder that is none":     mailaccesstest.Maildir(fstest.MapFS{"cur/1.M1.host:2,": {}, ".a/cur/1": {}, ".a\x01b/cur/2": {}}),
		"no mbox":                   mailaccesstest.Mbox(strings.NewReader("Subject: one\n"), ""),
		"an mbox that is not whole": mailaccesstest.Mbox(iotest.ErrReader(broken), ""),
		"no files":                  mailaccesstest.FS(fstest.MapFS{"a.eml/b": {}, "../x": {}}),
	} {
		var errs []error
		for _, err := range from {
			errs = append(errs, err)
		}
		if n := len(errs); n == 0 || errs[n-1] == nil {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

// All of a source arrives.
func TestLoad(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	when := time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)
	srv.Load("ann", mailaccesstest.Messages(
		mailaccesstest.Message{Mailbox: "Sent", Flags: []string{`\Seen`, "red"}, Received: when, Raw: "Subject: x\n\n"},
		mailaccesstest.Message{Raw: "Date: Tue, 4 Mar 2025 05:06:07 +0000\n\n"},
	))
	for mailbox, want := range map[string]mailaccesstest.Message{
		"Sent":  {Mailbox: "Sent", UID: 1, Flags: []string{`\Seen`, "red"}, Received: when, Raw: "Subject: x\r\n\r\n"},
		"INBOX": {Mailbox: "INBOX", UID: 1, Received: when, Raw: "Date: Tue, 4 Mar 2025 05:06:07 +0000\r\n\r\n"},
	} {
		got := srv.Messages("ann", mailbox)
		for i := range got {
			got[i].Received = got[i].Received.UTC()
		}
		if diff := cmp.Diff([]mailaccesstest.Message{want}, got); diff != "" {
			t.Error(diff)
		}
	}
}
