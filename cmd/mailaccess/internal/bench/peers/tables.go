package peers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
)

// Tables are what is told besides the comparison.
func (r *Result) Tables() (tables []*bench.Table) {
	for _, t := range []*bench.Table{r.shares(), bench.SyscallsTable(r.Reports)} {
		if t != nil {
			tables = append(tables, t)
		}
	}
	return tables
}

// A bound is something that the machine does at most so many times in a second, and that a workload cannot do
// without.
type bound struct {
	name   string
	most   func(Physics) float64                // in a second
	unit   func(one *bench.Result) float64      // how much of it a unit takes; 0: unknown, or none
	bounds func(one *bench.Result, k kind) bool // whether it bounds a workload of a server of that kind
}

func bounds() []bound {
	among := func(names ...string) func(*bench.Result, kind) bool {
		return func(one *bench.Result, k kind) bool {
			return !k.memory && slices.Contains(names, strings.TrimSuffix(one.Workload, "-tls"))
		}
	}
	onDisk := func(alone bool) func(*bench.Result, kind) bool {
		return func(one *bench.Result, k kind) bool { return !k.memory && (one.Sessions <= 1) == alone }
	}
	each := func(*bench.Result) float64 { return 1 }
	syncs := func(one *bench.Result) float64 {
		if one.Syscalls == nil || one.Loop == "open" { // which goes at a pace that is set
			return 0
		}
		return one.Syscalls.Syncs()
	}
	return []bound{
		{"loopback's octets", func(p Physics) float64 { return p.Loopback }, func(one *bench.Result) float64 {
			return one.Median(func(s bench.Sample) float64 { return float64(s.Octets) / float64(max(1, s.Units)) })
		}, func(one *bench.Result, _ kind) bool {
			return strings.HasPrefix(one.Workload, "fetch-") || strings.HasPrefix(one.Workload, "pop3-")
		}},
		{"opening and reading files", func(p Physics) float64 { return p.Opens }, each, among("fetch-bodies", "fetch-one", "fetch-part", "pop3-retr", "search-body")},
		{"disk's syncs", func(p Physics) float64 { return p.Syncs }, syncs, onDisk(true)},
		{"disk's syncs by 16 writers", func(p Physics) float64 { return p.Syncs16 }, syncs, onDisk(false)},
		{"renames of files", func(p Physics) float64 { return p.Renames }, each, among("move")},
		{"removals of files", func(p Physics) float64 { return p.Unlinks }, each, among("expunge")},
	}
}

// shares is the table of which share each server reaches of what the machine can do, by the means of before and
// after; nil: that was not measured.
func (r *Result) shares() *bench.Table {
	t := &bench.Table{
		About: "The share that workloads reach of what the machine can do, in the mean of before and after, with what they cannot do without: octets through the loopback, a message file " +
			"opened, read and closed for each message, the syncs that were counted, a file renamed or removed for each message. It is above 100 % where syncs go on side by side, or after the answers. " +
			"The client shares the processors with the servers:",
		Head: []string{"workload", "share of the"},
	}
	for _, s := range r.Servers {
		t.Head = append(t.Head, s.Name)
	}
	for _, of := range r.Reports[0].Results {
		for _, b := range bounds() {
			most := (b.most(r.Physics) + b.most(r.After)) / 2
			row, any := []string{of.Workload, b.name}, false
			for i, report := range r.Reports {
				text := "-"
				if one := report.Result(of.Workload); one != nil && most > 0 && b.bounds(one, kindOf(r.Servers[i].Name)) {
					unit := b.unit(one)
					share := one.Median(func(s bench.Sample) float64 { return unit * float64(s.Units) / s.Wall.Seconds() / most })
					if share > 0 {
						text, any = fmt.Sprintf("%s %%", bench.Number(100*share)), true
					}
				}
				row = append(row, text)
			}
			if any {
				t.Rows = append(t.Rows, row)
			}
		}
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return t
}

// kindOf returns the kind of that name.
func kindOf(name string) kind {
	for _, k := range kinds() {
		if k.name == name {
			return k
		}
	}
	return kind{}
}
