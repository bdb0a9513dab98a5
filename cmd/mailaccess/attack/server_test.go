//go:build linux

package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/protocols"
)

// program is the file of the program, which is built once.
var program string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "mailaccess")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/hashmail/mailaccess/cmd/mailaccess").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines left behind: %v\n", err)
			return 1
		}
	}
	return code
}

// The users of a server. ann is who suffers.
const password = "secret"

// usersFile has passwords that cost nothing to verify, but for slow's, whose are as
// "mailaccess user add" makes them: what hashing costs is an attack of its own.
const usersFile = `ann:{PLAIN}secret
mallory:{PLAIN}secret
slow:{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$BNKUY5Aid5aLGAecCIomhA$+DVSCl+WkQY6vQAVUDKQ3GcxiCxNsdmqnUZGue4sLHU
`

// A server is "mailaccess serve" that runs.
type server struct {
	imap, imaps, pop3, pop3s string // host:port
	dir                      string // where there is nothing but its files
	root                     string // of its Maildirs
	tls                      *tls.Config
	log                      *serveLog

	cmd  *exec.Cmd
	stop func() error // interrupts it, and waits for its end
}

// serve starts a server over fresh Maildirs, unless args name another store. When the
// test ends it is interrupted, and must end in order.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return serveAs(t, usersFile, "", args...)
}

// serveAs is serve with another users file, and a pattern that names the accounts'
// directories below the root.
func serveAs(t *testing.T, usersFile, pattern string, args ...string) *server {
	t.Helper()
	// Not t.TempDir, which has the attack's name in it: flags that take lists end at a comma.
	dir, err := os.MkdirTemp("", "attack")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{dir: dir, log: &serveLog{ready: make(chan struct{})}}
	s.root = filepath.Join(s.dir, "store", "mail")
	s.log.addrs = map[string]*string{"imap": &s.imap, "imaps": &s.imaps, "pop3": &s.pop3, "pop3s": &s.pop3s}
	must(t, os.MkdirAll(filepath.Dir(s.root), 0o700))
	users := filepath.Join(s.dir, "users")
	must(t, os.WriteFile(users, []byte(usersFile), 0o600))
	cert, key := s.certificate(t)
	s.cmd = exec.Command(program, append([]string{"serve", "--store", "maildir:" + s.root + pattern + "?sync=off", "--users", users,
		"--tls-cert", cert, "--tls-key", key, "--allow-plaintext-auth",
		"--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0"}, args...)...)
	s.cmd.Env = withoutRuntimeLimits(os.Environ())
	s.cmd.Stderr = s.log
	must(t, s.cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	s.stop = sync.OnceValue(func() error {
		if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
			<-ended
			return fmt.Errorf("the server has ended before: %w\n%s", err, s.log.tail())
		}
		late := time.AfterFunc(30*time.Second, func() { s.cmd.Process.Kill() })
		defer late.Stop()
		if err := <-ended; err != nil {
			return fmt.Errorf("the server ended with %w\n%s", err, s.log.tail())
		}
		return nil
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.log.ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("the server did not start: %v\n%s", err, s.log.tail())
	case <-t.Context().Done():
		t.Fatal("the server did not say all its addresses")
	}
	return s
}

// withoutRuntimeLimits is an environment in which nothing bounds the server's memory but
// the server.
func withoutRuntimeLimits(env []string) (kept []string) {
	for _, v := range env {
		if !strings.HasPrefix(v, "GOMEMLIMIT=") && !strings.HasPrefix(v, "GOGC=") {
			kept = append(kept, v)
		}
	}
	return kept
}

// certificate makes one, and the configuration that trusts it alone.
func (s *server) certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	cert, err := protocols.SelfSigned()
	must(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, err)
	certFile, keyFile = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	s.tls = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	return certFile, keyFile
}

// memory returns how many octets of the process are in memory, and how many were at
// most since the last call of resetPeak.
func (s *server) memory() (now, peak int64, err error) {
	status, err := os.ReadFile(s.proc("status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		switch {
		case err != nil:
			return 0, 0, err
		case f[0] == "VmRSS:":
			now = n << 10
		case f[0] == "VmHWM:":
			peak = n << 10
		}
	}
	if now == 0 || peak == 0 {
		return 0, 0, errors.New("the process has no memory")
	}
	return now, peak, nil
}

// processorTime returns how much of it the process has used.
func (s *server) processorTime() (time.Duration, error) {
	stat, err := os.ReadFile(s.proc("stat"))
	if err != nil {
		return 0, err
	}
	// proc(5): what follows the name, which is in parentheses, are fields 3 and on.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("no times in %q", stat)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * (time.Second / 100), err
}

// resetPeak makes the peak of the memory what is in use now (proc(5), clear_refs).
func (s *server) resetPeak() error { return os.WriteFile(s.proc("clear_refs"), []byte("5"), 0) }

// sockets returns how many sockets of these are connections or listen.
func (s *server) sockets() (int, error) {
	names, err := os.ReadDir(s.proc("fd"))
	n := 0
	for _, name := range names {
		// One that was closed meanwhile is none.
		if to, err := os.Readlink(s.proc("fd", name.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, err
}

func (s *server) proc(names ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(s.cmd.Process.Pid)}, names...)...)
}

// serveLog keeps what a server logs, and reads from it where the server listens.
type serveLog struct {
	ready chan struct{}

	mu    sync.Mutex
	addrs map[string]*string // those that were not told yet
	rest  []byte
	lines []string
}

func (l *serveLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.line(string(line))
		l.rest = rest
	}
}

func (l *serveLog) line(line string) {
	l.lines = append(l.lines, line)
	if len(l.addrs) == 0 {
		return
	}
	var e struct{ Msg, Protocol, Address string }
	// In the console's format the fields are JSON too, at the end.
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		f := strings.Split(line, "\t")
		if json.Unmarshal([]byte(f[len(f)-1]), &e) != nil || len(f) < 2 {
			return
		}
		e.Msg = f[len(f)-2]
	}
	if addr := l.addrs[e.Protocol]; e.Msg == "serving" && addr != nil {
		*addr = e.Address
		if delete(l.addrs, e.Protocol); len(l.addrs) == 0 {
			close(l.ready)
		}
	}
}

// all returns every line that was logged.
func (l *serveLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

// tail is the end of the log, for who reads of a failure.
func (l *serveLog) tail() string {
	all := l.all()
	return strings.Join(all[max(0, len(all)-40):], "\n")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within returns a context that ends after the time that is given, or before the tests do.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
