package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
	"time"
)

// WriteTable writes a report for people to read.
func WriteTable(w io.Writer, r *Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s: %d messages, %s\n", r.Target, r.Messages, Octets(float64(r.Octets)))
	fmt.Fprintln(t, "workload\tper second\toctets/s\tp50\tp99\tmax\tserver each\tclient each\tmemory\t")
	for _, one := range r.Results {
		switch {
		case one.NotOffered != "":
			fmt.Fprintf(t, "%s\tnot offered: %s\t\t\t\t\t\t\t\t\n", one.Workload, one.NotOffered)
			continue
		case one.Error != "":
			fmt.Fprintf(t, "%s\tfailed: %s\t\t\t\t\t\t\t\t\n", one.Workload, one.Error)
			continue
		}
		memory := median(one.each(func(s Sample) float64 { return float64(s.PSS) }))
		note := ""
		if c := median(one.each(Sample.Memory)); c > 0 {
			note = fmt.Sprintf(" (%s a connection)", Octets(c))
		}
		if text := one.unsettledText(); text != "" {
			note += ", " + text
		}
		fmt.Fprintf(t, "%s\t%s %ss\t%s\t%s\t%s\t%s\t%s\t%s\t%s%s\t\n", one.Workload,
			Number(median(one.each(func(s Sample) float64 { return float64(s.Units) / s.Wall.Seconds() }))), one.Unit,
			Octets(median(one.each(func(s Sample) float64 { return float64(s.Octets) / s.Wall.Seconds() }))),
			Duration(median(one.each(func(s Sample) float64 { return float64(s.P50) }))),
			Duration(median(one.each(func(s Sample) float64 { return float64(s.P99) }))),
			Duration(median(one.each(func(s Sample) float64 { return float64(s.Max) }))),
			Duration(median(one.each(Sample.CPUEach))), Duration(median(one.each(Sample.ClientEach))), Octets(memory), note)
	}
	return t.Flush()
}

// WriteComparison writes how two servers did for people to read.
func WriteComparison(w io.Writer, theirs, ours string, list []Comparison) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "times that %s takes more than %s\n", theirs, ours)
	fmt.Fprintf(t, "workload\twall time\tserver processor time\tof a unit, theirs\tours\t\n")
	for _, c := range list {
		if what := c.Missing(theirs, ours); what != "" {
			fmt.Fprintf(t, "%s\t%s\t\t\t\t\n", c.Workload, what)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t\n", c.Workload, c.WallText(), c.CPU,
			c.Theirs.CPUText(), c.Ours.CPUText())
		if c.Memory.Known() {
			fmt.Fprintf(t, "  memory of a connection\t\t%s\t%s\t%s\t\n", c.Memory,
				Octets(median(c.Theirs.each(Sample.Memory))), Octets(median(c.Ours.each(Sample.Memory))))
		}
	}
	return t.Flush()
}

// CPUText is the processor time of a unit as text, and says so where it is not all that there will be.
func (r *Result) CPUText() string {
	text := Duration(r.Median(Sample.CPUEach))
	if more := r.unsettledText(); more != "" {
		text += " (" + more + ")"
	}
	return text
}

// Missing says why there is nothing to compare; "" when there is.
func (c Comparison) Missing(theirs, ours string) string {
	for _, side := range []struct {
		name string
		*Result
	}{{theirs, c.Theirs}, {ours, c.Ours}} {
		switch {
		case side.NotOffered != "":
			return side.name + ": not offered: " + side.NotOffered
		case side.Error != "":
			return side.name + ": failed: " + side.Error
		}
	}
	return ""
}

// String is the ratio with its bounds, as in "3.1 (2.9 to 3.4)".
func (r Ratio) String() string {
	if !r.Known() {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", Number(r.Middle), Number(r.Low), Number(r.High))
}

// Number writes a number with two digits or more.
func Number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', max(0, 1-int(math.Floor(math.Log10(v)))), 64)
}

// Octets writes a number of octets.
func Octets(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if v < 1024 {
			return Number(v) + " " + unit
		}
		v /= 1024
	}
	return Number(v) + " GiB"
}

// Duration writes a number of nanoseconds.
func Duration(v float64) string {
	for _, unit := range []string{"ns", "µs", "ms"} {
		if v < 1000 {
			return Number(v) + " " + unit
		}
		v /= 1000
	}
	return Number(v) + " " + time.Second.String()[1:]
}
