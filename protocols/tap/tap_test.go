package tap_test

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/protocols/tap"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A reader notes what passes, and decides as told.
type reader struct {
	decide func(ctx context.Context, c tap.Command) tap.Verdict

	mu       sync.Mutex
	said     strings.Builder // with C or S at the start of each line
	begun    map[string]bool
	commands []string
}

func (r *reader) Event(e tap.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := map[tap.Kind]string{tap.ClientLine: "C", tap.ClientPart: "C", tap.ClientLiteral: "C",
		tap.ServerLine: "S", tap.ServerPart: "S", tap.ServerLiteral: "S"}[e.Kind]
	if who == "" {
		fmt.Fprintf(&r.said, "%s\n", map[tap.Kind]string{
			tap.StartTLS: "<tls>", tap.Deflate: "<deflate>", tap.ClientEnd: "C<end>", tap.ServerEnd: "S<end>"}[e.Kind])
		return
	}
	for line := range strings.Lines(string(e.Data)) {
		if !r.begun[who] {
			r.said.WriteString(who + ": ")
		}
		r.begun[who] = !strings.HasSuffix(line, "\n")
		r.said.WriteString(strings.Replace(line, "\r", "", 1))
	}
}

func (r *reader) Command(ctx context.Context, c tap.Command) tap.Verdict {
	r.mu.Lock()
	r.commands = append(r.commands, c.Name)
	r.mu.Unlock()
	if r.decide == nil {
		return tap.Verdict{}
	}
	return r.decide(ctx, c)
}

