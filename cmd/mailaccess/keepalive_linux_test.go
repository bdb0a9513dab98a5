package main

import (
	"net"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/stores/memory"
)

// A client that vanished without a word holds its maildrop and its place among
// the connections: TCP finds out long before the idle timeout does.
func TestConnectionsAreKeptAlive(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	s, err := openServer(serverConfig{
		store: store, authenticator: auth.Static(nil), logger: zap.NewNop(),
		addresses: addresses{imap: "127.0.0.1:0", pop3: "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, p := range s.endpoints {
		dial(t, p.listener.Addr().String(), nil)
		nc, err := p.listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var on int
		var sockErr error
		if err := raw.Control(func(fd uintptr) {
			on, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		}); err != nil || sockErr != nil {
			t.Fatal(err, sockErr)
		}
		if on != 1 {
			t.Errorf("%s: SO_KEEPALIVE is %d", p.name, on)
		}
	}
}
