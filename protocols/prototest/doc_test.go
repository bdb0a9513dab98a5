package prototest

import (
	"os"
	"strings"
	"testing"
)

// The transcript in the package's documentation is one.
func TestDocumentedTranscript(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	begun := false
	for line := range strings.Lines(string(src)) {
		text, indented := strings.CutPrefix(line, "//\t")
		if begun && !indented && line != "//\n" {
			break
		}
		if begun = begun || indented; begun {
			script.WriteString(strings.TrimPrefix(text, "//"))
		}
	}
	s, err := Parse("rfc3501-6.3.11-append.txt", []byte(script.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, script.String())
	}
	if len(s.Fixture.Files) != 2 || len(s.Citations) != 2 || len(s.steps) != 11 {
		t.Errorf("%d files, %v, %d steps", len(s.Fixture.Files), s.Citations, len(s.steps))
	}
}
