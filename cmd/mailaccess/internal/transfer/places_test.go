package transfer_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/account"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/imapplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/maildirplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/mboxplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/tarplace"
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) {
	// Each check is several transfers, with a journal that is synced.
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// fataler is a test, or one try of a property.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func must(t fataler, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

const user = "ann"

// openAccount returns the place of the account in a store.
func openAccount(t fataler, store mailaccess.Store) *account.Place {
	t.Helper()
	a, err := store.Open(context.Background(), user, mailaccess.Identity{User: user, Account: user})
	must(t, "open the account", err)
	return account.New(a)
}

// newStore returns an empty store with the account.
func newStore(t fataler) *memory.Store {
	t.Helper()
	store := memory.New(nil)
	must(t, "make the account", store.AddAccount(user))
	return store
}

// letter is a message.
type letter struct {
	raw      string
	flags    mailaccess.Flags
	received time.Time
}

func words(list ...string) mailaccess.Keywords {
	k, err := mailaccess.NewKeywords(list...)
	if err != nil {
		panic(err)
	}
	return k
}

// fill puts a mailbox with messages into a store.
func fill(t fataler, store *memory.Store, name string, use mailaccess.SpecialUse, letters ...letter) {
	t.Helper()
	ctx := context.Background()
	p := openAccount(t, store)
	defer p.Close()
	if name != mailaccess.Inbox {
		_, err := p.Create(ctx, name, use)
		must(t, "create "+name, err)
	}
	for _, l := range letters {
		_, err := store.Deliver(ctx, user, name, []byte(l.raw), l.flags, l.received)
		must(t, "deliver into "+name, err)
	}
}

func subscribe(t fataler, store *memory.Store, names ...string) {
	t.Helper()
	p := openAccount(t, store)
	defer p.Close()
	for _, name := range names {
		must(t, "subscribe", p.Subscribe(context.Background(), name))
	}
}

// contents are all that a place has, a line for each thing.
func contents(t fataler, p transfer.Source) []string {
	t.Helper()
	ctx := context.Background()
	boxes, err := p.Mailboxes(ctx)
	must(t, "list mailboxes", err)
	var all []string
	for _, b := range boxes {
		all = append(all, fmt.Sprintf("%q use %d", b.Name, b.Use))
		var msgs []transfer.Message
		for m, err := range p.Messages(ctx, b) {
			must(t, "list messages", err)
			msgs = append(msgs, m)
		}
		for body, err := range p.Read(ctx, b, msgs) {
			must(t, "read messages", err)
			must(t, "read a message", body.Err)
			h := sha256.New()
			n, err := io.Copy(h, body.Reader)
			must(t, "read a message", err)
			m := msgs[body.N]
			if n != body.Size || m.Size >= 0 && n != m.Size {
				t.Errorf("%s: message %s has %d octets, listed as %d, opened as %d", b.Name, m.Key, n, m.Size, body.Size)
			}
			all = append(all, fmt.Sprintf("%q: flags %d %s, received %d, %d octets, %.8x", b.Name, m.Flags.System, strings.ToLower(m.Flags.Keywords.String()), m.Received.Unix(), n, h.Sum(nil)))
		}
	}
	names, err := p.Subscriptions(ctx)
	must(t, "list subscriptions", err)
	for _, name := range names {
		all = append(all, fmt.Sprintf("subscribed %q", name))
	}
	slices.Sort(all)
	return all
}

func same(t fataler, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
		extra := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return slices.Contains(want, s) })
		t.Fatalf("%s: %d lines, want %d; missing:\n%s\nnot asked for:\n%s", what, len(got), len(want), strings.Join(missing, "\n"), strings.Join(extra, "\n"))
	}
}

