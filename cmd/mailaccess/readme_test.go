package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs in the README compile, are as short as they claim, and serve.
func TestReadmePrograms(t *testing.T) {
	programs := readmePrograms(t)
	tests := []struct {
		name string
		test func(*testing.T, string)
	}{
		{"store", testStoreProgram},
		{"hooks", testHooksProgram},
	}
	if len(programs) != len(tests) {
		t.Fatalf("%d Go programs in the README, and tests of %d", len(programs), len(tests))
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, programs[i]) })
	}
}

// readmePrograms returns the programs of the README; TestGoBlocksInDocs is about its
// other Go blocks.
func readmePrograms(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for i, b := range strings.Split(string(readme), "```go\n")[1:] {
		program, _, closed := strings.Cut(b, "```\n")
		if !closed {
			t.Fatalf("Go block %d in the README has no end", i+1)
		}
		if strings.HasPrefix(program, "package main\n") {
			programs = append(programs, program)
		}
	}
	return programs
}

func testStoreProgram(t *testing.T, program string) {
	_, body, _ := strings.Cut(program, "func main() {\n")
	if n := strings.Count(body, "\n"); n > 15 {
		t.Errorf("main has %d lines, more than 15", n)
	}
	addr := freeAddr(t)
	startProgram(t, strings.ReplaceAll(program, "127.0.0.1:1143", addr))
	c := converse(t, dialUntil(t, addr))
	c.hear("* OK ")
	c.say("a LOGIN ann secret", "a OK ")
	c.say("b LOGOUT", "* BYE ")
}

// It shows its message over both protocols, and pushes the next to whoever waits.
func testHooksProgram(t *testing.T, program string) {
	if n := strings.Count(program, "\n"); n > 40 {
		t.Errorf("the program has %d lines, more than 40", n)
	}
	imaps, pop3s := freeAddr(t), freeAddr(t)
	for _, part := range [][2]string{{"127.0.0.1:1993", imaps}, {"127.0.0.1:1995", pop3s}, {"time.Minute", "2 * time.Second"}} {
		if !strings.Contains(program, part[0]) {
			t.Fatalf("the program has no %s", part[0])
		}
		program = strings.ReplaceAll(program, part[0], part[1])
	}
	startProgram(t, program)
	// The program signs its certificate itself.
	secure := &tls.Config{InsecureSkipVerify: true}

	p := converse(t, tls.Client(dialUntil(t, pop3s), secure))
	p.hear("+OK")
	p.say("USER ann", "+OK")
	p.say("PASS secret", "+OK")
	p.say("RETR 1", "+OK")
	p.hear("Subject: Hello\r\n")
	for line := ""; line != ".\r\n"; {
		line = p.hear("")
	}
	p.say("QUIT", "+OK")

	c := converse(t, tls.Client(dialUntil(t, imaps), secure))
	c.hear("* OK ")
	c.say("a LOGIN ann secret", "a OK ")
	c.say("b SELECT INBOX", "")
	c.skipTo("b OK ")
	c.say("c FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "* 1 FETCH ")
	c.hear("Subject: Hello\r\n")
	c.skipTo("c OK ")
	c.say("d IDLE", "")
	c.skipTo("+ ")
	// What came before that may be told again; what comes now is pushed.
	pushed := c.skipTo("* ")
	if !strings.HasSuffix(pushed, " EXISTS\r\n") {
		t.Errorf("pushed %q, want EXISTS", pushed)
	}
	c.say("DONE", "")
	c.skipTo("d OK ")
	c.say("e FETCH * BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "")
	c.skipTo("Subject: More\r\n")
	c.skipTo("e OK ")
	c.say("f LOGOUT", "* BYE ")
}

// freeAddr returns an address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startProgram builds a program and runs it until the test ends.
func startProgram(t *testing.T, program string) {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// conversation is a connection on which lines go to and fro.
type conversation struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func converse(t *testing.T, nc net.Conn) *conversation {
	t.Cleanup(func() { nc.Close() })
	return &conversation{t, nc, bufio.NewReader(nc)}
}

func (c *conversation) hear(prefix string) string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("heard %q, %v; want %q", line, err, prefix)
	}
	return line
}

// skipTo hears lines up to one that begins so, which it returns.
func (c *conversation) skipTo(prefix string) string {
	c.t.Helper()
	for {
		if line := c.hear(""); strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

// say says a line and hears one, unless prefix is empty.
func (c *conversation) say(line, prefix string) {
	c.t.Helper()
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	if prefix != "" {
		c.hear(prefix)
	}
}

// dialUntil connects to a server that is starting.
func dialUntil(t *testing.T, addr string) net.Conn {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.SetDeadline(deadline)
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
