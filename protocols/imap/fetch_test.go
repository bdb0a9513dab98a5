package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// rawClient says lines and hears whole answers, literals included.
type rawClient struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

// dialRaw logs in and selects INBOX.
func dialRaw(t testing.TB, s *server) *rawClient {
	t.Helper()
	nc, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t, nc, bufio.NewReader(nc)}
	c.answer() // the greeting
	for _, line := range []string{"LOGIN demo demo", "SELECT INBOX"} {
		if _, status := c.do(line); !strings.HasPrefix(status, "OK") {
			t.Fatalf("%s: %s", line, status)
		}
	}
	return c
}

// do says a command and returns what came before the tagged answer, and that.
func (c *rawClient) do(line string) (untagged []string, status string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, "t "+line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	for {
		a := c.answer()
		if status, tagged := strings.CutPrefix(a, "t "); tagged {
			return untagged, status
		}
		untagged = append(untagged, a)
	}
}

// answer hears a line with its literals.
func (c *rawClient) answer() string {
	c.t.Helper()
	var all []byte
	for {
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			c.t.Fatalf("%v after %q", err, all)
		}
		all = append(all, line...)
		open := bytes.LastIndexByte(line, '{')
		if open < 0 || !bytes.HasSuffix(line, []byte("}\r\n")) {
			return string(bytes.TrimSuffix(all, []byte("\r\n")))
		}
		n, err := strconv.Atoi(string(line[open+1 : len(line)-3]))
		if err != nil {
			c.t.Fatalf("not the size of a literal: %q", line)
		}
		literal := make([]byte, n)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, literal...)
	}
}

// literalOf is the only literal of an answer.
func literalOf(t rapid.TB, answer string) string {
	head, rest, ok := strings.Cut(answer, "}\r\n")
	n, err := strconv.Atoi(head[strings.LastIndexByte(head, '{')+1:])
	if !ok || err != nil || n > len(rest) {
		t.Fatalf("no literal: %q", answer)
	}
	return rest[:n]
}

// started is a server whose user demo has messages in INBOX.
func started(t *testing.T, store testStore, contents ...string) *server {
	t.Helper()
	fx := prototest.Fixture{Users: []prototest.User{{Name: "demo", Password: "demo"}}}
	for _, content := range contents {
		fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: mailaccess.Inbox, Date: time.Unix(1e9, 0), Content: []byte(content)})
	}
	s := startServer(t, fx, store)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tampered is a store that answers otherwise than the one below.
type tampered struct {
	mailaccess.Store
	// content may refuse to open a content.
	content func(mailaccess.EmailID) error
	// derived replaces what the cache has; nil is nothing.
	derived func([]byte) []byte

	mu     sync.Mutex
	opened int // contents
	kept   map[mailaccess.DerivedKind]int
}

// opens is how many contents were opened.
func (s *tampered) opens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *tampered) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return tamperedAccount{a, s}, err
}

type tamperedAccount struct {
	mailaccess.Account
	s *tampered
}

func (a tamperedAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	if a.s.content != nil {
		if err := a.s.content(id); err != nil {
			return nil, err
		}
	}
	a.s.mu.Lock()
	a.s.opened++
	a.s.mu.Unlock()
	return a.Account.Content(ctx, id)
}

func (a tamperedAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Derived = tamperedCache{caps.Derived, a.s}
	return caps
}

type tamperedCache struct {
	mailaccess.DerivedCache
	s *tampered
}

