package imap_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/stores/memory"
)

// compressed is a client's connection on which COMPRESS is active (RFC 4978). What is
// written goes out whole.
type compressed struct {
	net.Conn
	r   io.Reader
	w   *flate.Writer
	buf bytes.Buffer
}

func newCompressed(t testing.TB, c net.Conn) *compressed {
	z := &compressed{Conn: c, r: flate.NewReader(c)}
	var err error
	if z.w, err = flate.NewWriter(&z.buf, flate.BestSpeed); err != nil {
		t.Fatal(err)
	}
	return z
}

func (z *compressed) Read(p []byte) (int, error) { return z.r.Read(p) }

func (z *compressed) Write(p []byte) (int, error) {
	z.buf.Reset()
	if _, err := z.w.Write(p); err != nil {
		return 0, err
	}
	if err := z.w.Flush(); err != nil {
		return 0, err
	}
	if _, err := z.Conn.Write(z.buf.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// converses says each line and reads up to its answer, and returns the connection as
// it then is: compressed, after COMPRESS.
func converses(t testing.TB, c net.Conn, lines ...string) net.Conn {
	t.Helper()
	r := bufio.NewReader(c)
	until := func(prefix string) {
		t.Helper()
		for line := ""; !strings.HasPrefix(line, prefix); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatalf("waiting for %q: %v", prefix, err)
			}
		}
	}
	for i, line := range lines {
		if line == "" {
			until("* OK ")
			continue
		}
		tag := fmt.Sprint("t", i)
		if _, err := fmt.Fprintf(c, "%s %s\r\n", tag, line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if line == "IDLE" {
			until("+ ")
			continue
		}
		until(tag + " OK ")
		if line == "COMPRESS DEFLATE" {
			c = newCompressed(t, c)
			r.Reset(c)
		}
	}
	return c
}

// TestCompressIdleMemory: a compressed connection that waits costs at most 8 KiB more
// than a plain one, however much was said on it.
func TestCompressIdleMemory(t *testing.T) {
	const most = 8 << 10
	n := int64(100)
	if raceEnabled {
		n = 10 // it measures nothing then
	}
	lines := []string{"", "LOGIN demo demo", "NOOP", "SELECT INBOX"}
	for i := range 170 { // more than a window, of what clients ask again and again
		lines = append(lines, fmt.Sprintf("UID FETCH %d:%d (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority "+
			"X-Priority References Newsgroups In-Reply-To Content-Type Reply-To List-Id List-Unsubscribe X-Spam-Status)])", i%97+9, i%97+i%7+9))
	}
	lines = append(lines, "IDLE")
	cost := func(second string) (perConn int64) {
		synctest.Test(t, func(t *testing.T) {
			fx := fuzzFixture()
			fx.Options["per-user"] = "-1"
			s := startServer(t, fx, inMemory(memory.New(nil)))
			lines[2] = second
			conns := make([]net.Conn, 0, 2*n)
			open := func() {
				for range n {
					c, ours := net.Pipe()
					s.wg.Go(func() { s.srv.ServeConn(ours) })
					converses(t, c, lines...)
					conns = append(conns, c)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
			}
			open() // fills what is filled once
			before := inUse()
			open()
			perConn = (inUse() - before) / n
			for _, c := range conns {
				c.Close()
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return perConn
	}
	plain, deflated := cost("NOOP"), cost("COMPRESS DEFLATE")
	t.Logf("a connection that waits: %d octets plain, %d compressed", plain, deflated)
	// The race detector keeps its own accounts of memory within that of the program.
	if deflated-plain > most && !raceEnabled {
		t.Errorf("a compressed connection that waits costs %d octets more than a plain one, want %d at most", deflated-plain, most)
	}
}

// inUse is how many octets are in use, stacks included.
func inUse() int64 {
	for range 4 { // a stack shrinks by half at a time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestCompressBroken: what is not compressed ends the connection, after BYE.
func TestCompressBroken(t *testing.T) {
	for _, says := range []string{"a NOOP\r\n", "\x07", "\x00\x01\x02\x03\x04", "\x03\x02\x00"} {
		s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
		c, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		z := converses(t, c, "", "LOGIN demo demo", "COMPRESS DEFLATE")
		if _, err := io.WriteString(c, says); err != nil {
			t.Fatal(err)
		}
		last, err := io.ReadAll(z)
		// The stream has no end of its own.
		if err != io.ErrUnexpectedEOF || !strings.HasPrefix(string(last), "* BYE ") {
			t.Errorf("%q: %q and %v, want BYE", says, last, err)
		}
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCompressBomb: a few octets that become many cannot make more of them be held
// than plain ones can.
func TestCompressBomb(t *testing.T) {
	for _, begins := range []string{"a NOOP ", "a X {100000000+}\r\n", "a X {60000+}\r\n"} {
		s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
		c, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		z := converses(t, c, "", "LOGIN demo demo", "COMPRESS DEFLATE")
		var before, after runtime.MemStats
		go func() {
			io.WriteString(z, begins)
			zeros := strings.Repeat("0", 1<<20)
			for range 100 {
				if _, err := io.WriteString(z, zeros); err != nil {
					return
				}
			}
		}()
		runtime.ReadMemStats(&before)
		said, _ := io.ReadAll(z)
		runtime.ReadMemStats(&after)
		if !strings.Contains(string(said), "* BYE [TOOBIG]") {
			t.Errorf("%q: %q, want BYE", begins, said)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
			t.Errorf("%q: %d octets were allocated", begins, used)
		}
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzCompress sends whatever comes after COMPRESS: as it is, or compressed. The
// former ends in BYE or waits for more; the latter is as FuzzConnection has it.
func FuzzCompress(f *testing.F) {
	for _, seed := range []string{"", "a NOOP\r\n", "\x03\x00", "\x00\x00\x00\xff\xff", "\x05\xe0\x81\x08", "c IDLE\r\nDONE\r\n", "c X {5}\r\n"} {
		f.Add(true, []byte(seed))
		f.Add(false, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw bool, data []byte) {
		s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
		c, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		z := converses(t, c, "", "LOGIN demo demo", "SELECT INBOX", "COMPRESS DEFLATE")
		if raw {
			go io.Copy(io.Discard, c)
			c.Write(data)
		} else {
			converse(t, z, string(data))
		}
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnauthenticateEndsCompression: RFC 8437, section 4.1: the compression of each
// side ends with the command and its answer, and the next login may follow at once, in
// plain.
func TestUnauthenticateEndsCompression(t *testing.T) {
	for name, end := range map[string]func(*flate.Writer) error{"flushed": (*flate.Writer).Flush, "closed": (*flate.Writer).Close} {
		fx := fuzzFixture()
		fx.Options["unauthenticate"] = "yes"
		s := startServer(t, fx, inMemory(memory.New(nil)))
		c, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		z := converses(t, c, "", "LOGIN demo demo", "SELECT INBOX", "COMPRESS DEFLATE", "NOOP").(*compressed)
		z.buf.Reset()
		if _, err := io.WriteString(z.w, "u UNAUTHENTICATE\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := end(z.w); err != nil {
			t.Fatal(err)
		}
		z.buf.WriteString("p LOGIN demo demo\r\n")
		go c.Write(z.buf.Bytes())
		in := bufio.NewReader(c)
		if err := z.r.(flate.Resetter).Reset(in, nil); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(z.r)
		if err != nil || !strings.HasPrefix(string(answer), "u OK [CAPABILITY ") {
			t.Errorf("%s: %q and %v", name, answer, err)
		}
		if line, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "p OK ") {
			t.Errorf("%s: after the compression: %q and %v", name, line, err)
		}
		// It can begin anew.
		converses(t, c, "NOOP", "COMPRESS DEFLATE", "NOOP")
		c.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
