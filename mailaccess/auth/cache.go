package auth

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// CacheOptions are the options of [Cache]. Nil means the defaults.
type CacheOptions struct {
	// TTL is how long credentials count as verified after they were; using them
	// does not prolong it. It is also how long an account can still be opened
	// after the authenticator would refuse, where that is not made known by
	// Version or [Cached.Forget]. Default one minute: enough for the dozen
	// connections with which a client starts.
	TTL time.Duration

	// Size is how many verified credentials are kept; beyond it the oldest go.
	// Default 10,000, some 2 MB.
	Size int
}

// A Versioned authenticator can tell cheaply whether its answers may have
// changed: Version returns a greater number then than ever before. [UsersFile]
// is one.
type Versioned interface {
	Version() uint64
}

// Cached is an authenticator with a memory. See [Cache].
type Cached struct {
	inner   mailaccess.Authenticator
	version Versioned // nil where the inner one is not
	ttl     time.Duration
	size    int
	secret  [32]byte

	mu      sync.Mutex // never held while the inner authenticator works
	entries map[cacheKey]*list.Element
	order   list.List // of *cacheEntry, oldest first
	flights map[cacheKey]*flight
	seen    uint64 // the version that the entries are of
	epoch   uint64 // grows when something was forgotten
}

var _ mailaccess.Authenticator = (*Cached)(nil)

// A cacheKey stands for all that decides an authentication, and reveals none of
// it to whoever reads the memory without the secret beside it.
type cacheKey [sha256.Size]byte

type cacheEntry struct {
	key      cacheKey
	user     string // as the login spelled it, canonical
	identity mailaccess.Identity
	expires  time.Time
}

// Cache returns an authenticator that asks a and remembers its successes for a
// short time. Logins with the same credentials at the same time wait for one
// question; when one of them is cancelled the others still get its answer, and
// when all are, the question is.
//
// Bearer tokens are remembered like passwords; one that expires meanwhile counts
// for the rest of that time. Whatever else a verifies passes by.
//
// What decides is user name, password, authorization identity, protocol, whether the
// channel is private, and the peer's address without its port: a may judge by it, as a
// users file with allow_nets does. What has to see each login, such as throttling,
// belongs in front of the cache, not behind. Failures are not remembered. Kept are keyed hashes of what decides, under a
// random key of this value's own, and the identities.
//
// Everything is forgotten when a is [Versioned] and its version has grown; the
// version is asked at each login.
//
// A panic of a happens again in each login that waits for it. A Cached needs not
// be closed: it has a goroutine only while a is being asked.
func Cache(a mailaccess.Authenticator, opts *CacheOptions) *Cached {
	c := &Cached{
		inner: a, ttl: time.Minute, size: 10_000,
		entries: make(map[cacheKey]*list.Element),
		flights: make(map[cacheKey]*flight),
	}
	c.version, _ = a.(Versioned)
	if opts != nil && opts.TTL > 0 {
		c.ttl = opts.TTL
	}
	if opts != nil && opts.Size > 0 {
		c.size = opts.Size
	}
	rand.Read(c.secret[:]) // never fails
	return c
}

// Authenticate implements [mailaccess.Authenticator].
func (c *Cached) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return c.answer(ctx, c.key(l), l, func(ctx context.Context) (mailaccess.Identity, error) {
		return c.inner.Authenticate(ctx, l)
	})
}

// Abilities implements [Able].
func (c *Cached) Abilities() Abilities {
	inner := AbilitiesOf(c.inner)
	able := Abilities{
		NoPasswords: inner.NoPasswords,
		Scram:       inner.Scram, ScramHashes: inner.ScramHashes,
		Certificate: inner.Certificate,
		Digest:      inner.Digest,
	}
	if inner.Bearer != nil {
		able.Bearer = func(ctx context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			return c.answer(ctx, c.key(l, "bearer", token), l, func(ctx context.Context) (mailaccess.Identity, error) {
				return inner.Bearer(ctx, l, token)
			})
		}
	}
	return able
}

// answer returns what is remembered under key, or what ask says.
func (c *Cached) answer(ctx context.Context, key cacheKey, l mailaccess.Login, ask question) (mailaccess.Identity, error) {
	if err := ctx.Err(); err != nil {
		return mailaccess.Identity{}, errUnavailable(err)
	}
	// Before any lock, as it may read a file; and before the question, so
	// that no answer is older than the version that it is remembered under.
	var version uint64
	if c.version != nil {
		version = c.version.Version()
	}
	c.mu.Lock()
	if version > c.seen {
		c.seen = version
		c.forgetAll()
	}
	now := time.Now()
	c.expire(now)
	if e := c.entries[key]; e != nil {
		id := cloneIdentity(e.Value.(*cacheEntry).identity)
		c.mu.Unlock()
		return id, nil
	}
	f := c.flights[key]
	if f == nil {
		f = c.take(ctx, key, l, ask)
	}
	f.waiters++
	c.mu.Unlock()

	select {
	case <-f.done:
		if f.panicked != nil {
			panic(f.panicked)
		}
		return cloneIdentity(f.identity), f.err
	case <-ctx.Done():
		c.leave(key, f)
		return mailaccess.Identity{}, errUnavailable(ctx.Err())
	}
}

