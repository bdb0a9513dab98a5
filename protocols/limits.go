package protocols

import (
	"math"
	"time"
)

// Limits bound what clients may take. The zero value of each field means the
// default given with it, a negative value means no limit.
type Limits struct {
	Connections int // connections in total; default 16384
	PerAddress  int // connections from one address (IPv4) or /64 (IPv6), authenticated or not; default 256
	PerUser     int // authenticated connections of one user, from anywhere; default 64

	// AuthTimeout is the time to authenticate, counted from the moment the
	// connection was accepted, whatever the client says meanwhile; default 3m.
	AuthTimeout time.Duration

	// IdleTimeout is how long one Read waits, unless the protocol says otherwise
	// with SetIdleTimeout; default 30m, the least that RFC 3501, section 5.4
	// permits (RFC 1939, section 3: 10m).
	IdleTimeout time.Duration

	// WriteTimeout is how long a client may take to accept 64 KiB; default 1m. One
	// that stops in the middle of a long write is found out after twice that at
	// the latest.
	WriteTimeout time.Duration

	// HandshakeTimeout is the time for a TLS handshake; default 30s.
	HandshakeTimeout time.Duration

	// The rest is kept by the protocols; this package only carries it.

	MaxLine     int64 // bytes of a command line, literals aside; default 64 KiB
	MaxLiteral  int64 // bytes of a literal or message that a client sends; default 128 MiB
	BadCommands int   // commands without sense in a row before the connection is closed; default 20
}

// withDefaults returns the limits as they are in force: defaults filled in, and
// "no limit" as the largest value of its type, so that a comparison suffices.
func (l *Limits) withDefaults() Limits {
	var r Limits
	if l != nil {
		r = *l
	}
	resolve(&r.Connections, 16384, math.MaxInt)
	resolve(&r.PerAddress, 256, math.MaxInt)
	resolve(&r.PerUser, 64, math.MaxInt)
	resolve(&r.AuthTimeout, 3*time.Minute, forever)
	resolve(&r.IdleTimeout, 30*time.Minute, forever)
	resolve(&r.WriteTimeout, time.Minute, forever)
	resolve(&r.HandshakeTimeout, 30*time.Second, forever)
	resolve(&r.MaxLine, 64<<10, math.MaxInt64)
	resolve(&r.MaxLiteral, 128<<20, math.MaxInt64)
	resolve(&r.BadCommands, 20, math.MaxInt)
	return r
}

func resolve[T int | int64 | time.Duration](v *T, normal, none T) {
	switch {
	case *v == 0:
		*v = normal
	case *v < 0:
		*v = none
	}
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
