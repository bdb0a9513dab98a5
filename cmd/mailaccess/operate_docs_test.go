package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What docs/operate.md says to run runs: the file of settings with the line of the unit, each
// command that serves, and beside the server the others.
func TestOperateDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	addUser(t, in("users"), "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("/srv/mail", in("mail"), "/etc/mailaccess", dir, "cert.pem", in("cert.pem"), "key.pem", in("key.pem"),
		"--users users", "--users "+in("users"), "-header-file header", "-header-file "+in("header"), "-secret-file secret", "-secret-file "+in("secret"))
	for name, text := range map[string]string{
		"mailaccess.toml": strings.NewReplacer("/srv/mail", in("mail"), "/etc/mailaccess", dir).Replace(block(t, page, "toml")),
		"header":          "Authorization: Bearer x\n", "secret": "x\n",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"IMAP", "IMAPS", "POP3", "POP3S"} {
		t.Setenv("MAILACCESS_"+name, "127.0.0.1:0")
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/mailaccess (.*)$`).FindStringSubmatch(block(t, page, "ini"))
	if line == nil {
		t.Fatal("the unit starts nothing")
	}
	p := start(t, true, strings.Fields(fill.Replace(line[1]))...)
	c := dial(t, p.served("imaps"), trust(t, in("cert.pem")))
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	ran := make(map[string]int)
	for lines := bufio.NewScanner(bytes.NewReader(page)); lines.Scan(); {
		command, ok := strings.CutPrefix(lines.Text(), "    mailaccess ")
		if !ok {
			continue
		}
		args := strings.Fields(fill.Replace(command))
		ran[args[0]]++
		if args[0] == "serve" && args[1] != "--help" {
			other := start(t, true, append(args, "--store", "memory:")...)
			other.served("imaps")
			other.cancel()
			if code := other.wait(); code != 0 {
				t.Errorf("%s: exit code %d", command, code)
			}
			continue
		}
		var stdin string
		if args[0] == "user" {
			args, stdin = append(args, "--password-stdin"), "sesame\n"
			if !slices.Contains(args, "--replace") {
				args = append(args, "--replace") // alice is there
			}
		}
		code, _, stderr := runIn(t, stdin, args...)
		// Nobody has failed to log in.
		if strings.HasPrefix(command, "bans lift ") && !strings.HasPrefix(command, "bans lift all") {
			if code != 1 || !strings.Contains(stderr, "slowed down") {
				t.Errorf("%s: exit code %d, %s", command, code, stderr)
			}
		} else if code != 0 {
			t.Errorf("%s: exit code %d, %s", command, code, stderr)
		}
	}
	for name, n := range map[string]int{"config": 1, "user": 3, "serve": 6, "bans": 7, "check": 1} {
		if ran[name] != n {
			t.Errorf("%d commands of %s, want %d", ran[name], name, n)
		}
	}
	for _, name := range regexp.MustCompile("`--([a-z0-9-]+)").FindAllSubmatch(page, -1) {
		if newServeCommand().Flags().Lookup(string(name[1])) == nil {
			t.Errorf("the page names --%s, which serve does not know", name[1])
		}
	}
}

// block returns the block of a page that is in a language.
func block(t *testing.T, page []byte, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(page), "\n```"+language+"\n")
	text, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("no block of %s", language)
	}
	return text + "\n"
}
