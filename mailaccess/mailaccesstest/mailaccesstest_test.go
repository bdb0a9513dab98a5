package mailaccesstest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is go-imap's client on a connection to a service.
func client(t *testing.T, srv *mailaccesstest.Server, service string, o *imapclient.Options) *imapclient.Client {
	t.Helper()
	nc, err := srv.Dial(service)
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(nc, o)
	t.Cleanup(func() { c.Close() })
	return c
}

func login(t *testing.T, srv *mailaccesstest.Server) *imapclient.Client {
	t.Helper()
	c := client(t, srv, "imap", nil)
	must(t, c.Login("ann", "secret").Wait())
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pop is a client of POP3.
func pop(t *testing.T, srv *mailaccesstest.Server, service string) (say func(line string) string) {
	t.Helper()
	nc, err := srv.Dial(service)
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	r := bufio.NewReader(nc)
	say = func(line string) string {
		t.Helper()
		if line != "" {
			_, err := io.WriteString(nc, line+"\r\n")
			must(t, err)
		}
		answer, err := r.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(answer)
	}
	if greeting := say(""); !strings.HasPrefix(greeting, "+OK") {
		t.Fatal(greeting)
	}
	return say
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Each service is the same server, on sockets and in memory.
func TestServices(t *testing.T) {
	for _, pipes := range []bool{false, true} {
		srv := mailaccesstest.New(t, &mailaccesstest.Options{Users: map[string]string{"bob": "pw"}, Pipes: pipes})
		uid := srv.Deliver("bob", "INBOX", "Subject: one\n\nOne.\n")
		if pipes != (srv.IMAP == "" && srv.IMAPS == "" && srv.POP3 == "" && srv.POP3S == "") {
			t.Errorf("addresses %q %q %q %q", srv.IMAP, srv.IMAPS, srv.POP3, srv.POP3S)
		}
		for _, service := range []string{"imap", "imaps"} {
			c := client(t, srv, service, nil)
			must(t, c.Login("bob", "pw").Wait())
			data, err := c.Select("INBOX", nil).Wait()
			if err != nil || data.NumMessages != 1 || uint32(data.UIDNext) != uid+1 {
				t.Errorf("%s: %+v, %v", service, data, err)
			}
			must(t, c.Logout().Wait())
		}
		for _, service := range []string{"pop3", "pop3s"} {
			say := pop(t, srv, service)
			say("USER bob")
			say("PASS pw")
			if got := say("STAT"); !strings.HasPrefix(got, "+OK 1 ") {
				t.Errorf("%s: %s", service, got)
			}
			say("QUIT")
		}
		if _, err := srv.Dial("smtp"); err == nil {
			t.Error("there is a service smtp")
		}
		var by []string
		for _, c := range srv.Commands(mailaccesstest.Login) {
			by = append(by, c.Service+" "+c.Name+" "+c.Answer[:3])
		}
		want := []string{"imap LOGIN OK ", "imaps LOGIN OK ", "pop3 PASS +OK", "pop3s PASS +OK"}
		if diff := cmp.Diff(want, by); diff != "" {
			t.Error(diff)
		}
	}
}

// A client trusts the server by its authority alone, here and in other processes.
func TestTrust(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	file := srv.CAFile()
	pem, err := os.ReadFile(file)
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the file")
	}
	for _, roots := range []*x509.CertPool{pool, srv.CertPool()} {
		c, err := tls.Dial("tcp", srv.IMAPS, &tls.Config{RootCAs: roots})
		must(t, err)
		must(t, c.Close())
	}
	if c, err := tls.Dial("tcp", srv.IMAPS, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		c.Close()
		t.Error("it is trusted without")
	}
	c, err := imapclient.DialStartTLS(srv.IMAP, &imapclient.Options{TLSConfig: srv.ClientTLS()})
	must(t, err)
	must(t, c.Close())
	must(t, srv.Close())
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// What a client does is seen in the mailbox; what others do, by the client.
func TestMail(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	srv.CreateMailbox("ann", "Sent", `\Sent`)
	one := srv.Deliver("ann", "inbox", "Date: Thu, 2 Jan 2025 03:04:05 +0100\nSubject: one\n\nOne.\n", `\Seen`, "$Forwarded")
	two := srv.Deliver("ann", "", "Subject: two\r\n\r\nTwo.\r\n")
	srv.Deliver("ann", "Lists/Go", "Subject: three\n\n")
	c := login(t, srv)
	_, err := c.Select("INBOX", nil).Wait()
	must(t, err)
	must(t, c.Store(imap.UIDSetNum(imap.UID(two)), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close())
	got := srv.Messages("ann", "INBOX")
	for i := range got {
		if age := time.Since(got[i].Received); age < time.Hour {
			got[i].Received = time.Time{}
		}
	}
	want := []mailaccesstest.Message{
		{Mailbox: "INBOX", UID: one, Flags: []string{`\Seen`, "$Forwarded"}, Received: time.Date(2025, 1, 2, 2, 4, 5, 0, time.UTC),
			Raw: "Date: Thu, 2 Jan 2025 03:04:05 +0100\r\nSubject: one\r\n\r\nOne.\r\n"},
		{Mailbox: "INBOX", UID: two, Flags: []string{`\Flagged`}, Raw: "Subject: two\r\n\r\nTwo.\r\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := srv.Mailboxes("ann"); !slices.Equal(got, []string{"INBOX", "Lists/Go", "Sent"}) {
		t.Errorf("mailboxes %q", got)
	}
	if got := srv.Messages("ann", "None"); got != nil {
		t.Errorf("%v in no mailbox", got)
	}
	srv.SetFlags("ann", "INBOX", two, `\Answered`)
	srv.Expunge("ann", "INBOX", one)
	must(t, c.Noop().Wait())
	if n := c.Mailbox().NumMessages; n != 1 {
		t.Errorf("%d messages after an expunge", n)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagAnswered}, NotFlag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
	if err != nil || !slices.Equal(found.AllUIDs(), []imap.UID{imap.UID(two)}) {
		t.Errorf("found %v, %v", found, err)
	}
	list, err := c.List("", "*", &imap.ListOptions{SelectSpecialUse: true}).Collect()
	if err != nil || len(list) != 1 || list[0].Mailbox != "Sent" {
		t.Errorf("special uses %v, %v", list, err)
	}
}

// A push reaches a client that waits, and what the client does then is waited for.
func TestWaitFor(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	arrived := make(chan uint32, 10)
	c := client(t, srv, "imaps", &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				arrived <- *d.NumMessages
			}
		},
	}})
	must(t, c.Login("ann", "secret").Wait())
	_, err := c.Select("INBOX", nil).Wait()
	must(t, err)
	idled := make(chan error, 1)
	go func() {
		idle, err := c.Idle()
		if err == nil {
			<-arrived
			err = errors.Join(idle.Close(), idle.Wait())
		}
		if err == nil {
			err = c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close()
		}
		idled <- err
	}()
	must(t, srv.WaitFor(within(t), func() bool { return len(srv.Commands("IDLE")) == 1 }))
	srv.Deliver("ann", "INBOX", "Subject: news\n\n")
	must(t, srv.WaitFor(within(t), func() bool {
		m := srv.Messages("ann", "INBOX")
		return len(m) == 1 && slices.Contains(m[0].Flags, `\Seen`)
	}))
	must(t, <-idled)

	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if err := srv.WaitFor(ctx, func() bool { return false }); !errors.Is(err, enough) {
		t.Errorf("what cannot be: %v", err)
	}
}

