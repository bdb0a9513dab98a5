// Package proc tells what a process and all those below it take: processor time and memory. It
// reads /proc, as Linux has it.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a tree of processes has taken.
type Usage struct {
	CPU       time.Duration // of all that live, and of their children that are gone
	PSS       int64         // octets: what they have alone, and their shares of what they share; 0: unknown
	Processes int
}

// Tree returns what the process and all its descendants take. A process that became a child of
// another one (a daemon) is not found.
func Tree(pid int) (Usage, error) { return tree(pid, true) }

// CPU is as Tree, without the memory, which takes long to find out.
func CPU(pid int) (time.Duration, error) {
	u, err := tree(pid, false)
	return u.CPU, err
}

func tree(root int, memory bool) (Usage, error) {
	stats, err := readStats()
	if err != nil {
		return Usage{}, err
	}
	if _, ok := stats[root]; !ok {
		return Usage{}, fmt.Errorf("process %d: %w", root, os.ErrProcessDone)
	}
	var u Usage
	for _, pid := range below(stats, root) {
		s := stats[pid]
		u.Processes++
		u.CPU += s.reaped
		if own, err := processTime(pid); err == nil {
			u.CPU += own
		} else {
			u.CPU += s.own // it has ended meanwhile
		}
		if memory {
			pss, err := readPSS(pid)
			if err != nil {
				return u, err
			}
			u.PSS += pss
		}
	}
	return u, nil
}

// PIDs returns the process and all its descendants.
func PIDs(root int) ([]int, error) {
	stats, err := readStats()
	if err != nil {
		return nil, err
	}
	if _, ok := stats[root]; !ok {
		return nil, fmt.Errorf("process %d: %w", root, os.ErrProcessDone)
	}
	return below(stats, root), nil
}

// below returns the root and all its descendants.
func below(stats map[int]stat, root int) []int {
	children := make(map[int][]int)
	for pid, s := range stats {
		children[s.parent] = append(children[s.parent], pid)
	}
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// stat is what /proc/PID/stat tells. Its times are in ticks of 10 ms.
type stat struct {
	parent      int
	own, reaped time.Duration
}

func readStats() (map[int]stat, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("there is no /proc: processor time and memory of a server are found out on Linux only")
	}
	stats := make(map[int]stat, len(names))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if stats[pid], err = parseStat(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return stats, nil
}

// parseStat reads the fields of proc_pid_stat(5).
func parseStat(text string) (s stat, err error) {
	end := strings.LastIndexByte(text, ')') // of the name, which may have anything in it
	f := strings.Fields(text[end+1:])
	if end < 0 || len(f) < 15 {
		return s, errors.New("not what proc_pid_stat(5) says")
	}
	var ticks [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} { // ppid, utime, stime, cutime, cstime
		if ticks[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return s, err
		}
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on all that Go runs on
	return stat{int(ticks[0]), time.Duration(ticks[1]+ticks[2]) * tick, time.Duration(ticks[3]+ticks[4]) * tick}, nil
}

// readPSS returns the proportional set size. A process that has ended, and one of the kernel, has none.
func readPSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if errors.Is(err, fs.ErrNotExist) || err != nil && Ended(err) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
			kib, err := strconv.ParseInt(strings.Fields(string(rest))[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, nil
}
