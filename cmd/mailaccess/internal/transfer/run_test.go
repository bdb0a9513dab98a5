package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap"
)

var day = time.Unix(1.7e9, 0).UTC()

func simple(text string, flags mailaccess.SystemFlags, keywords ...string) letter {
	return letter{"Subject: " + text + "\n\n" + text + "\n", mailaccess.Flags{System: flags, Keywords: words(keywords...)}, day}
}

// A second run carries changes: new messages, flags as changes, removals where asked for; and
// leaves alone what the user did at the destination.
func TestChanges(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			here := newStore(t)
			defer here.Close()
			fill(t, here, mailaccess.Inbox, 0, simple("one", 0, "old"), simple("two", mailaccess.FlagSeen), simple("three", 0))
			src := openAccount(t, here)
			defer src.Close()
			dir := t.TempDir()
			run := func(o *transfer.Options) *transfer.Report {
				p := k.open(t, filepath.Join(dir, "there"))
				r := carry(t, src, p, filepath.Join(dir, "state"), o)
				must(t, "close", p.Close())
				return r
			}
			there := func(f func(p transfer.Destination, box transfer.Mailbox, key func(int) string)) {
				p := k.open(t, filepath.Join(dir, "there"))
				boxes, err := p.Mailboxes(t.Context())
				must(t, "list", err)
				f(p, boxes[0], func(n int) string {
					var msgs []transfer.Message
					for m, err := range p.Messages(t.Context(), boxes[0]) {
						must(t, "list messages", err)
						msgs = append(msgs, m)
					}
					for b, err := range p.Read(t.Context(), boxes[0], msgs) {
						must(t, "read", err)
						text, err := io.ReadAll(b.Reader)
						must(t, "read", err)
						if strings.Contains(string(text), []string{"one", "two", "three"}[n]) {
							return msgs[b.N].Key
						}
					}
					t.Fatalf("message %d is not there", n)
					return ""
				})
				must(t, "close", p.Close())
			}
			run(nil)
			// Here one changes its flags, and one goes; there one gets a flag.
			box, err := src.Mailboxes(t.Context())
			must(t, "list", err)
			flags := func(f mailaccess.SystemFlags, list ...string) mailaccess.Flags {
				return mailaccess.Flags{System: f, Keywords: words(list...)}
			}
			must(t, "flags", src.SetFlags(t.Context(), box[0], []string{"1"}, mailaccess.FlagChange{Add: flags(mailaccess.FlagSeen, "new"), Remove: flags(0, "old")}))
			must(t, "remove", src.Remove(t.Context(), box[0], []string{"3"}))
			there(func(p transfer.Destination, box transfer.Mailbox, key func(int) string) {
				must(t, "flags there", p.SetFlags(t.Context(), box, []string{key(0)}, mailaccess.FlagChange{Add: flags(mailaccess.FlagFlagged)}))
			})
			fill(t, here, mailaccess.Inbox, 0, simple("four", 0))

			if r := run(&transfer.Options{DryRun: true}); r.Total.Moved != 1 || r.Total.Updated != 1 || r.Total.Gone != 1 {
				t.Errorf("dry run: %+v", r.Total)
			}
			want := transfer.Counts{Moved: 1, Bytes: 23, Present: 2, Updated: 1, Gone: 1}
			if r := run(nil); r.Total != want {
				t.Errorf("second run: %+v, want %+v", r.Total, want)
			}
			there(func(p transfer.Destination, box transfer.Mailbox, key func(int) string) {
				one := key(0)
				for m, err := range p.Messages(t.Context(), box) {
					must(t, "list messages", err)
					if want := flags(mailaccess.FlagSeen|mailaccess.FlagFlagged, "new"); m.Key == one && m.Flags != want {
						t.Errorf("flags there: %v %v", m.Flags.System, m.Flags.Keywords)
					}
				}
			})
			if strings.HasPrefix(k.name, "tar") {
				return // nothing is removed from it
			}
			if r := run(&transfer.Options{Delete: true}); r.Total.Removed != 1 || r.Total.Gone != 0 {
				t.Errorf("with removals: %+v", r.Total)
			}
			there(func(p transfer.Destination, _ transfer.Mailbox, _ func(int) string) {
				if n := len(contents(t, p)); n != 4 {
					t.Errorf("%d lines are left: %q", n, contents(t, p))
				}
			})
		})
	}
}

