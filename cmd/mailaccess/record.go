package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashmail/mailaccess/protocols/tap"
)

// A recording writes down what clients and a server say, a transcript for each
// protocol.
type recording struct {
	transcripts map[tap.Syntax]*transcript
	taps        []*tap.Listener
}

type transcript struct {
	*tap.Recorder
	file *os.File
}

// record puts taps before the endpoints of a server. IMAP goes into the file of that
// name, POP3 into one beside it. The caller closes the recording before the server
// says goodbye, and calls cut after that.
func record(file string, s *server, config *tls.Config) (_ *recording, err error) {
	r := &recording{transcripts: make(map[tap.Syntax]*transcript)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("--record: %w", err), r.close())
		}
	}()
	for _, p := range s.endpoints {
		syntax, usual, name := tap.IMAP, "imap", file
		if strings.HasPrefix(p.name, "pop3") {
			syntax, usual, name = tap.POP3, "pop3", recordPOP3(file)
		}
		t := r.transcripts[syntax]
		if t == nil {
			// What is said is nobody else's business.
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
			if err != nil {
				return nil, err
			}
			t = &transcript{tap.NewRecorder(f, syntax, usual, "Recorded by mailaccess demo --record."), f}
			r.transcripts[syntax] = t
		}
		l := tap.Listen(p.listener, tap.Options{
			Syntax: syntax, TLS: config, Implicit: p.tls, Open: func(net.Addr) tap.Handler { return t.Open(p.name) },
		})
		p.listener = l
		r.taps = append(r.taps, l)
	}
	return r, nil
}

// recordPOP3 is where POP3 is recorded when IMAP is recorded in a file of that name:
// session.txt, session.pop3.txt.
func recordPOP3(file string) string {
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + ".pop3" + ext
}

// close ends the transcripts, and removes those in which nobody says anything.
func (r *recording) close() error {
	var errs []error
	for _, t := range r.transcripts {
		errs = append(errs, t.Close(), t.file.Close())
		if t.Connections() == 0 {
			errs = append(errs, os.Remove(t.file.Name()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("--record: %w", err)
	}
	return nil
}

// cut closes what connections there still are.
func (r *recording) cut() {
	for _, l := range r.taps {
		l.Cut()
	}
}
