package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// startOurs starts this program's own "serve", as the user that Dovecot serves the mail as.
func startOurs(ctx context.Context, k kind, version string, f files) (*server, error) {
	file, err := copyProgram(f.dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", k.name, err)
	}
	s := &server{name: k.name, version: version}
	if s.ports, err = freePorts(); err != nil {
		return nil, err
	}
	store := "maildir:" + f.mail
	if k.memory {
		store = "memory:"
	}
	args := []string{"serve", "--store", store, "--users", f.users,
		"--imap", at(s.ports.imap), "--imaps", at(s.ports.imaps), "--pop3", at(s.ports.pop3), "--pop3s", at(s.ports.pop3s),
		"--tls-cert", f.cert, "--tls-key", f.key, "--allow-plaintext-auth", "--log-level", "warn",
		// One user of one address asks for all, as fast as it goes: Dovecot is told to allow that too.
		"--max-connections", "0", "--max-per-address", "0", "--max-per-network", "0", "--max-per-user", "0", "--commands-per-second", "0"}
	if k.unkept {
		args = append(args, "--keep-expunged", "0")
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(file, args...)
		cmd.Dir = f.dir
		f.owner.runAs(cmd)
		return cmd
	}
	return s, s.start(ctx)
}

// copyProgram copies this program to where the servers' user can reach it, and returns its name.
func copyProgram(dir string) (string, error) {
	file, err := os.Executable()
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "mailaccess")
	return file, os.WriteFile(file, program, 0o755)
}