// broken is a source of which some messages cannot be read, in one way or another.
type broken struct {
	transfer.Source
	body map[string]func(transfer.Body) transfer.Body
}

func (b broken) Read(ctx context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	return func(yield func(transfer.Body, error) bool) {
		for body, err := range b.Source.Read(ctx, box, msgs) {
			if f := b.body[msgs[body.N].Key]; err == nil && f != nil {
				body = f(body)
			}
			if body.N < 0 {
				continue
			}
			if !yield(body, err) {
				return
			}
		}
	}
}

// halfway fails in the middle.
type halfway struct {
	io.Reader
	err error
}

func (h halfway) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b[:min(len(b), 4)])
	if err == nil {
		err = h.err
	}
	return n, err
}

// A message that cannot be read stops nothing, is told with its reason, and is tried again by
// the next run.
func TestBrokenMessages(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			here := newStore(t)
			defer here.Close()
			var letters []letter
			for i := range 8 {
				letters = append(letters, simple(fmt.Sprint("letter ", i), 0))
			}
			fill(t, here, mailaccess.Inbox, 0, letters...)
			fill(t, here, "Other", 0, simple("other", 0))
			inner := openAccount(t, here)
			defer inner.Close()
			src := broken{inner, map[string]func(transfer.Body) transfer.Body{
				"2": func(b transfer.Body) transfer.Body { b.Err = errors.New("it is damaged"); return b },
				"4": func(b transfer.Body) transfer.Body {
					b.Reader = halfway{b.Reader, &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "read"}}
					return b
				},
				"6": func(b transfer.Body) transfer.Body { b.N = -1; return b },
				"7": func(b transfer.Body) transfer.Body {
					b.Reader = halfway{b.Reader, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "read", Err: errors.New("connection lost")}}
					return b
				},
			}}
			dir := t.TempDir()
			p := k.open(t, filepath.Join(dir, "there"))
			j, err := transfer.OpenJournal(filepath.Join(dir, "state"), "a", "b")
			must(t, "open the journal", err)
			waits := 0
			r := transfer.Run(t.Context(), src, p, j, &transfer.Options{Wait: func(context.Context, time.Duration) error { waits++; return nil }})
			must(t, "close the journal", j.Close())
			if n := r.Total; n.Failed != 4 || n.Moved+n.Present != 5 || r.OK() || r.Error != "" || waits > 6 {
				t.Errorf("%+v, %q, %d waits", n, r.Error, waits)
			}
			var keys []string
			for _, f := range r.Failures {
				keys = append(keys, f.Key)
				if f.Mailbox != mailaccess.Inbox || f.Reason == "" {
					t.Errorf("failure %+v", f)
				}
			}
			if slices.Sort(keys); !slices.Equal(keys, []string{"2", "4", "6", "7"}) {
				t.Errorf("failed: %v", keys)
			}
			again := carry(t, inner, p, filepath.Join(dir, "state"), nil)
			if again.Total.Moved != 4 {
				t.Errorf("then: %+v", again.Total)
			}
			same(t, "in the end", contents(t, p), contents(t, inner))
			must(t, "close", p.Close())
		})
	}
}

// flaky is a listener whose connections end after some octets in both directions together.
type flaky struct {
	net.Listener
	most  int64
	count atomic.Int64
}

func (f *flaky) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n := f.count.Add(1)
	return &flakyConn{Conn: c, left: f.most * n}, nil
}

