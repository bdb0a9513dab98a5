//go:build linux

package attack

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// renegotiate asks for another handshake within a TLS connection (RFC 5246, section
// 7.4.1.2), which each time costs a server far more than who asks. The server must not do
// it. TLS 1.3 has none of it.
func renegotiate(ctx context.Context, s *server, _ int, done func()) error {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", s.imaps)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	tap := &tapped{Conn: nc}
	var secrets bytes.Buffer
	conf := s.tls.Clone()
	conf.MaxVersion, conf.KeyLogWriter = tls.VersionTLS12, &secrets
	conf.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	c := tls.Client(tap, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		return err
	}
	hello := tap.said[:binary.BigEndian.Uint16(tap.said[3:])+5]
	seal, err := writeKeys(secrets.String(), hello, tap.heard)
	if err != nil {
		return err
	}
	// The first record under these keys was the client's Finished.
	for seq := uint64(1); seq < 100; seq++ {
		if _, err := nc.Write(seal(seq, hello[0], hello[5:])); err != nil {
			break // the server has ended it
		}
	}
	// The greeting, and alerts: handshakes would be more than that.
	rest, err := io.ReadAll(nc)
	if err != nil && !hungUp(err) {
		return err
	}
	for len(rest) >= 5 {
		if rest[0] == 22 {
			return errors.New("the server shakes hands again")
		}
		rest = rest[min(len(rest), 5+int(binary.BigEndian.Uint16(rest[3:]))):]
	}
	done()
	return nil
}

// tapped keeps what goes over a connection.
type tapped struct {
	net.Conn
	said, heard []byte
}

func (t *tapped) Write(p []byte) (int, error) {
	t.said = append(t.said, p...)
	return t.Conn.Write(p)
}

func (t *tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.heard = append(t.heard, p[:n]...)
	return n, err
}

// writeKeys returns what protects the client's records: AES_128_GCM (RFC 5288, section 3)
// with the keys of RFC 5246, section 6.3. log is a line of a key log, and the hellos are
// in records.
func writeKeys(log string, clientHello, serverHello []byte) (func(seq uint64, kind byte, data []byte) []byte, error) {
	f := strings.Fields(log)
	if len(f) != 3 || f[0] != "CLIENT_RANDOM" || len(serverHello) < 43 {
		return nil, fmt.Errorf("no keys in %q", log)
	}
	master, err := hex.DecodeString(f[2])
	if err != nil {
		return nil, err
	}
	// A record's header, a handshake message's, the version, and then the random.
	client, peer := clientHello[11:43], serverHello[11:43]
	block := prf(master, "key expansion", append(bytes.Clone(peer), client...), 2*(16+4))
	key, salt := block[:16], block[32:36]
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		return nil, err
	}
	return func(seq uint64, kind byte, data []byte) []byte {
		explicit := binary.BigEndian.AppendUint64(nil, seq)
		meta := append(bytes.Clone(explicit), kind, 3, 3, byte(len(data)>>8), byte(len(data)))
		sealed := gcm.Seal(nil, append(bytes.Clone(salt), explicit...), data, meta)
		n := len(explicit) + len(sealed)
		return append(append([]byte{kind, 3, 3, byte(n >> 8), byte(n)}, explicit...), sealed...)
	}, nil
}

// prf is that of RFC 5246, section 5.
func prf(secret []byte, label string, seed []byte, n int) (out []byte) {
	seed = append([]byte(label), seed...)
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}
