package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Table is a table of texts: in a terminal, in Markdown and in a page for a browser.
type Table struct {
	About string // what it shows
	Head  []string
	Rows  [][]string
}

// Write writes the table for people to read.
func (t *Table) Write(w io.Writer) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, t.About)
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		fmt.Fprintln(columns, strings.Join(row, "\t")+"\t")
	}
	return columns.Flush()
}

// Markdown returns the table in Markdown.
func (t *Table) Markdown() string {
	var b strings.Builder
	b.WriteString(t.About + "\n\n")
	line := func(row []string) { b.WriteString("| " + strings.Join(row, " | ") + " |\n") }
	line(t.Head)
	b.WriteString(strings.Repeat("|---", len(t.Head)) + "|\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}