// kind is a kind of place.
type kind struct {
	name string
	// open opens the place in dir, which stays the same for all that are one place.
	open func(t fataler, dir string) transfer.Destination
	// holds reports whether there can be a mailbox of that name.
	holds func(name string) bool
	// keeps changes what a letter is to what the place can keep of it.
	keeps func(l letter) letter
	uses  bool // special uses are kept
	// abandon lets go of a place whose user died; nil: closing it changes nothing in it.
	abandon func(transfer.Destination)
	// parents: the levels above a mailbox are mailboxes.
	parents bool
}

func kinds() []kind {
	return []kind{tarKind("tar"), tarKind("tar.gz"), mboxKind(), maildirKind(), imapKind(imap.Namespace{}), accountKind()}
}

func mboxKind() kind {
	return kind{
		name: "mbox", abandon: func(transfer.Destination) {}, uses: true,
		open: func(t fataler, dir string) transfer.Destination {
			p, err := mboxplace.Open(dir, true)
			must(t, "open the mbox", err)
			return p
		},
	}
}

func tarKind(ext string) kind {
	return kind{
		name: ext, uses: true, abandon: func(transfer.Destination) {},
		open: func(t fataler, dir string) transfer.Destination {
			p, err := tarplace.Open(dir+"."+ext, true)
			must(t, "open the archive", err)
			return p
		},
	}
}

func maildirKind() kind {
	return kind{
		name: "maildir", abandon: func(transfer.Destination) {},
		open: func(t fataler, dir string) transfer.Destination {
			p, err := maildirplace.Open(dir, true)
			must(t, "open the Maildir", err)
			return p
		},
		holds: func(name string) bool {
			_, err := maildirname.UTF7.Encode(name)
			return err == nil
		},
	}
}

// A memory store's account. What it holds is gone when the place is closed, so that the place
// is opened once.
func accountKind() kind {
	return kind{
		name: "account", uses: true,
		open: func(t fataler, dir string) transfer.Destination { return openAccount(t, storeIn(t, dir)) },
	}
}

// stores are the memory stores that stand for a directory.
var stores sync.Map

func storeIn(t fataler, dir string) *memory.Store {
	if s, ok := stores.Load(dir); ok {
		return s.(*memory.Store)
	}
	s := newStore(t)
	stores.Store(dir, s)
	return s
}

// served is a place of an IMAP server of its own.
type served struct {
	*imapplace.Place
	stop func()
}

func (s served) Close() error {
	err := s.Place.Close()
	s.stop()
	return err
}

func imapKind(space imap.Namespace) kind {
	return kind{
		name: "imap", uses: true, parents: true,
		open: func(t fataler, dir string) transfer.Destination {
			addr, stop := serve(t, storeIn(t, dir), space)
			return served{imapAt(addr), stop}
		},
		// RFC 3501, section 9: no NUL in a literal. A literal without an octet ends a
		// MULTIAPPEND (RFC 3502), and is taken for no message.
		keeps: func(l letter) letter {
			l.raw = cmp.Or(l.raw, "\n")
			l.raw = strings.ReplaceAll(l.raw, "\x00", "?")
			return l
		},
	}
}

func imapAt(addr string) *imapplace.Place {
	return imapplace.New(&imapplace.Config{
		Address: addr, Security: imapplace.Plaintext, User: user,
		Password: func(context.Context) (string, error) { return "secret", nil },
	})
}

// serve serves a store until stop is called.
func serve(t fataler, store mailaccess.Store, space imap.Namespace) (addr string, stop func()) {
	t.Helper()
	return serveOn(t, store, space, func(l net.Listener) net.Listener { return l })
}

// serveOn serves a store with a listener that wrap makes.
func serveOn(t fataler, store mailaccess.Store, space imap.Namespace, wrap func(net.Listener) net.Listener) (addr string, stop func()) {
	t.Helper()
	s, err := mailserver.New(store, auth.Static(map[string]string{user: "secret"}), &mailserver.Options{PlaintextOnLoopback: true, Namespace: space})
	must(t, "make a server", err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	ended := make(chan error, 1)
	go func() { ended <- s.IMAP.Serve(wrap(l)) }()
	return l.Addr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(t, "shut down", s.Shutdown(ctx))
		<-ended
	}
}

