package protocols

import (
	"bytes"
	"io"
	"testing"

	"github.com/pires/go-proxyproto"
)

// FuzzProxyHeader: of whatever comes a header is read and not an octet more, or
// nothing but an error comes of it.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 40000 143\r\na1 NOOP\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	v2 := string(proxyproto.SIGV2)
	f.Add([]byte(v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x9c\x40\x00\x8frest"))
	f.Add([]byte(v2 + "\x20\x00\x00\x03\x04\x00\x00"))
	f.Add([]byte(v2 + "\x21\x31\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		h, err := readProxyHeader(r)
		taken := len(in) - r.Len()
		if taken > maxProxyHeader {
			t.Fatalf("%d octets read", taken)
		}
		if err != nil {
			return
		}
		if h.Command.IsProxy() && (h.SourceAddr == nil || h.DestinationAddr == nil) {
			t.Fatalf("a header without addresses: %+v", h)
		}
		// Nothing that follows changes it.
		more := append(bytes.Clone(in[:taken]), "PROXY UNKNOWN\r\n"...)
		r = bytes.NewReader(more)
		again, err := readProxyHeader(r)
		if rest, _ := io.ReadAll(r); err != nil || !again.EqualsTo(h) || string(rest) != "PROXY UNKNOWN\r\n" {
			t.Fatalf("again: %+v, %v, leaving %q", again, err, rest)
		}
	})
}
