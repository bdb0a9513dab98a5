package bench

import (
	"math"
	"testing"
	"time"
)

// The critical values are those of tables of the Mann-Whitney test (two-sided, 0.05).
func TestTrim(t *testing.T) {
	for _, c := range []struct {
		n, m, k int
		sure    float64
	}{
		{1, 1, 0, 0}, {2, 2, 0, 1 - 2.0/6}, {3, 3, 0, 1 - 2.0/20}, {4, 4, 0, 1 - 2.0/70}, {5, 5, 2, 1 - 2*4.0/252}, {5, 3, 0, 1 - 2.0/56},
		{8, 8, 13, 0}, {10, 10, 23, 0}, {4, 9, 4, 0},
	} {
		k, sure := trim(c.n, c.m)
		if k != c.k || c.sure > 0 && math.Abs(sure-c.sure) > 1e-12 || sure < 0 || sure > 1 || c.n > 4 && sure < confidence {
			t.Errorf("trim(%d, %d) = %d, %v; want %d, %v", c.n, c.m, k, sure, c.k, c.sure)
		}
		if k2, sure2 := trim(c.m, c.n); k2 != k || math.Abs(sure2-sure) > 1e-12 {
			t.Errorf("trim(%d, %d) differs from trim(%d, %d)", c.m, c.n, c.n, c.m)
		}
	}
}

func TestRatioOf(t *testing.T) {
	r := RatioOf([]float64{30, 20, 40}, []float64{10, 10, 20})
	if r.Middle != 2 || r.Low != 1 || r.High != 4 || r.Confidence != 0.9 {
		t.Errorf("%+v", r)
	}
	if s := r.String(); s != "2.0 (1.0 to 4.0)" {
		t.Errorf("%q", s)
	}
	// One outlier among five runs moves neither the middle nor the bounds much.
	r = RatioOf([]float64{20, 20.2, 19.8, 20.1, 500}, []float64{10, 10.1, 9.9, 10, 10})
	if r.Middle < 1.9 || r.Middle > 2.1 || r.Low < 1.9 || r.Confidence < 0.95 {
		t.Errorf("%+v", r)
	}
	for _, unknown := range [][2][]float64{{nil, {1}}, {{1}, nil}, {{0, 1}, {1, 1}}, {{1}, {1}}} {
		if r := RatioOf(unknown[0], unknown[1]); r.Known() || r.String() != "-" {
			t.Errorf("RatioOf(%v) = %+v", unknown, r)
		}
	}
}

func TestCompare(t *testing.T) {
	report := func(each time.Duration) *Report {
		var samples []Sample
		for i := range 5 {
			samples = append(samples, Sample{Units: 100, Wall: (each + time.Duration(i)) * 100, CPU: each * 50})
		}
		return &Report{Results: []*Result{{Workload: "noop", Unit: "noop", Samples: samples}, {Workload: "sort", NotOffered: "no SORT"}}}
	}
	theirs, ours := report(3000), report(1000)
	ours.Results = append(ours.Results, &Result{Workload: "thread"}) // they were not asked to
	list := Compare(theirs, ours)
	if len(list) != 2 || list[0].Workload != "noop" || list[1].Workload != "sort" {
		t.Fatalf("%+v", list)
	}
	if r := list[0].Wall; r.Middle < 2.98 || r.Middle > 3.01 || r.Low < 2.9 || r.High > 3.1 {
		t.Errorf("wall time: %+v", r)
	}
	if r := list[0].CPU; r.Middle != 3 || r.Low != 3 || r.High != 3 {
		t.Errorf("processor time: %+v", r)
	}
	if list[0].Memory.Known() || list[0].Missing("them", "us") != "" || list[1].Missing("them", "us") != "them: not offered: no SORT" {
		t.Errorf("%+v", list)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Number(0), "0"}, {Number(0.0123), "0.012"}, {Number(0.5), "0.50"}, {Number(1), "1.0"}, {Number(9.96), "10.0"}, {Number(123.4), "123"},
		{Duration(12.3), "12 ns"}, {Duration(1500), "1.5 µs"}, {Duration(2.5e9), "2.5 s"}, {Octets(100), "100 B"}, {Octets(1536), "1.5 KiB"}, {Octets(3 << 30), "3.0 GiB"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
