package strace

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/proc"
)

// What strace 6.1 said of a shell and its children.
func TestParse(t *testing.T) {
	f, err := os.Open("testdata/summary.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := Parse(f)
	if err != nil || len(c) != 28 || c.Calls() != 295 || c.Syncs() != 1 || c["openat"] != 67 || c["close"] != 46 {
		t.Errorf("%d calls, %d syncs, %v, %v", c.Calls(), c.Syncs(), c, err)
	}
}

func TestParseOdd(t *testing.T) {
	const (
		head  = "% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- ----------------\n"
		one   = " 60.00    0.000100          10        10         2 fsync\n"
		other = " 40.00    0.000100          10         7           fdatasync\n"
		total = "------ ----------- ----------- --------- --------- ----------------\n100.00    0.000200          10        17         2 total\n"
	)
	for text, syncs := range map[string]int64{"": 0, head + one + other + total: 17,
		"System call usage summary for 64 bit mode:\n" + head + one + other + total + "System call usage summary for 32 bit mode:\n" + head + one + other + total: 34} {
		if c, err := Parse(strings.NewReader(text)); err != nil || c.Syncs() != syncs || c.Calls() != syncs {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	for _, text := range []string{head + one, head + one + total, head + strings.ReplaceAll(one, " 10 ", " x "), head + " 1 2 3 4 5 6 fsync\n"} {
		if c, err := Parse(strings.NewReader(text)); !errors.Is(err, errSummary) {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

// tree is a shell that has a child, and starts another and ends at a word.
func tree(t *testing.T) (pid int, word func()) {
	cmd := exec.Command("sh", "-c", `exec 3<&0; (read x <&3; sync; sync; echo) & echo; wait; read x; sync; (sync; echo); read x`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	lines := bufio.NewReader(out)
	said := func() {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	said()
	return cmd.Process.Pid, func() {
		if _, err := io.WriteString(in, "\n"); err != nil {
			t.Fatal(err)
		}
		said()
	}
}

// The calls of processes that were there, and of those that they start, are counted, and none after the end.
func TestAttach(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	pid, word := tree(t)
	tracer, err := Attach(t.Context(), pid)
	if err != nil {
		t.Skipf("processes cannot be traced here: %v", err)
	}
	word() // the child: 2
	word() // the shell: 1, and a new child: 1
	c, err := tracer.Stop()
	if err != nil || c.Syncs() != 4 || c["read"] < 3 {
		t.Errorf("%d syncs, %v, %v", c.Syncs(), c, err)
	}
	if all, err := proc.PIDs(pid); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestAttachFails(t *testing.T) {
	if _, err := Attach(t.Context(), 1<<30); err == nil {
		t.Error("there is no such process")
	}
	pid, _ := tree(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := Attach(t.Context(), pid); err == nil || !strings.HasPrefix(err.Error(), "strace is not installed") {
		t.Errorf("without strace: %v", err)
	}
}
