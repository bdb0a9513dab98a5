package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir"
)

// The commands in docs/maildir.md do what they should, those in the settings of Postfix
// too, with what Postfix puts in the place of its variables.
func TestMaildirDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/maildir.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mail, users := filepath.Join(dir, "mail"), filepath.Join(dir, "users")
	addUser(t, users, "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("/srv/mail", mail, `"$USER"`, "alice", "${user}", "alice", `"$EXTENSION"`, "Work", "${extension}", "",
		"--users users", "--users "+users, "cert.pem", filepath.Join(dir, "cert.pem"), "key.pem", filepath.Join(dir, "key.pem"))
	command := regexp.MustCompile(`^    (?:.*/bin/)?mailaccess ((?:serve|deliver|undelete|check) .*)$`)
	ran := make(map[string]int)
	for lines := bufio.NewScanner(bytes.NewReader(page)); lines.Scan(); {
		m := command.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		line, _, _ := strings.Cut(m[1], " <")
		args := strings.Split(fill.Replace(line), " ")
		ran[args[0]]++
		if args[0] == "serve" {
			p := start(t, true, append(args, "--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "", "--pop3s", "")...)
			c := dial(t, p.served("imaps"), trust(t, filepath.Join(dir, "cert.pem")))
			c.expect(`\* OK`)
			c.do("a login alice sesame", `a OK`)
			p.cancel()
			if code := p.wait(); code != 0 {
				t.Errorf("%s: exit code %d", line, code)
			}
			continue
		}
		if code, _, stderr := runIn(t, "Subject: x\n\n", args...); code != 0 {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
	}
	for name, n := range map[string]int{"serve": 2, "deliver": 4, "undelete": 3, "check": 2} {
		if ran[name] != n {
			t.Errorf("%d commands of %s, want %d", ran[name], name, n)
		}
	}
	// A check puts them into cur.
	delivered, err := filepath.Glob(filepath.Join(mail, "alice", "[cn]*[rw]", "*"))
	if err != nil || len(delivered) != ran["deliver"] {
		t.Errorf("%d messages were delivered, %v; want %d", len(delivered), err, ran["deliver"])
	}
}

// The page names each exit code of "deliver", and the files as they are called.
func TestMaildirDocsNames(t *testing.T) {
	page, err := os.ReadFile("../../docs/maildir.md")
	if err != nil {
		t.Fatal(err)
	}
	own, err := maildir.OwnDir("/srv/mail")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{own + "/", adminSocket, defaultStore, "mailaccess-account", "mailaccess-mailbox", "mailaccess-index", "mailaccess-expunged"}
	for _, code := range []int{exitUsage, exitData, exitNoUser, exitTemporary} {
		names = append(names, strconv.Itoa(code))
	}
	for _, flag := range []string{"keep-expunged", "store-memory", "name-separator", "name-prefix", "pop3-uidl", "pop3-delete"} {
		f := newServeCommand().Flags().Lookup(flag)
		if f == nil {
			t.Errorf("serve has no --%s", flag)
			continue
		}
		names = append(names, "--"+flag)
		if flag == "keep-expunged" || flag == "store-memory" {
			names = append(names, "--"+flag+" "+f.DefValue)
		}
	}
	for _, name := range names {
		if !bytes.Contains(page, []byte(name)) {
			t.Errorf("the page does not name %s", name)
		}
	}
}
