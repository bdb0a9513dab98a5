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
	for _, flags := range [][]string{{"--pop3-uidl", "%v"}, {"--pop3-uidl", ""}, {"--pop3-delete", "burn"}} {
		code, _, stderr := runIn(t, "", append([]string{"serve", "--users", users, "--imaps", "", "--pop3s", "", "--store", "memory:"}, flags...)...)
		if code != 1 || !strings.Contains(stderr, flags[0]) {
			t.Errorf("%q: %d, %s", flags, code, stderr)
		}
	}
}
