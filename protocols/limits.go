package protocols

import (
	"fmt"
	"math"
	"net/netip"
	"runtime/debug"
	"time"
)

// Limits bound what clients may take. The zero value of each field means the
// default given with it, a negative value means no limit.
type Limits struct {
	Connections int // connections in total; default 16384
	PerAddress  int // connections from one address (IPv4) or /64 (IPv6), authenticated or not; default 256
	PerNetwork  int // connections from one /24 (IPv4) or /48 (IPv6), authenticated or not; default 1024
	PerUser     int // authenticated connections of one user, from anywhere; default 64

	// Trusted are networks in which many people share an address, as behind a webmail:
	// their connections do not count by address and network. Nor do those from
	// loopback addresses, and of peers that have none, such as Unix sockets.
	Trusted []netip.Prefix

	// HandshakeTimeout is the time for a TLS handshake, ahead of the greeting or
	// within the conversation; default 30s.
	HandshakeTimeout time.Duration

	// AuthTimeout is the time to authenticate, counted from the moment the
	// connection was accepted, whatever the client says meanwhile; default 3m.
	AuthTimeout time.Duration

	// IdleTimeout is how long one Read waits, unless the protocol says otherwise
	// with SetIdleTimeout; default 30m, the least that RFC 3501, section 5.4
	// permits (RFC 1939, section 3: 10m).
	IdleTimeout time.Duration

	// CommandTimeout is how long a client may let the server wait, in all, for the rest
	// of a command that it has begun; default 2m.
	CommandTimeout time.Duration

	// LiteralTimeout is how long a client may take to send each 64 KiB of a command;
	// default 2m. Each octet wins back its part of that for CommandTimeout, so that a
	// literal may take as long as it does while octets come, and no longer.
	LiteralTimeout time.Duration

	// WriteTimeout is how long a client may let the server wait to have its output
	// accepted; default 1m. Each 64 KiB that it accepts win that back, so that it
	// may take as long as it does at that rate, and no longer at any lower one.
	WriteTimeout time.Duration

	// CommandsPerSecond is how many commands a connection may give in a second, on an
	// average over BurstSeconds; default 1000. Whoever gives more is served at that
	// pace: nothing is refused.
	CommandsPerSecond int

	// Memory is how many octets of buffered data all connections together may hold,
	// and PerConnection how many one of them, beyond what a connection takes in any
	// case: see [Conn.Reserve]. All connections of one user together have a quarter of
	// what there is for each use, but for their results no less than PerConnection. Default for Memory: half of the Go
	// runtime's memory limit (GOMEMLIMIT), 512 MiB where that is not set; for
	// PerConnection: a quarter of Memory, 256 MiB at most.
	Memory        int64
	PerConnection int64

	// The rest is kept by the protocols; this package only carries it.

	BadCommands int   // commands without sense in a row, before the login in all, before the connection is closed; default 20
	MaxLine     int64 // octets of a command line, literals aside; default 64 KiB
	MaxLiteral  int64 // octets of a message that a client sends as a literal; default 128 MiB
	MaxString   int64 // octets of any other literal; default 64 KiB
	MaxCommand  int64 // octets of a command with its literals, messages aside; default 256 KiB; at most half of PerConnection, and 1/32 of Memory
	MaxDepth    int   // lists within lists; default 256
	MaxItems    int   // items in all lists of a command; default 8192
	MaxSet      int   // elements of a sequence set; default 32768
}

// BurstSeconds is over how many seconds Limits.CommandsPerSecond counts.
const BurstSeconds = 10

// DefaultLimits returns the limits that are in force where nothing else is said.
func DefaultLimits() Limits { return (*Limits)(nil).withDefaults() }