// A transcript shows each connection, within TLS and compression.
func TestTranscript(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	srv.Deliver("ann", "INBOX", "Subject: large\n\n"+strings.Repeat("0123456789abcde\n", 10_000))
	c, err := imapclient.DialStartTLS(srv.IMAP, &imapclient.Options{TLSConfig: srv.ClientTLS()})
	must(t, err)
	defer c.Close()
	must(t, c.Login("ann", "secret").Wait())
	_, err = c.Select("INBOX", nil).Wait()
	must(t, err)
	_, err = c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
	must(t, err)
	say := pop(t, srv, "pop3")
	say("USER ann")
	all, second := srv.Transcript(), srv.Transcript(2)
	for _, want := range []string{"S1: * OK", "C1: T1 STARTTLS\n", "C1: <starttls>\n", " LOGIN ", "S1: Subject: large\n", "S2: +OK", "C2: USER ann\n"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%.2000s", want, all)
		}
	}
	if len(all) > 90_000 || !strings.Contains(all, "...") {
		t.Errorf("all of a large message is shown: %d octets", len(all))
	}
	if !strings.HasPrefix(second, "S2: +OK") || strings.Contains(second, "C1: ") {
		t.Errorf("of the second connection %q", second)
	}
}

// In a bubble waiting takes no time.
func TestPipesInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mailaccesstest.New(t, &mailaccesstest.Options{Pipes: true})
		srv.Inject(mailaccesstest.Fault{Command: "NOOP", Delay: 20 * time.Minute})
		c := client(t, srv, "imaps", nil)
		must(t, c.Login("ann", "secret").Wait())
		begun := time.Now()
		must(t, c.Noop().Wait())
		if took := time.Since(begun); took < 20*time.Minute {
			t.Errorf("it took %v", took)
		}
		// So does the server's patience with who is silent.
		time.Sleep(25 * time.Hour)
		if err := c.Noop().Wait(); err == nil {
			t.Error("the connection outlived a day of silence")
		}
	})
}

