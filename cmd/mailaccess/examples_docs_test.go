package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The table of examples names every one, counts its lines right, and has a command that runs it with
// flags that it has.
func TestExamplesReadme(t *testing.T) {
	page, err := os.ReadFile("../../examples/README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| \\[(\\w+)\\]\\((\\w+)\\) \\| .+ \\| (\\d+) \\| `go run \\./examples/(\\w+)( --.+)?` \\|$")
	var named []string
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		name := m[1]
		named = append(named, name)
		if m[2] != name || m[4] != name {
			t.Errorf("%s: the row names %s and runs %s", name, m[2], m[4])
		}
		code, tests := readExample(t, name)
		if want := strconv.Itoa(codeLines(code)); m[3] != want {
			t.Errorf("%s has %s lines, the table says %s", name, want, m[3])
		}
		for _, f := range regexp.MustCompile(`--(\w+)`).FindAllStringSubmatch(m[5], -1) {
			if !regexp.MustCompile(`f\.\w+\("` + f[1] + `"`).MatchString(code) {
				t.Errorf("%s has no flag --%s", name, f[1])
			}
		}
		if !regexp.MustCompile(`\brun\(`).MatchString(tests) {
			t.Errorf("no test runs %s", name)
		}
	}
	var there []string
	entries, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			there = append(there, e.Name())
		}
	}
	slices.Sort(named)
	if !slices.Equal(named, there) {
		t.Errorf("the table has %q, there are %q", named, there)
	}
}

// readExample returns the Go files of an example, the tests apart.
func readExample(t *testing.T, name string) (code, tests string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../examples", name, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			tests += string(text)
		} else {
			code += string(text)
		}
	}
	return code, tests
}

// codeLines counts lines that are neither empty nor comments only.
func codeLines(code string) (n int) {
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}