// noContent is a source from which nobody may read a message.
type noContent struct {
	transfer.Source
	t fataler
}

func (n noContent) Read(_ context.Context, box transfer.Mailbox, msgs []transfer.Message) iter.Seq2[transfer.Body, error] {
	n.t.Errorf("%d messages of %s are read again", len(msgs), box.Name)
	return func(func(transfer.Body, error) bool) {}
}

// carry runs a transfer that has to go well.
func carry(t fataler, src transfer.Source, dst transfer.Destination, state string, opts *transfer.Options) *transfer.Report {
	t.Helper()
	j, err := transfer.OpenJournal(state, "a", "b")
	must(t, "open the journal", err)
	r := transfer.Run(context.Background(), src, dst, j, opts)
	must(t, "close the journal", j.Close())
	if !r.OK() {
		t.Fatalf("the transfer failed: %s, %+v, %+v", r.Error, r.Mailboxes, r.Failures)
	}
	return r
}

// Whatever the mail and the names, there and back again is what there was, and a second run
// finds nothing to do, whether or not the first one's state is there.
func TestRoundTrip(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) { roundTrip(rt, k, t.TempDir()) })
		})
	}
}

func roundTrip(t *rapid.T, k kind, dir string) {
	here, back := newStore(t), newStore(t)
	defer here.Close()
	defer back.Close()
	drawMail(t, here, k)
	src := openAccount(t, here)
	defer src.Close()
	state := filepath.Join(dir, "state")
	there := func(f func(transfer.Destination)) {
		p := k.open(t, filepath.Join(dir, "there"))
		f(p)
		must(t, "close the place", p.Close())
	}
	there(func(p transfer.Destination) { carry(t, src, p, state, nil) })
	there(func(p transfer.Destination) { nothing(t, src, p, state) })
	there(func(p transfer.Destination) { present(t, src, p, filepath.Join(dir, "lost")) })
	dst := openAccount(t, back)
	defer dst.Close()
	there(func(p transfer.Destination) { carry(t, p, dst, filepath.Join(dir, "back"), nil) })
	there(func(p transfer.Destination) { nothing(t, p, dst, filepath.Join(dir, "back")) })
	want := contents(t, src)
	if !k.uses {
		for i, line := range want {
			if name, _, ok := strings.Cut(line, " use "); ok {
				want[i] = name + " use 0"
			}
		}
	}
	same(t, "there and back", contents(t, dst), want)
}

// nothing demands that a run moves nothing.
func nothing(t fataler, src transfer.Source, dst transfer.Destination, state string) {
	t.Helper()
	r := carry(t, noContent{src, t}, dst, state, nil)
	if n := r.Total; n.Moved+n.Updated+n.Removed+n.Gone+r.Subscribed > 0 {
		t.Fatalf("a second run did something: %+v, %d subscriptions", n, r.Subscribed)
	}
}

// present demands that a run without the state of earlier ones finds everything there.
func present(t fataler, src transfer.Source, dst transfer.Destination, state string) {
	t.Helper()
	r := carry(t, src, dst, state, nil)
	if n := r.Total; n.Moved+n.Updated+n.Removed > 0 {
		t.Fatalf("a run without state did something: %+v", n)
	}
}

