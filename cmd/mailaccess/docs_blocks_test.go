package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A codeFile is a Go file that a page shows, in one block or in several.
type codeFile struct {
	page   string
	line   int // of the first block, counted from 1
	source string
}

// isTest tells whether the file is one of tests, which run.
func (f codeFile) isTest() bool {
	return regexp.MustCompile(`(?m)^func (Test|Example|Fuzz|Benchmark)\w*\(`).MatchString(f.source)
}

// An excerpt is a block that a page takes from a file of this repository.
type excerpt struct {
	line int
	from string // path below the root
	text string
}

// readBlocks reads the Go blocks of a page. A block is
//
//   - a file, when it begins with a package clause;
//   - more of the file before it, when it does not;
//   - part of a file of this repository, when the line before it is
//     <!-- from PATH -->.
func readBlocks(page, text string) (files []codeFile, excerpts []excerpt, err error) {
	from := regexp.MustCompile(`^<!-- from (\S+) -->$`)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		// An indented fence is in a list, or an example of a block.
		if lines[i] != "```go" {
			continue
		}
		begin := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		if i == len(lines) {
			return nil, nil, fmt.Errorf("%s:%d: the block has no end", page, begin)
		}
		source := strings.Join(lines[begin:i], "\n") + "\n"
		var origin []string
		if begin > 1 {
			origin = from.FindStringSubmatch(lines[begin-2])
		}
		switch {
		case origin != nil:
			excerpts = append(excerpts, excerpt{begin, origin[1], source})
		case regexp.MustCompile(`(?m)\A(//.*\n)*package `).MatchString(source):
			files = append(files, codeFile{page, begin, source})
		case len(files) > 0:
			files[len(files)-1].source += "\n" + source
		default:
			return nil, nil, fmt.Errorf("%s:%d: the block is no file, goes on with none, and says not where it is from", page, begin)
		}
	}
	return files, excerpts, nil
}

// pages are the README and all pages below docs, from the root.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	err := filepath.WalkDir("../../docs", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".md") {
			all = append(all, strings.TrimPrefix(filepath.ToSlash(path), "../../"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every Go block in the README and below docs compiles: programs are built and vetted,
// files of tests run, and parts of this repository's files are still in them.
func TestGoBlocksInDocs(t *testing.T) {
	blocks := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		files, excerpts, err := readBlocks(page, string(text))
		if err != nil {
			t.Error(err)
		}
		blocks += len(files) + len(excerpts)
		for _, e := range excerpts {
			if err := e.check("../.."); err != nil {
				t.Errorf("%s:%d: %v", page, e.line, err)
			}
		}
		for _, f := range files {
			t.Run(fmt.Sprintf("%s:%d", page, f.line), func(t *testing.T) {
				if out, err := f.check(t.TempDir()); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
	if blocks < 2 {
		t.Fatalf("%d blocks: the pages were not understood", blocks)
	}
}

// check compiles the file, within this module, and runs it when it is one of tests.
func (f codeFile) check(dir string) (out []byte, err error) {
	name, args := "main.go", []string{"vet"}
	if f.isTest() {
		name, args = "page_test.go", []string{"test", "-count=1"}
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(f.source), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("gofmt", "-l", file).CombinedOutput(); err != nil || len(out) > 0 {
		return out, fmt.Errorf("not as gofmt writes it: %v", err)
	}
	return exec.Command("go", append(args, file)...).CombinedOutput()
}

// check looks for the excerpt in its file: the same lines one after the other, at
// whatever indentation.
func (e excerpt) check(root string) error {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.from)))
	if err != nil {
		return err
	}
	if !bytes.Contains(unindented(string(source)), unindented(e.text)) {
		return fmt.Errorf("%s has no such lines", e.from)
	}
	return nil
}

func unindented(s string) []byte {
	b := []byte("\n")
	for line := range strings.Lines(s) {
		b = append(append(b, strings.TrimSpace(line)...), '\n')
	}
	return b
}

// What is wrong with a block is found.
func TestGoBlocksAreChecked(t *testing.T) {
	block := func(s string) string { return "```go\n" + s + "```\n" }
	files, excerpts, err := readBlocks("p.md", "A page.\n"+
		block("// Comment.\npackage main\n\nfunc main() { more() }\n")+"text\n"+
		block("func more() { undefined() }\n")+
		"<!-- from cmd/mailaccess/main.go -->\n"+block("package main\n")+
		"<!-- from cmd/mailaccess/main.go -->\n"+block("nothing of it\n")+
		block("package p\n\nimport \"testing\"\n\nfunc TestIt(t *testing.T) { t.Fatal(\"bad\") }\n"))
	if err != nil || len(files) != 2 || len(excerpts) != 2 || files[0].line != 2 || files[1].line != 20 {
		t.Fatalf("%+v, %+v, %v", files, excerpts, err)
	}
	for i, want := range []string{"undefined: undefined", "bad"} {
		if out, err := files[i].check(t.TempDir()); err == nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("file %d: %v\n%s", i, err, out)
		}
	}
	if err := excerpts[0].check("../.."); err != nil {
		t.Error(err)
	}
	if err := excerpts[1].check("../.."); err == nil {
		t.Error("lines that are not in the file were found there")
	}
	for _, text := range []string{block("var x int\n"), "```go\npackage main\n"} {
		if _, _, err := readBlocks("p.md", text); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}
