package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// The maildrop is as the flags say: a client that comes from Dovecot knows what it has,
// and what it deletes is in the trash.
func TestServeMaildrop(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	if code, _, stderr := runIn(t, "Subject: hello\n\n", "deliver", "alice", "--store", "maildir:"+mail); code != 0 {
		t.Fatalf("deliver: %d, %s", code, stderr)
	}
	p, imap := serveMaildir(t, mail, "--pop3", "127.0.0.1:0", "--pop3-uidl", "dovecot", "--pop3-delete", "trash")
	pop := dial(t, p.served("pop3"), nil)
	pop.expect(`\+OK`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS sesame", `\+OK`)
	pop.do("UIDL 1", `\+OK 1 00000001[0-9a-f]{8}\r\n`)
	pop.do("DELE 1", `\+OK`)
	pop.do("QUIT", `\+OK`)
	c := dial(t, imap, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b status Trash (messages)", `\* STATUS "?Trash"? \(MESSAGES 1\)`)
	c.do("c status INBOX (messages)", `\* STATUS "?INBOX"? \(MESSAGES 0\)`)

	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	for _, flags := range [][]string{{"--pop3-uidl", "%v"}, {"--pop3-uidl", ""}, {"--pop3-delete", "burn"},
		{"--pop3-mailboxes", ""}, {"--pop3-mailboxes", "A,A"}, {"--pop3-mailboxes", "a//b"}, {"--pop3-lock=perhaps"},
		{"--pop3-keep-flagged", "30d"}, {"--pop3-keep-flagged", "36h", "--pop3-delete", "flag"}, {"--pop3-expire", "0"}, {"--pop3-expire", "36h"},
		{"--pop3-hide-larger", "x"}, {"--pop3-hide-older", "x"}, {"--pop3-login-delay", "-1s"}} {
		code, _, stderr := runIn(t, "", append([]string{"serve", "--users", users, "--imaps", "", "--pop3s", "", "--store", "memory:"}, flags...)...)
		if code != 1 || !strings.Contains(stderr, strings.TrimSuffix(flags[0], "=perhaps")) {
			t.Errorf("%q: %d, %s", flags, code, stderr)
		}
	}
}

// What POP3 clients see, and what becomes of it, is for the flags to say: several mailboxes,
// nothing large, no lock, and what was retrieved is seen and goes away.
func TestServeMaildropPolicy(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	p, imap := serveMaildir(t, mail, "--pop3", "127.0.0.1:0", "--pop3-mailboxes", "INBOX,Junk,Nowhere", "--pop3-lock=false",
		"--pop3-hide-older", "1d", "--pop3-hide-larger", "4KiB", "--pop3-mark-seen", "--pop3-delete", "flag", "--pop3-keep-flagged", "30d", "--pop3-expire", "90d")
	pop3 := p.served("pop3")
	c := dial(t, imap, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b create Junk", `b OK`)
	for _, args := range [][]string{{"Subject: one\n\nSmall.\n"}, {"Subject: two\n\n" + strings.Repeat("x", 5000) + "\n"}, {"Subject: three\n\nSpam.\n", "--mailbox", "Junk"}} {
		args, text := args[1:], args[0]
		if code, _, stderr := runIn(t, text, append([]string{"deliver", "alice", "--store", "maildir:" + mail}, args...)...); code != 0 {
			t.Fatalf("deliver: %d, %s", code, stderr)
		}
	}
	login := func() *client {
		pop := dial(t, pop3, nil)
		pop.expect(`\+OK`)
		pop.do("USER alice", `\+OK`)
		pop.do("PASS sesame", `\+OK`)
		return pop
	}
	pop, other := login(), login()
	pop.do("CAPA", `EXPIRE 90\r\n`)
	pop.expect(`\.\r\n`)
	pop.do("STAT", `\+OK 2 `)
	pop.do("TOP 2 0", `Subject: three`)
	pop.expect(`\.\r\n`)
	pop.do("RETR 1", `\+OK`)
	pop.expect(`\.\r\n`)
	pop.do("DELE 1", `\+OK`)
	pop.do("QUIT", `\+OK`)
	other.do("QUIT", `\+OK`)
	c.do("c select INBOX", `c OK`)
	c.do("d fetch 1 flags", `\* 1 FETCH \(FLAGS \((\\Seen \\Deleted|\\Deleted \\Seen)`)
}

// Between logins an account waits, and nothing stays that was retrieved, where that is asked
// for.
func TestServeMaildropExpiry(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	if code, _, stderr := runIn(t, "Subject: hello\n\n", "deliver", "alice", "--store", "maildir:"+mail); code != 0 {
		t.Fatalf("deliver: %d, %s", code, stderr)
	}
	p, imap := serveMaildir(t, mail, "--pop3", "127.0.0.1:0", "--pop3-expire", "retrieved", "--pop3-login-delay", "1h")
	pop3 := p.served("pop3")
	pop := dial(t, pop3, nil)
	pop.expect(`\+OK`)
	pop.do("CAPA", `EXPIRE 0\r\n`)
	pop.expect(`LOGIN-DELAY 3600\r\n`)
	pop.expect(`\.\r\n`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS sesame", `\+OK`)
	pop.do("RETR 1", `\+OK`)
	pop.expect(`\.\r\n`)
	pop.do("QUIT", `\+OK`)
	pop = dial(t, pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS sesame", `-ERR \[LOGIN-DELAY\]`)
	c := dial(t, imap, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b status INBOX (messages)", `\* STATUS "?INBOX"? \(MESSAGES 0\)`)
}
