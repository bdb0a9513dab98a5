package prototest

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strings"
	"testing"
	"time"
)

// Server is a fresh server for one transcript.
type Server interface {
	// Dial opens a connection, in memory or over TCP. The runner closes it.
	Dial() (net.Conn, error)
	// Close stops the server. The runner calls it once, after it has closed
	// every connection; an error fails the transcript.
	Close() error
}

// Deliverer is a Server that lets another program deliver mail while clients
// are connected (the deliver line).
type Deliverer interface {
	Deliver(t testing.TB, m Message) error
}

// Dialer is a Server with several services, such as imap and imaps, of which a
// transcript chooses one for a connection (C: <dial NAME>). What DialService returns is
// plain: where TLS begins with the first byte, <starttls> follows.
type Dialer interface {
	DialService(name string) (net.Conn, error)
}

// Doer is a Server that knows actions of its own (the do line): to lower the
// floor of a store's history, to ring its doorbell, to make it fail. args[0] is
// the action's name.
type Doer interface {
	Do(t testing.TB, args []string) error
}

// Start builds the store that fx describes and starts a server on it. It may
// call t.Fatal, and t.Skip when the store lacks what fx asks for. It runs on the
// subtest's own goroutine.
type Start func(t testing.TB, fx Fixture) Server

// Options adapt the runner to a protocol. A nil *Options means the zero value.
type Options struct {
	// Literals says that a line of the server that ends in {N} announces N bytes
	// that belong to it (RFC 3501, section 4.3).
	Literals bool

	// Login gives the lines with which a connection that was just opened logs in,
	// the greeting included. They are lines of a transcript on connection C:/S:.
	// Without it no transcript can use login.
	Login func(u User) string

	// Bye holds the lines with which a connection that is open after the last
	// line of a transcript says goodbye, usually up to S: <eof>. They show that
	// the server had nothing else to say. When empty, only what has arrived by
	// then is looked at.
	Bye string

	// Has tells whether the store has what a needs line names; a transcript whose
	// needs are not met is skipped. Nil means that it has everything.
	Has func(need string) bool

	// Timeout is how long one expectation may take; 10 seconds when zero.
	Timeout time.Duration

	// Parallel runs the transcripts beside each other (t.Parallel).
	Parallel bool
}

func (o *Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 10 * time.Second
}

// Run runs each transcript in fsys (every file below it whose name ends in
// .txt) as a subtest named after the file. It fails when there is none, and for
// each file that is not a transcript.
func Run(t *testing.T, fsys fs.FS, start Start, opts *Options) {
	t.Helper()
	if opts == nil {
		opts = new(Options)
	}
	files, err := transcripts(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, path.Ext(file)), func(t *testing.T) {
			if opts.Parallel {
				t.Parallel()
			}
			runFile(t, fsys, file, start, opts)
		})
	}
}

func runFile(t *testing.T, fsys fs.FS, file string, start Start, opts *Options) {
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		t.Fatal(err)
	}
	script, err := Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	if opts.Has != nil {
		for _, need := range script.Fixture.Needs {
			if !opts.Has(need) {
				t.Skipf("%s needs %s, which this store does not have", file, need)
			}
		}
	}
	server := start(t, script.Fixture)
	err = RunScript(t, script, server, opts)
	if cerr := server.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("%s: close the server: %w", file, cerr))
	}
	if err != nil {
		t.Error(err)
	}
}

// Entry is a transcript in an index.
type Entry struct {
	File      string // path within the file system
	Title     string // first comment, without #
	Citations []Citation
}

// Index lists the transcripts in fsys in the order of their names, with the
// sections that each cites, so that a test can compare a table of what is
// proved with the proofs that exist; recorded ones prove nothing and are left out. It
// is an error when there is none, or when one cannot be read.
func Index(fsys fs.FS) ([]Entry, error) {
	files, err := transcripts(fsys)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(files))
	var errs []error
	for _, file := range files {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := Parse(file, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.Recorded {
			continue
		}
		entries = append(entries, Entry{File: file, Title: s.Title, Citations: s.Citations})
	}
	return entries, errors.Join(errs...)
}

// transcripts returns the names of the transcripts below fsys, sorted.
func transcripts(fsys fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && path.Ext(name) == ".txt" {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("prototest: list transcripts: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("prototest: no transcripts (*.txt)")
	}
	return files, nil
}
