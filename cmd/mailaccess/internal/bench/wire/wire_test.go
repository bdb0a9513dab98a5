package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func TestLiteral(t *testing.T) {
	for line, want := range map[string]int64{
		"* 1 FETCH (BODY[] {12}\r\n":           12,
		"* 1 FETCH (BINARY[1] ~{0}\r\n":        0,
		"* 1 FETCH (BODY[] {123456789012}\r\n": 123456789012,
		"* 1 FETCH (FLAGS ())\r\n":             -1,
		"* OK {}\r\n":                          -1,
		"* OK 12}\r\n":                         -1,
		"* OK {1x}\r\n":                        -1,
		"* OK {12}\n":                          -1,
		"}\r\n":                                -1,
	} {
		if got := literal([]byte(line)); got != want {
			t.Errorf("%q: %d, want %d", line, got, want)
		}
	}
}

// serve answers what comes with answers: after each line one of them, and returns the other end.
func serve(t *testing.T, greeting string, answers ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, greeting)
		r := bufio.NewReader(c)
		for _, a := range answers {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(c, a)
		}
		io.Copy(io.Discard, r)
	}()
	return l.Addr().String()
}

func TestIMAPCountsAnswers(t *testing.T) {
	// Lines longer than the buffer, literals that look like answers, and a literal announced where a
	// piece of a line ends.
	long := "* SEARCH" + strings.Repeat(" 123456", 3000) + "\r\n"
	padded := func(n int) string {
		return "* 9 FETCH (ENVELOPE (\"" + strings.Repeat("x", n) + "\") BODY[] {24}\r\n* 1 FETCH (\r\na1 OK no\r\n} FLAGS ())\r\n"
	}
	answers := "* 3 EXISTS\r\n* 1 FETCH (BODY[] {5}\r\n* 2 E X {3}\r\nabc)\r\n* 12 EXPUNGE\r\n* VANISHED 4:6\r\n* 11 EXISTS\r\n" + long +
		"* SORT 1 2 3\r\n* THREAD (4)(5 6 (7)(8))\r\n* FLAGS (\\Seen 99)\r\n"
	for n := range 40 {
		answers += padded(4096 - 60 + n)
	}
	c, err := DialIMAP(t.Context(), serve(t, "* OK [CAPABILITY IMAP4rev1 SORT LITERAL+] hello\r\n", answers+"a1 OK [READ-WRITE] done\r\n", "a2 NO [LIMIT] not now\r\n"),
		&DialOptions{Buffer: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !c.Has("SORT", "LITERAL-|LITERAL+") || c.Has("SORT", "THREAD=REFERENCES") {
		t.Error("the capabilities of the greeting are not known")
	}
	var kept int
	c.On = func(line []byte) { kept += len(line) }
	a, err := c.Do("ANYTHING")
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{Text: "OK [READ-WRITE] done", Fetches: 41, Expunges: 1, Vanished: 1, Numbers: 3000 + 3 + 5, Exists: 11,
		Literals: 8 + 40*24, Octets: int64(len(answers) + len("a1 OK [READ-WRITE] done\r\n"))}
	if a != want {
		t.Errorf("%+v\nwant %+v", a, want)
	}
	if kept == 0 {
		t.Error("no line was shown")
	}
	var refused *RefusedError
	if _, err := c.Do("AGAIN"); !errors.As(err, &refused) || refused.Answer != "NO [LIMIT] not now" || refused.Command != "AGAIN" {
		t.Errorf("a NO is %v", err)
	}
}

func TestIMAPFails(t *testing.T) {
	for _, answer := range []string{"a2 OK another\r\n", "* 1 FETCH (BODY[] {10}\r\n", "+ more\r\n", "a1 BAD what\r\n"} {
		c, err := DialIMAP(t.Context(), serve(t, "* OK hello\r\n", answer), nil)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := c.Send("NOOP")
		if err != nil {
			t.Fatal(err)
		}
		c.conn.(*net.TCPConn).CloseWrite() // whereupon the server says no more
		if _, err := c.Wait(tag); err == nil {
			t.Errorf("%q is an answer", answer)
		}
		c.Close()
	}
	if _, err := DialIMAP(t.Context(), serve(t, "* BYE full\r\n"), nil); err == nil {
		t.Error("BYE is a greeting")
	}
}

// A password is in no error.
func TestErrorsHaveNoPassword(t *testing.T) {
	c, err := DialIMAP(t.Context(), serve(t, "* OK hello\r\n", "a1 NO [AUTHENTICATIONFAILED] no\r\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ann", "sesame"); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("login: %v", err)
	}
	p, err := DialPOP3(t.Context(), serve(t, "+OK hello\r\n", "+OK\r\n", "-ERR no\r\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Login("ann", "sesame"); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("login: %v", err)
	}
}

func TestIMAPAppend(t *testing.T) {
	for greeting, want := range map[string]string{
		"* OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n": "a1 APPEND \"box\" (\\Seen) {5+}\r\nab\r\nc {1+}\r\nx\r\n",
		"* OK [CAPABILITY IMAP4rev1] hello\r\n":          "a1 APPEND \"box\" (\\Seen) {5}\r\nab\r\nc {1}\r\nx\r\n",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		got := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				got <- err.Error()
				return
			}
			defer c.Close()
			io.WriteString(c, greeting)
			text, r := "", bufio.NewReader(c)
			for !strings.HasSuffix(text, "x\r\n") {
				line, err := r.ReadString('\n')
				if text += line; err != nil {
					break
				}
				if strings.HasSuffix(line, "}\r\n") && !strings.HasSuffix(line, "+}\r\n") {
					fmt.Fprint(c, "* OK wait\r\n+ go on\r\n")
				}
			}
			fmt.Fprint(c, "a1 OK\r\n")
			got <- text
		}()
		c, err := DialIMAP(t.Context(), l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Append("box", Append{`(\Seen)`, []byte("ab\r\nc")}, Append{"", []byte("x")}); err != nil {
			t.Error(err)
		}
		if text := <-got; text != want {
			t.Errorf("sent %q, want %q", text, want)
		}
	}
}

func TestPOP3(t *testing.T) {
	c, err := DialPOP3(t.Context(), serve(t, "+OK hello\r\n", "+OK 2 300\r\n", "+OK\r\n1 100\r\n2 200\r\n.\r\n", "+OK\r\n..\r\n"+strings.Repeat("x", 5000)+".\r\n.\r\n", "-ERR none\r\n"),
		&DialOptions{Buffer: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, octets, err := c.Stat(); n != 2 || octets != 300 || err != nil {
		t.Errorf("STAT: %d, %d, %v", n, octets, err)
	}
	if l, err := c.List("LIST"); err != nil || l != (Listing{2, 14}) {
		t.Errorf("LIST: %+v, %v", l, err)
	}
	if l, err := c.List("RETR 1"); err != nil || l != (Listing{2, 4 + 5003}) {
		t.Errorf("RETR: %+v, %v", l, err)
	}
	if _, err := c.List("RETR 3"); err == nil {
		t.Error("-ERR is no error")
	}
}
