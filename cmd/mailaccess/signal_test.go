//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoProcess starts a demonstration in a process of its own. lines are what it
// prints, errs what it says on standard error.
func demoProcess(t *testing.T) (cmd *exec.Cmd, at addresses, errs *bufio.Reader) {
	t.Helper()
	cmd = exec.Command("mailaccess", demoArgs()...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(2*patience, func() { cmd.Process.Kill() }) // so that no test waits forever
	t.Cleanup(func() {
		killer.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	p := &program{t: t, lines: bufio.NewReader(stdout)}
	return cmd, p.addresses(), bufio.NewReader(stderr)
}

func TestSignalEndsTheServerInOrder(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, at, _ := demoProcess(t)
			c := dial(t, at.imap, nil)
			c.expect(`\* OK`)
			c.do("a login demo demo", `a OK`)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			c.expect(`\* BYE`)
			c.expectEnd()
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// A command that runs may finish; a second signal does not wait for it.
func TestSecondSignalEndsTheServerAtOnce(t *testing.T) {
	for _, finish := range []bool{true, false} {
		cmd, at, errs := demoProcess(t)
		c := dial(t, at.imap, nil)
		c.expect(`\* OK`)
		c.do("a login demo demo", `a OK`)
		c.do("b append INBOX {24}", `\+ `)
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if l, err := errs.ReadString('\n'); err != nil || !strings.Contains(l, "Interrupt again to end at once") {
			t.Fatalf("%q, %v instead of the word about a second signal", l, err)
		}
		if finish {
			c.send("From: me@example.org\r\n\r\n")
			c.expect(`b OK`)
			c.expect(`\* BYE`)
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			continue
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("ended with %v, not by the signal", err)
		} else if ws, ok := exit.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGINT {
			t.Errorf("ended with %v, not by the signal", err)
		}
		if _, err := io.Copy(io.Discard, c.r); err == nil {
			continue // closed, or reset: the process is gone
		}
	}
}

// SIGHUP loads the certificates again; what cannot be loaded stays as it was.
func TestHangupReloadsCertificates(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	addUser(t, users, "alice", "sesame")
	renew := func() *tls.Config {
		t.Helper()
		if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
			t.Fatal(err)
		}
		return trust(t, filepath.Join(dir, "cert.pem"))
	}
	before := renew()
	cmd := exec.Command("mailaccess", "serve", "--store", "memory:", "--users", users,
		"--tls-cert", filepath.Join(dir, "cert.pem"), "--tls-key", filepath.Join(dir, "key.pem"),
		"--imap", "", "--imaps", "127.0.0.1:0", "--pop3", "", "--pop3s", "")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(2*patience, func() { cmd.Process.Kill() }) // so that no test waits forever
	defer killer.Stop()
	defer cmd.Process.Kill()
	p := &program{t: t, lines: bufio.NewReader(stderr)}
	addr := p.served("imaps")
	old := dial(t, addr, before)
	old.expect(`\* OK`)
	after := renew()
	hangup := func(logged string) {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.line(logged)
	}
	hangup("SIGHUP: certificates loaded again")
	dial(t, addr, after).expect(`\* OK`)
	old.do("a login alice sesame", `a OK`) // who was there is not touched
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hangup(`"level":"error".*SIGHUP: not all certificates could be loaded again.*key.pem`)
	dial(t, addr, after).expect(`\* OK`)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	old.expect(`\* BYE`)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
