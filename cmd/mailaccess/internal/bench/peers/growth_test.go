package peers

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
)

// A growth has a curve for each workload, with a line for each server and a point for each size.
func TestGrowth(t *testing.T) {
	at := func(messages int, results ...*bench.Result) *Result {
		r := &Result{Servers: []Server{{Name: Ours}, {Name: "dovecot"}}}
		for _, one := range results {
			r.Reports = append(r.Reports, &bench.Report{Target: r.Servers[len(r.Reports)].Name, Messages: messages, Results: []*bench.Result{one}})
		}
		return r
	}
	noop := func(each time.Duration) *bench.Result {
		return &bench.Result{Workload: "noop", Unit: "noop", Samples: []bench.Sample{{Units: 10, CPU: 10 * each}}}
	}
	idle := func(n, octets int64) *bench.Result {
		return &bench.Result{Workload: "idle-memory", Unit: "connection", Samples: []bench.Sample{{Units: n, CPU: time.Duration(n) * time.Microsecond, Connection: octets}}}
	}
	tls := idle(10, 3072)
	tls.Workload = "idle-memory-tls"
	alone := at(1000, idle(10000, 4096))
	alone.Servers = alone.Servers[:1]
	g := &Growth{
		Messages:    []*Result{at(1000, noop(5000), noop(20000)), at(10000, noop(5000), noop(60000)), at(100000, noop(10000), &bench.Result{Workload: "noop", Error: "no"})},
		Connections: []*Result{at(1000, idle(10, 2048), idle(10, 512<<10)), alone},
	}
	ten := g.Connections[0].Reports[0]
	ten.Results = append(ten.Results, tls)
	curves := g.Curves()
	if len(curves) != 5 || curves[0].Title != "noop" || len(curves[0].Lines) != 2 {
		t.Fatalf("%+v", curves)
	}
	ours, theirs := curves[0].Lines[0].Points, curves[0].Lines[1].Points
	if len(ours) != 3 || ours[2] != (bench.Point{X: 100000, Y: 10000}) || len(theirs) != 2 || theirs[1] != (bench.Point{X: 10000, Y: 60000}) {
		t.Errorf("%+v, %+v", ours, theirs)
	}
	if m := curves[1].Lines; len(m[0].Points) != 2 || m[0].Points[1] != (bench.Point{X: 10000, Y: 4096}) || len(m[1].Points) != 1 {
		t.Errorf("%+v", m)
	}
	if over := curves[3]; over.Title != "idle-memory-tls" || len(over.Lines) != 1 || len(over.Lines[0].Points) != 1 || over.Lines[0].Points[0] != (bench.Point{X: 10, Y: 3072}) {
		t.Errorf("%+v", over)
	}
	g.Connections = append(g.Connections, at(1000, &bench.Result{Workload: "idle-memory", NotOffered: "too many"}))
	g.Small = true
	if title := g.Curves()[0].Title; title != "noop (small messages)" {
		t.Error(title)
	}
	var table bytes.Buffer
	if err := g.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(table.String()), " ")
	for _, line := range []string{"mailaccess 1000: 5.0 µs 10000: 5.0 µs 100000: 10 µs 2.00 ", "dovecot 1000: 20 µs 10000: 60 µs 3.00 ", "mailaccess 10: 2.0 KiB 10000: 4.0 KiB 2.00 ", "dovecot 10: 512 KiB ", "idle-memory, mailaccess: not measured: too many"} {
		if !strings.Contains(words, line) {
			t.Errorf("no %q in %s", line, table.String())
		}
	}
}
