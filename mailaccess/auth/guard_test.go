package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
)

// guesser logs in to a guarded authenticator that knows one user.
type guesser struct {
	t *testing.T
	*Guarded
}

func newGuesser(t *testing.T, o *GuardOptions) guesser {
	return guesser{t, Guard(Static(map[string]string{"alice": "secret", "mallory": "mallory"}), o)}
}

// try logs in and checks the outcome and how long it takes.
func (g guesser) try(remote, user, password string, want error, took time.Duration) {
	g.t.Helper()
	start := time.Now()
	_, err := g.Authenticate(g.t.Context(), mailaccess.Login{Username: user, Password: password, Remote: remote})
	if !errors.Is(err, want) || want == nil && err != nil {
		g.t.Errorf("%s from %s: %v, want %v", user, remote, err, want)
	}
	if d := time.Since(start); d != took {
		g.t.Errorf("%s from %s: answered after %v, want %v", user, remote, d, took)
	}
}

// fail fails n times at once, for names of nobody's.
func (g guesser) fail(remote string, n int) {
	g.t.Helper()
	for i := range n {
		g.Authenticate(g.t.Context(), mailaccess.Login{Username: fmt.Sprint("nobody", i), Password: "x", Remote: remote})
	}
}

func TestGuardSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t, &GuardOptions{HalfLife: 1000 * time.Hour})
		for i, took := range []time.Duration{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30} {
			// An unknown user and a wrong password alike, to the second.
			g.try("192.0.2.1:1", []string{"alice", "nobody"}[i%2], "x", mailaccess.KindAuthFailed, took*time.Second)
		}
		// The right password waits as well, or waiting would tell.
		g.try("192.0.2.1:1", "mallory", "mallory", nil, 30*time.Second)
		g.try("192.0.2.1:1", "alice", "x", mailaccess.KindAuthFailed, 30*time.Second)
		// Another address does not, with another account.
		g.try("192.0.2.2:1", "bob", "x", mailaccess.KindAuthFailed, 0)
		// After a while it is forgiven.
		time.Sleep(10_000 * time.Hour)
		g.try("192.0.2.1:1", "alice", "secret", nil, 0)
	})
}

func TestGuardAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t, nil)
		g.try("[2001:db8::1]:993", "Alice", "secret", nil, 0)
		for i := range 7 {
			g.Authenticate(t.Context(), mailaccess.Login{Username: "alice", Password: "x", Remote: fmt.Sprintf("198.51.%d.1:1", i)})
		}
		// From elsewhere the account is slow, whether it exists or not.
		g.try("203.0.113.1:1", "alice", "secret", nil, 4*time.Second)
		// Its owner's network is not.
		g.try("[2001:db8::2]:993", "alice", "secret", nil, 0)
		g.try("[2001:db8:0:1::2]:993", "alice", "secret", nil, 4*time.Second)
	})
}

func TestGuardBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		g := newGuesser(t, &GuardOptions{Free: 1000, BanAfter: 3, BanNetworkAfter: 5, BanFor: time.Hour, Logger: zap.New(core),
			Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		g.fail("192.0.2.1:1", 2)
		g.try("192.0.2.1:1", "mallory", "mallory", nil, 0)
		if b := g.Bans(); len(b) != 0 {
			t.Errorf("banned after two failures: %v", b)
		}
		g.fail("192.0.2.1:1", 1)
		g.try("192.0.2.1:2", "alice", "secret", ErrBanned, 0)
		g.try("[::ffff:192.0.2.1]:2", "alice", "secret", mailaccess.KindUnavailable, 0)
		g.try("192.0.2.2:1", "alice", "secret", nil, 0)
		g.fail("192.0.2.2:1", 2) // of the network five
		g.try("192.0.2.3:1", "alice", "secret", ErrBanned, 0)
		time.Sleep(time.Minute)
		g.fail("[2001:db8::1]:1", 3)
		g.try("[2001:db8::2]:1", "alice", "secret", nil, 0)
		var got []string
		for _, b := range g.Bans() {
			got = append(got, fmt.Sprint(b.Prefix, " ", b.Failures, " ", time.Until(b.Until)))
		}
		if want := []string{"2001:db8::1/128 3 1h0m0s", "192.0.2.0/24 5 59m0s", "192.0.2.1/32 3 59m0s"}; !slices.Equal(got, want) {
			t.Errorf("bans: %v, want %v", got, want)
		}
		if logs.Len() != 3 || logs.All()[0].Message != "banned for failed logins" || logs.All()[0].ContextMap()["network"] != "192.0.2.1/32" {
			t.Errorf("log: %v", logs.All())
		}
		if g.Lift(netip.MustParsePrefix("203.0.113.0/24")) || g.Lift(netip.MustParsePrefix("192.0.2.9/32")) {
			t.Error("a ban is lifted that is not there")
		}
		if !g.Lift(netip.MustParsePrefix("192.0.2.0/24")) || len(g.Bans()) != 1 {
			t.Errorf("not lifted: %v", g.Bans())
		}
		g.try("192.0.2.1:1", "alice", "secret", nil, 0)
		g.fail("192.0.2.1:1", 2)
		g.try("192.0.2.1:1", "alice", "secret", nil, 0) // its failures were forgotten
		time.Sleep(time.Hour)
		g.try("[2001:db8::1]:1", "alice", "secret", nil, 0)
		if b := g.Bans(); len(b) != 0 {
			t.Errorf("bans that are over: %v", b)
		}
		// Who shares an address with everybody is not banned for them.
		for _, remote := range []string{"10.1.2.3:4", "127.0.0.1:5", "[::1]:6", "@", "pipe"} {
			g.fail(remote, 10)
			g.try(remote, "alice", "secret", nil, 0)
		}
	})
}