func (r *reader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// mail is the only message.
const mail = "Subject: hello\r\n\r\nHello, and\r\n.goodbye {5}\r\n"

// serve starts a server behind a tap, and returns where it listens and what a client
// trusts.
func serve(t *testing.T, syntax tap.Syntax, implicit bool, r *reader) (addr string, trust *tls.Config) {
	t.Helper()
	r.begun = make(map[string]bool)
	cert, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	store := memory.New(nil)
	if _, err := store.Deliver(t.Context(), "ann", mailaccess.Inbox, []byte(mail), mailaccess.Flags{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	s, err := mailserver.New(store, auth.Static(map[string]string{"ann": "secret"}), &mailserver.Options{TLSConfig: config, PlaintextOnLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tap.Listen(inner, tap.Options{Syntax: syntax, TLS: config, Implicit: implicit, Open: func(net.Addr) tap.Handler { return r }})
	p := s.IMAP
	if syntax == tap.POP3 {
		p = s.POP3
	}
	served := make(chan error, 1)
	go func() {
		if implicit {
			served <- p.ServeTLS(l)
		} else {
			served <- p.Serve(l)
		}
	}()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), store.Close()); err != nil {
			t.Error(err)
		}
		l.Cut()
		if err := <-served; !errors.Is(err, protocols.ErrServerClosed) {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return inner.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// A talk is a client's connection.
type talk struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *talk {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &talk{t, c, bufio.NewReader(c)}
}

// say sends lines, and hears up to one that begins as each of want.
func (c *talk) say(lines string, want ...string) (heard string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(lines, "\n", "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	for _, w := range want {
		for {
			line, err := c.r.ReadString('\n')
			heard += line
			if err != nil {
				c.t.Fatalf("%v after %q, want %q", err, heard, w)
			}
			if strings.HasPrefix(line, w) {
				break
			}
		}
	}
	return heard
}

// end hears the rest.
func (c *talk) end() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("%v after %q", err, rest)
	}
	return string(rest)
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		i := strings.Index(text, part)
		if i < 0 {
			t.Fatalf("no %q, or not in this order, in\n%s", part, text)
		}
		text = text[i+len(part):]
	}
}

// What IMAP has, goes through: commands sent ahead, literals of both kinds, a refused
// one, IDLE, an exchange, STARTTLS, compression.
func TestIMAP(t *testing.T) {
	r := &reader{}
	addr, trust := serve(t, tap.IMAP, false, r)
	c := dial(t, addr)
	c.say("", "* OK")
	c.say("a STARTTLS\n", "a OK")
	secure := tls.Client(c.Conn, trust)
	c.Conn, c.r = secure, bufio.NewReader(secure)
	if heard := c.say("b CAPABILITY\n", "b OK"); strings.Contains(heard, "STARTTLS") {
		t.Errorf("STARTTLS is offered within TLS: %s", heard)
	}
	c.say("c AUTHENTICATE PLAIN\n", "+")
	c.say("AGFubgBzZWNyZXQ=\nd SELECT INBOX\ne FETCH 1 (BODY[] UID)\n", "c OK", "d OK", "* 1 FETCH", "Subject", "e OK")
	c.say("f APPEND INBOX {10}\n", "+")
	c.say("0123456789 bad\n", "f BAD")
	c.say("g APPEND INBOX {3+}\nx\n\nh NOOP\ni IDLE\n", "g OK", "h OK", "+ ")
	c.say("DONE\nj APPEND None {3}\n", "i OK", "j NO")
	c.say("k COMPRESS DEFLATE\n", "k OK")
	w, err := flate.NewWriter(c.Conn, 1)
	if err != nil {
		t.Fatal(err)
	}
	c.r = bufio.NewReader(flate.NewReader(c.r))
	if _, err := io.WriteString(w, "l FETCH 2 BODY[]\r\nm LOGOUT\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	c.say("", "x\r\n", "l OK", "* BYE", "m OK")
	c.Close()
	contains(t, r.text(), "S: * OK", "C: a STARTTLS\n", "S: a OK", "<tls>\n", "C: b CAP", "C: c AUTH", "S: +", "C: AGF", "S: c OK",
		"C: d SEL", "S: d OK", "C: e FETCH", "S: .goodbye {5}\n", " UID 1 FLAGS", "S: e OK", "C: f APP", "S: +", "C: 0123456789 bad\n", "S: f BAD",
		"C: g APP", "C: x\nC: \n", "S: g OK", "C: h NOOP", "C: i IDLE", "S: + ", "C: DONE", "S: i OK", "C: j APP", "S: j NO", "C: k COM", "S: k OK",
		"<deflate>\n", "C: l FETCH", "S: x\n", "C: m LOG", "S: m OK")
	want := "<connect> STARTTLS <handshake> CAPABILITY AUTHENTICATE SELECT FETCH APPEND APPEND NOOP IDLE APPEND COMPRESS FETCH LOGOUT"
	if got := strings.Join(r.commands, " "); got != want {
		t.Errorf("commands\n%s\nwant\n%s", got, want)
	}
}

// partial compresses lines as zlib does with a partial flush: the end of the last block
// stays behind (RFC 1951, section 3.2.6).
type partial struct {
	bits uint64
	n    int
}

func (z *partial) add(bits uint64, n int) {
	z.bits |= bits << z.n
	z.n += n
}

func (z *partial) lines(s string) (out []byte) {
	z.add(0b010, 3)
	for _, c := range []byte(s) {
		z.add(uint64(bits.Reverse8(0x30+c)), 8) // ASCII only
		for ; z.n >= 8; z.n, z.bits = z.n-8, z.bits>>8 {
			out = append(out, byte(z.bits))
		}
	}
	z.add(0, 7)
	z.add(0b010, 3)
	z.add(0, 7)
	for ; z.n >= 8; z.n, z.bits = z.n-8, z.bits>>8 {
		out = append(out, byte(z.bits))
	}
	return out
}

// Some clients end a command with half a flush.
func TestPartialFlush(t *testing.T) {
	addr, _ := serve(t, tap.IMAP, false, &reader{})
	c := dial(t, addr)
	c.say("a LOGIN ann secret\nb COMPRESS DEFLATE\n", "a OK", "b OK")
	c.r = bufio.NewReader(flate.NewReader(c.r))
	var z partial
	for i := range 10 {
		if _, err := c.Write(z.lines(fmt.Sprintf("c%d NOOP\r\n", i))); err != nil {
			t.Fatal(err)
		}
		c.say("", fmt.Sprintf("c%d OK", i))
	}
}

// So does what POP3 has.
func TestPOP3(t *testing.T) {
	r := &reader{}
	addr, trust := serve(t, tap.POP3, false, r)
	c := dial(t, addr)
	c.say("", "+OK")
	c.say("CAPA\n", ".\r\n")
	c.say("STLS\n", "+OK")
	secure := tls.Client(c.Conn, trust)
	c.Conn, c.r = secure, bufio.NewReader(secure)
	c.say("AUTH PLAIN\n", "+ ")
	c.say("AGFubgBzZWNyZXQ=\n", "+OK")
	heard := c.say("STAT\nLIST\nLIST 1\nRETR 1\nRETR 2\nTOP 1 0\nUIDL\nQUIT\n", "+OK 1 ", "+OK", ".\r\n", "+OK 1 ",
		"+OK", "..goodbye", ".\r\n", "-ERR", "+OK", ".\r\n", "+OK", ".\r\n", "+OK")
	contains(t, heard, "\r\n\r\nHello, and\r\n..goodbye {5}\r\n.\r\n-ERR", "hello\r\n\r\n.\r\n+OK")
	if rest := c.end(); rest != "" {
		t.Errorf("then came %q", rest)
	}
	contains(t, r.text(), "C: CAPA", "S: .\n", "C: STLS", "<tls>", "C: AUTH", "S: + ", "C: AGF", "S: +OK", "C: STAT", "S: +OK 1 ",
		"C: LIST\n", "S: .\n", "C: LIST 1", "S: +OK 1 ", "C: RETR 1", "S: ..goodbye {5}\n", "S: .\n", "C: RETR 2", "S: -ERR", "C: TOP", "C: UIDL", "C: QUIT", "S: +OK", "S<end>\n")
}

// A client that nobody here wrote notices nothing, TLS from the first byte on.
func TestClient(t *testing.T) {
	r := &reader{}
	addr, trust := serve(t, tap.IMAP, true, r)
	c, err := imapclient.DialTLS(addr, &imapclient.Options{TLSConfig: trust})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Sent ahead of each other.
	login, sel := c.Login("ann", "secret"), c.Select("INBOX", nil)
	fetch := c.Fetch(goimap.SeqSetNum(1), &goimap.FetchOptions{BodySection: []*goimap.FetchItemBodySection{{}}})
	if err := login.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := sel.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := fetch.Collect()
	if err != nil || len(got) != 1 || string(got[0].BodySection[0].Bytes) != mail {
		t.Errorf("%v, %v", got, err)
	}
	large := strings.Repeat("x\r\n", 1<<20)
	up := c.Append("INBOX", int64(len(large)), nil)
	if _, err := io.WriteString(up, large); err != nil {
		t.Fatal(err)
	}
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err = c.Fetch(goimap.SeqSetNum(2), &goimap.FetchOptions{BodySection: []*goimap.FetchItemBodySection{{}}}).Collect()
	if err != nil || len(got) != 1 || string(got[0].BodySection[0].Bytes) != large {
		t.Errorf("the large message: %v", err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
	if text := r.text(); !strings.HasPrefix(text, "<tls>\nS: * OK") {
		t.Errorf("it begins with %.200q", text)
	}
}

// A line may be longer than what is held of it.
func TestLongLine(t *testing.T) {
	r := &reader{}
	addr, _ := serve(t, tap.IMAP, false, r)
	c := dial(t, addr)
	c.say("", "* OK")
	c.say("a LOGIN ann secret\n", "a OK")
	long := strings.Repeat("x", 70_000)
	// The name's literal is announced right after a piece's end.
	c.say("b STATUS "+strings.Repeat(" ", 65527)+"{5}\n", "b BAD")
	c.say("c NOOP "+long+"\nd NOOP\n", "c BAD", "d OK")
	contains(t, r.text(), "C: c NOOP "+long+"\n", "S: c BAD")
}

// A verdict is carried out at its place, and the connection stays in step.
func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name    string
		syntax  tap.Syntax
		command string
		verdict tap.Verdict
		say     string
		want    string // all that is heard after the login
	}{
		{"answer", tap.IMAP, "NOOP", tap.Verdict{Answer: "* OK hm\nNO [UNAVAILABLE] Later"}, "b NOOP\nc CHECK\n",
			"* OK hm\r\nb NO [UNAVAILABLE] Later\r\nc BAD"},
		{"answer to a literal that waits", tap.IMAP, "APPEND", tap.Verdict{Answer: "NO [OVERQUOTA] Full"}, "b APPEND INBOX {5}\nc CHECK\n",
			"b NO [OVERQUOTA] Full\r\nc BAD"},
		{"answer to a literal that does not", tap.IMAP, "APPEND", tap.Verdict{Answer: "NO [OVERQUOTA] Full"}, "b APPEND INBOX {5+}\n0 A 1\nc CHECK\n",
			"b NO [OVERQUOTA] Full\r\nc BAD"},
		{"answer and close", tap.IMAP, "NOOP", tap.Verdict{Answer: "* BYE enough", Drop: tap.DropCommand}, "b NOOP\n", "* BYE enough\r\n<end>"},
		{"close", tap.IMAP, "NOOP", tap.Verdict{Drop: tap.DropCommand}, "b NOOP\n", "<end>"},
		{"close after", tap.IMAP, "FETCH", tap.Verdict{Drop: tap.DropAnswer, After: 30}, "b EXAMINE INBOX\nc FETCH 1 BODY[]\n", "* 1 FETCH (BODY[] {44}\r\nSubjec<end>"},
		{"close instead of the answer", tap.IMAP, "CREATE", tap.Verdict{Drop: tap.DropAnswer}, "b CREATE x\n", "<end>"},
		{"close after so much in all", tap.IMAP, tap.Connect, tap.Verdict{Drop: tap.DropAnswer, After: 3}, "", "* O<end>"},
		{"another greeting", tap.IMAP, tap.Connect, tap.Verdict{Answer: "* BYE full"}, "", "* BYE full\r\n<end>"},
		{"no greeting", tap.IMAP, tap.Connect, tap.Verdict{Drop: tap.DropCommand}, "", "<end>"},
		{"short literal", tap.IMAP, "FETCH", tap.Verdict{Truncate: 9}, "b EXAMINE INBOX\nc FETCH 1 BODY[]\nd CHECK\n",
			"* 1 FETCH (BODY[] {44}\r\nSubject: )\r\nc OK"},
		{"POP3 answer", tap.POP3, "RETR", tap.Verdict{Answer: "-ERR [SYS/TEMP] Later"}, "RETR 1\nNOOP\n", "-ERR [SYS/TEMP] Later\r\n+OK"},
		{"POP3 close after", tap.POP3, "RETR", tap.Verdict{Drop: tap.DropAnswer, After: 1}, "RETR 1\n", "+<end>"},
		{"POP3 short", tap.POP3, "RETR", tap.Verdict{Truncate: 20}, "RETR 1\nNOOP\n", "Subject: hello\r\n\r\nHe\r\n.\r\n+OK"},
		{"POP3 another greeting", tap.POP3, tap.Connect, tap.Verdict{Answer: "-ERR [SYS/TEMP] Full"}, "", "-ERR [SYS/TEMP] Full\r\n<end>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &reader{decide: func(_ context.Context, c tap.Command) tap.Verdict {
				if c.Name == test.command {
					return test.verdict
				}
				return tap.Verdict{}
			}}
			addr, _ := serve(t, test.syntax, false, r)
			c := dial(t, addr)
			switch {
			case test.command == tap.Connect:
			case test.syntax == tap.IMAP:
				c.say("a LOGIN ann secret\n", "a OK")
			default:
				c.say("USER ann\nPASS secret\n", "+OK", "+OK", "+OK")
			}
			c.say(test.say)
			var heard string
			if want, ok := strings.CutSuffix(test.want, "<end>"); ok {
				if heard = c.end(); !strings.HasSuffix(heard, want) || test.command != "FETCH" && heard != want {
					t.Errorf("heard %q, want %q", heard, want)
				}
				return
			}
			for !strings.Contains(heard, test.want) {
				line, err := c.r.ReadString('\n')
				heard += line
				if err != nil {
					t.Fatalf("%v after %q, want %q", err, heard, test.want)
				}
			}
		})
	}
}

