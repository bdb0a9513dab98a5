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
	return fmt.Sprintf("4 KiB written and synced %.0f times a second, by 16 writers %.0f times, files of 4 KiB made and synced with their directory %.0f; "+
		"messages opened, read and closed %.0f a second; files renamed %.0f, removed %.0f; memory copied %s/s; loopback %s/s",
		p.Syncs, p.Syncs16, p.Creates, p.Opens, p.Renames, p.Unlinks, bench.Octets(p.Copy), bench.Octets(p.Loopback))
}

// servers say what was measured.
func (r *Result) servers() []string {
	var notes []string
	for _, s := range r.Servers {
		notes = append(notes, fmt.Sprintf("%s: %s, %s", s.Name, s.Version, s.About))
	}
	return notes
}

// notes say what was measured, and where.
func (r *Result) notes() []string {
	return append(r.servers(), fmt.Sprintf("%d messages, %s", r.Reports[0].Messages, bench.Octets(float64(r.Reports[0].Octets))),
		"the machine before: "+r.Physics.String(), "the machine after: "+r.After.String())
}

// Page returns the comparison as a page for a browser.
func (r *Result) Page() *bench.Page {
	return &bench.Page{Title: "mailaccess beside other servers", Notes: r.notes(), Reports: r.Reports, Tables: r.Tables()}
}

// WriteDoc puts the comparison into a file in Markdown, in place of that of before: between the lines <!-- peers --> and
// <!-- /peers -->, and system calls, if they were counted, between <!-- syscalls --> and <!-- /syscalls -->.
func WriteDoc(name string, r *Result) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text, err = replace(text, "peers", r.markdown())
	if calls := bench.SyscallsTable(r.Reports); err == nil && calls != nil {
		text, err = replace(text, "syscalls", "\n"+calls.Markdown()+"\n")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, text, 0o644)
}

var errNoPlace = errors.New("no place for it")

// replace puts a new text between two lines of that name.
func replace(text []byte, name, with string) ([]byte, error) {
	from, to := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	begin, end := bytes.Index(text, []byte(from)), bytes.Index(text, []byte(to))
	if begin < 0 || end < begin {
		return nil, fmt.Errorf("%w: no line %q with a line %q after it", errNoPlace, strings.TrimSpace(from), strings.TrimSpace(to))
	}
	begin += len(from)
	return bytes.Join([][]byte{text[:begin], []byte(with), text[end:]}, nil), nil
}

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
	if shares := r.shares(); shares != nil {
		b.WriteString("\n" + shares.Markdown())
	}
	b.WriteString("\n")
	return b.String()
}