// Another store, another authenticator, other limits.
func TestOptions(t *testing.T) {
	store := memory.New(&memory.Options{MaxMessageSize: 100})
	defer store.Close()
	srv := mailaccesstest.New(t, &mailaccesstest.Options{
		Store:         store,
		Authenticator: anyone{},
		Configure:     func(o *mailserver.Options) { o.Limits = &protocols.Limits{PerUser: 1} },
	})
	c := client(t, srv, "imap", nil)
	must(t, c.Login("carl", "whatever").Wait())
	if err := client(t, srv, "imap", nil).Login("carl", "whatever").Wait(); err == nil {
		t.Error("a second connection was let in")
	}
	srv.Deliver("carl", "INBOX", "Subject: in\n\n")
	acct, err := store.Open(t.Context(), "carl", mailaccess.Identity{User: "carl", Account: "carl"})
	must(t, err)
	defer acct.Close()
	box, err := acct.Lookup(t.Context(), "INBOX")
	must(t, err)
	if st, err := acct.Status(t.Context(), box.ID); err != nil || st.Messages != 1 {
		t.Errorf("%+v, %v in the store", st, err)
	}
}

type anyone struct{}

func (anyone) Authenticate(_ context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return mailaccess.Identity{User: l.Username, Account: l.Username}, nil
}

// What goes wrong in the server fails the test.
func TestServerErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		break_ func() error
		allow  bool
		fails  bool
	}{
		{"error", func() error { return errors.New("broken disk") }, false, true},
		{"error that is allowed", func() error { return errors.New("broken disk") }, true, false},
		{"panic", func() error { panic("bug") }, true, true},
	} {
		store := memory.New(nil)
		srv, err := mailaccesstest.Start(&mailaccesstest.Options{Store: broken{store, test.break_}, AllowErrors: test.allow})
		must(t, err)
		c := client(t, srv, "imap", nil)
		if err := c.Login("ann", "secret").Wait(); err == nil {
			t.Errorf("%s: logged in to a broken store", test.name)
		}
		err = srv.Close()
		if (err != nil) != test.fails || err != nil && !strings.Contains(err.Error(), `"command":"LOGIN"`) && test.name == "error" {
			t.Errorf("%s: %v", test.name, err)
		}
		must(t, store.Close())
	}
}

