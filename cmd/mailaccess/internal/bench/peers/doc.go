package peers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
)

// String says what the machine can do in one line.
func (p Physics) String() string {
	return fmt.Sprintf("4 KiB written and synced %.0f times a second, files of 4 KiB made and synced with their directory %.0f; memory copied %s/s; loopback %s/s",
		p.Syncs, p.Creates, bench.Octets(p.Copy), bench.Octets(p.Loopback))
}

// notes say what was measured, and where.
func (r *Result) notes() []string {
	var notes []string
	for _, s := range r.Servers {
		notes = append(notes, fmt.Sprintf("%s: %s, %s", s.Name, s.Version, s.About))
	}
	return append(notes, fmt.Sprintf("%d messages, %s", r.Reports[0].Messages, bench.Octets(float64(r.Reports[0].Octets))), "the machine: "+r.Physics.String())
}

// Page returns the comparison as a page for a browser.
func (r *Result) Page() *bench.Page {
	return &bench.Page{Title: "mailaccess beside other servers", Notes: r.notes(), Reports: r.Reports}
}

// The lines between which the comparison goes.
const (
	docBegin = "<!-- peers -->\n"
	docEnd   = "<!-- /peers -->\n"
)

// WriteDoc puts the comparison into a file in Markdown, in place of that of before.
func WriteDoc(name string, r *Result) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	begin, end := bytes.Index(text, []byte(docBegin)), bytes.Index(text, []byte(docEnd))
	if begin < 0 || end < begin {
		return fmt.Errorf("%s: %w", name, errNoPlace)
	}
	begin += len(docBegin)
	return os.WriteFile(name, bytes.Join([][]byte{text[:begin], []byte(r.markdown()), text[end:]}, nil), 0o644)
}

var errNoPlace = errors.New("no line <!-- peers --> with a line <!-- /peers --> after it")

// markdown is a table for each of the other servers.
func (r *Result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, on %s.\n", strings.Join(r.notes(), "; "), r.Reports[0].Started.UTC().Format("2006-01-02"))
	for i, theirs := range r.Reports[1:] {
		fmt.Fprintf(&b, "\n| %s (%s) beside %s | times its wall time | times its processor time | processor time of a unit: theirs | ours | p99: theirs | ours |\n|---|---|---|---|---|---|---|\n",
			r.Servers[i+1].Version, r.Servers[i+1].About, r.Servers[0].Name)
		for _, c := range bench.Compare(theirs, r.Reports[0]) {
			if why := c.Missing(theirs.Target, r.Servers[0].Name); why != "" {
				fmt.Fprintf(&b, "| %s | %s | | | | | |\n", c.Workload, why)
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.Workload, c.WallText(), c.CPU,
				c.Theirs.CPUText(), c.Ours.CPUText(),
				bench.Duration(c.Theirs.Median(bench.Sample.Slow)), bench.Duration(c.Ours.Median(bench.Sample.Slow)))
			if c.Memory.Known() {
				fmt.Fprintf(&b, "| %s: memory of a connection | | %s times its memory | %s | %s | | |\n", c.Workload, c.Memory,
					bench.Octets(c.Theirs.Median(bench.Sample.Memory)), bench.Octets(c.Ours.Median(bench.Sample.Memory)))
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}
