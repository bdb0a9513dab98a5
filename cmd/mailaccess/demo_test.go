package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// demoArgs are those of a demonstration on free ports.
func demoArgs(more ...string) []string {
	return append([]string{"demo", "--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0",
		"--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0"}, more...)
}

// addresses reads where the demonstration listens from what it prints.
func (p *program) addresses() addresses {
	p.t.Helper()
	return addresses{
		imap:  p.line(`^imap +(127\.0\.0\.1:\d+)$`)[1],
		imaps: p.line(`^imaps +(127\.0\.0\.1:\d+)$`)[1],
		pop3:  p.line(`^pop3 +(127\.0\.0\.1:\d+)$`)[1],
		pop3s: p.line(`^pop3s +(127\.0\.0\.1:\d+)$`)[1],
	}
}

func inboxLen() int { return len(demoMailboxes()[0].messages) }

func TestDemoServesTheMailOverIMAP(t *testing.T) {
	cert := tempFile(t, "cert.pem")
	p := start(t, false, demoArgs("--cert-out", cert)...)
	at := p.addresses()
	config := trust(t, cert)

	check := func(t *testing.T, c *client) {
		c.do("a login demo demo", `a OK`)
		c.send(`b list "" * return (special-use subscribed)`, `b list "" *`)
		uses := map[string]string{"Archive": `\Archive`, "Drafts": `\Drafts`, "INBOX": "", "Junk": `\Junk`, "Sent": `\Sent`, "Trash": `\Trash`}
		for range uses {
			m := c.expect(`\* LIST \(([^)]*)\) "/" (\S+)`)
			if use, ok := uses[m[2]]; !ok || !slices.Contains(strings.Fields(m[1]), use) && use != "" {
				t.Errorf("%s is listed with %s", m[2], m[1])
			}
		}
		c.expect(`b OK`)
		for _, b := range demoMailboxes() {
			c.do("c select "+b.name, fmt.Sprintf(`\* %d EXISTS`, len(b.messages)))
			c.expect(`c OK`)
		}
		c.send("d select INBOX")
		c.expect(`d OK`)
		c.do("e uid fetch 1 (flags body.peek[header.fields (subject)])", `\* 1 FETCH .*\\Seen`)
		c.expect(`Subject: Welcome to the demonstration`)
		c.expect(`e OK`)
		c.do("f logout", `\* BYE`)
		c.expect(`f OK`)
		c.expectEnd()
	}
	t.Run("plain", func(t *testing.T) {
		c := dial(t, at.imap, nil)
		c.expect(`\* OK`)
		check(t, c)
	})
	t.Run("STARTTLS", func(t *testing.T) {
		c := dial(t, at.imap, nil)
		c.expect(`\* OK`)
		c.do("0 starttls", `0 OK`)
		c.upgrade(config)
		check(t, c)
	})
	t.Run("TLS", func(t *testing.T) {
		c := dial(t, at.imaps, config)
		c.expect(`\* OK`)
		check(t, c)
	})
}

func TestDemoServesTheMailOverPOP3(t *testing.T) {
	cert := tempFile(t, "cert.pem")
	p := start(t, false, demoArgs("--cert-out", cert)...)
	at := p.addresses()
	config := trust(t, cert)

	check := func(t *testing.T, c *client) {
		c.do("USER demo", `\+OK`)
		c.do("PASS demo", `\+OK`)
		n := c.do("STAT", `\+OK (\d+) `)[1]
		if n != strconv.Itoa(inboxLen()) {
			t.Errorf("%s messages, want %d", n, inboxLen())
		}
		c.do("RETR 1", `\+OK`)
		c.expect(`Subject: Welcome to the demonstration`)
		c.expect(`\.\r\n`)
		c.do("QUIT", `\+OK`)
		c.expectEnd()
	}
	t.Run("plain", func(t *testing.T) {
		c := dial(t, at.pop3, nil)
		c.expect(`\+OK`)
		check(t, c)
	})
	t.Run("STLS", func(t *testing.T) {
		c := dial(t, at.pop3, nil)
		c.expect(`\+OK`)
		c.do("STLS", `\+OK`)
		c.upgrade(config)
		check(t, c)
	})
	t.Run("TLS", func(t *testing.T) {
		c := dial(t, at.pop3s, config)
		c.expect(`\+OK`)
		check(t, c)
	})
}

