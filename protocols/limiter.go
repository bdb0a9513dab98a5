package protocols

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// A Limiter counts connections in total, by address and by user. Servers that
// share one share the counts: a user's PerUser connections may then be IMAP
// here and POP3 there. It is safe for concurrent use.
type Limiter struct {
	connections, perAddress, perUser int

	mu        sync.Mutex
	total     int
	addresses map[netip.Prefix]int
	users     map[string]int
}

// NewLimiter returns a Limiter that keeps the Connections, PerAddress and
// PerUser of limits; nil means the defaults.
func NewLimiter(limits *Limits) *Limiter {
	l := limits.withDefaults()
	return &Limiter{
		connections: l.Connections,
		perAddress:  l.PerAddress,
		perUser:     l.PerUser,
		addresses:   make(map[netip.Prefix]int),
		users:       make(map[string]int),
	}
}

// Connections returns how many connections are open.
func (l *Limiter) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// open counts one more connection from the network from, or says why not. The
// zero Prefix (an in-memory or Unix transport) counts in the total only.
func (l *Limiter) open(from netip.Prefix) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.connections {
		return ErrTooManyConnections
	}
	if from.IsValid() {
		if l.addresses[from] >= l.perAddress {
			return fmt.Errorf("%w from your address", ErrTooManyConnections)
		}
		l.addresses[from]++
	}
	l.total++
	return nil
}

// close takes back what open counted.
func (l *Limiter) close(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if from.IsValid() {
		decrement(l.addresses, from)
	}
}

// login counts a connection of the user.
func (l *Limiter) login(user string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users[user] >= l.perUser {
		return fmt.Errorf("protocols: login: %w of this user", ErrTooManyConnections)
	}
	l.users[user]++
	return nil
}

// logout takes back what login counted.
func (l *Limiter) logout(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	decrement(l.users, user)
}

func decrement[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// network returns the unit by which connections are counted: an IPv4 address, or
// the /64 that one IPv6 customer has at least. It is the zero Prefix when the
// address is not an IP address.
func network(a net.Addr) netip.Prefix {
	ip := address(a)
	if !ip.IsValid() {
		return netip.Prefix{}
	}
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits) // the only error is a bit count out of range
	return p
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
