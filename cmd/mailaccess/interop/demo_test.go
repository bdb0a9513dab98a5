//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// buildTime bounds the building of the program, which may begin with nothing
	// compiled.
	buildTime = 10 * time.Minute
	// clientTime bounds all that is done with one server.
	clientTime = time.Minute
	// endTime is how long before the end of the tests the server is interrupted at
	// the latest. It may take half of that.
	endTime = 20 * time.Second
)

// A program is a server's file and its first arguments.
type program struct {
	file string
	args []string
}

// build builds the program of a package.
func build(t *testing.T, pkg string, args ...string) program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTime)
	defer cancel()
	file := filepath.Join(t.TempDir(), "mailaccess")
	if out, err := exec.CommandContext(ctx, "go", "build", "-tags", "interop", "-o", file, pkg).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program{file, args}
}

// A demo is a server that runs, with user and password demo. Its addresses are
// host:port.
type demo struct {
	imap, imaps, pop3, pop3s string

	ctx  context.Context // bounds what clients do
	cert string          // file of the certificate, PEM
	tls  *tls.Config     // trusts that certificate only
	stop func()          // interrupts the server, and waits for its end
	log  *serveLog       // of "serve"; nil for others
}

// newDemo prepares for a server, which is to be gone at end.
func newDemo(t *testing.T) (d *demo, end time.Time) {
	t.Helper()
	end = time.Now().Add(clientTime)
	if deadline, ok := t.Deadline(); ok && deadline.Add(-endTime).Before(end) {
		end = deadline.Add(-endTime) // or the server would outlive the test
	}
	clients, cancelClients := context.WithDeadline(t.Context(), end)
	t.Cleanup(cancelClients)
	return &demo{ctx: clients, cert: filepath.Join(t.TempDir(), "cert.pem")}, end.Add(endTime)
}

// start starts a demonstration on free ports. When the test ends it is
// interrupted, and must end without an error and without having complained.
func start(t *testing.T, p program) *demo {
	t.Helper()
	d, end := newDemo(t)
	// Not t.Context, whose end would kill it before it is interrupted.
	ctx, kill := context.WithDeadline(context.Background(), end)
	cmd := exec.CommandContext(ctx, p.file, append(p.args[:len(p.args):len(p.args)], "--cert-out", d.cert,
		"--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.run(t, cmd, kill, func() {
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, "Shutting down.") {
				t.Errorf("the server complained: %s", line)
			}
		}
	})
	d.readAddresses(t, stdout)
	d.trust(t)
	return d
}

// run starts a server's program. When the test ends, if not before, it is interrupted, and
// must end without an error; ended is called then.
func (d *demo) run(t *testing.T, cmd *exec.Cmd, kill, ended func()) {
	t.Helper()
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		kill()
		t.Fatal(err)
	}
	d.stop = sync.OnceFunc(func() {
		defer kill()
		late := time.AfterFunc(endTime/2, kill)
		defer late.Stop()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("interrupt the server: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
		ended()
	})
	t.Cleanup(d.stop)
}

// trust reads the certificate.
func (d *demo) trust(t *testing.T) {
	t.Helper()
	pem, err := os.ReadFile(d.cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in\n%s", pem)
	}
	d.tls = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// addresses are where the server's addresses go, by name.
func (d *demo) addresses() map[string]*string {
	return map[string]*string{"imap": &d.imap, "imaps": &d.imaps, "pop3": &d.pop3, "pop3s": &d.pop3s}
}

// readAddresses reads what the server prints: each line with a name and an
// address, and nothing else, says where it listens.
func (d *demo) readAddresses(t *testing.T, stdout io.Reader) {
	t.Helper()
	addrs := d.addresses()
	for lines := bufio.NewScanner(stdout); len(addrs) > 0; {
		if !lines.Scan() {
			t.Fatalf("the server did not say all its addresses: %v", lines.Err())
		}
		if f := strings.Fields(lines.Text()); len(f) == 2 && addrs[f[0]] != nil {
			*addrs[f[0]] = f[1]
			delete(addrs, f[0])
		}
	}
}

// A client is a program with a directory of its own, where it runs and which is
// its home.
type client struct {
	d    *demo
	file string
	dir  string
}

// tool looks for the program of a client.
func (d *demo) tool(t *testing.T, name string) *client {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: .ci/run installs what is missing", err)
	}
	return &client{d: d, file: file, dir: t.TempDir()}
}

// run runs the client and returns what it printed, on either output. It must end
// with exit code 0.
func (c *client) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", c.file, strings.Join(args, " "), err, out)
	}
	return out
}

// try runs the client, which may fail.
func (c *client) try(args ...string) (string, error) {
	cmd := exec.CommandContext(c.d.ctx, c.file, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"HOME=" + c.dir, "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC"}
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// write writes a file into the client's directory and returns its path.
func (c *client) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
