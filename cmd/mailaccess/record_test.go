package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// recordDemo records what a session does with a demonstration, and returns the
// transcripts: of IMAP and of POP3, empty when there is none.
func recordDemo(t *testing.T, session func(addresses, *tls.Config)) (imapText, popText string) {
	t.Helper()
	dir := t.TempDir()
	cert, file := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "session.txt")
	p := start(t, false, demoArgs("--cert-out", cert, "--record", file)...)
	at := p.addresses()
	session(at, trust(t, cert))
	p.cancel()
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		return string(b)
	}
	return read(file), read(filepath.Join(dir, "session.pop3.txt"))
}

// A demoServer is a demonstration, as transcripts are played against one.
type demoServer struct {
	p  *program
	at map[string]string
}

func startDemoServer(t *testing.T) *demoServer {
	p := start(t, false, demoArgs()...)
	at := p.addresses()
	return &demoServer{p, map[string]string{"": at.imap, "imap": at.imap, "imaps": at.imaps, "pop3": at.pop3, "pop3s": at.pop3s}}
}

func (d *demoServer) Dial() (net.Conn, error) { return d.DialService("") }

func (d *demoServer) DialService(name string) (net.Conn, error) {
	return net.DialTimeout("tcp", d.at[name], patience)
}

func (d *demoServer) Close() error {
	d.p.cancel()
	d.p.wait()
	return nil
}

