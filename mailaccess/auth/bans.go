package auth

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"
)

// A Ban is a network, or one address, from which nobody can log in for a while.
type Ban struct {
	Prefix   netip.Prefix
	Failures int
	Until    time.Time
}

// A Slow is an address, a network or an account whose logins wait.
type Slow struct {
	Prefix   netip.Prefix  // of an address or network; of an account the zero value
	Account  string        // normalised; there need be no such account
	Failures int           // those that count still
	Delay    time.Duration // of the next login
}

// Bans returns who is banned now, the longest first.
func (g *Guarded) Bans() []Ban {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var bans []Ban
	for p, b := range g.bans {
		if now.Before(b.Until) {
			bans = append(bans, b)
		} else {
			delete(g.bans, p)
		}
	}
	slices.SortFunc(bans, func(a, b Ban) int {
		return cmp.Or(b.Until.Compare(a.Until), a.Prefix.Addr().Compare(b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits())
	})
	return bans
}

// Slowed returns whose logins wait, the longest first. Where somebody logged in before
// from the same network, those of an account do not. Names that no user can have are left
// out: people type passwords there.
func (g *Guarded) Slowed() []Slow {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	var slow []Slow
	for k, c := range g.counts.all() {
		failures := c.now(now, g.o.HalfLife)
		d := g.delay(failures, g.free(k))
		if d > 0 && (k.prefix.IsValid() || c.name != "") {
			slow = append(slow, Slow{k.prefix, c.name, int(math.Ceil(failures - 0.5)), d})
		}
	}
	slices.SortFunc(slow, func(a, b Slow) int {
		return cmp.Or(cmp.Compare(b.Delay, a.Delay), cmp.Compare(b.Failures, a.Failures), cmp.Compare(a.Account, b.Account),
			a.Prefix.Addr().Compare(b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits())
	})
	return slow
}

// free returns how many failures of one cost nothing.
func (g *Guarded) free(k guardKey) int {
	if k.prefix.IsValid() && !k.prefix.IsSingleIP() {
		return g.o.Free * networkFactor
	}
	return g.o.Free
}

// Lift ends the bans of a network and of whatever is inside it, and forgets their
// failures. It reports whether there was a ban, or somebody who was slowed down.
func (g *Guarded) Lift(prefix netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	inside := func(p netip.Prefix) bool {
		return p.IsValid() && prefix.Bits() <= p.Bits() && prefix.Contains(p.Addr())
	}
	bans, lifted := 0, false
	for p, b := range g.bans {
		if inside(p) {
			delete(g.bans, p)
			if now.Before(b.Until) {
				bans++
			}
		}
	}
	for k, c := range g.counts.all() {
		if inside(k.prefix) {
			lifted = g.forget(k, c, now) || lifted
		}
	}
	if lifted = lifted || bans > 0; lifted {
		g.o.Logger.Info("failed logins forgotten", zap.Stringer("network", prefix), zap.Int("bans", bans))
	}
	return lifted
}

// LiftAccount forgets the failures of an account, and reports whether it was slowed down.
func (g *Guarded) LiftAccount(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := guardKey{account: g.account(name)}
	c, ok := g.counts.get(k)
	if !ok || !g.forget(k, c, time.Now()) {
		return false
	}
	g.o.Logger.Info("failed logins forgotten", zap.String("account", canonicalUser(name)))
	return true
}

// LiftAll ends all bans, and forgets all failures.
func (g *Guarded) LiftAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.o.Logger.Info("all failed logins forgotten", zap.Int("bans", len(g.bans)))
	clear(g.bans)
	for _, c := range g.counts.all() {
		c.failures = 0
	}
}

// forget takes the failures from a count, which logins under way may still hold, and
// reports whether they were enough to slow somebody down. g.mu is held.
func (g *Guarded) forget(k guardKey, c *guardCount, now time.Time) bool {
	slow := g.delay(c.now(now, g.o.HalfLife), g.free(k)) > 0
	c.failures = 0
	return slow
}
