package peers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

func result() *Result {
	report := func(name string, each time.Duration) *bench.Report {
		samples := make([]bench.Sample, 5)
		for i := range samples {
			samples[i] = bench.Sample{Operations: 10, Units: 10, Wall: 20 * each, CPU: 10 * each, P99: 3 * each, Connection: int64(each)}
		}
		return &bench.Report{Target: name, Messages: 7, Octets: 2048, Results: []*bench.Result{
			{Workload: "noop", Unit: "noop", Loop: "closed", Samples: samples}, {Workload: "mixed", Loop: "open", Samples: samples},
		}}
	}
	r := &Result{
		Servers: []Server{{Ours, "mailaccess 1", "Maildir"}, {"dovecot", "Dovecot 2", "sdbox"}},
		Reports: []*bench.Report{report(Ours, 1000), report("dovecot", 4000)},
	}
	r.Reports[0].Results = append(r.Reports[0].Results, &bench.Result{Workload: "sort", NotOffered: "no SORT"})
	r.Reports[1].Results = append(r.Reports[1].Results, &bench.Result{Workload: "sort"})
	return r
}

// The tables take the place of those of before, and nothing else changes.
func TestWriteDoc(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	write := func(text string) error {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return WriteDoc(name, result())
	}
	if err := write("# One\n<!-- peers -->\nold\n<!-- /peers -->\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(first)
	if !strings.HasPrefix(text, "# One\n<!-- peers -->\n\n") || !strings.HasSuffix(text, "\n\n<!-- /peers -->\ntwo\n") || strings.Contains(text, "old") {
		t.Error(text)
	}
	for _, line := range []string{
		"| noop | 4.0 (4.0 to 4.0) | 4.0 (4.0 to 4.0) | 4.0 µs | 1.0 µs | 12 µs | 3.0 µs |\n",
		"| noop: memory of a connection | | 4.0 (4.0 to 4.0) times its memory | 3.9 KiB | 1000 B | | |\n",
		"| mixed | paced | 4.0 (4.0 to 4.0) | ", "| sort | mailaccess: not offered: no SORT | | | | | |\n", "Dovecot 2 (sdbox)", "7 messages, 2.0 KiB",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %s", line, text)
		}
	}
	if err := write(text); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(name); err != nil || string(again) != text {
		t.Errorf("the second time it is %s", again)
	}
	for _, text := range []string{"", "<!-- peers -->\n", "<!-- /peers -->\n<!-- peers -->\n"} {
		if err := write(text); !errors.Is(err, errNoPlace) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNames(t *testing.T) {
	if _, err := pick([]string{"dovecot", "bogus"}); err == nil || !strings.Contains(err.Error(), `"bogus"`) {
		t.Errorf("an unknown server: %v", err)
	}
	for _, name := range Names() {
		if picked, err := pick([]string{name}); err != nil || len(picked) != 1 || picked[0].name != name {
			t.Errorf("%s: %v, %v", name, picked, err)
		}
	}
}

func TestPhysics(t *testing.T) {
	dir := t.TempDir()
	p, err := MeasurePhysics(t.Context(), dir, corpus.Corpus{Seed: 1, Messages: 20}, time.Millisecond)
	if err != nil || p.Syncs <= 0 || p.Syncs16 <= 0 || p.Creates <= 0 || p.Opens <= 0 || p.Renames <= 0 || p.Unlinks <= 0 || p.Copy <= 0 || p.Loopback <= 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
