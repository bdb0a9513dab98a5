package auth

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Who waits is listed as long as they do, accounts by their names, and waits no longer once
// that is lifted.
func TestGuardSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		g := newGuesser(t, &GuardOptions{Free: 2, BanAfter: 4, Logger: zap.New(core)})
		slowed := func(want ...string) {
			t.Helper()
			var got []string
			for _, s := range g.Slowed() {
				who := s.Account
				if s.Prefix.IsValid() {
					who = s.Prefix.String() + who
				}
				got = append(got, fmt.Sprint(who, " ", s.Failures, " ", s.Delay))
			}
			if !slices.Equal(got, want) {
				t.Errorf("slowed: %q, want %q", got, want)
			}
		}
		fail := func(name, remote string) {
			t.Helper()
			if _, err := g.Authenticate(t.Context(), mailaccess.Login{Username: name, Password: "x", Remote: remote}); err == nil {
				t.Errorf("%s gets in", name)
			}
		}
		fail("Alice", "192.0.2.1:1")
		slowed()
		for i := range 2 {
			fail("alice", fmt.Sprintf("198.51.100.%d:1", i))
			fail("a password, sadly", fmt.Sprintf("198.51.100.%d:1", i))
		}
		fail("a password, sadly", "198.51.100.9:1")
		slowed("alice 3 2s", "198.51.100.0/32 2 1s", "198.51.100.1/32 2 1s")
		if g.LiftAccount("bob") || !g.LiftAccount("ALICE") || g.LiftAccount("alice") {
			t.Error("lifting an account")
		}
		slowed("198.51.100.0/32 2 1s", "198.51.100.1/32 2 1s")
		g.try("203.0.113.1:1", "alice", "secret", nil, 0)
		if !g.Lift(netip.MustParsePrefix("198.51.100.1/32")) || g.Lift(netip.MustParsePrefix("198.51.100.1/32")) {
			t.Error("lifting an address")
		}
		slowed("198.51.100.0/32 2 1s")
		for range 4 {
			fail("bob", "2001:db8::1")
		}
		if len(g.Bans()) != 1 {
			t.Errorf("bans: %v", g.Bans())
		}
		g.LiftAll()
		slowed()
		if len(g.Bans()) != 0 {
			t.Errorf("bans: %v", g.Bans())
		}
		g.try("2001:db8::1", "alice", "secret", nil, 0)
		var told []string
		for _, e := range logs.All() {
			told = append(told, fmt.Sprint(e.Message, " ", e.ContextMap()["account"], e.ContextMap()["network"], e.ContextMap()["bans"]))
		}
		if want := []string{
			"failed logins forgotten alice<nil> <nil>", "failed logins forgotten <nil>198.51.100.1/320",
			"banned for failed logins <nil>2001:db8::1/128<nil>", "all failed logins forgotten <nil> <nil> 1",
		}; !slices.Equal(told, want) {
			t.Errorf("log: %q, want %q", told, want)
		}
		for range 3 {
			fail("carol", "192.0.2.77:1")
		}
		time.Sleep(time.Hour)
		slowed()
	})
}
