package main

import (
	"bytes"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/memory"
)

// shapes says what each message that is more than text/plain is made of, as
// shape writes it.
var shapes = map[string]string{
	"inbox/alternative":                   "alternative(text/plain text/html)",
	"inbox/alternative-with-inline-image": "alternative(text/plain related(text/html image/png))",
	"inbox/attachment-names":              "mixed(text/plain text/plain application/gzip text/vcard)",
	"inbox/bounce":                        "report(text/plain message/delivery-status rfc822{text/plain})",
	"inbox/digest":                        "mixed(text/plain digest(rfc822{text/plain} rfc822{text/plain} rfc822{text/plain}) text/plain)",
	"inbox/forwarded-message":             "mixed(text/plain rfc822{text/plain})",
	"inbox/forwarded-twice":               "rfc822{mixed(text/plain rfc822{alternative(text/plain text/html)})}",
	"inbox/html-only":                     "text/html",
	"inbox/invitation":                    "alternative(text/plain text/calendar)",
	"inbox/invoice-with-pdf":              "mixed(text/plain application/pdf)",
	"inbox/malformed":                     "mixed(text/plain image/png)",
	"inbox/nested-multiparts":             "mixed(alternative(text/plain related(text/html image/png image/png) text/calendar) application/pdf text/csv)",
	"inbox/read-receipt":                  "report(text/plain message/disposition-notification)",
	"inbox/report-with-html-attachment":   "mixed(text/plain text/html)",
	"inbox/signed":                        "signed(text/plain application/pgp-signature)",
	"inbox/unclosed-multipart":            "mixed(alternative(text/plain text/html) text/plain)",
	"junk/prize":                          "text/html",
	"archive/contract":                    "mixed(text/plain application/pdf)",
}

// shape writes a tree as one line.
func shape(p *message.Part) string {
	switch {
	case p.IsMultipart():
		var children []string
		for _, c := range p.Children {
			children = append(children, shape(c))
		}
		return p.Subtype + "(" + strings.Join(children, " ") + ")"
	case p.IsMessage():
		return p.Subtype + "{" + shape(p.Message) + "}"
	default:
		return p.Type + "/" + p.Subtype
	}
}

