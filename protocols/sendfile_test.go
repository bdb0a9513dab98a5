package protocols_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

// aFile returns a file of n octets, and what is in it.
func aFile(t *testing.T, n int) (*os.File, []byte) {
	t.Helper()
	b := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	name := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, b
}

// takesFiles is a connection that reads from files itself, and says how often.
type takesFiles struct {
	net.Conn
	took int
}

func (c *takesFiles) ReadFrom(r io.Reader) (int64, error) {
	c.took++
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// A part of a file goes out as it is, over whatever channel, between what was written before and
// after it; where the file ends before, that is all there is.
func TestReadFrom(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	f, b := aFile(t, 300<<10)
	s := &protocols.Server{
		TLSConfig: config,
		Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			for _, r := range []io.Reader{
				&io.LimitedReader{R: io.NewSectionReader(f, 0, 1000), N: 1000},
				&io.LimitedReader{R: f, N: 200 << 10},
				bytes.NewReader(b[:10]),
				&io.LimitedReader{R: f, N: 200 << 10},
			} {
				if _, err := c.Write([]byte("[")); err != nil {
					return err
				}
				if _, err := c.ReadFrom(r); err != nil {
					return err
				}
			}
			_, err := f.Seek(0, io.SeekStart)
			return err
		}),
	}
	want := "[" + string(b[:1000]) + "[" + string(b[:200<<10]) + "[" + string(b[:10]) + "[" + string(b[200<<10:])
	plain, err := net.Dial("tcp", listen(t, s, s.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if got := all(t, plain); got != want {
		t.Errorf("plain: %d octets, want the %d of the file", len(got), len(want))
	}
	s = &protocols.Server{TLSConfig: config, Protocol: s.Protocol}
	secret, err := tls.Dial("tcp", listen(t, s, s.ServeTLS), clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	if got := all(t, secret); got != want {
		t.Errorf("TLS: %d octets, want the %d of the file", len(got), len(want))
	}
}

// A client may be as slow with a file as with anything else, and no slower.
func TestReadFromSlowClient(t *testing.T) {
	for _, test := range []struct {
		name string
		read int // what the client reads within each minute
		want error
	}{{"slow", 64 << 10, nil}, {"too slow", 16 << 10, protocols.ErrWriteTimeout}} {
		f, b := aFile(t, 10*64<<10)
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			taker := &takesFiles{Conn: server}
			s := &protocols.Server{
				Limits: &protocols.Limits{WriteTimeout: time.Minute},
				Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
					n, err := c.ReadFrom(&io.LimitedReader{R: f, N: int64(len(b))})
					if err != test.want || err == nil && n != int64(len(b)) {
						t.Errorf("%s: %d of %d, %v", test.name, n, len(b), err)
					}
					return err
				}),
			}
			ended := make(chan struct{})
			go func() { s.ServeConn(taker); close(ended) }()
			var got bytes.Buffer
			for got.Len() < len(b) {
				time.Sleep(50 * time.Second) // fake time
				if _, err := io.CopyN(&got, client, int64(test.read)); err != nil {
					break
				}
			}
			client.Close()
			<-ended
			if !bytes.Equal(got.Bytes(), b[:got.Len()]) || (test.want == nil) != (got.Len() == len(b)) {
				t.Errorf("%s: the client has %d octets", test.name, got.Len())
			}
			if taker.took == 0 {
				t.Errorf("%s: the connection was not given the file", test.name)
			}
		})
	}
}
