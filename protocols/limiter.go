package protocols

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// A Limiter counts connections in total, by address, by network and by user.
// Servers that share one share the counts: a user's PerUser connections may then be
// IMAP here and POP3 there. It also keeps the budget of memory, and
// who works for long takes turns with those of all of them. It is safe for
// concurrent use.
type Limiter struct {
	limits Limits // as they are in force
	memory memory
	turns  *turns

	mu    sync.Mutex
	total int
	from  map[netip.Prefix]int // by address and by network
	users map[string]*userCount
}

// userCount is what is counted of a user who has connections.
type userCount struct {
	connections int
	memory      memory // the user's share
}

// NewLimiter returns a Limiter that keeps the Connections, PerAddress, PerNetwork
// and PerUser of limits, but for those that are Trusted, and the Memory and
// PerConnection; nil means the defaults.
func NewLimiter(limits *Limits) *Limiter {
	l := limits.withDefaults()
	return &Limiter{
		limits: l,
		memory: newMemory(l.Memory),
		turns:  newTurns(placesForWork()),
		from:   make(map[netip.Prefix]int),
		users:  make(map[string]*userCount),
	}
}

// Connections returns how many connections are open.
func (l *Limiter) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// An origin is where a connection counts: the address, IPv6's customer of a /64, and
// the network around it. It is the zero origin where it counts in the total only.
type origin struct{ address, network netip.Prefix }

// open counts one more connection from a, or says why not.
func (l *Limiter) open(a net.Addr) (origin, error) {
	from := l.origin(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.limits.Connections {
		return from, ErrTooManyConnections
	}
	if from.address.IsValid() {
		switch {
		case l.from[from.address] >= l.limits.PerAddress:
			return from, fmt.Errorf("%w from your address", ErrTooManyConnections)
		case l.from[from.network] >= l.limits.PerNetwork:
			return from, fmt.Errorf("%w from your network", ErrTooManyConnections)
		}
		l.from[from.address]++
		l.from[from.network]++
	}
	l.total++
	return from, nil
}

// close takes back what open counted.
func (l *Limiter) close(from origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if from.address.IsValid() {
		decrement(l.from, from.address)
		decrement(l.from, from.network)
	}
}

// origin returns where connections from a count. An IPv6 customer has a /64 at
// least, and often a /48.
func (l *Limiter) origin(a net.Addr) origin {
	ip := address(a)
	if !ip.IsValid() || ip.IsLoopback() || slices.ContainsFunc(l.limits.Trusted, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return origin{}
	}
	customer, around := 64, 48
	if ip.Is4() {
		customer, around = 32, 24
	}
	// The only error is a bit count out of range.
	var o origin
	o.address, _ = ip.Prefix(customer)
	o.network, _ = ip.Prefix(around)
	return o
}

// login counts a connection of the user, and returns the user's share of the memory.
func (l *Limiter) login(user string) (*memory, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.users[user]
	if u == nil {
		u = &userCount{memory: l.memory.share(l.limits.PerConnection)}
		l.users[user] = u
	}
	if u.connections >= l.limits.PerUser {
		return nil, fmt.Errorf("protocols: login: %w of this user", ErrTooManyConnections)
	}
	u.connections++
	return &u.memory, nil
}

// logout takes back what login counted.
func (l *Limiter) logout(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.users[user]; u.connections > 1 {
		u.connections--
	} else {
		delete(l.users, user)
	}
}

func decrement[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// address returns the IP address of a, an IPv4 address never in its IPv6 form.
func address(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case nil:
		return netip.Addr{}
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// local reports whether a belongs to a transport that does not leave the
// machine by its nature: an in-memory pipe or a Unix socket.
func local(a net.Addr) bool {
	if a == nil {
		return false
	}
	switch a.Network() {
	case "pipe", "unix", "unixpacket":
		return true
	}
	return false
}
