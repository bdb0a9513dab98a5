// Package strace counts the system calls of processes that run, with strace(1).
package strace

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/proc"
)

// Counts are how often each system call was made, by its name.
type Counts map[string]int64

// Calls returns how many there were in all.
func (c Counts) Calls() int64 {
	var n int64
	for _, of := range c {
		n += of
	}
	return n
}

// Syncs returns how many of them wait until something is on the disk. Writes to files that were opened
// for synchronous writing are not among them.
func (c Counts) Syncs() int64 {
	var n int64
	for _, name := range []string{"fsync", "fdatasync", "sync_file_range", "sync_file_range2", "syncfs", "sync", "msync"} {
		n += c[name]
	}
	return n
}

// A Tracer counts the system calls of a process and of all below it. It makes them many times slower.
type Tracer struct {
	cmd     *exec.Cmd
	summary string // file
	said    bytes.Buffer
	ended   chan error
}

// attachTime is how long strace may take until it has all processes.
const attachTime = 30 * time.Second

// Attach begins to count the calls of a process, of all its descendants, and of those that they start
// meanwhile.
func Attach(ctx context.Context, pid int) (*Tracer, error) {
	if _, err := exec.LookPath("strace"); err != nil {
		return nil, fmt.Errorf("strace is not installed (Debian: strace): %w", err)
	}
	for range 5 {
		t, err := attach(ctx, pid)
		if t != nil || err != nil {
			return t, err
		}
	}
	return nil, fmt.Errorf("strace: process %d starts others faster than they can be followed", pid)
}

// attach returns neither a tracer nor an error when a process began meanwhile that is not followed.
func attach(ctx context.Context, root int) (*Tracer, error) {
	pids, err := proc.PIDs(root)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "strace")
	if err != nil {
		return nil, err
	}
	t := &Tracer{summary: f.Name(), ended: make(chan error, 1)}
	if err := f.Close(); err != nil {
		return nil, errors.Join(err, os.Remove(t.summary))
	}
	list := make([]string, len(pids))
	for i, pid := range pids {
		list[i] = strconv.Itoa(pid)
	}
	t.cmd = exec.Command("strace", "-c", "-f", "-qq", "-o", t.summary, "-p", strings.Join(list, ","))
	t.cmd.Stderr = &t.said
	if err := t.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("strace: %w", err), os.Remove(t.summary))
	}
	go func() { t.ended <- t.cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, attachTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		followed, left, err := t.follows(root, pids)
		switch {
		case err != nil:
			_, e := t.Stop()
			return nil, errors.Join(err, e)
		case followed:
			return t, nil
		case left:
			_, err := t.Stop()
			return nil, err
		}
		select {
		case err := <-t.ended:
			return nil, errors.Join(fmt.Errorf("strace: %w: %s", err, bytes.TrimSpace(t.said.Bytes())), os.Remove(t.summary))
		case <-ctx.Done():
			_, err := t.Stop()
			return nil, errors.Join(fmt.Errorf("strace does not attach to process %d: %w", root, ctx.Err()), err)
		case <-tick.C:
		}
	}
}

// follows says whether all threads of all processes are traced; or else whether all are of which that was
// asked, so that one is left out that began meanwhile.
func (t *Tracer) follows(root int, asked []int) (all, left bool, err error) {
	now, err := proc.PIDs(root)
	if err != nil {
		return false, false, err
	}
	if all, err = t.traces(now); err != nil || all {
		return all, false, err
	}
	left, err = t.traces(asked)
	return false, left, err
}

// traces says whether all threads of these processes are traced. Those that have ended are.
func (t *Tracer) traces(pids []int) (bool, error) {
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil {
			return false, err
		}
		for _, name := range tasks {
			text, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) || proc.Ended(err) {
				continue
			} else if err != nil {
				return false, err
			}
			if strings.Contains(string(text), "\nState:\tZ") { // it has ended, and is waited for
				continue
			}
			if !strings.Contains(string(text), fmt.Sprintf("\nTracerPid:\t%d\n", t.cmd.Process.Pid)) {
				return false, nil
			}
		}
	}
	return true, nil
}

// Stop ends counting, and returns what was counted. The processes go on.
func (t *Tracer) Stop() (Counts, error) {
	// It says what it has counted when it is interrupted, and ends as if it had been.
	err := t.cmd.Process.Signal(os.Interrupt)
	<-t.ended
	if errors.Is(err, os.ErrProcessDone) {
		err = nil // with all that it traced
	}
	var counts Counts
	f, e := os.Open(t.summary)
	if e == nil {
		counts, e = Parse(f)
		e = errors.Join(e, f.Close())
	}
	return counts, errors.Join(err, e, os.Remove(t.summary))
}

var errSummary = errors.New("not what strace -c says")

// Parse reads the summary of strace -c. One that is empty is of no calls.
func Parse(from io.Reader) (Counts, error) {
	counts, total := make(Counts), int64(-1)
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		// share of the time, seconds, microseconds per call, calls, errors if there are any, name
		if len(f) < 5 || f[0] == "%" || strings.HasPrefix(f[0], "--") || strings.HasPrefix(lines.Text(), "System call usage") {
			continue
		}
		n, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil || len(f) > 6 {
			return nil, fmt.Errorf("%w: %q", errSummary, lines.Text())
		}
		if name := f[len(f)-1]; name != "total" {
			counts[name] += n
		} else {
			total = max(total, 0) + n // of processes of both 32 and 64 bits there are two
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(counts) > 0 && counts.Calls() != total {
		return nil, fmt.Errorf("%w: %d calls, and %d in all", errSummary, counts.Calls(), total)
	}
	return counts, nil
}
