package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
)

// limits are the flags that bound what clients may take.
type limits struct{ protocols.Limits }

func (l *limits) register(f *pflag.FlagSet) {
	l.Limits = protocols.DefaultLimits()
	l.Memory, l.PerConnection = 0, 0 // they follow from others
	l.MaxLiteral = engine.DefaultMaxUpload

	f.Var((*count)(&l.Connections), "max-connections", "connections at the same time; 0: no limit")
	f.Var((*count)(&l.PerAddress), "max-per-address", "connections from one IPv4 address or IPv6 /64; 0: no limit")
	f.Var((*count)(&l.PerNetwork), "max-per-network", "connections from one IPv4 /24 or IPv6 /48; 0: no limit")
	f.Var((*count)(&l.PerUser), "max-per-user", "connections that one user is logged in on; 0: no limit")
	f.Var((*networks)(&l.Trusted), "trusted-networks", "networks in which many people share an address, as 192.0.2.8 or 10.0.0.0/8,fd00::/8: not counted by address and network, nor slowed down for failed logins")

	f.Var((*period)(&l.HandshakeTimeout), "handshake-timeout", "how long a TLS handshake may take")
	f.Var((*period)(&l.AuthTimeout), "auth-timeout", "how long a client may take to log in")
	f.Var((*period)(&l.CommandTimeout), "command-timeout", "how long a client may take to send the rest of a command that it has begun, and a command may wait for memory")
	f.Var((*period)(&l.LiteralTimeout), "literal-timeout", "how long a client may take to send each 64 KiB of a message")
	f.Var((*period)(&l.WriteTimeout), "write-timeout", "how long a client may take to accept each 64 KiB of what it is sent")

	f.Var((*count)(&l.CommandsPerSecond), "commands-per-second", fmt.Sprintf("commands a second on one connection, on an average over %d seconds; what is more waits; 0: no limit", protocols.BurstSeconds))
	f.Var((*count)(&l.BadCommands), "max-bad-commands", "commands in a row that make no sense, before the login in all; 0: no limit")

	f.Var((*octets)(&l.MaxLine), "max-line", "length of a command line, literals aside")
	f.Var((*octets)(&l.MaxLiteral), "max-message", "largest message that a client may send")
	f.Var((*octets)(&l.MaxString), "max-string", "largest literal that is not a message")
	f.Var((*octets)(&l.MaxCommand), "max-command", "length of a command with its literals, messages aside")
	f.Var((*most)(&l.MaxDepth), "max-nesting", "parentheses within parentheses in a command")
	f.Var((*most)(&l.MaxItems), "max-list-items", "items in all lists of a command")
	f.Var((*most)(&l.MaxSet), "max-set-elements", "elements of a sequence set")

	f.Var((*derived)(&l.Memory), "memory-budget", "memory for buffered data of all connections, beyond which new work waits; empty: half of GOMEMLIMIT, without one 512MiB")
	f.Var((*derived)(&l.PerConnection), "memory-per-connection", "the same for one connection; empty: a quarter of memory-budget, 256MiB at most")
}

// most is a flag for a number that is a limit.
type most int

// Set implements pflag.Value.
func (m *most) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return errors.New("not a number from 1 to 2147483647")
	}
	*m = most(n)
	return nil
}

// Type implements pflag.Value.
func (*most) Type() string { return "number" }

// String implements pflag.Value.
func (m *most) String() string { return strconv.Itoa(int(*m)) }

// count is a flag for a number that is a limit; 0: none.
type count int

// Set implements pflag.Value.
func (c *count) Set(text string) error {
	if text == "0" {
		*c = -1
		return nil
	}
	if (*most)(c).Set(text) != nil {
		return errors.New("not a number from 0 to 2147483647")
	}
	return nil
}

// Type implements pflag.Value.
func (*count) Type() string { return "number" }

// String implements pflag.Value.
func (c *count) String() string { return strconv.Itoa(max(0, int(*c))) }

// period is a flag for a length of time that is a limit.
type period time.Duration

// Set implements pflag.Value.
func (p *period) Set(text string) error {
	d, err := parseSpan(text)
	if err == nil && d < time.Second {
		err = errors.New("less than 1s")
	}
	*p = period(d)
	return err
}

// Type implements pflag.Value.
func (*period) Type() string { return (*span)(nil).Type() }

// String implements pflag.Value.
func (p *period) String() string { return (*span)(p).String() }

// derived is a flag for a size that follows from others where it is empty.
type derived octets

// Set implements pflag.Value.
func (d *derived) Set(text string) error {
	if text == "" {
		*d = 0
		return nil
	}
	return (*octets)(d).Set(text)
}

// Type implements pflag.Value.
func (*derived) Type() string { return (*octets)(nil).Type() }

// String implements pflag.Value.
func (d *derived) String() string {
	if *d == 0 {
		return ""
	}
	return (*octets)(d).String()
}

// networks is a flag for networks, and single addresses.
type networks []netip.Prefix

// Set implements pflag.Value.
func (n *networks) Set(text string) error {
	if text == "" {
		return nil
	}
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		p, err := netip.ParsePrefix(word)
		if a, aerr := netip.ParseAddr(word); aerr == nil {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			return fmt.Errorf("%q is no network, as 10.0.0.0/8, and no address", word)
		case p != p.Masked():
			return fmt.Errorf("%s: the network is %s", p, p.Masked())
		}
		*n = append(*n, p)
	}
	return nil
}

// Append implements pflag.SliceValue.
func (n *networks) Append(text string) error { return n.Set(text) }

// Replace implements pflag.SliceValue.
func (n *networks) Replace(list []string) error {
	*n = nil
	return n.Set(strings.Join(list, ","))
}

// GetSlice implements pflag.SliceValue.
func (n *networks) GetSlice() []string {
	words := make([]string, len(*n))
	for i, p := range *n {
		words[i] = p.String()
	}
	return words
}

// Type implements pflag.Value.
func (*networks) Type() string { return "networks" }

// String implements pflag.Value.
func (n *networks) String() string { return strings.Join(n.GetSlice(), ",") }
