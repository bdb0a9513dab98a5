package mailaccesstest

import (
	"context"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/protocols/tap"
)

// Fault is how the server fails, and at what. Only Command is always looked at; the zero
// value of each other field means no.
type Fault struct {
	// Command is the name of the command at which the server fails. FETCH is UID FETCH
	// too, and UID FETCH is itself only. Empty: any command. [Login], [Connect] and
	// [Handshake] are names as well.
	Command string
	// If, when not nil, decides whether it is this command. It must not ask the server.
	If func(Command) bool
	// Skip is how many such commands go well first; of all connections together.
	Skip int
	// Times is how many fail; 0: one; negative: all from there on.
	Times int

	// Hold makes the command wait until something can be received, or it is closed.
	Hold <-chan struct{}
	// Delay makes it wait so long.
	Delay time.Duration

	// Answer is said instead of executing the command. In IMAP the tag is put before
	// each line that does not begin with "* ": "NO [UNAVAILABLE] Not now",
	// "BAD What?", "* BYE Enough". In POP3 it is "-ERR [SYS/TEMP] Not now".
	Answer string
	// Drop closes the connection: [DropCommand] or [DropAnswer].
	Drop Drop
	// After is how many octets of the answer still come with DropAnswer. With
	// [Connect] they are counted over all that the server ever says.
	After int
	// Truncate, when above 0, is how many octets come of the first literal of the
	// answer, which was announced with its true size; in POP3, of the message or list.
	Truncate int
}

// Drop says when the connection is closed.
type Drop = tap.Drop

// The ways to close a connection.
const (
	// DropCommand: instead of executing the command, or after Answer.
	DropCommand = tap.DropCommand
	// DropAnswer: when the command was executed, instead of answering.
	DropAnswer = tap.DropAnswer
)

// Names for [Fault].Command besides those of commands.
const (
	// Login is any command that logs in: LOGIN, AUTHENTICATE, PASS, APOP, AUTH.
	Login = "<login>"
	// Connect is a new connection. Answer is then said instead of the greeting and the
	// connection closed: "* BYE Too many", "-ERR Too many".
	Connect = tap.Connect
	// Handshake is a TLS handshake. It fails, with an alert.
	Handshake = tap.Handshake
)

// Injection is a fault that was injected.
type Injection struct {
	s       *Server
	fault   Fault
	hits    int // guarded by the server's mutex
	skipped int
	removed bool
}

// Inject makes the server fail. Where several faults fit a command, the one that was
// injected first counts.
func (s *Server) Inject(f Fault) *Injection {
	if f.Times == 0 {
		f.Times = 1
	}
	i := &Injection{s: s, fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, i)
	return i
}

// Hits returns how many times the fault has happened.
func (i *Injection) Hits() int {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	return i.hits
}

// Remove lets the server go well again.
func (i *Injection) Remove() {
	i.s.mu.Lock()
	defer i.s.mu.Unlock()
	i.removed = true
}

// faultLocked returns the fault that happens at a command, or nil.
func (s *Server) faultLocked(c Command) *Fault {
	for _, i := range s.faults {
		f := &i.fault
		switch {
		case i.removed || f.Times >= 0 && i.hits >= f.Times:
		case !called(f.Command, c.Name) || f.If != nil && !f.If(c):
		case i.skipped < f.Skip:
			i.skipped++
		default:
			i.hits++
			return f
		}
	}
	return nil
}

// called reports whether a command is one that is called so.
func called(want, name string) bool {
	want = strings.ToUpper(want)
	switch {
	case want == "":
		return !strings.HasPrefix(name, "<")
	case strings.EqualFold(want, Login):
		switch name {
		case "LOGIN", "AUTHENTICATE", "PASS", "APOP", "AUTH":
			return true
		}
		return false
	case strings.HasPrefix(want, "<"):
		return strings.EqualFold(want, name)
	}
	return want == name || want == strings.TrimPrefix(name, "UID ")
}

// carryOut waits, and says what becomes of the command.
func (f *Fault) carryOut(ctx context.Context, name string) tap.Verdict {
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-ctx.Done():
		}
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if name == Handshake {
		return tap.Verdict{Drop: DropCommand} // there is but one way to fail
	}
	return tap.Verdict{Answer: f.Answer, Drop: f.Drop, After: f.After, Truncate: f.Truncate}
}
