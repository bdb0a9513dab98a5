package prototest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// play runs a script against the toy in a bubble, where deadlines pass at once
// when nobody has anything more to say.
func play(t *testing.T, script string, opts *prototest.Options) (took time.Duration, err error) {
	t.Helper()
	s, perr := prototest.Parse("t.txt", []byte("# RFC 1, section 2: t\n"+script))
	if perr != nil {
		t.Fatal(perr)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		server := newToy(t, s.Fixture)
		err = prototest.RunScript(t, s, server, opts)
		took = time.Since(start)
		server.Close()
	})
	return took, err
}

// A transcript that is not what the server says fails, at its line, and says why.
// The first line of each script is line 2.
func TestFailures(t *testing.T) {
	const a = "\n-- a --\none\n.two\n"
	const message = "file a escaped\nmessage INBOX file=a\n" // lines 2 and 3
	tests := []struct {
		name   string
		script string
		line   int
		want   []string // all of these are in the error
	}{
		{"another line", "S: * hi", 2, []string{"want S: * hi", "got  S: * hello"}},
		{"longer", "S: * hell", 2, []string{"want S: * hell", "got  S: * hello"}},
		{"regexp at the end only", "S: {{h}}ello", 2, []string{"got  S: * hello"}},
		{"regexp at the start only", "S: * {{h}}", 2, []string{"got  S: * hello"}},
		{"regexp and text", "S: * {{[a-g]+}}o", 2, []string{"got  S: * hello"}},
		{"kept", "S: * {{x=.*}}\nC: ECHO a\nS: {{$x}}", 4, []string{"(x is hello)", "got  S: a"}},
		{"kept beside a pattern", "S: * {{x=.*}}\nC: ECHO a\nS: {{$x}}{{.*}}", 4, []string{"got  S: a"}},
		{"kept is not an expression", "S: * hello\nC: ECHO ..\nS: {{x=.*}}\nC: ECHO ab\nS: {{$x}}{{c*}}", 6, []string{"got  S: ab"}},
		{"nothing comes", "S: * hello\nS: more", 3, []string{"want S: more", "nothing came in time"}},
		{"half a line", "S: * hello\nC: BYTES 5\nS: xxxxx", 4, []string{"nothing came in time", "unread: xxxxx"}},
		{"bare LF", "S: * hello\nC: RAW \"a\\n\"\nS: a", 4, []string{"the line a ends in a bare LF"}},
		{"an end", "S: * hello\nC: QUIT\nS: bye\nS: more", 5, []string{"want S: more", "got  the end of the connection"}},
		{"no end", "S: * hello\nS: <eof>", 3, []string{"want S: <eof>", "nothing came in time"}},
		{"a line before the end", "S: * hello\nC: QUIT\nS: <eof>", 4, []string{"want S: <eof>", "got  S: bye"}},
		{"no end to skip to", "S...: <eof>", 2, []string{"want S...: <eof>", "nothing came in time"}},

		{"skip finds nothing", "S: * hello\nC: ECHO a\nS...: b", 4, []string{"want S...: b", "nothing came in time", "S: a"}},
		{"must not come", "S!: * hell{{.}}\nS...: x", 3, []string{"this must not come: * hello"}},
		{"must not come, though expected", "S!: {{.*}}lo\nS: {{.*}}", 3, []string{"this must not come: * hello"}},
		{"must not come before the end", "S!: bye\nC: QUIT\nS...: <eof>", 4, []string{"this must not come: bye"}},
		{"must not come in a group", "S: * hello\nC: TELL x\nS!: OK\nS~: OK\nS~: * x", 5, []string{"this must not come: OK"}},

		{"group: another line", "S: * hello\nC: TELL x\nS~: OK\nS~: * y", 4, []string{"none of those not seen yet", "want S~: OK", "want S~: * y", "got  S: * x"}},
		{"group: one twice", "S: * hello\nC: RAW \"a\\r\\na\\r\\n\"\nS~: a\nS~: b", 4, []string{"want S~: b", "got  S: a"}},
		{"group: one missing", "S: * hello\nC: ECHO b\nS~: a\nS~: b", 4, []string{"want S~: a", "nothing came in time"}},
		{"group: over", "S: * hello\nC: TELL x\nS~: OK\n\nS~: * x", 4, []string{"want S~: OK", "got  S: * x"}},

		{"bytes differ", "S\": \"* help\"", 2, []string{"bytes differ from the one at 5 on", "want p", "got  l"}},
		{"bytes too few", "S\": \"* hello\\r\\nand\"", 2, []string{"want 12 bytes, 9 came", "nothing came in time"}},
		{"bytes of a file", "C: RAW \"one\\r\\ntwo\\r\\n\"\nS: * hello\nS+: file=a" + a, 4, []string{"bytes differ", `want ".two`, `got  "two`}},
		{"dotted", "C: RAW \"one\\r\\n.two\\r\\n.\"\nS: * hello\nS+: file=a dotted" + a, 4, []string{"bytes differ", "one at 6 on", `want ".two`, `got  "two`}},

		{"literal differs", message + "login\nC: GET INBOX 1\nS: * 1 {{{len a}}}\nS| one\nS| two\nS: )" + a, 8,
			[]string{"in the literal of 11 bytes", "want S| two", `got  ".two`}},
		{"literal file differs", message + "login\nC: GET INBOX 1\nS: * 1 {{{len a}}}\nS| file=b\nS: )" + a + "-- b --\none\n.owt\n", 7,
			[]string{"in the literal of 11 bytes, bytes differ", `want "owt`, `got  "two`}},
		{"literal longer", message + "login\nC: GET INBOX 1\nS: * 1 {{{len a}}}\nS| one\nS: )" + a, 7,
			[]string{"want the end of the literal", "got  \".two"}},
		{"literal shorter", message + "login\nC: GET INBOX 1\nS: * 1 {{{len a}}}\nS| file=a\nS| three\nS: )" + a, 8,
			[]string{"want S| three"}},
		{"literal size", message + "login\nC: GET INBOX 1\nS: * 1 {10}\nS| file=a\nS: )" + a, 6,
			[]string{"want S: * 1 {10}", "got  S: * 1 {11}"}},
		{"size is not that of the bytes", "S: * hello\nC: RAW \"* {2}\\r\\nabc)\\r\\n\"\nS: * {{{.}}}\nS|. {{.*}}\nS: )", 4,
			[]string{"the line after a literal", "got  S: c)"}},
		{"size beyond what comes", "S: * hello\nC: RAW \"* {9}\\r\\nabc\"\nS: * {{{.}}}\nS|. {{.*}}\nS: )", 4,
			[]string{"a literal of 9 bytes is announced", "nothing came in time"}},
		{"size beyond all bounds", "S: * hello\nC: RAW \"* {999999999}\\r\\n\"\nS: * {{{.*}}}\nS|. {{.*}}\nS: )", 4,
			[]string{"999999999 bytes are more than"}},
		{"literal not in the script", message + "login\nC: GET INBOX 1\nS: * 1 {{.*}}\nS: OK" + a, 6,
			[]string{"announces a literal of 11 bytes, and no S| line"}},
		{"no literal in the answer", "S: * hello\nC: ECHO {x}\nS: {x}\nS| a\nS: )", 4, []string{"it announces no literal"}},
		{"the line after the literal", message + "login\nC: GET INBOX 1\nS: * 1 {{.*}}\nS| file=a\nS: ]\nS: OK" + a, 6,
			[]string{"the line after a literal", "got  S: )"}},
		{"skip looks at whole responses", message + "login\nC: GET INBOX 1\nS...: .two" + a, 6, []string{"want S...: .two", "nothing came in time"}},

		{"left unread", "S: * hello\nC: TELL x\nS: * x", 0, []string{"at the end", "goodbye on connection 1", "want S: bye", "got  S: OK"}},
		{"left unread on another", "S: * hello\nS2: * hello\nC: TELL x\nS: * x\nS: OK", 0, []string{"goodbye on connection 2", "got  S: * x"}},
		{"an end within a line", "S: * hello\nC: CUT ab\nS: ab", 4, []string{"want S: ab", "the connection ends within the line ab"}},
		{"half a line is no end", "S: * hello\nC: CUT ab\nS: <eof>", 4, []string{"want S: <eof>", "the connection ends within the line ab"}},
		{"an end nobody expects", "S: * hello\nC: QUIT\nS: bye", 0, []string{"goodbye on connection 1", "got  the end of the connection", "C: <not sent"}},
		{"login refused", "option refuse=demo\nlogin\nC: ECHO", 4, []string{"login as demo on connection 1, its line 3", "want S: OK demo", "got  S: NO"}},
		{"action fails", "do nothing", 2, []string{"do nothing: not known"}},
		{"cannot connect", "option dial=refused\nS: * hello", 3, []string{"open connection 1: refused"}},
		{"more before TLS", "S: * hello\nC: RAW \"a\\r\\nb\\r\\n\"\nS: a\nC: <starttls>", 5, []string{`the server said more before TLS: "b\r\n"`}},
		{"no TLS", "S: * hello\nC: <starttls>", 3, []string{"TLS handshake"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := play(t, test.script, toyOptions())
			if err == nil {
				t.Fatal("passed")
			}
			var f *prototest.Failure
			if !errors.As(err, &f) {
				t.Fatalf("a %T: %v", err, err)
			}
			if f.Line != test.line || f.File != "t.txt" {
				t.Errorf("at %s:%d, want line %d", f.File, f.Line, test.line)
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("no %q in\n%v", w, err)
				}
			}
		})
	}
}

