package auth

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// GuardOptions are the options of [Guard]. Nil, and the zero value of each field,
// mean the defaults.
type GuardOptions struct {
	// Free is how many failures cost nothing: people mistype. From there on each
	// login waits before it is looked at: Delay, and twice as long with each
	// further failure up to MaxDelay. Defaults 5, one second, 30 seconds. Of a
	// network ten times as many are free as of an address.
	Free            int
	Delay, MaxDelay time.Duration

	// HalfLife is the time after which a failure counts half. Default ten minutes.
	HalfLife time.Duration

	// BanAfter is how many failures of an address ban it, BanNetworkAfter how many
	// ban its network, for BanFor. Negative: none. Defaults 30, 300 and 15
	// minutes. Accounts are never banned, as anybody could do that to anybody.
	BanAfter, BanNetworkAfter int
	BanFor                    time.Duration

	// Trusted are networks in which many people share an address, as behind a
	// webmail: they are neither slowed down nor banned. Loopback addresses, and
	// peers that have none, never are.
	Trusted []netip.Prefix

	// Size is how many addresses, networks and accounts are kept count of; beyond
	// it those that were quiet longest are forgotten. Default 50,000, some 10 MB.
	Size int

	// MaxWaiting is how many logins may wait at once; others are answered with
	// [mailaccess.KindUnavailable]. Default 1000.
	MaxWaiting int

	// Logger is told of bans. Nil means silence.
	Logger *zap.Logger
}

// ErrBanned is what a login from a banned address comes to, whatever its
// credentials; its kind is [mailaccess.KindUnavailable], so that people who share
// the address are not asked for another password.
var ErrBanned error = &mailaccess.Error{
	Kind: mailaccess.KindUnavailable, Op: opAuthenticate, Err: errors.New("too many failed logins from this address or its network"),
}

var errCrowd = errors.New("too many logins wait")

// Guarded is an authenticator that slows down who guesses. See [Guard].
type Guarded struct {
	inner mailaccess.Authenticator
	o     GuardOptions
	seed  maphash.Seed

	mu      sync.Mutex // never held while somebody waits
	counts  recent[guardKey, *guardCount]
	known   recent[guardKey, time.Time]
	bans    map[netip.Prefix]Ban
	waiting int
}

var _ mailaccess.Authenticator = (*Guarded)(nil)

// A guardKey is an address or network, an account, or for those that are known to
// belong together a network and an account.
type guardKey struct {
	prefix  netip.Prefix
	account uint64
}

// A guardCount are the failures of one of them, halved again and again.
type guardCount struct {
	failures float64
	at       time.Time
	pending  int    // logins that are under way
	name     string // of an account, where it is one that a user can have
}

const (
	// concurrent is how many logins of one address or account may be under way
	// before each counts like a failure: who guesses many at once learns nothing
	// of the first before the last. Mail programs start with a dozen.
	concurrent = 20

	// familiar is how long an account counts as known in a network.
	familiar = 30 * 24 * time.Hour

	networkFactor = 10 // the failures of a network that weigh like one of an address
)

// Guard returns an authenticator that asks a, and keeps count of failures by
// address, by network (IPv4 /24, IPv6 /64) and by account, whether there is such
// an account or not. With the count grows the time that a login waits before it is
// looked at, whatever becomes of it; addresses and networks that fail much are
// banned for a while. Where an account was logged in to before it does not wait
// for those who guess its password from elsewhere.
//
// What counts is [mailaccess.KindAuthFailed]. Successes take nothing away: who has
// an account must not be able to wash off failures with it. The count is in memory,
// bounded, and of this process.
//
// Guard belongs in front of [Cache], which does not see each login, and behind
// [Logged], which sees every refusal.
func Guard(a mailaccess.Authenticator, opts *GuardOptions) *Guarded {
	g := &Guarded{inner: a, seed: maphash.MakeSeed(), bans: make(map[netip.Prefix]Ban)}
	if opts != nil {
		g.o = *opts
	}
	o := &g.o
	o.Free, o.Size, o.MaxWaiting = cmp.Or(o.Free, 5), cmp.Or(o.Size, 50_000), cmp.Or(o.MaxWaiting, 1000)
	o.Delay, o.MaxDelay = cmp.Or(o.Delay, time.Second), cmp.Or(o.MaxDelay, 30*time.Second)
	o.HalfLife, o.BanFor = cmp.Or(o.HalfLife, 10*time.Minute), cmp.Or(o.BanFor, 15*time.Minute)
	o.BanAfter, o.BanNetworkAfter = cmp.Or(o.BanAfter, 30), cmp.Or(o.BanNetworkAfter, 300)
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	g.counts.size, g.known.size = o.Size, o.Size
	return g
}

// Authenticate implements [mailaccess.Authenticator].
func (g *Guarded) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return g.decide(ctx, l, "password", func(ctx context.Context) (mailaccess.Identity, error) { return g.inner.Authenticate(ctx, l) })
}

// Abilities implements [Able]: all that the inner authenticator can.
func (g *Guarded) Abilities() Abilities { return AbilitiesOf(g.inner).around(g.decide) }

func (g *Guarded) around() mailaccess.Authenticator { return g.inner }

