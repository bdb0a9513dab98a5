package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/strace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// A workload is one thing that is measured.
type workload struct {
	name  string
	about string
	unit  string // what is counted: "login", "message"

	pop3     bool     // else IMAP
	tls      bool     // at Target.Encrypted
	needs    []string // capabilities
	sessions int      // at the same time; 0: 1
	limit    int      // operations of a session in one run; 0: as many as there is time for
	writes   bool     // what the server puts off is waited for, and counts
	paced    bool     // operations begin at times that are set before, Options.Rate in a second in all sessions

	// setup and teardown are around each run, and not measured.
	setup, teardown func(*run) error

	// open opens session k, and returns what it does again and again, and what it does at the end.
	open func(r *run, k int) (session, error)

	// whole, if not nil, is done instead of sessions: a run that measures in its own way.
	whole func(*run) (Sample, error)
}

// A session does operations.
type session struct {
	do  func() (done, error) // errEnough: nothing is left to do, and nothing was done
	end func() error
}

// done is what an operation did.
type done struct {
	units  int
	octets int64
}

var errEnough = errors.New("enough")

// notOffered is the error of a workload that the server has no way to do.
type notOffered struct{ reason string }

func (e *notOffered) Error() string { return "not offered: " + e.reason }

// A run is one run of a workload against one server.
type run struct {
	context.Context
	*Target
	opts    Options
	corpus  corpus.Corpus
	expect  expected
	samples []wire.Append // to append
	number  int           // of the run, from 0; the same for all targets
	base    int64         // octets of memory of the server before the first run

	trace  bool // count the system calls of what is measured
	tracer *strace.Tracer
	calls  strace.Counts // that were counted
}

func (r *run) messages() int { return r.corpus.Messages }

// block is how many messages a command works on that does not work on all.
func (r *run) block() int { return min(500, max(1, r.messages()/20)) }

// workloads returns all of them, in the order in which they run.
func workloads() []*workload {
	first, idle := idleWorkloads()
	return slices.Concat(first, sessionWorkloads(), fetchWorkloads(), searchWorkloads(), resyncWorkloads(), writeWorkloads(), idle,
		pop3Workloads(), mixedWorkloads(), flagWorkloads())
}

// Names returns the names of all workloads, in order.
func Names() []string {
	var names []string
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	return names
}

// About returns what a workload does; "" for one that there is not.
func About(name string) string {
	for _, w := range workloads() {
		if w.name == name {
			return w.about
		}
	}
	return ""
}

// pick returns the workloads of these names; all of them when there are none.
func pick(names []string) ([]*workload, error) {
	all := workloads()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(w *workload) bool { return w.name == name }) {
			return nil, fmt.Errorf("no workload %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return slices.DeleteFunc(all, func(w *workload) bool { return !slices.Contains(names, w.name) }), nil
}

// want compares what was counted with what has to be.
func want(what string, got, want int64) error {
	if got != want {
		return fmt.Errorf("%s: %d, want %d", what, got, want)
	}
	return nil
}

// CheckNames fails unless there are workloads of these names.
func CheckNames(names []string) error {
	_, err := pick(names)
	return err
}
