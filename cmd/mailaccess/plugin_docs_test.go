package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/plug-in.md counts right.
func TestPlugInDocs(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	// inside returns what stands in the declaration of a type.
	inside := func(path, begin string) string {
		_, rest, ok := strings.Cut(read(path), "\n"+begin+"\n")
		body, _, closed := strings.Cut(rest, "\n}\n")
		if !ok || !closed {
			t.Fatalf("%s has no %s", path, begin)
		}
		return body
	}
	count := func(pattern, text string) int { return len(regexp.MustCompile(pattern).FindAllString(text, -1)) }
	code := func(path string) int { return codeLines(read(path)) }
	doc := read("docs/plug-in.md")
	methods := count(`(?m)^\t[A-Z]\w*\(`, inside("mailaccess/store.go", "type Store interface {")) +
		count(`(?m)^\t[A-Z]\w*\(`, inside("mailaccess/store.go", "type Account interface {"))
	mbox, _ := readExample(t, "mbox")
	for _, want := range []string{
		fmt.Sprintf("| hooks, reading | 3 | %d, a whole program", strings.Count(readmePrograms(t)[1], "\n")),
		fmt.Sprintf("| hooks, with adding, flags and removing | 6 | %d, a whole program", code("stores/hooks/testdata/stranger/main.go")),
		fmt.Sprintf("| hooks, complete | %d | %d, and the application's own %d |", count(` func\(`, inside("stores/hooks/handlers.go", "type Handlers struct {")),
			code("stores/hooks/hookstest/handlers.go"), code("stores/hooks/hookstest/app.go")),
		fmt.Sprintf("| a store that reads | %d methods | %d, a whole program", methods, codeLines(mbox)),
		fmt.Sprintf("| a store that does all | %d methods,", methods),
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("docs/plug-in.md does not say %q", want)
		}
	}
}