type flakyConn struct {
	net.Conn
	left int64
}

func (f *flakyConn) Write(b []byte) (int, error) {
	if f.left -= int64(len(b)); f.left < 0 {
		f.Close()
		return 0, net.ErrClosed
	}
	return f.Conn.Write(b)
}

func (f *flakyConn) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if f.left -= int64(n); f.left < 0 {
		f.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// Connections that end again and again, wherever that is, cost time and nothing else, whichever
// side they are on.
func TestLostConnections(t *testing.T) {
	for _, side := range []string{"source", "destination"} {
		for most := int64(900); most < 6000; most += 370 {
			t.Run(fmt.Sprint(side, most), func(t *testing.T) {
				t.Parallel()
				here, there := newStore(t), newStore(t)
				defer here.Close()
				defer there.Close()
				var letters []letter
				for i := range 30 {
					letters = append(letters, simple(fmt.Sprint(i/2), mailaccess.SystemFlags(i)&mailaccess.SystemFlagsAll, "work"))
				}
				fill(t, here, mailaccess.Inbox, 0, letters...)
				fill(t, here, "Other", 0, letters[:3]...)
				var src, dst transfer.Destination = openAccount(t, here), openAccount(t, there)
				wrap := func(l net.Listener) net.Listener { return &flaky{Listener: l, most: most} }
				if side == "source" {
					addr, stop := serveOn(t, here, imap.Namespace{}, wrap)
					defer stop()
					must(t, "close", src.Close())
					src = imapAt(addr)
				} else {
					addr, stop := serveOn(t, there, imap.Namespace{}, wrap)
					defer stop()
					must(t, "close", dst.Close())
					dst = imapAt(addr)
				}
				state := filepath.Join(t.TempDir(), "state")
				// Only the beginning is not tried again.
				var r *transfer.Report
				for range 30 {
					j, err := transfer.OpenJournal(state, "a", "b")
					must(t, "open the journal", err)
					r = transfer.Run(t.Context(), src, dst, j, &transfer.Options{Wait: func(context.Context, time.Duration) error { return nil }})
					must(t, "close the journal", j.Close())
					if r.OK() {
						break
					}
				}
				if !r.OK() {
					t.Fatalf("%+v", r)
				}
				must(t, "close", src.Close())
				must(t, "close", dst.Close())
				a, b := openAccount(t, here), openAccount(t, there)
				defer a.Close()
				defer b.Close()
				same(t, "in the end", contents(t, b), contents(t, a))
			})
		}
	}
}

// Names are those of the server, and not.
func TestSeparatorsAndPrefixes(t *testing.T) {
	for _, space := range []imap.Namespace{{Separator: '.'}, {Separator: '.', Prefix: "INBOX."}} {
		t.Run(fmt.Sprint(space), func(t *testing.T) {
			here, there, back := newStore(t), newStore(t), newStore(t)
			for _, name := range []string{"Lists", "Lists/Go", "Entwürfe", "Entwürfe/日本語"} {
				fill(t, here, name, 0, simple(name, 0))
			}
			fill(t, here, "v1.2", 0, simple("dot", 0))
			subscribe(t, here, "Lists/Go", "v1.2")
			src := openAccount(t, here)
			defer src.Close()
			addr, stop := serve(t, there, space)
			defer stop()
			p := imapAt(addr)
			carry(t, src, p, filepath.Join(t.TempDir(), "state"), nil)
			dst := openAccount(t, back)
			defer dst.Close()
			carry(t, p, dst, filepath.Join(t.TempDir(), "state"), nil)
			must(t, "close", p.Close())
			want := contents(t, src)
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "v1.2", "v1_2")
			}
			slices.Sort(want)
			same(t, "by way of "+fmt.Sprint(space), contents(t, dst), want)
		})
	}
}