// Without lines to say goodbye with, what has arrived by the end counts.
func TestLeftUnreadWithoutBye(t *testing.T) {
	opts := toyOptions()
	opts.Bye = ""
	const script = "S: * hello\nC: RAW \"one\\r\\ntwo\\r\\n\"\nS: one\n"
	_, err := play(t, script, opts)
	if err == nil || !strings.Contains(err.Error(), `left unread on connection 1: "two\r\n"`) {
		t.Errorf("got %v", err)
	}
	if _, err := play(t, script+"ignore rest", opts); err != nil {
		t.Errorf("with ignore rest: %v", err)
	}
	if _, err := play(t, script+"C: <close>", opts); err != nil {
		t.Errorf("closed: %v", err)
	}
}

// Without Literals, braces at the end of a line mean nothing.
func TestNoLiterals(t *testing.T) {
	opts := toyOptions()
	opts.Literals = false
	if _, err := play(t, "S: * hello\nC: ECHO a {3}\nS: a {3}", opts); err != nil {
		t.Error(err)
	}
}

// An expectation ends at its deadline, and not before.
func TestTimeout(t *testing.T) {
	for _, want := range []time.Duration{10 * time.Second, time.Minute} {
		opts := toyOptions()
		opts.Timeout = 0
		if want != 10*time.Second {
			opts.Timeout = want
		}
		took, err := play(t, "S: * hello\nS: more", opts)
		if err == nil || took != want {
			t.Errorf("failed after %v of the bubble's time, want %v: %v", took, want, err)
		}
	}
}

