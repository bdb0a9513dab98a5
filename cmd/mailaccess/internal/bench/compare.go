package bench

import (
	"cmp"
	"math"
	"slices"
)

// A Ratio is how many times more one server took than another: above 1 the other, ours, is better.
type Ratio struct {
	Middle     float64 `json:"middle"` // the median of the ratios of all pairs of runs
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"` // that what is between Low and High holds
}

// Known says whether there is a ratio.
func (r Ratio) Known() bool { return r.Confidence > 0 }

// confidence is what is aimed for; three runs of each give 0.9 at most.
const confidence = 0.95

// RatioOf compares what two servers took in their runs, of which each value is above 0. It assumes nothing
// about how the values are distributed: Low and High are what the Mann-Whitney test at that
// confidence does not reject (Hodges and Lehmann's estimate, and the interval that belongs to it).
func RatioOf(theirs, ours []float64) Ratio {
	positive := func(v float64) bool { return v > 0 && !math.IsInf(v, 0) }
	if len(theirs) == 0 || len(ours) == 0 || !all(theirs, positive) || !all(ours, positive) {
		return Ratio{}
	}
	pairs := make([]float64, 0, len(theirs)*len(ours))
	for _, t := range theirs {
		for _, o := range ours {
			pairs = append(pairs, t/o)
		}
	}
	slices.Sort(pairs)
	k, sure := trim(len(theirs), len(ours))
	return Ratio{Middle: middle(pairs), Low: pairs[k], High: pairs[len(pairs)-1-k], Confidence: sure}
}

// trim returns how many of the pairs' ratios may be left out at either end, and which confidence
// that leaves.
func trim(n, m int) (k int, sure float64) {
	total, below := 0.0, 0.0
	counts := make([]float64, n*m+1)
	for u := range counts {
		counts[u] = arrangements(n, m, u)
		total += counts[u]
	}
	sure = 1 - 2*counts[0]/total
	for u := 0; u < (n*m)/2; u++ {
		below += counts[u]
		if 1-2*below/total < confidence {
			break
		}
		k, sure = u, 1-2*below/total
	}
	return k, max(sure, 0)
}

// arrangements returns in how many orders of n and m values u pairs stand the wrong way round: the
// coefficient of q^u in the Gaussian binomial of n+m and n.
func arrangements(n, m, u int) float64 {
	// ways[j] is in how many ways j is a sum of at most n terms of at most m each.
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, u+1)
	}
	ways[0][0] = 1
	for term := 1; term <= m; term++ {
		for i := 1; i <= n; i++ {
			for j := term; j <= u; j++ {
				ways[i][j] += ways[i-1][j-term]
			}
		}
	}
	sum := 0.0
	for i := range ways {
		sum += ways[i][u]
	}
	return sum
}

func all(values []float64, ok func(float64) bool) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return !ok(v) })
}

// middle is the median of sorted values, of which there is one at least.
func middle[T ~int64 | ~float64](sorted []T) T {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// median is the median of values in any order; 0 when there are none.
func median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, func(a, b T) int { return cmp.Compare(a, b) })
	return middle(sorted)
}

// A Comparison is how two servers did at one workload. What is compared is what one unit took.
type Comparison struct {
	Workload string  `json:"workload"`
	Unit     string  `json:"unit"`
	Theirs   *Result `json:"-"`
	Ours     *Result `json:"-"`
	Wall     Ratio   `json:"wall"`
	CPU      Ratio   `json:"cpu"`    // of the servers' processes
	Memory   Ratio   `json:"memory"` // of a connection
}

// Compare compares two reports, workload by workload, in the order of ours. Workloads that only one
// has are left out.
func Compare(theirs, ours *Report) []Comparison {
	var list []Comparison
	for _, o := range ours.Results {
		t := theirs.Result(o.Workload)
		if t == nil {
			continue
		}
		list = append(list, Comparison{
			Workload: o.Workload, Unit: o.Unit, Theirs: t, Ours: o,
			Wall:   RatioOf(t.each(Sample.WallEach), o.each(Sample.WallEach)),
			CPU:    RatioOf(t.each(Sample.CPUEach), o.each(Sample.CPUEach)),
			Memory: RatioOf(t.each(Sample.Memory), o.each(Sample.Memory)),
		})
	}
	return list
}

// each returns a figure of all samples.
func (r *Result) each(figure func(Sample) float64) []float64 {
	var values []float64
	for _, s := range r.Samples {
		values = append(values, figure(s))
	}
	return values
}

// WallEach returns the nanoseconds that a unit took.
func (s Sample) WallEach() float64 { return perUnit(float64(s.Wall), s.Units) }

// CPUEach returns the nanoseconds of the server's processor time that a unit took.
func (s Sample) CPUEach() float64 { return perUnit(float64(s.CPU), s.Units) }

// ClientEach returns the nanoseconds of this program's processor time that a unit took.
func (s Sample) ClientEach() float64 { return perUnit(float64(s.Client), s.Units) }

// Memory returns the octets of memory of a connection; 0: not measured.
func (s Sample) Memory() float64 { return float64(s.Connection) }

func perUnit(v float64, units int64) float64 {
	if units == 0 {
		return 0
	}
	return v / float64(units)
}

// Slow returns the nanoseconds within which 99 of 100 operations were done.
func (s Sample) Slow() float64 { return float64(s.P99) }

// Median returns the median of a figure over all runs; 0 when there are none.
func (r *Result) Median(figure func(Sample) float64) float64 { return median(r.each(figure)) }

// WallText is the ratio of the wall times as text. Where commands have their time, there is none.
func (c Comparison) WallText() string {
	if c.Ours.Loop == "open" {
		return "paced"
	}
	return c.Wall.String()
}
