package mailaccesstest_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
)

type fault = mailaccesstest.Fault

// refused tells whether err is the server's refusal with a code.
func refused(err error, typ imap.StatusResponseType, code imap.ResponseCode) bool {
	var ie *imap.Error
	return errors.As(err, &ie) && ie.Type == typ && ie.Code == code
}

// A command fails as often as it is to, and then goes well.
func TestInjectAnswer(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	srv.Deliver("ann", "INBOX", "Subject: one\n\n")
	c := login(t, srv)
	sel := srv.Inject(fault{Command: "SELECT", Answer: "NO [UNAVAILABLE] Not now", Times: 2})
	other := srv.Inject(fault{Command: "create", Answer: "BAD What?", If: func(c mailaccesstest.Command) bool { return strings.Contains(c.Line, "x") }, Times: -1})
	for range 2 {
		if _, err := c.Select("INBOX", nil).Wait(); !refused(err, imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable) {
			t.Errorf("select: %v", err)
		}
	}
	_, err := c.Select("INBOX", nil).Wait()
	must(t, err)
	must(t, c.Create("y", nil).Wait())
	for range 3 {
		if err := c.Create("x", nil).Wait(); !refused(err, imap.StatusResponseTypeBad, "") {
			t.Errorf("create: %v", err)
		}
	}
	other.Remove()
	must(t, c.Create("x", nil).Wait())
	if sel.Hits() != 2 || other.Hits() != 3 {
		t.Errorf("%d and %d hits, want 2 and 3", sel.Hits(), other.Hits())
	}
	if got := srv.Commands("SELECT"); len(got) != 3 || got[1].Answer != "NO [UNAVAILABLE] Not now" || !strings.HasPrefix(got[2].Answer, "OK ") {
		t.Errorf("commands %+v", got)
	}

	// UID FETCH is FETCH too, and not the other way round; the third of them.
	srv.Inject(fault{Command: "UID FETCH", Answer: "NO a"})
	srv.Inject(fault{Command: "FETCH", Answer: "NO b", Skip: 1})
	var outcome []string
	for _, set := range []imap.NumSet{imap.SeqSetNum(1), imap.UIDSetNum(1), imap.UIDSetNum(1), imap.UIDSetNum(1)} {
		_, err := c.Fetch(set, &imap.FetchOptions{Flags: true}).Collect()
		var ie *imap.Error
		switch {
		case errors.As(err, &ie):
			outcome = append(outcome, ie.Text)
		case err == nil:
			outcome = append(outcome, "ok")
		}
	}
	if got := strings.Join(outcome, " "); got != "ok a b ok" {
		t.Errorf("outcome of the fetches: %s", got)
	}
}

func TestInjectLogin(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	for _, service := range []string{"imap", "pop3"} {
		answer := "NO [AUTHENTICATIONFAILED] No"
		if service == "pop3" {
			answer = "-ERR [AUTH] No"
		}
		srv.Inject(fault{Command: mailaccesstest.Login, Answer: answer})
		if service == "imap" {
			if err := client(t, srv, service, nil).Login("ann", "secret").Wait(); !refused(err, imap.StatusResponseTypeNo, imap.ResponseCodeAuthenticationFailed) {
				t.Error(err)
			}
			continue
		}
		say := pop(t, srv, service)
		say("USER ann")
		if got := say("PASS secret"); got != answer {
			t.Errorf("PASS: %s", got)
		}
		if got := say("USER ann"); !strings.HasPrefix(got, "+OK") {
			t.Errorf("USER after that: %s", got)
		}
	}
}

