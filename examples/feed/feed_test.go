package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-message/mail"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// news is a feed that can be added to.
type news struct {
	mu          sync.Mutex
	items       string
	n           int
	notModified chan bool // gets one whenever the feed was asked for in vain
}

func (f *news) add(title string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.items = fmt.Sprintf("<item><guid>urn:%d</guid><title>%s</title><link>http://news.example.org/%d?a&amp;b</link>"+
		"<description>&lt;p&gt;Café %d&lt;/p&gt;</description><pubDate>Mon, 0%d Jan 2024 10:00:00 +0100</pubDate></item>", f.n, title, f.n, f.n, f.n) + f.items
}

func (f *news) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	etag := fmt.Sprintf(`"%d"`, f.n)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		select {
		case f.notModified <- true:
		default:
		}
		return
	}
	w.Header().Set("ETag", etag)
	fmt.Fprintf(w, "<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><title>The Näws</title>%s</channel></rss>", f.items)
}

// Entries are messages; a new one is pushed; what the reader does to them is remembered.
func TestServe(t *testing.T) {
	f := &news{notModified: make(chan bool, 1)}
	f.add("First")
	f.add("Second")
	feed := httptest.NewServer(f)
	defer feed.Close()
	state := filepath.Join(t.TempDir(), "feed.json")
	validity := serve(t, feed.URL, state, func(c *imapclient.Client, told <-chan uint32) uint32 {
		<-f.notModified // the entries have been read
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, c, told, box.NumMessages, 2)
		f.add("Third")
		waitFor(t, c, told, 2, 3)
		found, err := c.Fetch(imap.SeqSetNum(1, 3), &imap.FetchOptions{Envelope: true, InternalDate: true}).Collect()
		if err != nil || len(found) != 2 {
			t.Fatalf("%+v, %v", found, err)
		}
		first, third := found[0].Envelope, found[1].Envelope
		if first.Subject != "First" || third.Subject != "Third" || first.From[0].Name != "The Näws" || first.From[0].Addr() != "feed@news.example.org" ||
			found[1].InternalDate.Format("2006-01-02 15:04 -0700") != "2024-01-03 10:00 +0100" {
			t.Errorf("%+v, %+v", first, third)
		}
		store := func(n uint32, flags ...imap.Flag) {
			if err := c.Store(imap.SeqSetNum(n), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close(); err != nil {
				t.Fatal(err)
			}
		}
		store(3, imap.FlagSeen, "later")
		store(1, imap.FlagDeleted)
		if err := c.Expunge().Close(); err != nil {
			t.Fatal(err)
		}
		return box.UIDValidity
	})
	f.add("Fourth")
	again := serve(t, feed.URL, state, func(c *imapclient.Client, told <-chan uint32) uint32 {
		<-f.notModified
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, c, told, box.NumMessages, 3) // without the one that was expunged
		found, err := c.Fetch(imap.SeqSetNum(1, 2, 3), &imap.FetchOptions{Envelope: true, Flags: true, UID: true}).Collect()
		var got []string
		for _, m := range found {
			flags := slices.DeleteFunc(m.Flags, func(f imap.Flag) bool { return f == `\Recent` })
			got = append(got, fmt.Sprint(m.UID, " ", m.Envelope.Subject, flags))
		}
		if want := `2 Second[] 3 Third[\Seen later] 4 Fourth[]`; err != nil || strings.Join(got, " ") != want {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		return box.UIDValidity
	})
	if again != validity {
		t.Errorf("UIDVALIDITY was %d and is %d", validity, again)
	}
}

// waitFor waits until there are want messages.
func waitFor(t *testing.T, c *imapclient.Client, told <-chan uint32, have, want uint32) {
	t.Helper()
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	for have < want {
		select {
		case have = <-told:
		case <-time.After(time.Minute):
			t.Fatalf("told of %d messages, want %d", have, want)
		}
	}
	if have != want {
		t.Fatalf("%d messages, want %d", have, want)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// serve runs the program while a client uses it.
func serve(t *testing.T, url, state string, use func(c *imapclient.Client, told <-chan uint32) uint32) uint32 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--feed", url, "--every", "5ms", "--state", state, "--user", "ann", "--password", "secret"}, in)
		in.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSpace(line), "IMAP on "))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan uint32, 16) // how many messages there are
	c := imapclient.New(nc, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				told <- *data.NumMessages
			}
		},
	}})
	defer c.Close()
	if err := c.Login("ann", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	v := use(c, told)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return v
}

// An entry is a message, whatever is in it, and always the same one.
func TestMessage(t *testing.T) {
	e := entry{Key: "k", From: "The\r\nBcc: x", Title: "Ü\n 1", Link: `http://example.org/"<`, HTML: "<p>" + strings.Repeat("é", 2000) + "</p>"}
	raw, err := e.message()
	if again, err2 := e.message(); err != nil || err2 != nil || !bytes.Equal(raw, again) {
		t.Fatalf("%q, %v", again, err)
	}
	r, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := r.Header.Subject()
	from, _ := r.Header.AddressList("From")
	if subject != "Ü 1" || len(from) != 1 || from[0].Name != "The Bcc: x" || r.Header.Has("Bcc") {
		t.Errorf("subject %q, from %v", subject, from)
	}
	part, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(part.Body)
	if want := `<p><a href="http://example.org/&#34;&lt;">`; err != nil || !strings.Contains(string(body), want) || !strings.HasPrefix(string(body), e.HTML) {
		t.Errorf("%q, %v", body, err)
	}
	for _, line := range bytes.Split(raw, []byte("\n")) {
		if len(line) > 998 { // RFC 5322, section 2.1.1
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// What is no feed is an error, and changes nothing.
func TestErrors(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusGone) },
		func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html/>") },
		func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxFeed+1)) },
	} {
		s := httptest.NewServer(answer)
		if got, err := newSource(s.URL).fetch(t.Context()); err == nil || !strings.Contains(err.Error(), s.URL) {
			t.Errorf("%d entries, %v", len(got), err)
		}
		s.Close()
	}
	path := filepath.Join(t.TempDir(), "feed.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openInbox(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("opened a file that is damaged: %v", err)
	}
}

// Only so many entries are kept, the newest ones.
func TestMaxEntries(t *testing.T) {
	b, err := openInbox(filepath.Join(t.TempDir(), "feed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for i := range maxEntries + 2 {
		all = append(all, entry{Key: fmt.Sprint(i)})
	}
	for range 2 {
		if err := b.add(all); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.now().Entries; len(got) != maxEntries || got[0].Key != "2" {
		t.Errorf("%d entries, from %s on", len(got), got[0].Key)
	}
}