func TestDemoPushesArrivals(t *testing.T) {
	p := start(t, false, demoArgs("--arrivals", "20ms")...)
	at := p.addresses()
	c := dial(t, at.imap, nil)
	c.expect(`\* OK`)
	c.do("a login demo demo", `a OK`)
	n, err := strconv.Atoi(c.do("b select INBOX", `\* (\d+) EXISTS`)[1])
	if err != nil {
		t.Fatal(err)
	}
	c.expect(`b OK`)
	c.do("c idle", `\+ `)
	for range 2 {
		more, err := strconv.Atoi(c.expect(`\* (\d+) EXISTS`)[1])
		if err != nil || more <= n {
			t.Fatalf("%d messages after %d, %v", more, n, err)
		}
		n = more
	}
	c.do("done", `c OK`)
	c.send(fmt.Sprintf("d fetch %d body.peek[]", n))
	c.expect(`To: demo@example\.org`)
	c.expect(`d OK`)
}

// An address that is empty turns its listener off, and no line speaks of it.
func TestDemoWithoutSomeListeners(t *testing.T) {
	p := start(t, false, "demo", "--imap", "", "--imaps", "127.0.0.1:0", "--pop3", "", "--pop3s", "")
	var printed []string
	for {
		l := p.line(`.*`)[0]
		printed = append(printed, l)
		if strings.HasPrefix(l, "Ctrl-C") {
			break
		}
	}
	text := strings.Join(printed, "\n")
	if !strings.Contains(text, "imaps  127.0.0.1:") || !strings.Contains(text, `--insecure "imaps://127.0.0.1:`) {
		t.Errorf("imaps is missing in\n%s", text)
	}
	for _, not := range []string{"\nimap ", "imap://", "pop3"} {
		if strings.Contains(text, not) {
			t.Errorf("%q stands in\n%s", not, text)
		}
	}
	at := strings.Fields(text[strings.Index(text, "imaps "):])[1]
	dial(t, at, &tls.Config{InsecureSkipVerify: true}).expect(`\* OK`)
}

func TestDemoSaysGoodbye(t *testing.T) {
	p := start(t, false, demoArgs()...)
	at := p.addresses()
	idle := dial(t, at.imap, nil)
	idle.expect(`\* OK`)
	idle.do("a login demo demo", `a OK`)
	idle.send("b select INBOX")
	idle.expect(`b OK`)
	idle.do("c idle", `\+ `)
	greeted := dial(t, at.imaps, &tls.Config{InsecureSkipVerify: true})
	greeted.expect(`\* OK`)
	pop := dial(t, at.pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER demo", `\+OK`)
	pop.do("PASS demo", `\+OK`)

	p.cancel()
	idle.expect(`\* BYE`)
	idle.expectEnd()
	greeted.expect(`\* BYE`)
	pop.expect(`-ERR`)
	pop.expectEnd()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What a user may have open is counted over both protocols.
func TestConnectionsAreCountedTogether(t *testing.T) {
	p := start(t, false, demoArgs()...)
	at := p.addresses()
	for range 64 { // the default of protocols.Limits.PerUser
		c := dial(t, at.imap, nil)
		c.expect(`\* OK`)
		c.do("a login demo demo", `a OK`)
	}
	pop := dial(t, at.pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER demo", `\+OK`)
	pop.do("PASS demo", `-ERR`)
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"cert.pem":       "cert.pem",
		"/tmp/a-b_c.pem": "/tmp/a-b_c.pem",
		"my cert.pem":    "'my cert.pem'",
		"it's":           `'it'\''s'`,
		"$(x)":           "'$(x)'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
}