// broken is a store of which no account can be opened.
type broken struct {
	*memory.Store
	open func() error
}

func (b broken) Open(context.Context, string, mailaccess.Identity) (mailaccess.Account, error) {
	return nil, b.open()
}

// A fakeTest notes how it fails.
type fakeTest struct {
	testing.TB
	said     []string
	cleanups []func()
}

func (f *fakeTest) Helper()           {}
func (f *fakeTest) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }
func (f *fakeTest) Failed() bool      { return len(f.said) > 0 }
func (f *fakeTest) Error(args ...any) { f.said = append(f.said, args[0].(error).Error()) }
func (f *fakeTest) Fatal(args ...any) {
	f.said = append(f.said, args[len(args)-1].(error).Error())
	panic(f)
}
func (f *fakeTest) Logf(_ string, args ...any) { f.said = append(f.said, args[0].(string)) }

// Misuse, and errors of the server, are failures of the test, and a test that has failed
// shows what was said.
func TestFailures(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	f := &fakeTest{TB: t}
	srv := mailaccesstest.New(f, &mailaccesstest.Options{Store: broken{store, func() error { return errors.New("broken disk") }}})
	_ = client(t, srv, "imap", nil).Login("ann", "secret").Wait()
	func() {
		defer func() {
			if recover() != any(f) {
				t.Error("Deliver to nobody did not fail the test")
			}
		}()
		srv.Deliver("nobody", "INBOX", "")
	}()
	f.cleanups[0]()
	for i, want := range []string{`there is no user "nobody"`, "the server logged: ", "LOGIN"} {
		if i >= len(f.said) || !strings.Contains(f.said[i], want) {
			t.Errorf("said %q, no %q", f.said, want)
		}
	}

	srv, err := mailaccesstest.Start(nil)
	must(t, err)
	defer func() {
		if recover() == nil {
			t.Error("Deliver to nobody did not panic")
		}
		must(t, srv.Close())
	}()
	srv.Deliver("nobody", "INBOX", "")
}

// A test that changes a message that is not there is mistaken, and is told.
func TestNoSuchMessage(t *testing.T) {
	for name, change := range map[string]func(*mailaccesstest.Server, uint32){
		"SetFlags": func(srv *mailaccesstest.Server, uid uint32) { srv.SetFlags("ann", "INBOX", uid, `\Seen`) },
		"Expunge":  func(srv *mailaccesstest.Server, uid uint32) { srv.Expunge("ann", "INBOX", uid-1, uid) },
	} {
		f := &fakeTest{TB: t}
		srv := mailaccesstest.New(f, nil)
		uid := srv.Deliver("ann", "INBOX", "Subject: one\n\n")
		func() {
			defer func() {
				if recover() != any(f) {
					t.Errorf("%s did not fail the test", name)
				}
			}()
			change(srv, uid+1)
		}()
		if left := srv.Messages("ann", "INBOX"); len(left) != 1 {
			t.Errorf("%s has left %v", name, left)
		}
		f.cleanups[0]()
		if len(f.said) == 0 || !strings.Contains(f.said[0], "there is no message with the UID 2 in INBOX") {
			t.Errorf("%s: said %q", name, f.said)
		}
	}
}

// Clients that are still there when a test ends do not hold it up.
func TestCloseWithClients(t *testing.T) {
	srv, err := mailaccesstest.Start(nil)
	must(t, err)
	hold := make(chan struct{})
	srv.Inject(mailaccesstest.Fault{Command: "NOOP", Hold: hold})
	c := login(t, srv)
	_ = c.Noop()
	must(t, srv.WaitFor(within(t), func() bool { return len(srv.Commands("NOOP")) == 1 }))
	silent, err := net.Dial("tcp", srv.POP3)
	must(t, err)
	defer silent.Close()
	must(t, srv.Close())
	must(t, srv.Close())
}
