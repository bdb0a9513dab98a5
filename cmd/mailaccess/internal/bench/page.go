package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
)

//go:embed page.html
var pageHTML string

// A Page is a report for a browser: one file that needs no other.
type Page struct {
	Title   string
	Notes   []string  // versions, settings, what the machine can do
	Reports []*Report // of one or more servers, the one that the others are compared with first
	Curves  []Curve
	Tables  []*Table
}

// A Curve is how a workload grows, at one or more servers.
type Curve struct {
	Title string
	X, Y  string               // what is along the axes
	Label func(float64) string // of the values on Y; nil: Duration
	Lines []Line
}

// A Line is the curve of one server.
type Line struct {
	Name   string
	Points []Point
}

// A Point is one figure of a Line. Both are above 0: the axes are logarithmic.
type Point struct{ X, Y float64 }

// Write writes the page as HTML.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	v := pageView{Title: p.Title, Notes: p.Notes, Tables: p.Tables}
	for _, r := range p.Reports {
		v.Servers = append(v.Servers, r.Target)
	}
	if len(p.Reports) > 0 {
		for _, one := range p.Reports[0].Results {
			v.Workloads = append(v.Workloads, p.workload(one.Workload))
		}
	}
	for _, c := range p.Curves {
		v.Curves = append(v.Curves, c.draw())
	}
	return t.Execute(w, v)
}

// pageView is what the template shows.
type pageView struct {
	Title     string
	Notes     []string
	Servers   []string
	Workloads []workloadView
	Curves    []curveView
	Tables    []*Table
}

type workloadView struct {
	Name, About string
	Bars        []barView
}

// A barView is a server at a workload.
type barView struct {
	Server  string
	Class   string
	Percent float64 // of the longest bar
	Each    string  // what the bar shows
	Ratio   string  // to the first server; empty: none
	Detail  string
	Why     string // there is no bar
}

// workload compares processor time where all servers have it, and time where not.
func (p *Page) workload(name string) workloadView {
	view := workloadView{Name: name}
	figure, what := Sample.CPUEach, "processor time"
	for _, r := range p.Reports {
		if one := r.Result(name); one != nil && median(one.each(Sample.CPUEach)) == 0 {
			figure, what = Sample.WallEach, "time"
		}
	}
	var longest float64
	first := p.Reports[0].Result(name)
	for i, r := range p.Reports {
		bar := barView{Server: r.Target, Class: fmt.Sprintf("s%d", i%classes)}
		one := r.Result(name)
		switch {
		case one == nil:
			bar.Why = "not measured"
		case one.NotOffered != "":
			bar.Why = "not offered: " + one.NotOffered
		case one.Error != "":
			bar.Why = "failed: " + one.Error
		default:
			view.About = one.About
			each := median(one.each(figure))
			bar.Percent, longest = each, max(longest, each)
			bar.Each = fmt.Sprintf("%s of %s a %s", Duration(each), what, one.Unit)
			bar.Detail = one.detail()
			if i > 0 && first != nil {
				if ratio := RatioOf(one.each(figure), first.each(figure)); ratio.Known() {
					bar.Ratio = ratio.String() + " times as much"
				}
			}
		}
		view.Bars = append(view.Bars, bar)
	}
	for i := range view.Bars {
		if longest > 0 {
			view.Bars[i].Percent *= 100 / longest
		}
	}
	return view
}

func (r *Result) detail() string {
	duration := func(figure func(Sample) float64) string { return Duration(median(r.each(figure))) }
	s := fmt.Sprintf("%s %ss a second; p50 %s, p99 %s, longest %s", Number(median(r.each(func(s Sample) float64 { return float64(s.Units) / s.Wall.Seconds() }))), r.Unit,
		duration(func(s Sample) float64 { return float64(s.P50) }), duration(func(s Sample) float64 { return float64(s.P99) }),
		duration(func(s Sample) float64 { return float64(s.Max) }))
	if text := r.unsettledText(); text != "" {
		s += "; " + text
	}
	if c := median(r.each(Sample.Memory)); c > 0 {
		s += fmt.Sprintf("; %s of memory a connection", Octets(c))
	}
	return s
}

// classes is how many colours the page has for servers.
const classes = 5

// The drawing of a curve, in pixels.
const (
	curveWidth, curveHeight = 420.0, 260.0
	curveLeft, curveBottom  = 64.0, 36.0
	curveTop, curveRight    = 12.0, 12.0
)

type curveView struct {
	Title, X, Y             string
	Width, Height           float64
	Left, Right, Top, Lower float64 // of the field
	Columns, Rows           []tickView
	Lines                   []lineView
}

type tickView struct {
	At    float64
	Label string
}

type lineView struct {
	Name, Class, Points string
	Dots                []dotView
}

type dotView struct {
	X, Y  float64
	Label string
}

// draw places the points on logarithmic axes, whose ends are powers of ten.
func (c Curve) draw() curveView {
	v := curveView{
		Title: c.Title, X: c.X, Y: c.Y, Width: curveWidth, Height: curveHeight,
		Left: curveLeft, Right: curveWidth - curveRight, Top: curveTop, Lower: curveHeight - curveBottom,
	}
	label := c.Label
	if label == nil {
		label = Duration
	}
	var xs, ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if p.X > 0 && p.Y > 0 {
				xs, ys = append(xs, math.Log10(p.X)), append(ys, math.Log10(p.Y))
			}
		}
	}
	if len(xs) == 0 {
		return v
	}
	axis := func(values []float64) (from, to float64) {
		from, to = math.Floor(slices.Min(values)), math.Ceil(slices.Max(values))
		return from, max(to, from+1)
	}
	x0, x1 := axis(xs)
	y0, y1 := axis(ys)
	atX := func(log float64) float64 { return v.Left + (log-x0)/(x1-x0)*(v.Right-v.Left) }
	atY := func(log float64) float64 { return v.Lower - (log-y0)/(y1-y0)*(v.Lower-v.Top) }
	for power := x0; power <= x1; power++ {
		v.Columns = append(v.Columns, tickView{atX(power), Number(math.Pow(10, power))})
	}
	for power := y0; power <= y1; power++ {
		v.Rows = append(v.Rows, tickView{atY(power), label(math.Pow(10, power))})
	}
	for i, l := range c.Lines {
		line := lineView{Name: l.Name, Class: fmt.Sprintf("s%d", i%classes)}
		for _, p := range l.Points {
			if p.X <= 0 || p.Y <= 0 {
				continue
			}
			x, y := atX(math.Log10(p.X)), atY(math.Log10(p.Y))
			line.Points += fmt.Sprintf("%.1f,%.1f ", x, y)
			line.Dots = append(line.Dots, dotView{x, y, fmt.Sprintf("%s: %s at %s", l.Name, label(p.Y), Number(p.X))})
		}
		v.Lines = append(v.Lines, line)
	}
	return v
}
