package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/stores/memory"
)

// farListener hands out connections that say they come from elsewhere.
type farListener struct {
	net.Listener
	from netip.Addr
}

func (l farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return farConn{c, l.from}, err
}

type farConn struct {
	net.Conn
	from netip.Addr
}

func (c farConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 49152))
}

// banServer serves ann over IMAP to a client that comes from 192.0.2.1, with an admin
// socket.
func banServer(t *testing.T, guard *auth.GuardOptions) (imap, socket string) {
	t.Helper()
	store := memory.New(nil)
	s, err := openServer(serverConfig{
		store: store, authenticator: auth.Static(map[string]string{"ann": "secret"}), allowPlaintext: true, guard: guard,
		addresses: addresses{imap: "127.0.0.1:0"}, logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.endpoints[0].listener = farListener{s.endpoints[0].listener, netip.MustParseAddr("192.0.2.1")}
	socket = tempFile(t, "admin.sock")
	a, err := openAdmin(socket, nil, s.mail.Guard, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, a.close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return s.addr("imap"), socket
}

// failLogins fails to log in as ann.
func failLogins(t *testing.T, addr string, times int) {
	t.Helper()
	for i := range times {
		c := dial(t, addr, nil)
		c.expect(`\* OK`)
		c.do(fmt.Sprintf("a%d login ann wrong", i), fmt.Sprintf(`a%d NO`, i))
		c.Close()
	}
}

// Who is banned, and who has to wait, is shown; lifted, they get in.
func TestBans(t *testing.T) {
	addr, socket := banServer(t, &auth.GuardOptions{Free: 2, Delay: time.Millisecond, MaxDelay: time.Millisecond, BanAfter: 3})
	bans := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		got, stdout, stderr := runIn(t, "", append(append([]string{"bans"}, args...), "--admin-socket", socket)...)
		if got != code {
			t.Fatalf("bans %q: exit code %d, %s", args, got, stderr)
		}
		return stdout, stderr
	}
	if stdout, stderr := bans(0); stdout != "" || stderr != "Nobody is banned or slowed down.\n" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	failLogins(t, addr, 3)
	c := dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login ann secret", `a NO \[UNAVAILABLE\]`)
	stdout, _ := bans(0)
	table := regexp.MustCompile(`(?s)^WHO +FAILURES +WHAT\n192\.0\.2\.1 +3 +banned until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, 1[45]m\d+s more\n` +
		`192\.0\.2\.1 +3 +each login waits 1ms\naccount ann +3 +each login waits 1ms\n$`)
	if !table.MatchString(stdout) {
		t.Errorf("the table:\n%s", stdout)
	}
	stdout, _ = bans(0, "--json")
	var answer bansAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || len(answer.Bans) != 1 || answer.Bans[0].Network != "192.0.2.1" ||
		len(answer.Slowed) != 2 || answer.Slowed[1].Account != "ann" || answer.Slowed[1].Seconds != 0.001 {
		t.Errorf("%v, %s", err, stdout)
	}
	for who, want := range map[string]string{
		"192.0.2.2": "192.0.2.2 is neither banned nor slowed down", "bob": "bob is neither an address or network",
	} {
		if _, stderr := bans(1, "lift", who); !strings.HasPrefix(stderr, "mailaccess: bans lift: "+want) {
			t.Errorf("lift %s: %s", who, stderr)
		}
	}
	if stdout, stderr := bans(0, "lift", "192.0.2.1"); stdout != "" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	if stdout, _ := bans(0); strings.Contains(stdout, "192.0.2.1") || !strings.Contains(stdout, "account ann") {
		t.Errorf("after lifting an address:\n%s", stdout)
	}
	bans(0, "lift", "Ann")
	if stdout, _ := bans(0); stdout != "" {
		t.Errorf("after lifting an account:\n%s", stdout)
	}
	c.do("b login ann secret", `b OK`)
	failLogins(t, addr, 3)
	bans(0, "lift", "all")
	c = dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login ann secret", `a OK`)
}

// An address whose network is banned is not let in by lifting what it did itself.
func TestBansOfNetwork(t *testing.T) {
	addr, socket := banServer(t, &auth.GuardOptions{BanAfter: 2, BanNetworkAfter: 2})
	failLogins(t, addr, 2)
	code, _, stderr := runIn(t, "", "bans", "lift", "192.0.2.1", "--admin-socket", socket)
	if code != 1 || !strings.Contains(stderr, "192.0.2.1 is in 192.0.2.0/24, which is banned") {
		t.Errorf("%d, %s", code, stderr)
	}
	if code, _, stderr := runIn(t, "", "bans", "lift", "192.0.2.0/24", "--admin-socket", socket); code != 0 {
		t.Error(stderr)
	}
	c := dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login ann secret", `a OK`)
}

// The socket is where it is asked for, its owner's alone, not in place of anything, and goes
// with the server; a Maildir store has one of its own.
func TestServeAdminSocket(t *testing.T) {
	socket := tempFile(t, "admin.sock")
	users := written(t, "users", "ann:{PLAIN}secret\n")
	p, _, _ := serveWith(t, "--users", users, "--admin-socket", socket)
	info, err := os.Stat(socket)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if code, _, stderr := runIn(t, "", "bans", "--admin-socket", socket); code != 0 {
		t.Error(stderr)
	}
	for path, want := range map[string]string{
		socket: "another server answers there", users: "is there and is no socket", filepath.Join(socket, "x"): "--admin-socket: ",
	} {
		code, _, stderr := runIn(t, "", "serve", "--store", "memory:", "--users", users, "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "", "--pop3s", "", "--admin-socket", path)
		if code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %s", path, code, stderr)
		}
	}
	p.cancel()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if entries, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// What a server left that was killed is no obstacle.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	serveWith(t, "--users", users, "--admin-socket", socket)
	mail := filepath.Join(t.TempDir(), "mail")
	serveMaildir(t, mail)
	if code, _, stderr := runIn(t, "", "bans", "--store", "maildir:"+mail); code != 0 {
		t.Error(stderr)
	}
	for store, want := range map[string]string{"memory:": "--admin-socket names it", "maildir:" + t.TempDir(): "nobody answers at "} {
		if code, _, stderr := runIn(t, "", "bans", "--store", store); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %s", store, code, stderr)
		}
	}
}
