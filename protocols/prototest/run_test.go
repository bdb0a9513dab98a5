package prototest_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// unclosable is a server that cannot be closed.
type unclosable struct{ *toy }

func (unclosable) Close() error { return errors.New("cannot close") }

// failingRuns are runs that must fail, and what they say then.
var failingRuns = map[string]struct {
	fsys  fs.FS
	start prototest.Start
	want  string
}{
	"mismatch": {
		fstest.MapFS{"a/b.txt": {Data: []byte("# RFC 1, section 1\nS: * hi")}}, startToy,
		"a/b.txt:2: not what is expected",
	},
	"malformed": {
		fstest.MapFS{"a.txt": {Data: []byte("S: * hello")}}, startToy,
		"a.txt: no comment cites",
	},
	"close": {
		fstest.MapFS{"a.txt": {Data: []byte("# RFC 1, section 1\nS: * hello")}},
		func(t testing.TB, fx prototest.Fixture) prototest.Server { return unclosable{newToy(t, fx)} },
		"a.txt: close the server: cannot close",
	},
	"none": {fstest.MapFS{}, startToy, "no transcripts"},
}

// A run that fails would fail this test, so it has a process of its own: the test
// binary with the name of the run in this variable.
const failingRun = "PROTOTEST_FAILING_RUN"

func TestRunFails(t *testing.T) {
	if name := os.Getenv(failingRun); name != "" {
		run := failingRuns[name]
		prototest.Run(t, run.fsys, run.start, nil)
		return
	}
	for name, run := range failingRuns {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestRunFails$")
			cmd.Env = append(os.Environ(), failingRun+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !strings.Contains(string(out), run.want) {
				t.Errorf("want a failure with %q, got %v:\n%s", run.want, err, out)
			}
		})
	}
}
