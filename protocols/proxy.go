package protocols

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	// proxyTimeout is the time for a PROXY header. Proxies send it in one piece when
	// they connect; the specification asks for patience with one lost segment, three
	// seconds.
	proxyTimeout = 5 * time.Second

	// maxProxyHeader is the longest header: what version 2 may add to the addresses, as
	// a client's certificate, takes a few KiB at most.
	maxProxyHeader = 16 + 4<<10
	// maxProxyLine is the longest of version 1.
	maxProxyLine = 107
)

// A ProxyListener accepts connections from proxies that tell for whom they connect,
// by the PROXY protocol in its versions 1 and 2
// (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt). It is for Serve and
// ServeTLS of a [Server], whose connections read the header, ahead of TLS, in their
// own goroutines: nothing else understands what it accepts.
//
// The address that a header tells is that of the connection in every respect:
// limits, logs, failed logins. A connection that a proxy makes for itself (LOCAL,
// UNKNOWN), as to see whether the server lives, has the proxy's.
//
// Each connection must have a header. One from outside of From is closed without
// being read from, as is one without a header. Clients that come directly need a
// listener of their own. Peers of a Unix socket are trusted: its permissions say who
// they are.
//
// What a proxy tells of TLS that it has ended itself is ignored: whether nobody
// listens between it and the server cannot be seen here.
type ProxyListener struct {
	net.Listener
	From []netip.Prefix // the networks of the proxies
}

// Accept waits for a connection, but not for its header.
func (l *ProxyListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer := nc.RemoteAddr()
	ip := address(peer)
	trusted := local(peer) || slices.ContainsFunc(l.From, func(p netip.Prefix) bool { return p.Contains(ip) })
	return &proxied{Conn: nc, trusted: trusted}, nil
}

// proxied is a connection that begins with a PROXY header, if it is trusted.
type proxied struct {
	net.Conn
	trusted bool
}

var (
	errNotProxy    = errors.New("protocols: not from a proxy that is trusted")
	errNoHeader    = errors.New("no PROXY header")
	errProxyHeader = errors.New("PROXY header too long")
	errProxyLate   = errors.New("PROXY header not sent in time")
	errProxyKind   = errors.New("PROXY header for something else than a stream")
)

// ends are the two ends of a connection, as a proxy has told them.
type ends struct{ remote, local net.Addr }

// introduce reads the PROXY header of a connection, and counts it where the client
// is.
func (c *Conn) introduce() error {
	h, err := readProxyHeader(&proxyReader{c, time.Now().Add(proxyTimeout)})
	if err != nil {
		return fmt.Errorf("protocols: %w", err)
	}
	told := &ends{c.raw.RemoteAddr(), c.raw.LocalAddr()}
	if h.Command.IsProxy() {
		if !h.TransportProtocol.IsStream() {
			return fmt.Errorf("protocols: %w", errProxyKind)
		}
		told = &ends{h.SourceAddr, h.DestinationAddr}
	}
	c.told.Store(told)
	c.logOpen()
	return c.server.recount(c)
}

// recount counts an admitted connection where it really comes from, and refuses it
// if that has too many.
func (s *Server) recount(c *Conn) error {
	s.limiter.close(c.origin)
	if c.origin, c.refused = s.limiter.open(c.RemoteAddr()); c.refused == nil {
		return nil
	}
	s.mu.Lock()
	s.refusing++
	tell := !c.implicit && s.refusing <= maxRefusing
	s.mu.Unlock()
	if tell {
		return c.refuse()
	}
	return c.refused
}

// proxyReader reads from a connection until a time.
type proxyReader struct {
	c     *Conn
	until time.Time
}

func (r *proxyReader) Read(p []byte) (int, error) {
	n, err := r.c.ReadWithin(p, max(1, time.Until(r.until)))
	if errors.Is(err, ErrQuiet) {
		err = errProxyLate
	}
	return n, err
}

// readProxyHeader reads a header, and not an octet more: no buffer stays behind that
// a connection would have to keep.
func readProxyHeader(r io.Reader) (*proxyproto.Header, error) {
	header := make([]byte, len(proxyproto.SIGV2), 128)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, headerError(err)
	}
	var err error
	switch {
	case bytes.Equal(header, proxyproto.SIGV2):
		header, err = readVersion2(r, header)
	case bytes.HasPrefix(header, append(proxyproto.SIGV1, ' ')):
		header, err = readVersion1(r, header)
	default:
		err = errNoHeader
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, headerError(err)
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(header), len(header)))
	if err != nil {
		return nil, headerError(err)
	}
	return h, nil
}

func headerError(err error) error {
	if err == errNoHeader || err == errProxyLate {
		return err
	}
	return fmt.Errorf("reading the PROXY header: %w", err)
}

// readVersion1 reads on to the end of the line. The proxy has sent it whole; reading
// it by octets is what leaves alone what follows.
func readVersion1(r io.Reader, header []byte) ([]byte, error) {
	for header[len(header)-1] != '\n' {
		if len(header) == maxProxyLine {
			return nil, errProxyHeader
		}
		header = append(header, 0)
		if _, err := io.ReadFull(r, header[len(header)-1:]); err != nil {
			return nil, err
		}
	}
	return header, nil
}

// readVersion2 reads the rest of the fixed part, and what that announces.
func readVersion2(r io.Reader, header []byte) ([]byte, error) {
	fixed := len(header)
	header = append(header, 0, 0, 0, 0) // command, family, length
	if _, err := io.ReadFull(r, header[fixed:]); err != nil {
		return nil, err
	}
	rest := int(binary.BigEndian.Uint16(header[fixed+2:]))
	if len(header)+rest > maxProxyHeader {
		return nil, errProxyHeader
	}
	fixed = len(header)
	header = append(header, make([]byte, rest)...)
	_, err := io.ReadFull(r, header[fixed:])
	return header, err
}