// An attempt is one login under way.
type attempt struct {
	address, network netip.Prefix // invalid: not counted
	account          uint64       // 0: not known
	name             string       // of the account, where it is one that a user can have
	counts           []*guardCount
}

func (g *Guarded) decide(ctx context.Context, l mailaccess.Login, _ string, decide decision) (none mailaccess.Identity, err error) {
	t := g.attempt(l)
	delay, err := g.begin(t)
	if err != nil {
		return none, err
	}
	failed := false
	defer func() { g.end(t, delay > 0, failed) }()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, errUnavailable(ctx.Err())
		}
		if g.banned(t) {
			return none, ErrBanned
		}
	}
	id, err := decide(ctx)
	failed = mailaccess.KindOf(err) == mailaccess.KindAuthFailed && err != nil
	if err == nil && t.account != 0 {
		g.mu.Lock()
		g.known.set(guardKey{t.network, t.account}, time.Now())
		g.mu.Unlock()
	}
	return id, err
}

// attempt says what a login counts for.
func (g *Guarded) attempt(l mailaccess.Login) *attempt {
	t := &attempt{}
	if name := cmp.Or(l.Username, l.Authzid); name != "" {
		t.account = g.account(name)
		t.name, _ = NormalizeUser(name)
	}
	a, err := netip.ParseAddr(hostOf(l.Remote))
	a = a.Unmap().WithZone("")
	if err != nil || a.IsLoopback() || slices.ContainsFunc(g.o.Trusted, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return t
	}
	bits := 24
	if a.Is6() {
		bits = 64
	}
	t.address = netip.PrefixFrom(a, a.BitLen())
	t.network = netip.PrefixFrom(a, bits).Masked()
	return t
}

// account is what an account is counted under.
func (g *Guarded) account(name string) uint64 {
	return max(maphash.String(g.seed, canonicalUser(name)), 1)
}

// begin counts a login as under way, and returns how long it has to wait. After an
// error it is not.
func (g *Guarded) begin(t *attempt) (time.Duration, error) {
	if g.banned(t) {
		return 0, ErrBanned
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var delay time.Duration
	look := func(k guardKey, waits bool) {
		c, ok := g.counts.get(k)
		if !ok {
			c = &guardCount{at: now}
			if k.account != 0 {
				c.name = t.name
			}
			g.counts.set(k, c)
		}
		t.counts = append(t.counts, c)
		if waits {
			delay = max(delay, g.delay(c.now(now, g.o.HalfLife)+float64(max(0, c.pending-concurrent)), g.free(k)))
		}
	}
	if t.address.IsValid() {
		look(guardKey{prefix: t.address}, true)
		look(guardKey{prefix: t.network}, true)
	}
	if t.account != 0 {
		since, ok := g.known.get(guardKey{t.network, t.account})
		look(guardKey{account: t.account}, !ok || now.Sub(since) > familiar)
	}
	if delay > 0 {
		if g.waiting >= g.o.MaxWaiting {
			return 0, errUnavailable(errCrowd)
		}
		g.waiting++
	}
	for _, c := range t.counts {
		c.pending++
	}
	return delay, nil
}

// end takes a login from those under way and counts its failure.
func (g *Guarded) end(t *attempt, waited, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if waited {
		g.waiting--
	}
	now := time.Now()
	for _, c := range t.counts {
		c.pending--
		if failed {
			c.failures, c.at = c.now(now, g.o.HalfLife)+1, now
		}
	}
	if failed && t.address.IsValid() {
		g.ban(t.address, t.counts[0].failures, g.o.BanAfter, now)
		g.ban(t.network, t.counts[1].failures, g.o.BanNetworkAfter, now)
	}
}

func (g *Guarded) ban(p netip.Prefix, failures float64, after int, now time.Time) {
	// Halving takes a little from what were whole numbers a moment ago.
	n := int(math.Ceil(failures - 0.5))
	if after < 0 || n < after {
		return
	}
	was, ok := g.bans[p]
	if !ok && len(g.bans) >= g.o.Size {
		// Who is banned and forgotten has to fail as often again.
		for p := range g.bans {
			delete(g.bans, p)
			break
		}
	}
	b := Ban{Prefix: p, Failures: n, Until: now.Add(g.o.BanFor)}
	g.bans[p] = b
	if ok && now.Before(was.Until) {
		return // logins that were under way fail too
	}
	g.o.Logger.Warn("banned for failed logins", zap.Stringer("network", p), zap.Int("failures", n), zap.Time("until", b.Until))
}

func (g *Guarded) banned(t *attempt) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for _, p := range [...]netip.Prefix{t.address, t.network} {
		if b, ok := g.bans[p]; ok {
			if now.Before(b.Until) {
				return true
			}
			delete(g.bans, p)
		}
	}
	return false
}

// delay returns how long to wait with so many failures of which some are free.
func (g *Guarded) delay(failures float64, free int) time.Duration {
	over := failures - float64(free) + 0.5
	if over < 0 {
		return 0
	}
	return time.Duration(min(float64(g.o.MaxDelay), float64(g.o.Delay)*math.Pow(2, math.Floor(over))))
}

func (c *guardCount) now(now time.Time, halfLife time.Duration) float64 {
	return c.failures * math.Pow(2, -float64(now.Sub(c.at))/float64(halfLife))
}
