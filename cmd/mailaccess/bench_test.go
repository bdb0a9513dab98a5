package main

import (
	"bytes"
	"regexp"
	"testing"
)

// Where no terminal shows it, each step is a line, once for all runs of a workload.
func TestProgressWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	p := newProgressLine(&out)
	p.step("dovecot: taking in %d messages", 7)
	p.count("%d of %d messages", 1, 7)
	for _, workload := range []string{"noop", "append"} {
		for run := range 3 {
			p.run(workload, "mailaccess", run, 2)
			p.run(workload, "dovecot", run, 2)
		}
	}
	p.end()
	if !regexp.MustCompile(`^ *\d+ s: dovecot: taking in 7 messages\n *\d+ s: noop\n *\d+ s: append\n$`).Match(out.Bytes()) {
		t.Errorf("%q", out.String())
	}
}