// What login and goodbye are made of must be lines of a conversation.
func TestOptionsAreChecked(t *testing.T) {
	opts := toyOptions()
	opts.Bye = "C2: QUIT"
	if _, err := play(t, "S: * hello", opts); err == nil || !strings.Contains(err.Error(), "bye:1") {
		t.Errorf("bye on another connection: %v", err)
	}
	opts = toyOptions()
	opts.Login = nil
	if _, err := play(t, "C: <login>", opts); err == nil || !strings.Contains(err.Error(), "do not tell how") {
		t.Errorf("login without lines: %v", err)
	}
	opts.Login = func(prototest.User) string { return "S: a\nhello" }
	if _, err := play(t, "C: <login>", opts); err == nil || !strings.Contains(err.Error(), "login:2") {
		t.Errorf("login with a line that is none: %v", err)
	}
	opts.Login = func(prototest.User) string { return "\n\n\n\nS: * hi" }
	_, err := play(t, "C: <login>", opts)
	var f *prototest.Failure
	if !errors.As(err, &f) || f.Line != 2 || !strings.Contains(err.Error(), "its line 5: not what is expected") {
		t.Errorf("a failure in the lines of login is at their line, not the script's: %v", err)
	}
}

// bare is a server that can do nothing but serve.
type bare struct{ prototest.Server }

