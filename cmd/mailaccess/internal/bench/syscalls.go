package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/strace"
)

// Syscalls are the system calls of all processes of a server in one run of a workload: of what the run measures, and
// of what the server put off until after it.
type Syscalls struct {
	Units  int64         `json:"units"`
	Counts strace.Counts `json:"counts"`
	Error  string        `json:"error,omitempty"` // that they could not be counted
}

// Calls returns how many there were for each unit.
func (s *Syscalls) Calls() float64 { return perUnit(float64(s.Counts.Calls()), s.Units) }

// Syncs returns how many of them, for each unit, waited for the disk.
func (s *Syscalls) Syncs() float64 { return perUnit(float64(s.Counts.Syncs()), s.Units) }

// canTrace fails if the system calls of the targets cannot be counted, before anything is measured.
func canTrace(ctx context.Context, targets []*Target) error {
	for _, t := range targets {
		if t.PID == 0 {
			continue
		}
		tracer, err := strace.Attach(ctx, t.PID)
		if err == nil {
			_, err = tracer.Stop()
		}
		if err != nil {
			return fmt.Errorf("count system calls: %s: %w", t.Name, err)
		}
	}
	return nil
}

// countSyscalls runs a workload once for its system calls.
func (r *run) countSyscalls(w *workload) *Syscalls {
	r.trace = true
	s, err := r.once(w)
	if err != nil {
		return &Syscalls{Error: err.Error()}
	}
	return &Syscalls{Units: s.Units, Counts: r.calls}
}

// endTrace ends counting, if that is going on.
func (r *run) endTrace() (err error) {
	if r.tracer == nil {
		return nil
	}
	r.calls, err = r.tracer.Stop()
	r.tracer = nil
	if err != nil {
		return errors.Join(errors.New("count system calls"), err)
	}
	return nil
}

// SyscallsTable is the table of system calls of some servers, in order; nil: they were not counted.
func SyscallsTable(reports []*Report) *Table {
	t := &Table{
		About: "System calls of all processes of a server for each unit, and the syncs among them, which wait for the disk (fsync, fdatasync and their like), in a run of each workload under strace -c -f:",
		Head:  []string{"workload", "unit"},
	}
	for _, r := range reports {
		t.Head = append(t.Head, r.Target+": calls", "syncs")
	}
	for _, of := range reports[0].Results {
		row, counted := []string{of.Workload, of.Unit}, false
		for _, r := range reports {
			one := r.Result(of.Workload)
			switch {
			case one == nil || one.Syscalls == nil:
				row = append(row, "-", "-")
				continue
			case one.Syscalls.Error != "":
				row = append(row, "failed: "+one.Syscalls.Error, "-")
			default:
				row = append(row, Number(one.Syscalls.Calls()), Number(one.Syscalls.Syncs()))
			}
			counted = true
		}
		if counted {
			t.Rows = append(t.Rows, row)
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}