// What is answered in the place of a command did not happen; what is not answered did.
func TestWhatIsExecuted(t *testing.T) {
	verdicts := map[string]tap.Verdict{"CREATE": {Answer: "NO no"}, "SUBSCRIBE": {Drop: tap.DropAnswer}}
	r := &reader{decide: func(_ context.Context, c tap.Command) tap.Verdict { return verdicts[c.Name] }}
	addr, _ := serve(t, tap.IMAP, false, r)
	c := dial(t, addr)
	c.say("a LOGIN ann secret\nb CREATE first\nc SUBSCRIBE second\n", "a OK", "b NO")
	c.end()
	c = dial(t, addr)
	heard := c.say("a LOGIN ann secret\nb LSUB \"\" *\nc LIST \"\" *\n", "a OK", "b OK", "c OK")
	contains(t, heard, "* LSUB", "second", "* LIST")
	if strings.Contains(heard, "first") {
		t.Error("CREATE was executed")
	}
}

// A handler that waits holds up its command until it is let go, or the connection ends.
func TestHold(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	r := &reader{decide: func(ctx context.Context, c tap.Command) tap.Verdict {
		if c.Name == "NOOP" {
			held <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return tap.Verdict{}
	}}
	addr, _ := serve(t, tap.IMAP, false, r)
	c := dial(t, addr)
	c.say("a LOGIN ann secret\nb NOOP\n", "a OK")
	<-held
	release <- struct{}{}
	c.say("", "b OK")
	c.say("c NOOP\n")
	<-held // and let the server end meanwhile
}

// A handshake can be made to fail.
func TestHandshake(t *testing.T) {
	r := &reader{decide: func(_ context.Context, c tap.Command) tap.Verdict {
		if c.Name == tap.Handshake {
			return tap.Verdict{Drop: tap.DropCommand}
		}
		return tap.Verdict{}
	}}
	addr, trust := serve(t, tap.IMAP, true, r)
	err := tls.Client(dial(t, addr).Conn, trust).Handshake()
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") {
		t.Errorf("%v, want an alert", err)
	}
}