// replay plays a transcript against a fresh demonstration.
func replay(t *testing.T, text string, pop bool) error {
	t.Helper()
	s, err := prototest.Parse("session.txt", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d := startDemoServer(t)
	defer d.Close()
	if pop {
		d.at[""] = d.at["pop3"]
	}
	return prototest.RunScript(t, s, d, &prototest.Options{Literals: !pop, Timeout: patience})
}

// replays plays a transcript, which must pass, and with each answer changed that of them
// names, which must not.
func replays(t *testing.T, text string, pop bool, changes ...string) {
	t.Helper()
	if err := replay(t, text, pop); err != nil {
		t.Fatalf("%v\nThe transcript:\n%s", err, text)
	}
	for _, c := range changes {
		re := regexp.MustCompile("(?m)^S.*(?:" + c + ").*$")
		line := re.FindString(text)
		if line == "" {
			t.Fatalf("no answer %s in\n%s", c, text)
		}
		if err := replay(t, strings.Replace(text, line, line+"x", 1), pop); err == nil {
			t.Errorf("the transcript passes although the server would have to say %sx", line)
		}
	}
}

// What a client does that nobody here wrote is played again, on two connections.
func TestRecordClient(t *testing.T) {
	text, pop := recordDemo(t, func(at addresses, config *tls.Config) {
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		dialled := func(c *imapclient.Client, err error) *imapclient.Client {
			t.Helper()
			ok(err)
			ok(c.Login("demo", "demo").Wait())
			return c
		}
		arrived := make(chan uint32, 10)
		c := dialled(imapclient.DialTLS(at.imaps, &imapclient.Options{TLSConfig: config, UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Expunge: func(uint32) {},
			Mailbox: func(d *imapclient.UnilateralDataMailbox) {
				if d.NumMessages != nil {
					arrived <- *d.NumMessages
				}
			},
		}}))
		other := dialled(imapclient.DialStartTLS(at.imap, &imapclient.Options{TLSConfig: config}))
		_, err := c.ID(&imap.IDData{Name: "test"}).Wait()
		ok(err)
		_, err = c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{UIDValidity: true, NumMessages: true}}).Collect()
		ok(err)
		_, err = c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
		ok(err)
		_, err = c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, Envelope: true, InternalDate: true, ModSeq: true,
			BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
			BodySection:   []*imap.FetchItemBodySection{{Peek: true}, {Peek: true, Specifier: imap.PartSpecifierText, Partial: &imap.SectionPartial{Offset: 1 << 20, Size: 1}}}}).Collect()
		ok(err)
		idle, err := c.Idle()
		ok(err)
		const mail = "Subject: {{x}} {5}\r\n\r\nfile=x\r\n<close>\r\n\xff bare \n and no end"
		up := other.Append("INBOX", int64(len(mail)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
		_, err = up.Write([]byte(mail))
		ok(err)
		ok(up.Close())
		place, err := up.Wait()
		ok(err)
		for n := <-arrived; int(n) != inboxLen()+1; n = <-arrived {
		}
		ok(idle.Close())
		ok(idle.Wait())
		_, err = c.Fetch(imap.UIDSetNum(place.UID), &imap.FetchOptions{InternalDate: true, ModSeq: true, BodySection: []*imap.FetchItemBodySection{{}}}).Collect()
		ok(err)
		ok(c.Store(imap.UIDSetNum(place.UID), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
		_, err = c.Expunge().Collect()
		ok(err)
		if _, err := c.Select("None", nil).Wait(); err == nil {
			t.Error("there is a mailbox None")
		}
		ok(other.Logout().Wait())
		other.Close()
		ok(c.Logout().Wait())
		c.Close()
	})
	if pop != "" {
		t.Errorf("of POP3 %q", pop)
	}
	replays(t, text, false, `EXISTS`, `Welcome to the demonstration`, `\[APPENDUID `, `NO \[?.*no such mailbox`)
}

// So is what was typed: sent ahead, with ids that come back from the client, compressed,
// broken off.
func TestRecordRaw(t *testing.T) {
	text, _ := recordDemo(t, func(at addresses, config *tls.Config) {
		c := dial(t, at.imap, nil)
		c.expect(`\* OK`)
		c.send("a login demo demo", "b select INBOX (condstore)")
		m := c.expect(`\* OK \[HIGHESTMODSEQ (\d+)\]`)
		c.expect(`b OK`)
		id := c.do("c fetch 1 (emailid savedate flags)", `\* 1 FETCH \(EMAILID \(([^)]+)\)`)[1]
		c.expect(`c OK`)
		c.do("d store 2 +flags.silent red", `d OK`)
		c.send("e fetch 1:* (flags) (changedsince "+m[1]+")", "f uid search emailid "+id)
		c.expect(`\* 2 FETCH`)
		c.expect(`\* SEARCH 1`)
		c.do("g nonsense {{x}}", `g BAD`)
		c.do("h append INBOX {3}", `\+`)
		c.send("abc", "i create \"Entw\xc3\xbcrfe\"", "j idle")
		c.expect(`\+ `)
		c.Close()
		// It is waited for: the order of two connections is that of the transcript.
		again := dial(t, at.imaps, config)
		again.expect(`\* OK`)
		again.do("a login demo demo", `a OK`)
		again.do("b status INBOX (messages uidvalidity highestmodseq)", `b OK`)
	})
	for _, want := range []string{"recorded\n", "{{modseq", "changedsince {{$modseq", "emailid {{$id", "C2: <dial imaps>\n", "C2: <starttls>\nS2: * OK", "C: <close>", "C2: <close>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	replays(t, text, false, `\* SEARCH`, `\* 2 FETCH`, `b OK`)
}

func TestRecordPOP3(t *testing.T) {
	text, pop := recordDemo(t, func(at addresses, config *tls.Config) {
		for _, addr := range []string{at.pop3, at.pop3s} {
			var c *client
			if addr == at.pop3s {
				c = dial(t, addr, config)
			} else {
				c = dial(t, addr, nil)
			}
			c.expect(`\+OK`)
			c.send("CAPA", "USER demo", "PASS demo", "UIDL 1", "UIDL", "LIST")
			for range 3 {
				c.expect(`\.\r\n`)
			}
			for i := range inboxLen() - 1 {
				c.send(fmt.Sprint("RETR ", i+1))
				c.expect(`\.\r\n`)
			}
			c.send("DELE 1", "QUIT")
			_, err := io.Copy(io.Discard, c.r)
			if err != nil {
				t.Error(err)
			}
		}
	})
	if text != "" {
		t.Errorf("of IMAP %q", text)
	}
	replays(t, pop, true, `\+OK \d+ octets`, `Welcome to the demonstration`)
	// Another version of the server says what it is.
	if !strings.Contains(pop, "\nS: IMPLEMENTATION mailaccess-{{[!-~]+}}\n") {
		t.Errorf("the version is in\n%s", pop)
	}
}

func TestRecordErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{demoArgs("--record", "x.txt", "--arrivals", "1s"), "cannot be played again"},
		{demoArgs("--record", filepath.Join(t.TempDir(), "none", "x.txt")), "--record: open "},
	} {
		p := start(t, true, test.args...)
		p.line(regexp.QuoteMeta(test.want))
		if code := p.wait(); code == 0 {
			t.Errorf("%v: exit code 0", test.args)
		}
	}
}
