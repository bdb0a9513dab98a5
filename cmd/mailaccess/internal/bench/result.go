package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A Report is what was measured of one server.
type Report struct {
	Target   string    `json:"target"`
	Started  time.Time `json:"started"`
	Messages int       `json:"messages"`
	Octets   int64     `json:"octets"` // of the messages
	Seed     uint64    `json:"seed"`
	Results  []*Result `json:"results"`
}

// A Result is what was measured of one workload.
type Result struct {
	Workload   string   `json:"workload"`
	About      string   `json:"about"`
	Unit       string   `json:"unit"`
	Sessions   int      `json:"sessions"`
	Loop       string   `json:"loop"` // "closed" or "open": see Sample.P50
	NotOffered string   `json:"notOffered,omitempty"`
	Error      string   `json:"error,omitempty"`
	Samples    []Sample `json:"samples,omitempty"` // one for each run
	// Syscalls are those of a run that is not among the samples; nil: not counted.
	Syscalls *Syscalls `json:"syscalls,omitempty"`
}

// A Sample is what one run of a workload gave.
type Sample struct {
	Operations int64         `json:"operations"`
	Units      int64         `json:"units"`  // see Result.Unit
	Octets     int64         `json:"octets"` // from the server
	Wall       time.Duration `json:"wall"`   // nanoseconds, as all times
	CPU        time.Duration `json:"cpu"`    // of the server's processes; 0: unknown
	Client     time.Duration `json:"client"` // processor time of this program
	PSS        int64         `json:"pss"`    // memory of the server's processes at the end of the run; 0: unknown

	// Latencies of operations. In a closed loop the next one begins when one ends, and this is how
	// long it took. In an open loop it has a time at which it should begin, from which it is
	// counted, so that a server that stalls delays, and does not hide, those that follow.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
	// Connection is octets of memory for each connection; 0: not measured.
	Connection int64 `json:"connection,omitempty"`
	// Unsettled says that the server was still at work on what it had put off when it was awaited no longer:
	// its processor time goes on growing, and may be in what was measured next.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}

// ReadReport reads what [Report.Write] wrote.
func ReadReport(from io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(from).Decode(&r); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	return &r, nil
}

func (r *Report) last() *Result { return r.Results[len(r.Results)-1] }

// Unsettled returns in how many runs the server did not become calm.
func (r *Result) Unsettled() int {
	n := 0
	for _, s := range r.Samples {
		if s.Unsettled {
			n++
		}
	}
	return n
}

// unsettledText says so; "" when it did in all.
func (r *Result) unsettledText() string {
	if r.Unsettled() == 0 {
		return ""
	}
	return fmt.Sprintf("not calm after %s in %d of %d runs", settleLimit, r.Unsettled(), len(r.Samples))
}

// Result returns the result of a workload; nil when there is none.
func (r *Report) Result(workload string) *Result {
	for _, one := range r.Results {
		if one.Workload == workload {
			return one
		}
	}
	return nil
}

// Has says whether there is a result of a workload.
func (r *Report) Has(workload string) bool { return r.Result(workload) != nil }