// drawMail draws mailboxes and what is in them.
func drawMail(t *rapid.T, store *memory.Store, k kind) {
	names := []string{mailaccess.Inbox}
	for _, name := range rapid.SliceOfNDistinct(drawName(), 0, 6, rapid.ID).Draw(t, "names") {
		if mailaccess.CheckMailboxName(name) == nil && name != mailaccess.Inbox && (k.holds == nil || k.holds(name)) {
			names = append(names, name)
		}
	}
	if k.parents {
		for _, name := range names {
			for i := range len(name) {
				if up := name[:i]; name[i] == '/' && !slices.Contains(names, up) {
					names = append(names, up)
				}
			}
		}
	}
	uses := []mailaccess.SpecialUse{mailaccess.UseSent, mailaccess.UseTrash, mailaccess.UseJunk, mailaccess.UseDrafts, mailaccess.UseArchive}
	for i, name := range names {
		var use mailaccess.SpecialUse
		if i > 0 && i <= len(uses) && rapid.Bool().Draw(t, "special") {
			use = uses[i-1]
		}
		letters := rapid.SliceOfN(drawLetter(), 0, 5).Draw(t, "letters of "+name)
		if len(letters) > 0 && rapid.Bool().Draw(t, "twice") {
			letters = append(letters, letters[0])
		}
		if k.keeps != nil {
			for i := range letters {
				letters[i] = k.keeps(letters[i])
			}
		}
		fill(t, store, name, use, letters...)
		if rapid.Bool().Draw(t, "subscribed") {
			subscribe(t, store, name)
		}
	}
}

func drawName() *rapid.Generator[string] {
	level := rapid.OneOf(
		rapid.SampledFrom([]string{
			"v1.2", "~", "~ann", ".", "..", ".hidden", "a b", "R&D", "&", "&-", "Entwürfe", "日本語", "INBOX", "a\\b", "a%41", "100%", "x.sbd", "y.mbox",
			"mailaccess.json", "*", "\"q\"", "-", "cur", "new", "tmp", "CON", " lead", "trail ", "a:2,S", "#x", "+", "_", "\U0001F4E7",
			strings.Repeat("long", 20), strings.Repeat("é", 30),
		}),
		rapid.StringMatching(`[a-cA-C._~&%\\ -]{1,6}`),
	)
	return rapid.Map(rapid.SliceOfN(level, 1, 3), func(levels []string) string { return strings.Join(levels, "/") })
}

func drawLetter() *rapid.Generator[letter] {
	return rapid.Custom(func(t *rapid.T) letter {
		raw := rapid.OneOf(
			rapid.SampledFrom([]string{
				"", "\n", "a", "Subject: x\n\nFrom here\n>From there\n>>From anywhere\n", "Subject: no end\n\nno end", "From the start\n\nbody\n",
				"Subject: cr\n\na\rb\r\r\nc\r\r\r\nd\r", "Subject: 8\n\n\xff\xfe caf\xe9\n", "Subject: nul\n\n\x00\x00\n", "Status: RO\nX-Status: A\nX-Keywords: no\n\nx\n",
				"Subject: blank\n\n\n\n\n", "no header at all\n", "\nbegins with a blank line\n", "Content-Length: 3\nSubject: lies\n\nmuch longer than that\n\nFrom x@example.org Mon Jan  1 00:00:00 2024\n\nstill\n",
				"X-Mailaccess: 9 9 9\nSubject: ours\n\nx\n", "Subject: big\n\n" + strings.Repeat("0123456789abcdef\n", 9000),
			}),
			rapid.StringMatching(`[a-z]{1,4}: [a-z >\r]{0,9}\n\n((>*From )?[a-z \r\n]{0,12}\n){0,4}[a-z]{0,2}`),
		).Draw(t, "raw")
		var list []string
		for _, w := range []string{"$Forwarded", "work", "NonJunk", "$Label1", "Ünot"[2:], "a+b/c", "x:y,z"} {
			if rapid.IntRange(0, 3).Draw(t, "has "+w) == 0 {
				list = append(list, w)
			}
		}
		return letter{
			raw:      raw,
			flags:    mailaccess.Flags{System: mailaccess.SystemFlags(rapid.IntRange(0, int(mailaccess.SystemFlagsAll)).Draw(t, "flags")), Keywords: words(list...)},
			received: time.Unix(rapid.Int64Range(86400, 4e9).Draw(t, "received"), 0).UTC(),
		}
	})
}
