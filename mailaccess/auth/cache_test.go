package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// counting is an authenticator that takes a second, knows one password for every
// user, and counts what it is asked.
type counting struct {
	asked, cancelled atomic.Int64
	version          atomic.Uint64
	password         atomic.Value
}

func newCounting() *counting {
	c := &counting{}
	c.password.Store("secret")
	return c
}

func (c *counting) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	c.asked.Add(1)
	right := l.Password == c.password.Load()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		c.cancelled.Add(1)
		return mailaccess.Identity{}, errUnavailable(ctx.Err())
	}
	if !right {
		return mailaccess.Identity{}, errAuthFailed()
	}
	return mailaccess.Identity{User: l.Username, Account: l.Username, Attributes: map[string]string{"a": "b"}}, nil
}

func (c *counting) Version() uint64 { return c.version.Load() }

func (c *counting) expect(t *testing.T, when string, want int64) {
	t.Helper()
	if got := c.asked.Load(); got != want {
		t.Errorf("%s: asked %d times, want %d", when, got, want)
	}
}

var alice = mailaccess.Login{Username: "alice", Password: "secret", Protocol: "imap"}

func getIn(t *testing.T, a mailaccess.Authenticator, l mailaccess.Login) {
	t.Helper()
	if id, err := a.Authenticate(t.Context(), l); err != nil || id.Account != l.Username {
		t.Errorf("%s: identity %v, error %v", l.Username, id, err)
	}
}

func TestCacheTenConnectionsHashOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, nil)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				l := alice
				l.Remote = fmt.Sprint("192.0.2.1:", 40000+i)
				getIn(t, c, l)
			})
		}
		wg.Wait()
		inner.expect(t, "ten at once", 1)
		for i := range 10 {
			l := alice
			l.Remote = fmt.Sprint("192.0.2.1:", 50000+i)
			getIn(t, c, l)
		}
		inner.expect(t, "ten more", 1)
	})
}

func TestCacheExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, nil)
		getIn(t, c, alice)
		time.Sleep(30 * time.Second)
		getIn(t, c, alice) // does not prolong
		time.Sleep(30*time.Second - 1)
		getIn(t, c, alice)
		inner.expect(t, "within a minute", 1)
		time.Sleep(time.Nanosecond)
		getIn(t, c, alice)
		inner.expect(t, "after a minute", 2)

		inner = newCounting()
		c = Cache(inner, &CacheOptions{TTL: time.Hour})
		getIn(t, c, alice)
		time.Sleep(time.Hour - 1)
		getIn(t, c, alice)
		inner.expect(t, "within an hour", 1)
		time.Sleep(time.Nanosecond)
		getIn(t, c, alice)
		inner.expect(t, "after an hour", 2)
	})
}

func TestCacheOnlySuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, nil)
		wrong := alice
		wrong.Password = "wrong"
		for i := range 3 {
			if _, err := c.Authenticate(t.Context(), wrong); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
				t.Errorf("a wrong password: %v", err)
			}
			inner.expect(t, "a wrong password", int64(i+1))
		}
		getIn(t, c, alice)
		if _, err := c.Authenticate(t.Context(), wrong); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("a wrong password after a right one: %v", err)
		}
		inner.expect(t, "a wrong password after a right one", 5)
	})
}

// TestCacheKeys: logins that differ in anything that decides are different.
func TestCacheKeys(t *testing.T) {
	c := Cache(newCounting(), nil)
	seen := map[cacheKey]mailaccess.Login{}
	for _, l := range []mailaccess.Login{
		{}, {Username: "ab", Password: "c"}, {Username: "a", Password: "bc"}, {Password: "abc"}, {Authzid: "abc"}, {Protocol: "abc"},
		{Username: "a\x00", Password: "b"}, {Username: "a", Password: "\x00b"}, {Private: true},
		{Username: "a", Password: "b", Authzid: "c", Protocol: "d"}, {Username: "a", Password: "b", Authzid: "c", Protocol: "d", Private: true},
	} {
		if other, ok := seen[c.key(l)]; ok {
			t.Errorf("%+v and %+v have one key", l, other)
		}
		seen[c.key(l)] = l
		from := func(remote string) cacheKey { l := l; l.Remote = remote; return c.key(l) }
		if from("192.0.2.1:1") != from("192.0.2.1:2") {
			t.Errorf("%+v: the peer's port decides", l)
		}
		if from("192.0.2.1:1") == from("192.0.2.2:1") {
			t.Errorf("%+v: the peer's address does not decide", l)
		}
		if Cache(newCounting(), nil).key(l) == c.key(l) {
			t.Error("the keys have no secret")
		}
	}
}

func TestCacheForgets(t *testing.T) {
	bob := mailaccess.Login{Username: "bob", Password: "secret"}
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, nil)
		getIn(t, c, alice)
		getIn(t, c, bob)
		c.Forget("ALICE")
		getIn(t, c, bob)
		inner.expect(t, "another user", 2)
		getIn(t, c, alice)
		inner.expect(t, "a user forgotten", 3)

		inner.version.Add(1)
		getIn(t, c, alice)
		getIn(t, c, bob)
		inner.expect(t, "a new version", 5)
		getIn(t, c, alice)
		getIn(t, c, bob)
		inner.expect(t, "the same version", 5)
	})
}