// canonical returns the octets of a message, and its tree.
func canonical(t *testing.T, b *demoMailbox, m demoMessage) ([]byte, *message.Part) {
	t.Helper()
	raw, err := b.read(m)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := message.NewCanonicalWriter(&buf).Write(raw); err != nil {
		t.Fatal(err)
	}
	part, err := message.Parse(bytes.NewReader(buf.Bytes()), int64(buf.Len()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), part
}

func TestDemoMailIsWhatItsNameSays(t *testing.T) {
	for _, b := range demoMailboxes() {
		for _, m := range b.messages {
			name := b.folder + "/" + m.file
			_, part := canonical(t, &b, m)
			want, ok := shapes[name]
			if !ok {
				want = "text/plain"
			}
			if got := strings.ReplaceAll(shape(part), "multipart/", ""); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
}

// Every file is delivered, once, and each message names who wrote it and when.
func TestDemoMailIsComplete(t *testing.T) {
	unused := make(map[string]bool)
	err := fs.WalkDir(demoFiles, "demomail", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			unused[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]string)
	for _, b := range demoMailboxes() {
		var last time.Time
		for _, m := range b.messages {
			name := path.Join("demomail", b.folder, m.file+".eml")
			if !unused[name] {
				t.Errorf("%s is there twice, or is no file", name)
			}
			delete(unused, name)
			raw, _ := canonical(t, &b, m)
			h := message.Header(raw)
			date, ok := h.Date()
			if m.received != "" {
				if date, err = time.Parse(time.RFC3339, m.received); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if !ok {
				t.Errorf("%s has no date", name)
			}
			if date.Before(last) {
				t.Errorf("%s is older than the message before it", name)
			}
			last = date
			if len(h.Envelope().From) == 0 {
				t.Errorf("%s is from nobody", name)
			}
			if id, ok := h.Get("Message-ID"); ok {
				if other, twice := ids[id]; twice {
					t.Errorf("%s has the id of %s", name, other)
				}
				ids[id] = name
			}
			for _, host := range hosts(h) {
				if !strings.HasSuffix("."+host, ".example.org") && !strings.HasSuffix("."+host, ".example.com") &&
					!strings.HasSuffix("."+host, ".example.net") && host != "[192.0.2.14]" && host != "" {
					t.Errorf("%s names the host %s", name, host)
				}
			}
		}
	}
	for name := range unused {
		t.Errorf("%s is not delivered", name)
	}
	if n := inboxLen(); n < 25 {
		t.Errorf("%d messages in INBOX, want 25 at least", n)
	}
}

func hosts(h message.Header) []string {
	e := h.Envelope()
	var all []string
	for _, list := range [][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		for _, a := range list {
			if a.Kind == message.Mailbox {
				all = append(all, a.Host)
			}
		}
	}
	return all
}

// The headers that are not plain ASCII read as they are meant.
func TestDemoMailHeaders(t *testing.T) {
	for _, test := range []struct{ file, field, want string }{
		{"encoded-words", "Subject", "Grüße aus Göteborg: das Boot ist zurück und läuft wieder"},
		{"encoded-words", "From", "Jörg Müßig <joerg@example.com>"},
		{"utf8-headers", "Subject", "Zdjęcia z przystani – część 1 ⛵"},
		{"utf8-headers", "From", "Łukasz Żółć <łukasz@poczta.example.com>"},
		{"japanese", "Subject", "港の写真展のご案内"},
		{"russian", "Subject", "Расписание парома"},
		{"hebrew-right-to-left", "Subject", "שלום מהנמל"},
	} {
		inbox := demoMailboxes()[0]
		raw, _ := canonical(t, &inbox, demoMessage{file: test.file})
		if got, _ := message.Header(raw).Text(test.field); got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.file, test.field, got, test.want)
		}
	}
}

func TestDemoMailNamesAttachments(t *testing.T) {
	inbox := demoMailboxes()[0]
	_, part := canonical(t, &inbox, demoMessage{file: "attachment-names"})
	for i, want := range []string{"", "Tagesfahrt – Log.txt", "Messwerte für alle.gz", "harbour master, äußerer Hafen.vcf"} {
		if got := part.Children[i].Filename(); got != want {
			t.Errorf("part %d is called %q, want %q", i+1, got, want)
		}
	}
}

// The thread hangs together: each message refers to one that came before, the
// user's own answer being in Sent.
func TestDemoMailHasAThread(t *testing.T) {
	inbox, ids, answers := demoMailboxes()[0], make(map[string]bool), 0
	for _, file := range []string{"thread-1", "thread-2", "thread-3", "thread-4", "../sent/thread-reply", "thread-5"} {
		b := inbox
		if sent, ok := strings.CutPrefix(file, "../sent/"); ok {
			b, file = demoMailbox{folder: "sent"}, sent
		}
		raw, _ := canonical(t, &b, demoMessage{file: file})
		h := message.Header(raw)
		id, _ := h.Get("Message-ID")
		ids[id] = true
		if parent, ok := h.Get("In-Reply-To"); ok {
			answers++
			if !ids[parent] {
				t.Errorf("%s answers %s, which is not there", file, parent)
			}
		}
	}
	if answers != 5 {
		t.Errorf("%d answers, want 5", answers)
	}
}

func TestFillDemo(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	if err := fillDemo(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	account, err := store.Open(t.Context(), demoUser, mailaccess.Identity{User: demoUser, Account: demoUser})
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	var subscribed []string
	for name, err := range account.Capabilities().Subscriptions.Subscriptions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		subscribed = append(subscribed, name)
	}
	if got, want := strings.Join(subscribed, " "), "Archive Drafts INBOX Junk Sent Trash"; got != want {
		t.Errorf("subscribed to %s, want %s", got, want)
	}
	var keywords mailaccess.Keywords
	var flags mailaccess.SystemFlags
	for _, b := range demoMailboxes() {
		box, err := account.Lookup(t.Context(), b.name)
		if err != nil {
			t.Fatal(err)
		}
		if box.Use != b.use {
			t.Errorf("%s is for %v, want %v", b.name, box.Use, b.use)
		}
		n := 0
		for m, err := range account.Messages(t.Context(), box.ID, mailaccess.UIDSetRange(1, 1<<32-1)) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Flags.System != b.messages[n].flags {
				t.Errorf("%s/%s has the flags %v", b.folder, b.messages[n].file, m.Flags)
			}
			keywords, flags = keywords.Union(m.Flags.Keywords), flags|m.Flags.System
			n++
		}
		if n != len(b.messages) {
			t.Errorf("%s has %d messages, want %d", b.name, n, len(b.messages))
		}
	}
	if got, want := keywords.String(), "$Forwarded $Junk $MDNSent"; got != want {
		t.Errorf("the keywords are %s, want %s", got, want)
	}
	if flags != mailaccess.SystemFlagsAll {
		t.Errorf("the flags are %b: not all of them are seen", flags)
	}
}
