package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// section names a section of an RFC, as in {"3501", "6.3.1"}.
type section struct{ rfc, number string }

// coverageRow is a row of docs/rfc-coverage.md.
type coverageRow struct {
	section
	title, stands string
	// proofs are the names between backquotes in the last column, and rest is
	// what else it says.
	proofs []string
	rest   string
}

var backquoted = regexp.MustCompile("`([^`]+)`")

// readCoverage reads the tables under the headings "## RFC n: ...".
func readCoverage(t *testing.T, text string) []coverageRow {
	t.Helper()
	heading := regexp.MustCompile(`^## RFC ([0-9]+): .+`)
	var rows []coverageRow
	rfc := ""
	for _, line := range strings.Split(text, "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			rfc = m[1]
			continue
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| section |") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			t.Errorf("%d columns, want 4: %s", len(cells), line)
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := coverageRow{section: section{rfc, cells[0]}, title: cells[1], stands: cells[2]}
		for _, m := range backquoted.FindAllStringSubmatch(cells[3], -1) {
			r.proofs = append(r.proofs, m[1])
		}
		r.rest = strings.Trim(backquoted.ReplaceAllString(cells[3], ""), " ,")
		rows = append(rows, r)
	}
	return rows
}

// The table of RFCs names every transcript in the row of every section that it
// cites, names nothing that does not exist, and leaves no section without a proof
// or a reason.
func TestRFCCoverage(t *testing.T) {
	text, err := os.ReadFile("../../docs/rfc-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := readCoverage(t, string(text))
	if len(rows) < 100 {
		t.Fatalf("%d rows: the tables were not understood", len(rows))
	}
	var entries []prototest.Entry
	for _, dir := range []string{"imap", "pop3"} {
		found, err := prototest.Index(os.DirFS(filepath.Join("../../protocols", dir, "testdata")))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, found...)
	}
	var transcripts []string
	for _, e := range entries {
		transcripts = append(transcripts, transcriptName(e))
	}
	tests := testNames(t)

	bySection := make(map[section]coverageRow)
	for _, r := range rows {
		if _, twice := bySection[r.section]; twice {
			t.Errorf("RFC %s, section %s has two rows", r.rfc, r.number)
		}
		bySection[r.section] = r
		if r.rfc == "" || r.number == "" || r.title == "" {
			t.Errorf("a row without RFC, section or title: %+v", r)
		}
		reason := strings.HasPrefix(r.rest, "*") && len(r.rest) > 2
		switch {
		case len(r.proofs) == 0 && !reason:
			t.Errorf("RFC %s, section %s has neither proof nor reason", r.rfc, r.number)
		case len(r.proofs) > 0 && r.stands == "":
			t.Errorf("RFC %s, section %s does not say what is proved", r.rfc, r.number)
		}
		for _, p := range r.proofs {
			if !slices.Contains(transcripts, p) && !tests[p] {
				t.Errorf("RFC %s, section %s: there is no transcript and no test %s", r.rfc, r.number, p)
			}
		}
	}
	for _, e := range entries {
		name := transcriptName(e)
		for _, c := range e.Citations {
			row, ok := bySection[section{strconv.Itoa(c.RFC), c.Section}]
			switch {
			case !ok:
				t.Errorf("%s cites %v, which has no row", name, c)
			case !slices.Contains(row.proofs, name):
				t.Errorf("%s cites %v and is not named there", name, c)
			}
		}
	}
}

func transcriptName(e prototest.Entry) string {
	return strings.TrimSuffix(filepath.Base(e.File), ".txt")
}

// testNames are all tests, examples and fuzz targets of the module, with their
// package before them: "imap.TestTranscripts".
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w*)\(`)
	names := make(map[string]bool)
	for _, file := range goFiles(t) {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllSubmatch(src, -1) {
			names[filepath.Base(filepath.Dir(file))+"."+string(m[1])] = true
		}
	}
	return names
}

// goFiles are the Go files of the module.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every direct dependency has its line in docs/dependencies.md, nothing else has one,
// and what only tests import is not listed as built, nor the other way round.
func TestDependenciesAreExplained(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	built, tests, ok := strings.Cut(string(page), "\n## In tests\n")
	if !ok {
		t.Fatal("no section on tests")
	}
	var direct []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+([a-z][^\s]*\.[^\s]+) v\S+$`).FindAllSubmatch(mod, -1) {
		direct = append(direct, string(m[1]))
	}
	if len(direct) == 0 {
		t.Fatal("go.mod was not understood")
	}
	line := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	for _, m := range line.FindAllStringSubmatch(string(page), -1) {
		if !slices.Contains(direct, m[1]) {
			t.Errorf("%s has a line and is no direct dependency", m[1])
		}
	}
	imported := importedModules(t, direct)
	for _, module := range direct {
		named := func(part string) bool { return strings.Contains(part, "\n| `"+module+"` |") }
		switch use := imported[module]; {
		case !named(built) && !named(tests):
			t.Errorf("%s has no line", module)
		case use.built != named(built):
			t.Errorf("%s: files that are built import it: %v; the page says %v", module, use.built, named(built))
		case named(tests) && !use.tests:
			t.Errorf("%s: no test imports it", module)
		}
	}
}

type moduleUse struct{ built, tests bool }

// importedModules says of each module whether files that are built import it, and
// whether tests do.
func importedModules(t *testing.T, modules []string) map[string]moduleUse {
	t.Helper()
	uses := make(map[string]moduleUse)
	for _, file := range goFiles(t) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			for _, module := range modules {
				if path != module && !strings.HasPrefix(path, module+"/") {
					continue
				}
				use := uses[module]
				if strings.HasSuffix(file, "_test.go") {
					use.tests = true
				} else {
					use.built = true
				}
				uses[module] = use
			}
		}
	}
	return uses
}
