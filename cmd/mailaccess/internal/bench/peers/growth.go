package peers

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
)

// GrowthOptions say at which sizes is measured.
type GrowthOptions struct {
	Options
	Messages    []int // in INBOX, ascending
	Small       bool  // these are small ones
	Memory      []int // in INBOX of our memory store, small ones, ascending; none: not measured
	Connections []int // that wait, ascending
	MostOfPeers int   // connections that others are asked to hold; default 1000
}

// Growth is what was measured at different sizes.
type Growth struct {
	Small       bool      `json:"small,omitempty"` // messages, as those in memory
	Messages    []*Result `json:"messages"`
	Memory      []*Result `json:"memory"`
	Connections []*Result `json:"connections"`
}

// MeasureGrowth measures the servers with different numbers of messages, and of connections that wait.
// Each time they are started anew.
func MeasureGrowth(ctx context.Context, o GrowthOptions) (g *Growth, err error) {
	g = &Growth{Small: o.Small}
	if o.MostOfPeers == 0 {
		o.MostOfPeers = 1000
	}
	all := o.Servers
	waiting := waiting()
	at := func(name string, n int) Options {
		one := o.Options
		one.Dir = filepath.Join(o.Dir, fmt.Sprintf("%s-%d", name, n))
		one.NoTLS, one.NoPhysics = true, true
		return one
	}
	for _, n := range o.Messages {
		one := at("messages", n)
		one.Bench.Corpus.Messages, one.Bench.Corpus.Small = n, o.Small
		one.Bench.Workloads = without(one.Bench.Workloads, waiting)
		if g.Messages, err = runInto(ctx, g.Messages, one); err != nil {
			return g, err
		}
	}
	for _, n := range o.Memory {
		one := at("memory", n)
		one.Servers = []string{OursMemory}
		one.Bench.Corpus.Messages, one.Bench.Corpus.Small = n, true
		one.Bench.Workloads = without(one.Bench.Workloads, waiting)
		if g.Memory, err = runInto(ctx, g.Memory, one); err != nil {
			return g, err
		}
	}
	for _, n := range o.Connections {
		one := at("connections", n)
		if n > o.MostOfPeers {
			one.Servers = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name != Ours })
		}
		one.Bench.Corpus.Messages = 1000
		one.Bench.Connections = n
		one.Bench.Workloads = waiting
		one.NoTLS = false
		if g.Connections, err = runInto(ctx, g.Connections, one); err != nil {
			return g, err
		}
	}
	return g, nil
}

// waiting are the names of the workloads whose connections wait.
func waiting() []string { return []string{"idle-memory", "idle-memory-tls"} }

// without returns the names but some; all other names there are when there are none.
func without(names, some []string) []string {
	if len(names) == 0 {
		names = bench.Names()
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(some, n) })
}

// runInto measures, and takes away the mail.
func runInto(ctx context.Context, list []*Result, o Options) ([]*Result, error) {
	r, err := Run(ctx, o)
	if err != nil {
		return list, err
	}
	return append(list, r), os.RemoveAll(o.Dir)
}

// Curves returns a curve for each workload: what a unit takes, by the number of messages; and those of
// connections.
func (g *Growth) Curves() []bench.Curve {
	what := ""
	if g.Small {
		what = " (small messages)"
	}
	curves := g.curves(g.Messages, what)
	curves = append(curves, g.curves(g.Memory, " (memory store, small messages)")...)
	for _, workload := range waiting() {
		curves = append(curves, g.connectionCurves(workload)...)
	}
	return curves
}

// connectionCurves are what a connection takes that waits, and to get there, by their number.
func (g *Growth) connectionCurves(workload string) []bench.Curve {
	memory := bench.Curve{Title: workload, X: "connections", Y: "memory of a connection", Label: bench.Octets}
	effort := bench.Curve{Title: workload, X: "connections", Y: "processor time to connect, log in and wait"}
	for _, name := range servers(g.Connections) {
		var m, e bench.Line
		m.Name, e.Name = name, name
		for _, r := range g.Connections {
			if one := r.result(name, workload); one != nil && len(one.Samples) > 0 {
				n := float64(one.Samples[0].Units)
				m.Points = append(m.Points, bench.Point{X: n, Y: one.Median(bench.Sample.Memory)})
				e.Points = append(e.Points, bench.Point{X: n, Y: one.Median(bench.Sample.CPUEach)})
			}
		}
		if len(m.Points) > 0 {
			memory.Lines, effort.Lines = append(memory.Lines, m), append(effort.Lines, e)
		}
	}
	if len(memory.Lines) == 0 {
		return nil
	}
	return []bench.Curve{memory, effort}
}

func (g *Growth) curves(results []*Result, what string) (curves []bench.Curve) {
	if len(results) == 0 {
		return nil
	}
	for _, w := range results[0].Reports[0].Results {
		c := bench.Curve{Title: w.Workload + what, X: "messages", Y: "processor time of a " + w.Unit}
		for _, name := range servers(results) {
			line := bench.Line{Name: name}
			for _, r := range results {
				if one := r.result(name, w.Workload); one != nil && len(one.Samples) > 0 {
					line.Points = append(line.Points, bench.Point{X: float64(r.Reports[0].Messages), Y: one.Median(bench.Sample.CPUEach)})
				}
			}
			c.Lines = append(c.Lines, line)
		}
		curves = append(curves, c)
	}
	return curves
}

// servers returns the names of all that were measured, in order.
func servers(results []*Result) (names []string) {
	for _, r := range results {
		for _, s := range r.Servers {
			if !slices.Contains(names, s.Name) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// result returns the result of a server at a workload; nil when there is none.
func (r *Result) result(server, workload string) *bench.Result {
	for _, report := range r.Reports {
		if report.Target == server {
			return report.Result(workload)
		}
	}
	return nil
}

// WriteTable writes what a unit takes at each size, and how many times as much at the largest as at the
// smallest, for people to read.
func (g *Growth) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tserver\tat: of a unit\tlast : first\t")
	for _, c := range g.Curves() {
		label := c.Label
		if label == nil {
			label = bench.Duration
		}
		for _, l := range c.Lines {
			text, growth := "", ""
			for _, p := range l.Points {
				text += fmt.Sprintf("%.0f: %s  ", p.X, label(p.Y))
			}
			if n := len(l.Points); n > 1 && l.Points[0].Y > 0 {
				growth = fmt.Sprintf("%.2f", l.Points[n-1].Y/l.Points[0].Y)
			}
			fmt.Fprintf(t, "%s, %s\t%s\t%s\t%s\t\n", c.Title, c.Y, l.Name, text, growth)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, line := range g.lacking() {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// lacking says what could not be measured, and why.
func (g *Growth) lacking() (lines []string) {
	for _, r := range g.Reports() {
		for _, one := range r.Results {
			if one.NotOffered == "" {
				continue
			}
			if line := fmt.Sprintf("%s, %s: not measured: %s", one.Workload, r.Target, one.NotOffered); !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Reports returns all reports.
func (g *Growth) Reports() (all []*bench.Report) {
	for _, r := range slices.Concat(g.Messages, g.Memory, g.Connections) {
		all = append(all, r.Reports...)
	}
	return all
}

// Page returns the growth as a page for a browser.
func (g *Growth) Page() *bench.Page {
	p := &bench.Page{Title: "How work grows", Curves: g.Curves()}
	if len(g.Messages) > 0 {
		p.Notes = g.Messages[0].servers()
	}
	p.Notes = append(p.Notes, g.lacking()...)
	return p
}
