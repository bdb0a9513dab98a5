package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is a pseudo-terminal, seen from the side of whoever types.
type terminal struct {
	t      *testing.T
	keys   *os.File // what is typed goes in, what is shown comes out
	screen *os.File // the program's side
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return &terminal{t, keys, screen}
}

// awaitEcho waits until what is typed is shown, or is not.
func (p *terminal) awaitEcho(want bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		state, err := unix.IoctlGetTermios(int(p.screen.Fd()), unix.TCGETS)
		if err != nil {
			p.t.Fatal(err)
		}
		if state.Lflag&unix.ECHO != 0 == want {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("echo is not %v", want)
		}
	}
}

func (p *terminal) typeLine(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, s+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// startUserAdd runs "user add alice" on the terminal.
func (p *terminal) startUserAdd(users string) (cmd *exec.Cmd, prompts *bufio.Reader) {
	p.t.Helper()
	cmd = exec.Command("mailaccess", "user", "add", "alice", "--users", users)
	cmd.Stdin = p.screen
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	killer := time.AfterFunc(2*patience, func() { cmd.Process.Kill() }) // so that no test waits forever
	p.t.Cleanup(func() {
		killer.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewReader(stderr)
}

func expectPrompt(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v instead of %q", got, err, want)
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	users, p := tempFile(t, "users"), openTerminal(t)
	cmd, prompts := p.startUserAdd(users)
	expectPrompt(t, prompts, "Password of alice: ")
	p.awaitEcho(false)
	p.typeLine("open sesame")
	expectPrompt(t, prompts, "\nOnce more: ")
	p.awaitEcho(false)
	p.typeLine("open sesame")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	p.awaitEcho(true)
	p.typeLine("the end")
	var shown strings.Builder
	for r := bufio.NewReader(p.keys); !strings.Contains(shown.String(), "the end"); {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		shown.WriteByte(b)
	}
	if strings.Contains(shown.String(), "sesame") {
		t.Errorf("the terminal showed %q", &shown)
	}
}

// An interrupt at the prompt leaves the terminal as it was.
func TestInterruptAtThePrompt(t *testing.T) {
	users, p := tempFile(t, "users"), openTerminal(t)
	cmd, prompts := p.startUserAdd(users)
	expectPrompt(t, prompts, "Password of alice: ")
	p.awaitEcho(false)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	expectPrompt(t, prompts, "\nmailaccess: user add alice: interrupted\n")
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", err)
	}
	p.awaitEcho(true)
	if _, err := os.Stat(users); err == nil {
		t.Error("a users file was written")
	}
}