// withDefaults returns the limits as they are in force: defaults filled in, and
// "no limit" as the largest value of its type, so that a comparison suffices.
func (l *Limits) withDefaults() Limits {
	var r Limits
	if l != nil {
		r = *l
	}
	resolve(&r.Connections, 16384, math.MaxInt)
	resolve(&r.PerAddress, 256, math.MaxInt)
	resolve(&r.PerNetwork, 1024, math.MaxInt)
	resolve(&r.PerUser, 64, math.MaxInt)
	resolve(&r.HandshakeTimeout, 30*time.Second, forever)
	resolve(&r.AuthTimeout, 3*time.Minute, forever)
	resolve(&r.IdleTimeout, 30*time.Minute, forever)
	resolve(&r.CommandTimeout, 2*time.Minute, forever)
	resolve(&r.LiteralTimeout, 2*time.Minute, forever)
	resolve(&r.WriteTimeout, time.Minute, forever)
	resolve(&r.CommandsPerSecond, 1000, math.MaxInt)
	resolve(&r.Memory, defaultMemory(), math.MaxInt64)
	resolve(&r.PerConnection, min(r.Memory/4, 256<<20), math.MaxInt64)
	resolve(&r.BadCommands, 20, math.MaxInt)
	resolve(&r.MaxLine, 64<<10, math.MaxInt64)
	resolve(&r.MaxLiteral, 128<<20, math.MaxInt64)
	resolve(&r.MaxString, 64<<10, math.MaxInt64)
	resolve(&r.MaxCommand, 256<<10, math.MaxInt64)
	resolve(&r.MaxDepth, 256, math.MaxInt)
	resolve(&r.MaxItems, 8192, math.MaxInt)
	resolve(&r.MaxSet, 32768, math.MaxInt)
	return r
}

// mostCommand is the largest MaxCommand for which a user has memory.
func (l *Limits) mostCommand() int64 { return min(l.PerConnection, inputOf(l.Memory)/4) / 2 }

// shared takes over those that are kept by a Limiter.
func (l *Limits) shared(by *Limits) {
	l.Connections, l.PerAddress, l.PerNetwork, l.PerUser = by.Connections, by.PerAddress, by.PerNetwork, by.PerUser
	l.Trusted, l.Memory, l.PerConnection = by.Trusted, by.Memory, by.PerConnection
	l.MaxCommand = min(l.MaxCommand, l.mostCommand())
}

// defaultMemory leaves half of what the process may take to everything else.
func defaultMemory() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit / 2
	}
	return 512 << 20
}

// leastMemory is the least that Memory may be: a few large commands.
const leastMemory = 16 << 20

// Check reports whether the limits can be kept together.
func (l *Limits) Check() error {
	r := l.withDefaults()
	switch {
	case r.Memory < leastMemory:
		return fmt.Errorf("protocols: limits: Memory of %d octets is less than %d", r.Memory, leastMemory)
	case r.PerConnection > r.Memory:
		return fmt.Errorf("protocols: limits: PerConnection of %d octets is more than Memory, %d", r.PerConnection, r.Memory)
	case r.MaxCommand > r.mostCommand() && r.MaxCommand != math.MaxInt64:
		return fmt.Errorf("protocols: limits: MaxCommand of %d octets is more than half of PerConnection, %d, or 1/32 of Memory, %d",
			r.MaxCommand, r.PerConnection, r.Memory)
	case r.MaxString > r.MaxCommand:
		return fmt.Errorf("protocols: limits: MaxString of %d octets is more than MaxCommand, %d", r.MaxString, r.MaxCommand)
	}
	for _, p := range r.Trusted {
		if !p.IsValid() {
			return fmt.Errorf("protocols: limits: Trusted has what is no network")
		}
	}
	return nil
}

func resolve[T int | int64 | time.Duration](v *T, normal, none T) {
	switch {
	case *v == 0:
		*v = normal
	case *v < 0:
		*v = none
	}
}

// A patience is how long a client has let the server wait, less what it has won back
// since: the limit is one on progress, not on the length of what is sent.
type patience struct{ waited time.Duration }

// chunk is how many octets win back the whole of a time limit on progress.
const chunk = 64 << 10

// spend counts a wait that n octets ended or interrupted, of which a chunk wins back d.
func (p *patience) spend(wait time.Duration, n int, d time.Duration) {
	won := float64(d) * float64(n) / chunk
	p.waited = max(0, p.waited+wait-time.Duration(min(won, float64(p.waited+wait))))
}

// left is how much of limit is left.
func (p *patience) left(limit time.Duration) time.Duration {
	if limit == forever {
		return forever
	}
	return max(0, limit-p.waited)
}

// forever is the duration of what has no limit.
const forever = time.Duration(math.MaxInt64)

// after returns the moment d from t, or the zero time, which net.Conn takes for
// no deadline, when d has no limit.
func after(t time.Time, d time.Duration) time.Time {
	if d == forever {
		return time.Time{}
	}
	return t.Add(d)
}
