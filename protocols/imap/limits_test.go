package imap_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/stores/memory"
)

// pipelined sends commands, which pipeline, and returns all that is answered until the
// server ends the conversation.
func pipelined(t *testing.T, s *server, commands string) string {
	t.Helper()
	client, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		_, _ = io.WriteString(client, commands)
	}()
	all, err := io.ReadAll(client)
	if err != nil {
		t.Error(err)
	}
	client.Close()
	<-said
	return string(all)
}

// Each size has its limit, of which a command may reach the end; one that goes beyond it is
// refused, and the conversation goes on behind it.
func TestSizes(t *testing.T) {
	const depth, items, elements, str, line, command = 5, 20, 30, 100, 1000, 1500
	times := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+" ", n), " ") }
	set := func(n int) string { return strings.TrimSuffix(strings.Repeat("1,", n), ",") }
	literals := func(n int) string { return strings.Repeat(" SUBJECT {90+}\r\n"+strings.Repeat("x", 90), n) }
	within := func(n int) string { return strings.Repeat("(", n) + "ALL" + strings.Repeat(")", n) }
	for _, test := range []struct {
		name       string
		just, over string
		want       string // the answer to what is over
	}{
		{"lists within lists", "SEARCH " + within(depth), "SEARCH " + within(depth+1), "BAD [LIMIT] nested too deeply (limit 5)"},
		{"a million of them", "NOOP", "SEARCH " + within(1_000_000), "BAD [LIMIT] nested too deeply (limit 5)"},
		{"list items", "STORE 1 +FLAGS (" + times(items, `\Seen`) + ")", "STORE 1 +FLAGS (" + times(items+1, `\Seen`) + ")", "BAD [LIMIT] too many list items (limit 20)"},
		{"elements of a set", "FETCH " + set(elements) + " UID", "FETCH " + set(elements+1) + " UID", "BAD [LIMIT] too many elements in the set (limit 30)"},
		{"literal", "SEARCH SUBJECT {100+}\r\n" + strings.Repeat("x", str), "SEARCH SUBJECT {101+}\r\n" + strings.Repeat("x", str+1), "BAD [LIMIT] literal too big (limit 100)"},
		{"literal that waits", "NOOP", "SEARCH SUBJECT {101}", "BAD [LIMIT] literal too big (limit 100)"},
		{"the largest literal that there can be", "NOOP", "SEARCH SUBJECT {4294967295}", "BAD [LIMIT] literal too big (limit 100)"},
		{"line", "SEARCH SUBJECT " + strings.Repeat("x", line-len("b SEARCH SUBJECT \r\n")), "SEARCH SUBJECT " + strings.Repeat("x", line), "BAD [LIMIT] command line too long (limit 1000)"},
		{"command", "SEARCH ALL" + literals(13), "SEARCH ALL" + literals(15), "BAD [LIMIT] command too big (limit 1500)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fx := fuzzFixture()
			fx.Options = map[string]string{
				"max-depth": fmt.Sprint(depth), "max-items": fmt.Sprint(items), "max-set": fmt.Sprint(elements),
				"max-string": fmt.Sprint(str), "max-line": fmt.Sprint(line), "max-command": fmt.Sprint(command),
			}
			s := startServer(t, fx, inMemory(memory.New(nil)))
			got := pipelined(t, s, "a LOGIN demo demo\r\na SELECT INBOX\r\nb "+test.just+"\r\nc "+test.over+"\r\nd NOOP\r\ne LOGOUT\r\n")
			for _, want := range []string{"\r\nb OK ", "\r\nc " + test.want + "\r\n", "\r\nd OK ", "\r\ne OK "} {
				if !strings.Contains(got, want) {
					t.Errorf("there is no %q in %q", want, got)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Commands that make no sense end the connection: when they come in a row, and before the
// login, where nobody has a reason for them, whatever comes between.
func TestBadCommands(t *testing.T) {
	const bye = "* BYE too many invalid commands\r\n"
	for _, test := range []struct {
		name string
		says string
		ends bool
	}{
		{"in a row", "a LOGIN demo demo\r\n" + strings.Repeat("b SENSE\r\n", 4), true},
		{"as many as may be", "a LOGIN demo demo\r\n" + strings.Repeat("b SENSE\r\n", 3), false},
		{"with others between", "a LOGIN demo demo\r\n" + strings.Repeat("b SENSE\r\nc NOOP\r\n", 10), false},
		{"before the login", strings.Repeat("b SENSE\r\nc NOOP\r\n", 4), true},
		{"before and after the login", strings.Repeat("b SENSE\r\n", 3) + "a LOGIN demo demo\r\n" + strings.Repeat("b SENSE\r\n", 3), false},
		{"who takes this for HTTP", "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nCookie: a=b\r\n\r\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			fx := fuzzFixture()
			fx.Options = map[string]string{"bad-commands": "3"}
			s := startServer(t, fx, inMemory(memory.New(nil)))
			got := pipelined(t, s, test.says+"z LOGOUT\r\n")
			if ends := strings.HasSuffix(got, bye); ends != test.ends || ends == strings.Contains(got, "z OK ") {
				t.Errorf("ended is %v, want %v: %q", ends, test.ends, got)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What a client gives beyond a thousand commands a second, ten seconds' worth of them
// aside, is done at that pace.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
		start := time.Now()
		got := pipelined(t, s, "a LOGIN demo demo\r\n"+strings.Repeat("b NOOP\r\n", 12_000)+"c LOGOUT\r\n")
		if n := strings.Count(got, "\r\nb OK "); n != 12_000 || !strings.Contains(got, "\r\nc OK ") {
			t.Errorf("%d of 12000 commands were answered", n)
		}
		if d := time.Since(start).Round(100 * time.Millisecond); d != 2*time.Second {
			t.Errorf("12,000 commands took %v, want 2s", d)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