// Two mailboxes never become one.
func TestNamesThatClash(t *testing.T) {
	here, there := newStore(t), newStore(t)
	fill(t, here, "v1.2", 0, simple("dot", 0))
	fill(t, here, "v1_2", 0, simple("line", 0))
	src := openAccount(t, here)
	defer src.Close()
	addr, stop := serve(t, there, imap.Namespace{Separator: '.'})
	defer stop()
	p := imapAt(addr)
	defer p.Close()
	j, err := transfer.OpenJournal(filepath.Join(t.TempDir(), "state"), "a", "b")
	must(t, "open the journal", err)
	defer j.Close()
	r := transfer.Run(t.Context(), src, p, j, nil)
	if r.OK() || r.Total.Moved != 1 || !strings.Contains(r.Mailboxes[2].Error, "rename one of them") {
		t.Errorf("%+v", r)
	}
	r = transfer.Run(t.Context(), src, p, j, &transfer.Options{Selection: transfer.Selection{Rename: map[string]string{"v1_2": "v1-2"}}})
	if !r.OK() || r.Total.Moved != 1 {
		t.Errorf("renamed: %+v", r)
	}
}

// A large message is carried through every kind of place, whole.
func TestLargeMessage(t *testing.T) {
	text := "Subject: large\n\n" + strings.Repeat("From the beginning of a line to its end there are 64 octets....\n", 30<<20/64)
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			here, back := newStore(t), newStore(t)
			defer here.Close()
			defer back.Close()
			fill(t, here, mailaccess.Inbox, 0, letter{text, mailaccess.Flags{}, day}, simple("small", 0))
			src, dst := openAccount(t, here), openAccount(t, back)
			defer src.Close()
			defer dst.Close()
			dir := t.TempDir()
			p := k.open(t, filepath.Join(dir, "there"))
			carry(t, src, p, filepath.Join(dir, "state"), nil)
			carry(t, p, dst, filepath.Join(dir, "back"), nil)
			must(t, "close", p.Close())
			same(t, "large", contents(t, dst), contents(t, src))
		})
	}
}

// What belongs to another transfer, or is in use, is refused.
func TestJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "state")
	j, err := transfer.OpenJournal(file, "a", "b")
	must(t, "open", err)
	if _, err := transfer.OpenJournal(file, "a", "b"); !errors.Is(err, mailaccess.KindInUse) {
		t.Errorf("while it is in use: %v", err)
	}
	must(t, "close", j.Close())
	if _, err := transfer.OpenJournal(file, "a", "c"); !errors.Is(err, mailaccess.KindInvalid) {
		t.Errorf("of another transfer: %v", err)
	}
}

func TestSelection(t *testing.T) {
	s := transfer.Selection{Include: []string{"Lists/*", "A%"}, Exclude: []string{"*/old"}, Rename: map[string]string{"Lists": "L", "Lists/Go": "Go"}}
	for name, want := range map[string]bool{"Lists/a/b": true, "Lists": false, "Abc": true, "A/b": false, "Lists/x/old": false, "INBOX": false} {
		if s.Has(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for name, want := range map[string]string{"Lists": "L", "Lists/x": "L/x", "Lists/Go": "Go", "Lists/Go/y": "Go/y", "Listsx": "Listsx"} {
		if got := s.Target(name); got != want {
			t.Errorf("%s becomes %s, want %s", name, got, want)
		}
	}
	for _, c := range []struct {
		levels []string
		want   string
	}{
		{[]string{"inbox", "a/b"}, "INBOX/a_b"}, {[]string{"", "x\n"}, "_/x_"}, {[]string{"e\u0301"}, "é"}, {[]string{"\xff"}, "_"},
		{[]string{strings.Repeat("ab", 600)}, strings.Repeat("ab", 512)},
	} {
		if got := transfer.CleanName(c.levels); got != c.want || mailaccess.CheckMailboxName(got) != nil {
			t.Errorf("%q becomes %q, want %q", c.levels, got, c.want)
		}
	}
}
