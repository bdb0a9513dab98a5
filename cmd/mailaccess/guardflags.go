package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// guarding are the flags that say what becomes of who guesses passwords. Whom it does not
// count is among the limits: --trusted-networks.
type guarding struct {
	free                      int
	delay, maxDelay           time.Duration
	banAfter, banNetworkAfter int // 0: never
	banFor                    span
}

func newGuarding() guarding {
	return guarding{free: 5, delay: time.Second, maxDelay: 30 * time.Second, banAfter: 30, banNetworkAfter: 300, banFor: span(15 * time.Minute)}
}

// register adds the flags. What the fields hold are the defaults.
func (g *guarding) register(f *pflag.FlagSet) {
	f.IntVar(&g.free, "auth-failures-free", g.free, "how many failed logins of an address or account slow nothing down; of a network ten times as many")
	f.DurationVar(&g.delay, "auth-failure-delay", g.delay, "how long a login waits after that; twice as long with each further failure")
	f.DurationVar(&g.maxDelay, "auth-failure-max-delay", g.maxDelay, "how long at most")
	f.IntVar(&g.banAfter, "auth-ban-after", g.banAfter, "how many failed logins ban an address; 0: never")
	f.IntVar(&g.banNetworkAfter, "auth-ban-network-after", g.banNetworkAfter, "how many failed logins ban a network (IPv4 /24, IPv6 /64); 0: never")
	f.Var(&g.banFor, "auth-ban-for", "how long")
}

// options are what the flags say.
func (g *guarding) options() (*auth.GuardOptions, error) {
	switch {
	case g.free < 1:
		return nil, fmt.Errorf("--auth-failures-free %d: less than 1", g.free)
	case g.delay <= 0 || g.maxDelay < g.delay:
		return nil, fmt.Errorf("--auth-failure-delay %v, --auth-failure-max-delay %v: not a time and a longer one", g.delay, g.maxDelay)
	case g.banAfter < 0:
		return nil, fmt.Errorf("--auth-ban-after %d: less than nothing", g.banAfter)
	case g.banNetworkAfter < 0:
		return nil, fmt.Errorf("--auth-ban-network-after %d: less than nothing", g.banNetworkAfter)
	case g.banFor <= 0:
		return nil, fmt.Errorf("--auth-ban-for %v: no time at all; --auth-ban-after 0 bans nobody", &g.banFor)
	}
	after := func(n int) int {
		if n == 0 {
			return -1
		}
		return n
	}
	return &auth.GuardOptions{
		Free: g.free, Delay: g.delay, MaxDelay: g.maxDelay,
		BanAfter: after(g.banAfter), BanNetworkAfter: after(g.banNetworkAfter), BanFor: time.Duration(g.banFor),
	}, nil
}