// TestGuardBansWhoWaits: who waits when the ban comes is not let through.
func TestGuardBansWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t, &GuardOptions{Free: 1, Delay: 10 * time.Second, BanAfter: 2, HalfLife: 1000 * time.Hour})
		g.try("192.0.2.1:1", "nobody", "x", mailaccess.KindAuthFailed, 0)
		var wg sync.WaitGroup
		wg.Go(func() { g.try("192.0.2.1:1", "bob", "x", mailaccess.KindAuthFailed, 10*time.Second) })
		time.Sleep(5 * time.Second)
		g.try("192.0.2.1:1", "alice", "secret", ErrBanned, 10*time.Second)
		wg.Wait()
	})
}

// TestGuardManyAtOnce: who guesses many passwords at once waits like who guesses
// them one after the other.
func TestGuardManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		tried := 0
		release := make(chan struct{})
		g := Guard(mailaccess.AuthenticatorFunc(func(context.Context, string, string) (string, error) {
			mu.Lock()
			tried++
			mu.Unlock()
			<-release
			return "", errAuthFailed()
		}), &GuardOptions{MaxWaiting: 50, BanAfter: -1, BanNetworkAfter: -1})
		var wg sync.WaitGroup
		errs := make(chan error, 200)
		for range 200 {
			wg.Go(func() {
				_, err := g.Authenticate(t.Context(), mailaccess.Login{Username: "a", Password: "x", Remote: "192.0.2.1:1"})
				errs <- err
			})
		}
		synctest.Wait()
		if tried > concurrent+10 {
			t.Errorf("%d of 200 are tried at once", tried)
		}
		close(release)
		wg.Wait()
		close(errs)
		refused := 0
		for err := range errs {
			if mailaccess.KindOf(err) == mailaccess.KindUnavailable {
				refused++
			}
		}
		if tried+refused != 200 || refused < 100 {
			t.Errorf("%d tried, %d refused", tried, refused)
		}
		if g.waiting != 0 {
			t.Errorf("%d wait still", g.waiting)
		}
		for _, e := range g.counts.entries {
			if c := e.Value.(*recentEntry[guardKey, *guardCount]).value; c.pending != 0 {
				t.Errorf("%d are under way still", c.pending)
			}
		}
	})
}

func TestGuardCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t, &GuardOptions{HalfLife: 1000 * time.Hour})
		g.fail("192.0.2.1:1", 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := g.Authenticate(ctx, mailaccess.Login{Username: "alice", Password: "secret", Remote: "192.0.2.1:1"})
		if mailaccess.KindOf(err) != mailaccess.KindUnavailable {
			t.Errorf("%v", err)
		}
		// Going away is not a way around waiting, and not a failure.
		g.try("192.0.2.1:1", "alice", "secret", nil, time.Second)
	})
}

// TestGuardBounded: neither addresses nor names make it grow beyond its size.
func TestGuardBounded(t *testing.T) {
	g := newGuesser(t, &GuardOptions{Size: 100, BanAfter: 1, BanNetworkAfter: -1})
	for i := range 1000 {
		remote := netip.AddrFrom4([4]byte{198, byte(i >> 8), byte(i), 1}).String()
		g.Authenticate(t.Context(), mailaccess.Login{Username: fmt.Sprint(strings.Repeat("n", 1000), i), Password: "x", Remote: remote})
		g.Authenticate(t.Context(), mailaccess.Login{Username: "alice", Password: "secret", Remote: remote + "9"})
	}
	if len(g.counts.entries) > 100 || g.counts.order.Len() > 100 || len(g.known.entries) > 100 || len(g.bans) > 100 {
		t.Errorf("%d counts, %d known, %d bans", len(g.counts.entries), len(g.known.entries), len(g.bans))
	}
}

// TestGuardAbilities: other credentials than passwords count alike.
func TestGuardAbilities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Guard(&ablest{}, &GuardOptions{BanAfter: 3})
		base := private
		for i, want := range []error{mailaccess.KindAuthFailed, mailaccess.KindAuthFailed, mailaccess.KindAuthFailed, ErrBanned} {
			s, err := NewServer(t.Context(), "XOAUTH2", g, base, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, done, err := s.Next([]byte("user=a\x01auth=Bearer x\x01\x01"))
			if !done {
				_, _, err = s.Next([]byte{1})
			}
			if !errors.Is(err, want) {
				t.Errorf("token %d: %v", i, err)
			}
		}
		u := scramUser(t, "user", "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==")
		g = Guard(u, &GuardOptions{BanAfter: 1})
		l := private
		l.Username = "user"
		for i, want := range []error{mailaccess.KindAuthFailed, ErrBanned} {
			user, err := g.Abilities().Scram(t.Context(), l, u.Abilities().ScramHashes[0])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := user.Decide(t.Context(), i == 1); !errors.Is(err, want) {
				t.Errorf("proof %d: %v", i, err)
			}
		}
	})
}