// TestCacheForgetsWhatIsUnderWay: an answer to a question asked before the user
// was forgotten is not remembered, and not given to who asks afterwards.
func TestCacheForgetsWhatIsUnderWay(t *testing.T) {
	for what, forget := range map[string]func(*Cached, *counting){
		"forget":  func(c *Cached, _ *counting) { c.Forget("alice") },
		"version": func(_ *Cached, inner *counting) { inner.version.Add(1) },
	} {
		synctest.Test(t, func(t *testing.T) {
			inner := newCounting()
			c := Cache(inner, nil)
			go getIn(t, c, alice)
			synctest.Wait()
			inner.password.Store("changed")
			forget(c, inner)
			for range 2 {
				if _, err := c.Authenticate(t.Context(), alice); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
					t.Errorf("%s: the old password: %v", what, err)
				}
			}
			inner.expect(t, what, 3)
		})
	}
}

func TestCacheCancelledLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Authenticate(ctx, alice); mailaccess.KindOf(err) != mailaccess.KindUnavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("the leader: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { getIn(t, c, alice) })
		synctest.Wait()
		cancel()
		wg.Wait()
		inner.expect(t, "a cancelled leader", 1)

		// When nobody is left, the question is called off.
		c.Forget("alice")
		ctx, cancel = context.WithCancel(t.Context())
		for range 3 {
			wg.Go(func() { c.Authenticate(ctx, alice) })
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		synctest.Wait()
		inner.expect(t, "nobody left", 2)
		if got := inner.cancelled.Load(); got != 1 {
			t.Errorf("%d questions were called off, want 1", got)
		}
		getIn(t, c, alice)
		inner.expect(t, "somebody new", 3)
	})
}

func TestCacheEndedContext(t *testing.T) {
	inner := newCounting()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Cache(inner, nil).Authenticate(ctx, alice); mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Errorf("an ended context: %v", err)
	}
	inner.expect(t, "an ended context", 0)
}

func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newCounting()
		c := Cache(inner, &CacheOptions{Size: 3})
		for i := range 10 {
			getIn(t, c, mailaccess.Login{Username: fmt.Sprint("user", i), Password: "secret"})
		}
		if len(c.entries) != 3 || c.order.Len() != 3 || len(c.flights) != 0 {
			t.Errorf("%d entries, %d in order, %d flights", len(c.entries), c.order.Len(), len(c.flights))
		}
		getIn(t, c, mailaccess.Login{Username: "user9", Password: "secret"})
		inner.expect(t, "the newest", 10)
		getIn(t, c, mailaccess.Login{Username: "user6", Password: "secret"})
		inner.expect(t, "the oldest", 11)
		time.Sleep(time.Minute)
		getIn(t, c, alice)
		if len(c.entries) != 1 || c.order.Len() != 1 {
			t.Errorf("%d entries, %d in order, after all but one have expired", len(c.entries), c.order.Len())
		}
	})
}

// TestCacheInnerDoesNotReturn: neither a panic nor the end of a goroutine lets
// anybody in, hangs anybody, or is remembered.
func TestCacheInnerDoesNotReturn(t *testing.T) {
	authenticate := func(a mailaccess.Authenticator) (panicked any, err error) {
		defer func() { panicked = recover() }()
		_, err = a.Authenticate(t.Context(), alice)
		return nil, err
	}
	c := Cache(mailaccess.AuthenticatorFunc(func(context.Context, string, string) (string, error) {
		panic("on purpose")
	}), nil)
	for range 2 {
		if p, _ := authenticate(c); p == nil || !strings.Contains(fmt.Sprint(p), "on purpose") {
			t.Errorf("a panic becomes %v", p)
		}
	}
	c = Cache(mailaccess.AuthenticatorFunc(func(context.Context, string, string) (string, error) {
		runtime.Goexit()
		return "", nil
	}), nil)
	for range 2 {
		if p, err := authenticate(c); p != nil || mailaccess.KindOf(err) != mailaccess.KindUnavailable {
			t.Errorf("the end of a goroutine becomes %v, %v", p, err)
		}
	}
}

// TestCacheOverUsersFile: who is taken out of the file is out at once.
func TestCacheOverUsersFile(t *testing.T) {
	path := usersFile(t, "alice:"+hashed(t, "secret"))
	c := Cache(openUsersFile(t, path, nil), nil)
	getIn(t, c, alice)
	getIn(t, c, alice)
	if err := SetUser(path, "alice", "changed", &SetUserOptions{Replace: true, Argon2id: cheap}); err != nil {
		t.Fatal(err)
	}
	if got := kindOfLogin(t, c, "alice", "secret"); got != mailaccess.KindAuthFailed {
		t.Errorf("the old password: %v", got)
	}
	writeFile(t, path, "")
	if got := kindOfLogin(t, c, "alice", "changed"); got != mailaccess.KindAuthFailed {
		t.Errorf("a user taken out: %v", got)
	}
}

// TestCacheKeepsToNetworks: that a password was right where it may be used does not let
// in who uses it elsewhere.
func TestCacheKeepsToNetworks(t *testing.T) {
	c := Cache(openUsersFile(t, usersFile(t, "alice:"+hashed(t, "secret")+":allow_nets=192.0.2.1"), nil), nil)
	near, far := alice, alice
	near.Remote, far.Remote = "192.0.2.1:40000", "198.51.100.7:40000"
	getIn(t, c, near)
	if id, err := c.Authenticate(t.Context(), far); mailaccess.KindOf(err) != mailaccess.KindForbidden {
		t.Errorf("from elsewhere: %+v, %v", id, err)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := Cache(Static(map[string]string{"alice": "secret"}), nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Authenticate(b.Context(), alice); err != nil {
			b.Fatal(err)
		}
	}
}
