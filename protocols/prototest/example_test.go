package prototest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// greeter is a server that greets, and greets again when it is greeted.
type greeter struct{}

func (greeter) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		fmt.Fprint(server, "* who is there?\r\n")
		for lines := bufio.NewScanner(server); lines.Scan(); {
			fmt.Fprintf(server, "hello, %s!\r\n", strings.TrimPrefix(lines.Text(), "I am "))
		}
	}()
	return client, nil
}

func (greeter) Close() error { return nil }

const conversation = `# RFC 862, section 1: what is said comes back.
S: * who is there?
C: I am 7 of 9
S: hello, {{name=\d of \d}}!
C: I am {{$name}} again
S: hello, {{$name}}!
`

// A protocol is proved by the conversations in testdata, each with a server of its own.
func ExampleRun() {
	_ = func(t *testing.T) { // TestTranscripts
		start := func(t testing.TB, fx prototest.Fixture) prototest.Server {
			return greeter{} // over the mail that fx describes
		}
		prototest.Run(t, os.DirFS("testdata"), start, &prototest.Options{
			Login: func(u prototest.User) string { return "S: {{.*}}\nC: I am " + u.Name + "\nS: hello, {{.*}}!\n" },
		})
	}
}

func ExampleRunScript() {
	script, err := prototest.Parse("greeting.txt", []byte(conversation))
	if err != nil {
		fmt.Println(err)
		return
	}
	var t testing.TB // only the deliver and do lines need one
	fmt.Println(prototest.RunScript(t, script, greeter{}, nil))
	// Output:
	// greeting.txt:6: not what is expected
	//     want S: hello, {{$name}}!   (name is 7 of 9)
	//     got  S: hello, 7 of 9 again!
	// what was said:
	//     S: * who is there?
	//     C: I am 7 of 9
	//     S: hello, 7 of 9!
	//     C: I am 7 of 9 again
	//     S: hello, 7 of 9 again!
}

func ExampleIndex() {
	entries, err := prototest.Index(fstest.MapFS{"greeting.txt": {Data: []byte(conversation)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range entries {
		fmt.Println(e.File, e.Citations)
	}
	// Output:
	// greeting.txt [RFC 862, section 1]
}

// Hundreds of transcripts take seconds at most: what one costs.
func BenchmarkTranscript(b *testing.B) {
	script, err := prototest.Parse("t.txt", []byte("# RFC 1, section 1\nmessage INBOX\nlogin\n"+
		strings.Repeat("C: ECHO a b\nS: a {{[a-z]}}\n", 10)))
	if err != nil {
		b.Fatal(err)
	}
	opts := toyOptions()
	for b.Loop() {
		server := newToy(b, script.Fixture)
		if err := prototest.RunScript(b, script, server, opts); err != nil {
			b.Fatal(err)
		}
		server.Close()
	}
}