func TestActionsAreOptional(t *testing.T) {
	for line, want := range map[string]string{
		"deliver INBOX": "cannot deliver",
		"do something":  "no actions",
		"C: <dial b>":   "no services",
	} {
		s, err := prototest.Parse("t.txt", []byte("# RFC 1, section 2: t\n"+line))
		if err != nil {
			t.Fatal(err)
		}
		err = prototest.RunScript(t, s, bare{newToy(t, s.Fixture)}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// services is a server that knows services by name.
type services struct {
	*toy
	dialled []string
}

func (s *services) DialService(name string) (net.Conn, error) {
	s.dialled = append(s.dialled, name)
	if name == "none" {
		return nil, errors.New("not listening")
	}
	return s.Dial()
}

// A transcript that was recorded cites nothing, and says which service a connection
// goes to.
func TestRecorded(t *testing.T) {
	for script, want := range map[string]string{
		"C: <dial one>\nS: * hello\nC: <close>\nC100: <dial two>\nS100: * hello\nC100: <close>\nS3: * hello\nC3: <close>": "",
		"C: <dial one>\nS: * hi":    "not what is expected",
		"C2: <dial none>\nS2: * hi": "open connection 2: not listening",
	} {
		s, err := prototest.Parse("t.txt", []byte("recorded\n"+script))
		if err != nil {
			t.Fatal(err)
		}
		server := &services{toy: newToy(t, s.Fixture)}
		err = prototest.RunScript(t, s, server, nil)
		if want == "" && (err != nil || fmt.Sprint(server.dialled) != "[one two]") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, dialled %v", script, err, server.dialled)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A failure shows the last of a long conversation only.
func TestDialogueIsBounded(t *testing.T) {
	var script strings.Builder
	script.WriteString("S: * hello\n")
	for i := range 1000 {
		fmt.Fprintf(&script, "C: ECHO %d {{repeat 5000 \"y\"}}\nS: %[1]d {{y*}}\n", i)
	}
	script.WriteString("C: ECHO a\nS: b")
	_, err := play(t, script.String(), toyOptions())
	if err == nil || len(err.Error()) > 60_000 || !strings.Contains(err.Error(), "C: ECHO 999 yyy") {
		t.Errorf("a failure of %d bytes: %.200v", len(err.Error()), err)
	}
}

func TestIndex(t *testing.T) {
	fsys := fstest.MapFS{
		"a/rfc1939-8-pop.txt":   {Data: []byte("# RFC 1939, section 8: POP3.\nS: +OK\n# see RFC 2449, sections 5 and 6.4, and RFC 3501, appendix B\nC: QUIT")},
		"rfc3501-6.3.1-sel.txt": {Data: []byte("# SELECT.\n# RFC 3501, section 6.3.1, RFC 3501, section 6.3.1\nS: * OK")},
		"README.md":             {Data: []byte("not a transcript")},
		"session.txt":           {Data: []byte("# A session, as RFC 1, section 1.\nrecorded\nS: * OK")},
	}
	entries, err := prototest.Index(fsys)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(entries)
	const want = "[{a/rfc1939-8-pop.txt RFC 1939, section 8: POP3. [RFC 1939, section 8 RFC 2449, section 5 RFC 2449, section 6.4 RFC 3501, appendix B]}" +
		" {rfc3501-6.3.1-sel.txt SELECT. [RFC 3501, section 6.3.1]}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	fsys["b.txt"] = &fstest.MapFile{Data: []byte("# RFC 1, section 1\nHello")}
	if entries, err := prototest.Index(fsys); err == nil || !strings.Contains(err.Error(), "b.txt:2") || len(entries) != 2 {
		t.Errorf("with a broken one: %d entries, %v", len(entries), err)
	}
	if _, err := prototest.Index(fstest.MapFS{}); err == nil {
		t.Error("no transcripts: no error")
	}
}