// The connection is lost before a command, or after it; the mailbox says which.
func TestInjectDrop(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	for _, drop := range []mailaccesstest.Drop{mailaccesstest.DropCommand, mailaccesstest.DropAnswer} {
		c := login(t, srv)
		srv.Inject(fault{Command: "CREATE", Drop: drop})
		name := map[mailaccesstest.Drop]string{mailaccesstest.DropCommand: "lost", mailaccesstest.DropAnswer: "made"}[drop]
		if err := c.Create(name, nil).Wait(); err == nil {
			t.Error("there was an answer")
		}
	}
	if got := strings.Join(srv.Mailboxes("ann"), " "); got != "INBOX made" {
		t.Errorf("mailboxes: %s", got)
	}
}

// An answer breaks off, or a literal is shorter than was announced.
func TestInjectBreak(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	srv.Deliver("ann", "INBOX", "Subject: one\n\n"+strings.Repeat("x", 100)+"\n")
	// Not go-imap's client, which has a data race when a literal breaks off.
	fetch := func() string {
		nc, err := srv.Dial("imaps")
		must(t, err)
		defer nc.Close()
		must(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(nc, "a LOGIN ann secret\r\nb EXAMINE INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd LOGOUT\r\n")
		must(t, err)
		all, err := io.ReadAll(nc)
		must(t, err)
		_, answer, _ := strings.Cut(string(all), "b OK [READ-ONLY] selected\r\n")
		return answer
	}
	whole := fetch()
	srv.Inject(fault{Command: "FETCH", Drop: mailaccesstest.DropAnswer, After: 60})
	if got := fetch(); len(got) != 60 || !strings.HasPrefix(whole, got) || !strings.Contains(got, "\r\nSubject: ") {
		t.Errorf("broken off: %q of %q", got, whole)
	}
	if got := fetch(); got != whole {
		t.Errorf("after that: %q", got)
	}

	srv.Inject(fault{Command: "RETR", Truncate: 30})
	say := pop(t, srv, "pop3s")
	say("USER ann")
	say("PASS secret")
	say("RETR 1")
	var lines []string
	for line := ""; line != "."; lines = append(lines, line) {
		if line = say(""); line == "EOF" {
			t.Fatal("no end")
		}
	}
	if got := strings.Join(lines, "\n"); got != "Subject: one\n\n"+strings.Repeat("x", 14)+"\n." {
		t.Errorf("cut short: %q", got)
	}
}

// A held command waits until it is let go.
func TestInjectHold(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	release := make(chan struct{})
	srv.Inject(fault{Command: "NOOP", Hold: release, Answer: "NO at last"})
	c := login(t, srv)
	answered := make(chan error, 1)
	go func() { answered <- c.Noop().Wait() }()
	must(t, srv.WaitFor(within(t), func() bool { return len(srv.Commands("NOOP")) == 1 }))
	select {
	case err := <-answered:
		t.Fatalf("answered already: %v", err)
	default:
	}
	if got := srv.Commands("NOOP")[0].Answer; got != "" {
		t.Errorf("answered already: %s", got)
	}
	close(release)
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "at last") {
		t.Error(err)
	}
}

// There is no greeting, another one, or no TLS.
func TestInjectConnect(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	srv.Inject(fault{Command: mailaccesstest.Connect, Answer: "* BYE Too many"})
	if err := client(t, srv, "imap", nil).WaitGreeting(); err == nil {
		t.Error("greeted after all")
	}
	srv.Inject(fault{Command: mailaccesstest.Connect, Drop: mailaccesstest.DropAnswer, After: 4})
	if err := client(t, srv, "imap", nil).WaitGreeting(); err == nil {
		t.Error("greeted after all")
	}
	if text := srv.Transcript(); !strings.Contains(text, "S1: * BYE Too many\nS1: <eof>\n") || !strings.Contains(text, "S2.: * OK\nS2: <eof>\n") {
		t.Errorf("transcript\n%s", text)
	}
	srv.Inject(fault{Command: mailaccesstest.Handshake})
	if c, err := tls.Dial("tcp", srv.POP3S, srv.ClientTLS()); err == nil {
		c.Close()
		t.Error("TLS after all")
	}
	must(t, client(t, srv, "imaps", nil).WaitGreeting())
}
