package main

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The program of docs/serve-your-mail.md shows its notes, takes flags and removals, and pushes
// what comes in by HTTP.
func TestServeYourMail(t *testing.T) {
	const page = "docs/serve-your-mail.md"
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	files, _, err := readBlocks(page, string(text))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d programs, %v", len(files), err)
	}
	program := files[0].source
	imaps, pop3s, web := freeAddr(t), freeAddr(t), freeAddr(t)
	for _, part := range [][2]string{{"127.0.0.1:1993", imaps}, {"127.0.0.1:1995", pop3s}, {"127.0.0.1:8080", web},
		{"notes.sync", filepath.ToSlash(tempFile(t, "notes.sync"))}} {
		if !strings.Contains(program, part[0]) {
			t.Fatalf("the program has no %s", part[0])
		}
		program = strings.ReplaceAll(program, part[0], part[1])
	}
	startProgram(t, program)
	// The program signs its certificate itself.
	secure := &tls.Config{InsecureSkipVerify: true}

	c := converse(t, tls.Client(dialUntil(t, imaps), secure))
	c.hear("* OK ")
	c.say("a LOGIN ann secret", "a OK ")
	c.say("b SELECT INBOX", "")
	c.skipTo("b OK [READ-WRITE] ")
	c.say("c FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "* 1 FETCH ")
	c.hear("Subject: Welcome\r\n")
	c.skipTo("c OK ")
	c.say("d IDLE", "+ ")
	answer, err := http.PostForm("http://"+web+"/notes", url.Values{"title": {"Milk"}, "text": {"Two bottles."}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	c.skipTo("* 2 EXISTS")
	c.say("DONE", "")
	c.skipTo("d OK ")
	c.say(`e STORE 1 +FLAGS (\Deleted)`, "")
	c.skipTo("e OK ")
	c.say("f EXPUNGE", "")
	c.skipTo("* 1 EXPUNGE")
	c.skipTo("f OK ")
	c.say("g APPEND INBOX {1}", "g NO ") // which the page does not switch on

	p := converse(t, tls.Client(dialUntil(t, pop3s), secure))
	p.hear("+OK")
	p.say("USER ann", "+OK")
	p.say("PASS secret", "+OK")
	p.say("RETR 1", "+OK")
	p.skipTo("Subject: Milk")
	p.skipTo("Two bottles.")
	p.skipTo(".\r\n")
}
