package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The program in the README compiles, is as short as it claims, and serves.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(rest, "```\n")
	if !ok || !closed {
		t.Fatal("no Go program in the README")
	}
	_, body, _ := strings.Cut(program, "func main() {\n")
	if n := strings.Count(body, "\n"); n > 15 {
		t.Errorf("main has %d lines, more than 15", n)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, []byte(strings.ReplaceAll(program, "127.0.0.1:1143", addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(binary)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	c := dialUntil(t, addr)
	defer c.Close()
	r := bufio.NewReader(c)
	for _, step := range []struct{ say, hear string }{
		{"", "* OK "},
		{"a LOGIN ann secret\r\n", "a OK "},
		{"b LOGOUT\r\n", "* BYE "},
	} {
		if step.say != "" {
			if _, err := c.Write([]byte(step.say)); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.hear) {
			t.Fatalf("heard %q, %v; want %q", line, err, step.hear)
		}
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
