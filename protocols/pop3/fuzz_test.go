package pop3_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// preludes bring a connection into each of its states.
var preludes = []string{
	"",
	"USER demo\r\n",
	"AUTH PLAIN\r\n",
	"USER demo\r\nPASS demo\r\n",
	"USER demo\r\nPASS demo\r\nDELE 1\r\n",
}

// FuzzConn says anything at all in each state: the connection ends, and unless
// the client asked for that it is in step until then.
func FuzzConn(f *testing.F) {
	for state := range preludes {
		f.Add(uint8(state), uint8(3), []byte("STAT\r\nLIST\nRETR 1\r\nTOP 1 1\r\nUIDL 2\r\nDELE 1\r\nRSET\r\n"))
		f.Add(uint8(state), uint8(255), []byte("AUTH PLAIN AGRlbW8AZGVtbw==\r\nCAPA\r\nNOOP\r\n"))
		f.Add(uint8(state), uint8(5), []byte("AUTH SCRAM-SHA-256 biwsbj1kZW1vLHI9YWJj\r\nYz1iaXdzLHI9YWJjLHA9AA==\r\nAUTH LOGIN\r\nZGVtbw==\r\n=\r\nAUTH OAUTHBEARER bixhPWRlbW8sAWF1dGg9QmVhcmVyIHgBAQ==\r\nAQ==\r\n"))
		f.Add(uint8(state), uint8(27), []byte("AUTH LOGIN"))
		f.Add(uint8(state), uint8(1), []byte("*\r\nAUTH PLAIN =\r\nSTLS\r\n\x00\r\r\nPASS \xff\r\n"))
		f.Add(uint8(state), uint8(100), bytes.Repeat([]byte("x"), 20_000))
		f.Add(uint8(state), uint8(7), []byte("RETR 18446744073709551617\r\nTOP 1 99999999999999999999\r\nQUIT"))
	}
	f.Fuzz(func(t *testing.T, state, piece uint8, said []byte) {
		fx := demo("A: b\r\n\r\n.\r\n", "C: d\r\n\r\nbody")
		fx.Options["bad"] = "-1"
		h := newWorld(t, fx, nil)
		nc, err := h.Dial()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			all := preludes[int(state)%len(preludes)] + string(said) + "\r\n\r\n\r\nCAPA\r\nQUIT\r\n" // AUTH LOGIN asks for two lines
			for len(all) > 0 {
				n := min(len(all), int(piece)*8+1)
				if _, err := io.WriteString(nc, all[:n]); err != nil {
					return // the server has ended
				}
				all = all[n:]
			}
		}()
		heard := hear(t, nc)
		nc.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}

		lower := strings.ToLower(string(said))
		if strings.Contains(lower, "quit") || strings.Count(lower, "pass")+strings.Count(lower, "auth") >= 4 || len(said) > 1<<20 {
			return
		}
		const end = "IMPLEMENTATION mailaccess\r\n.\r\n+OK bye\r\n"
		if !strings.HasSuffix(heard, end) {
			t.Errorf("out of step: %q", heard[max(0, len(heard)-200):])
		}
	})
}

// hear reads to the end and checks the form of what is heard.
func hear(t *testing.T, r io.Reader) string {
	t.Helper()
	var b strings.Builder
	if _, err := io.Copy(&b, r); err != nil && err != io.ErrClosedPipe {
		t.Error(err)
	}
	heard := b.String()
	if heard != "" && !strings.HasSuffix(heard, "\r\n") {
		t.Errorf("the last line does not end: %q", heard[max(0, len(heard)-100):])
	}
	for line := range strings.SplitSeq(heard, "\n") {
		// RFC 2449, section 4.
		if len(line) >= 512 {
			t.Errorf("a line of %d octets", len(line)+1)
		}
	}
	return heard
}