func (c tamperedCache) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return func(yield func(mailaccess.Derived, error) bool) {
		for d, err := range c.DerivedCache.Derived(ctx, kind, ids) {
			if err == nil && c.s.derived != nil {
				if d.Bytes = c.s.derived(slices.Clone(d.Bytes)); d.Bytes == nil {
					continue
				}
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func (c tamperedCache) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	c.s.mu.Lock()
	if c.s.kept == nil {
		c.s.kept = make(map[mailaccess.DerivedKind]int)
	}
	c.s.kept[kind] += len(items)
	c.s.mu.Unlock()
	return c.DerivedCache.PutDerived(ctx, kind, items)
}

func tamper(s *tampered) testStore {
	base := memory.New(nil)
	s.Store = base
	return testStore{base: base, served: s, forget: base.DropHistory}
}

// An envelope or a structure that the store kept is what would be made anew; one that
// was lost or damaged is made anew.
func TestRenderedFromCache(t *testing.T) {
	contents := []string{
		"Subject: \xe9 \"quoted\"\r\nFrom: A <a@example.org>\r\n\r\nText.\r\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\nx\r\n--b--\r\n",
	}
	store := new(tampered)
	s := started(t, tamper(store), contents...)
	c := dialRaw(t, s)
	const fetch = "FETCH 1:* (ENVELOPE BODY BODYSTRUCTURE)"
	fresh, status := c.do(fetch)
	if len(fresh) != 2 || !strings.HasPrefix(status, "OK") {
		t.Fatalf("%q %s", fresh, status)
	}
	for _, kind := range []mailaccess.DerivedKind{"imap-envelope/1", "imap-body/1", "imap-bodystructure/1"} {
		if store.kept[kind] != 2 {
			t.Errorf("%d of %s are kept, want 2", store.kept[kind], kind)
		}
	}
	for _, tt := range []struct {
		name    string
		derived func([]byte) []byte
		opens   bool // the contents must be looked at
	}{
		{"whole", func(b []byte) []byte { return b }, false},
		{"lost", func([]byte) []byte { return nil }, true},
		{"empty", func([]byte) []byte { return []byte{} }, true},
		{"cut off", func(b []byte) []byte { return b[:len(b)-1] }, true},
		{"zeroed", func(b []byte) []byte { return make([]byte, len(b)) }, true},
		{"one bit", func(b []byte) []byte { b[len(b)/2] ^= 4; return b }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store.derived, store.opened = tt.derived, 0
			got, status := c.do(fetch)
			if !slices.Equal(got, fresh) || !strings.HasPrefix(status, "OK") {
				t.Errorf("got %q %s\nwant %q", got, status, fresh)
			}
			if tt.opens != (store.opened > 0) {
				t.Errorf("%d contents were opened", store.opened)
			}
		})
	}
}

// A message whose content is gone is left out of what needs the content, the answer
// is NO [EXPUNGEISSUED] (RFC 5530, section 3), and the numbers stay.
func TestFetchContentGone(t *testing.T) {
	store := new(tampered)
	var gone mailaccess.EmailID
	store.content = func(id mailaccess.EmailID) error {
		if id == gone {
			return &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "open"}
		}
		return nil
	}
	s := started(t, tamper(store), "Subject: 1\r\n\r\n1\r\n", "Subject: 2\r\n\r\n2\r\n", "Subject: 3\r\n\r\n3\r\n")
	inbox, err := s.accounts["demo"].Lookup(t.Context(), mailaccess.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range s.accounts["demo"].Messages(t.Context(), inbox.ID, mailaccess.UIDSetOf(2)) {
		if err != nil {
			t.Fatal(err)
		}
		gone = m.EmailID
	}
	c := dialRaw(t, s)
	for _, tt := range []struct {
		command string
		status  string
		numbers []int
	}{
		{"FETCH 1:3 (UID BODY[])", "NO [EXPUNGEISSUED]", []int{1, 3}},
		{"FETCH 2 ENVELOPE", "NO [EXPUNGEISSUED]", nil},
		{"UID FETCH 1:* (BODYSTRUCTURE)", "NO [EXPUNGEISSUED]", []int{1, 3}},
		{"FETCH 1:3 (UID FLAGS RFC822.SIZE)", "OK ", []int{1, 2, 3}},
		{"FETCH 1:3 (EMAILID THREADID SAVEDATE PREVIEW (LAZY))", "OK ", []int{1, 2, 3}},
		{"FETCH 1:3 (EMAILID PREVIEW)", "NO [EXPUNGEISSUED]", []int{1, 3}},
		{"FETCH 3 BODY.PEEK[TEXT]", "OK ", []int{3}},
	} {
		answers, status := c.do(tt.command)
		var numbers []int
		for _, a := range answers {
			var n int
			if _, err := fmt.Sscanf(a, "* %d FETCH (", &n); err != nil || !strings.HasSuffix(a, ")") {
				t.Errorf("%s: unexpected %q", tt.command, a)
			}
			numbers = append(numbers, n)
		}
		if !strings.HasPrefix(status, tt.status) || !slices.Equal(numbers, tt.numbers) {
			t.Errorf("%s: told %v, %s; want %v, %s", tt.command, numbers, status, tt.numbers, tt.status)
		}
	}
	// What was not sent is not \Seen; a search passes it over (RFC 3501, section 6.4.4).
	if answers, _ := c.do("SEARCH UNSEEN"); !slices.Equal(answers, []string{"* SEARCH 2"}) {
		t.Errorf("unseen: %q", answers)
	}
	if answers, status := c.do("SEARCH BODY 3"); !slices.Equal(answers, []string{"* SEARCH 3"}) || !strings.HasPrefix(status, "OK") {
		t.Errorf("search: %q %s", answers, status)
	}
}

// RFC 3501, section 6.4.5: what partial fetches give, put together, is the section,
// and RFC822.SIZE is the size of the whole message.
func TestPartialsMakeTheSection(t *testing.T) {
	content := "Subject: s\r\nTo: a@example.org\r\nX: folded\r\n more\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"preamble\r\n--b\r\n\r\n" + strings.Repeat("first part \xff\r\n", 40) +
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n" + strings.Repeat("inner\r\n", 30) + "--b--\r\n"
	c := dialRaw(t, started(t, inMemory(memory.New(nil)), content))
	sections := []string{"", "HEADER", "TEXT", "1", "1.MIME", "2", "2.HEADER", "2.TEXT", "2.1", "HEADER.FIELDS (TO X)", "HEADER.FIELDS.NOT (TO)", "2.HEADER.FIELDS (SUBJECT)"}
	whole := make(map[string]string)
	for _, section := range sections {
		answers, _ := c.do("FETCH 1 BODY.PEEK[" + section + "]")
		whole[section] = literalOf(t, answers[0])
	}
	if whole[""] != content {
		t.Fatalf("BODY[] is %q", whole[""])
	}
	if answers, _ := c.do("FETCH 1 RFC822.SIZE"); !slices.Equal(answers, []string{fmt.Sprintf("* 1 FETCH (RFC822.SIZE %d)", len(content))}) {
		t.Fatalf("size: %q", answers)
	}
	rapid.Check(t, func(rt *rapid.T) {
		section := rapid.SampledFrom(sections).Draw(rt, "section")
		want, got := whole[section], ""
		for {
			n := rapid.IntRange(1, 700).Draw(rt, "octets")
			answers, status := c.do(fmt.Sprintf("FETCH 1 BODY.PEEK[%s]<%d.%d>", section, len(got), n))
			label := fmt.Sprintf("* 1 FETCH (BODY[%s]<%d> {", section, len(got))
			if len(answers) != 1 || !strings.HasPrefix(answers[0], label) || !strings.HasPrefix(status, "OK") {
				rt.Fatalf("%q %s", answers, status)
			}
			piece := literalOf(rt, answers[0])
			if len(piece) != min(n, len(want)-len(got)) {
				rt.Fatalf("%d octets from %d on of %d, asked for %d", len(piece), len(got), len(want), n)
			}
			if got += piece; len(piece) == 0 {
				break
			}
		}
		if got != want {
			rt.Fatalf("%s: the pieces make %q, want %q", section, got, want)
		}
	})
}
