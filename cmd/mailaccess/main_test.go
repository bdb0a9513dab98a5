package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// TestMain lets scripts, and tests that need a process of its own, run this
// program as "mailaccess".
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"mailaccess": main})
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines left behind: %v\n", err)
			return 1
		}
	}
	return code
}

// TestScripts runs the scripts in testdata/script, which read as a transcript of
// use. In each of them $TAKEN is the port, on all of 127.0.0.1, of a listener
// that is not ours, and there are cert.pem, key.pem, which belong together, and
// other.pem, another key, and the file crlf, whose line ends in CRLF.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { taken.Close() })
			_, port, err := net.SplitHostPort(taken.Addr().String())
			if err != nil {
				return err
			}
			env.Setenv("TAKEN", port)
			return errors.Join(
				writeKeyPair(env.WorkDir, "cert.pem", "key.pem"),
				writeKeyPair(env.WorkDir, "othercert.pem", "other.pem"),
				os.WriteFile(filepath.Join(env.WorkDir, "crlf"), []byte("crlf\r\n"), 0o600),
			)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"login": scriptLogin,
		},
	})
}

// scriptLogin is the command
//
//	[!] login FILE USER PASSWORD
//
// which succeeds when the users file lets the user in.
func scriptLogin(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: login FILE USER PASSWORD")
	}
	users, err := auth.OpenUsersFile(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	_, err = users.Authenticate(context.Background(), loginOf(args[1], args[2]))
	if neg && err == nil {
		ts.Fatalf("%s could log in", args[1])
	}
	if !neg {
		ts.Check(err)
	}
}

func TestOneLine(t *testing.T) {
	err := errors.Join(errors.New("first"), errors.New("second\r\nthird"))
	if got, want := oneLine(err), "first; second; third"; got != want {
		t.Errorf("oneLine = %q, want %q", got, want)
	}
}

// tempFile returns the name of a file, that is not there, in a fresh directory.
func tempFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name)
}