// Forget makes the next login of a user be verified anew, whatever its
// credentials: call it when a password was changed or an account closed. A
// question that is under way is not remembered.
func (c *Cached) Forget(user string) {
	user = canonicalUser(user)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.startEpoch()
	for e := c.order.Front(); e != nil; {
		entry, next := e.Value.(*cacheEntry), e.Next()
		if entry.user == user || canonicalUser(entry.identity.User) == user {
			c.remove(e)
		}
		e = next
	}
}

// key returns what stands for a login and whatever else decides. Each field goes in with its length, so
// that no two logins run together into one.
func (c *Cached) key(l mailaccess.Login, more ...string) (key cacheKey) {
	m := hmac.New(sha256.New, c.secret[:])
	var length [8]byte
	for _, field := range append([]string{l.Username, l.Password, l.Authzid, l.Protocol, hostOf(l.Remote)}, more...) {
		binary.BigEndian.PutUint64(length[:], uint64(len(field)))
		m.Write(length[:])
		m.Write([]byte(field))
	}
	if l.Private {
		m.Write([]byte{1})
	}
	m.Sum(key[:0])
	return key
}

// A question is one to the inner authenticator.
type question func(context.Context) (mailaccess.Identity, error)

// A flight is one question to the inner authenticator, and those who wait for
// its answer. (The singleflight of golang.org/x/sync cannot tell when the last
// of them has left; questions that nobody waits for would pile up behind the
// hashing pool under a flood of clients that hang up.)
type flight struct {
	cancel  context.CancelFunc
	waiters int // guarded by Cached.mu

	done     chan struct{} // closed when what follows is set
	identity mailaccess.Identity
	err      error
	panicked any
}

// errAborted is what is left when an authenticator ends its goroutine instead
// of returning.
var errAborted = errors.New("the authenticator did not return")

// take starts a flight. The context of whoever starts it gives its values, but
// its end does not end the flight. c.mu is held.
func (c *Cached) take(ctx context.Context, key cacheKey, l mailaccess.Login, ask question) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{cancel: cancel, done: make(chan struct{}), err: errUnavailable(errAborted)}
	c.flights[key] = f
	epoch := c.epoch
	go func() {
		defer cancel()
		defer c.land(key, f, l, epoch)
		defer func() {
			if p := recover(); p != nil {
				f.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			}
		}()
		f.identity, f.err = ask(ctx)
	}()
	return f
}

// land gives a flight's answer to those who wait, and remembers it where it is
// a success and nothing was forgotten since the question.
func (c *Cached) land(key cacheKey, f *flight, l mailaccess.Login, epoch uint64) {
	c.mu.Lock()
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	if f.err == nil && f.panicked == nil && epoch == c.epoch {
		c.remember(&cacheEntry{
			key: key, user: canonicalUser(l.Username),
			identity: cloneIdentity(f.identity), expires: time.Now().Add(c.ttl),
		})
	}
	c.mu.Unlock()
	close(f.done)
}

// leave takes one from those who wait. A flight for nobody is called off, and
// is not there for whoever comes next.
func (c *Cached) leave(key cacheKey, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	if c.flights[key] == f {
		delete(c.flights, key)
	}
	f.cancel()
}

// The methods below are called with c.mu held.

// remember adds an entry. As all live equally long, the order of arrival is the
// order of expiry.
func (c *Cached) remember(entry *cacheEntry) {
	if e := c.entries[entry.key]; e != nil {
		c.remove(e)
	}
	for c.order.Len() >= c.size {
		c.remove(c.order.Front())
	}
	c.entries[entry.key] = c.order.PushBack(entry)
}

func (c *Cached) expire(now time.Time) {
	for e := c.order.Front(); e != nil && !now.Before(e.Value.(*cacheEntry).expires); e = c.order.Front() {
		c.remove(e)
	}
}

func (c *Cached) remove(e *list.Element) {
	delete(c.entries, c.order.Remove(e).(*cacheEntry).key)
}

func (c *Cached) forgetAll() {
	c.startEpoch()
	clear(c.entries)
	c.order.Init()
}

// startEpoch parts what was asked before from what is asked from now on: its
// answers go to those who wait for them and no further.
func (c *Cached) startEpoch() {
	c.epoch++
	clear(c.flights)
}

func cloneIdentity(id mailaccess.Identity) mailaccess.Identity {
	id.Attributes = maps.Clone(id.Attributes)
	return id
}
