package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// The page is well-formed, asks for nothing from elsewhere, and shows what there is.
func TestPage(t *testing.T) {
	sample := func(cpu time.Duration) []Sample {
		return []Sample{{Units: 10, Operations: 10, Wall: time.Second, CPU: cpu * 10}, {Units: 10, Operations: 10, Wall: time.Second, CPU: cpu * 10},
			{Units: 10, Operations: 10, Wall: time.Second, CPU: cpu * 10}}
	}
	p := &Page{
		Title: "A <b>title</b> & more", Notes: []string{"one", "<two>"},
		Reports: []*Report{
			{Target: "ours", Results: []*Result{{Workload: "noop", About: "NOOP", Unit: "noop", Samples: sample(time.Millisecond)}, {Workload: "sort", Unit: "message", Samples: sample(1)}, {Workload: "thread", Error: "it said </html>"}}},
			{Target: "theirs", Results: []*Result{{Workload: "noop", About: "NOOP", Unit: "noop", Samples: sample(4 * time.Millisecond)}, {Workload: "sort", NotOffered: "no SORT"}}},
		},
		Curves: []Curve{
			{Title: "noop", X: "messages", Y: "time", Lines: []Line{{"ours", []Point{{1000, 2000}, {10000, 2100}, {0, 5}}}, {"theirs", []Point{{1000, 20000}, {10000, 400000}}}}},
			{Title: "nothing"},
		},
	}
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(out.String()))
	d.Entity, d.Strict = xml.HTMLEntity, true
	widths, dots, depth := []string{}, 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch e := token.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			if e.Name.Local == "circle" {
				dots++
			}
			for _, a := range e.Attr {
				switch {
				case a.Name.Local == "src" || a.Name.Local == "href":
					t.Errorf("%s asks for %s", e.Name.Local, a.Value)
				case a.Name.Local == "style":
					widths = append(widths, a.Value)
				}
				if strings.Contains(a.Value, "ZgotmplZ") {
					t.Errorf("%s: %s", e.Name.Local, a.Value)
				}
			}
		}
	}
	if depth != 0 || dots != 4 || strings.Join(widths, ",") != "width: 25.00%,width: 100.00%,width: 100.00%" {
		t.Errorf("depth %d, %d dots, bars %q", depth, dots, widths)
	}
	for _, text := range []string{"A &lt;b&gt;title", "&lt;two&gt;", "4.0 (4.0 to 4.0) times as much", "not offered: no SORT", "failed: it said &lt;/html&gt;", "1.0 ms of processor time a noop"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is not in the page", text)
		}
	}
}

// A line that does not grow is flat, and one that grows as its work does rises as it goes.
func TestCurve(t *testing.T) {
	v := Curve{Lines: []Line{{"flat", []Point{{10, 50}, {1000, 50}}}, {"steep", []Point{{10, 10}, {1000, 1000}}}}}.draw()
	flat, steep := v.Lines[0].Dots, v.Lines[1].Dots
	if flat[0].Y != flat[1].Y || flat[0].X != v.Left || flat[1].X != v.Right {
		t.Errorf("flat: %+v", flat)
	}
	if steep[0].Y != v.Lower || steep[1].Y != v.Top || len(v.Columns) != 3 || len(v.Rows) != 3 || v.Columns[1].Label != "100" {
		t.Errorf("steep: %+v, %+v", steep, v.Columns)
	}
}
