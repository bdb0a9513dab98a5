package peers

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/strace"
)

// counted is a result with system calls: an append that syncs thrice, in one session and in 16, reading, and work
// at a pace.
func counted() *Result {
	of := func(workload string, sessions int, units, octets int64, calls strace.Counts) *bench.Result {
		s := bench.Sample{Units: units, Octets: octets, Wall: time.Second}
		return &bench.Result{Workload: workload, Unit: "message", Sessions: sessions, Samples: []bench.Sample{s, s, s}, Syscalls: &bench.Syscalls{Units: 10, Counts: calls}}
	}
	paced := of("mixed", 1, 100, 10, strace.Counts{"fsync": 10})
	paced.Loop = "open"
	failed := of("noop", 1, 100, 10, nil)
	failed.Syscalls = &bench.Syscalls{Error: "no strace"}
	ours := &bench.Report{Target: Ours, Results: []*bench.Result{
		of("append", 1, 100, 10, strace.Counts{"fsync": 20, "fdatasync": 10, "write": 70}), of("append-concurrent", 16, 100, 10, strace.Counts{"fsync": 30}),
		of("fetch-bodies", 1, 50, 1<<20, strace.Counts{"openat": 10}), of("expunge", 1, 50, 0, strace.Counts{}), paced, failed,
	}}
	theirs := &bench.Report{Target: "dovecot", Results: []*bench.Result{{Workload: "append", Samples: []bench.Sample{{Units: 10, Wall: time.Second}}}}}
	memory := &bench.Report{Target: OursMemory, Results: ours.Results}
	return &Result{
		Servers: []Server{{Name: Ours}, {Name: "dovecot"}, {Name: OursMemory}}, Reports: []*bench.Report{ours, theirs, memory},
		Physics: Physics{Syncs: 500, Syncs16: 2000, Opens: 100, Renames: 10, Unlinks: 1000, Loopback: 3 << 20},
		After:   Physics{Syncs: 700, Syncs16: 1000, Opens: 100, Renames: 10, Unlinks: 1000, Loopback: 1 << 20},
	}
}

func text(t *testing.T, table *bench.Table) string {
	t.Helper()
	var out bytes.Buffer
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines[1:], "\n") // without what it is about
}

func TestSyscallsTable(t *testing.T) {
	const want = `workload unit mailaccess: calls syncs dovecot: calls syncs mailaccess-memory: calls syncs
append message 10 3.0 - - 10 3.0
append-concurrent message 3.0 3.0 - - 3.0 3.0
fetch-bodies message 1.0 0 - - 1.0 0
expunge message 0 0 - - 0 0
mixed message 1.0 1.0 - - 1.0 1.0
noop message failed: no strace - - - failed: no strace -
`
	if got := text(t, bench.SyscallsTable(counted().Reports)); got != want {
		t.Errorf("%s", got)
	}
	if r := result(); bench.SyscallsTable(r.Reports) != nil || r.shares() != nil {
		t.Error("there are tables of what was not measured")
	}
}

// Shares are of the mean of before and after. What is in memory is not bound by a disk, and what goes at a
// pace by nothing.
func TestSharesTable(t *testing.T) {
	const want = `workload share of the mailaccess dovecot mailaccess-memory
append disk's syncs 50 % - -
append-concurrent disk's syncs by 16 writers 20 % - -
fetch-bodies loopback's octets 50 % - 50 %
fetch-bodies opening and reading files 50 % - -
expunge removals of files 5.0 % - -
`
	if got := text(t, counted().shares()); got != want {
		t.Errorf("%s", got)
	}
}

// System calls have a place of their own in a document, and stay as they are where none were counted.
func TestWriteDocSyscalls(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string, r *Result) string {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := WriteDoc(name, r); err != nil {
			return err.Error()
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	const places = "<!-- peers -->\n<!-- /peers -->\nand\n<!-- syscalls -->\nOLD\n<!-- /syscalls -->\nend\n"
	if got := write(places, counted()); !strings.Contains(got, "| append | message | 10 | 3.0 | - | - | 10 | 3.0 |\n") || !strings.HasSuffix(got, "\n\n<!-- /syscalls -->\nend\n") || strings.Contains(got, "OLD") ||
		!strings.Contains(got, "| append | disk's syncs | 50 % | - | - |\n") {
		t.Error(got)
	}
	if got := write(places, result()); !strings.HasSuffix(got, "and\n<!-- syscalls -->\nOLD\n<!-- /syscalls -->\nend\n") {
		t.Error(got)
	}
	if got := write("<!-- peers -->\n<!-- /peers -->\n", counted()); !strings.Contains(got, "no place for it: no line \"<!-- syscalls -->\"") {
		t.Error(got)
	}
}
