// Command mailaccess serves mail over IMAP and POP3.
//
//	mailaccess demo                     a server with example mail, to try things out
//	mailaccess serve --users FILE ...   a server
//	mailaccess config                   a configuration file for it, to start from
//	mailaccess user add NAME ...        users and their passwords
//	mailaccess deliver NAME             one message into a Maildir store
//	mailaccess undelete NAME            what was expunged, back
//	mailaccess bans                     who is kept out for failed logins
//	mailaccess import PLACE ...         mail from another server, or from files
//	mailaccess export PLACE ...         mail to another server, or into files
//	mailaccess check                    whether a Maildir store is as it should be
//	mailaccess bench ...                how fast an IMAP and POP3 server is, this one or another
//	mailaccess new-store DIR            a store in Go, to be written
//	mailaccess new-protocol DIR         a protocol in Go, to be written
//
// It exits with 0 when all went well, with 1 and one line on standard error when not;
// deliver and check have codes of their own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program: it returns the exit code. When ctx ends, servers
// shut down in order.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		code, say := exitCode(err)
		if say {
			fmt.Fprintf(stderr, "mailaccess: %s\n", oneLine(err))
		}
		return code
	}
	return 0
}

// oneLine is the text of err without line ends, which several errors joined, or
// a name that the user gave, may have.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
