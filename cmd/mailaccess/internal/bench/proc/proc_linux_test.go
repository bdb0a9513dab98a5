package proc

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat("17 (a) b (c) S 5 17 17 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 100 1 1")
	if err != nil || s != (stat{5, 2 * time.Second, 100 * time.Millisecond}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "17 (a", "17 (a) S 1", "17 (a) S x 17 17 0 -1 4194560 1 2 3 4 150 50 7 3 20 0"} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q is a line of proc_pid_stat", text)
		}
	}
}

// A tree has the time of children that live, of children that have ended and were waited for, and the
// memory of all.
func TestTree(t *testing.T) {
	// The first child burns and ends; the second burns and stays.
	cmd := exec.Command("sh", "-c", `exec 3<&0; burn() { i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; }
(burn); echo one; (burn; echo two; read x <&3) & wait`)
	stdin, err := cmd.StdinPipe()
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
	defer cmd.Wait()
	defer stdin.Close()
	lines := bufio.NewReader(out)
	line := func(want string) Usage {
		t.Helper()
		if got, err := lines.ReadString('\n'); got != want+"\n" {
			t.Fatalf("%q, %v", got, err)
		}
		u, err := Tree(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	one := line("one")
	two := line("two")
	if one.CPU < 20*time.Millisecond || two.CPU < one.CPU+20*time.Millisecond {
		t.Errorf("processor time: %v, then %v", one.CPU, two.CPU)
	}
	if two.Processes != 2 || two.PSS < 100<<10 {
		t.Errorf("%+v", two)
	}
	if cpu, err := CPU(cmd.Process.Pid); err != nil || cpu < two.CPU {
		t.Errorf("processor time alone: %v, %v", cpu, err)
	}
	cmd.Process.Kill()
	stdin.Close()
	cmd.Wait()
	if _, err := Tree(cmd.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a process that has ended: %v", err)
	}
}

func TestSelf(t *testing.T) {
	if Self() <= 0 {
		t.Error("this process has taken no time")
	}
}
