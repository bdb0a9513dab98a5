package bench

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
)

// A server that stalls once delays those commands that should have come meanwhile: they are late by
// what was left of the stall, although each takes no time itself.
func TestStallsAreNotHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{Context: t.Context(), opts: Options{Duration: 100 * time.Second, Rate: 10}, corpus: corpus.Corpus{Seed: 1}}
		n := 0
		stall := session{do: func() (done, error) {
			if n++; n == 100 {
				time.Sleep(20 * time.Second)
			}
			return done{1, 1}, nil
		}}
		var open, closed Sample
		paced, err := r.loops(&workload{paced: true}, []session{stall}, &open)
		if err != nil {
			t.Fatal(err)
		}
		// Some 1,000 commands in 100 seconds, of which 200 fall into the stall.
		if open.Operations < 850 || open.Operations > 1150 {
			t.Errorf("%d commands", open.Operations)
		}
		late := 0
		for _, bar := range paced.Distribution() {
			if bar.From > int64(time.Second) {
				late += int(bar.Count)
			}
		}
		if late < 150 || late > 240 || paced.ValueAtQuantile(50) > int64(time.Millisecond) {
			t.Errorf("%d commands were late, half took %v", late, time.Duration(paced.ValueAtQuantile(50)))
		}
		// Closed, the stall is one slow command.
		n = 0
		served, err := r.loops(&workload{limit: 1000}, []session{stall}, &closed)
		if err != nil {
			t.Fatal(err)
		}
		if served.ValueAtQuantile(99) > int64(time.Millisecond) || served.Max() < int64(19*time.Second) || closed.Operations != 1000 {
			t.Errorf("closed: p99 %v, max %v", time.Duration(served.ValueAtQuantile(99)), time.Duration(served.Max()))
		}
	})
}

// The times do not depend on the server, and each run and session has others.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		times := func(number, k int, slow time.Duration) (all []time.Duration) {
			r := &run{Context: t.Context(), opts: Options{Rate: 100}, corpus: corpus.Corpus{Seed: 1}, number: number}
			next := r.pace(start, k, 4)
			for range 50 {
				at, err := next(r)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(slow)
				all = append(all, at.Sub(start))
			}
			return all
		}
		quick, slow := times(0, 0, 0), times(0, 0, time.Second)
		for i := range quick {
			if quick[i] != slow[i] {
				t.Fatalf("command %d: %v, with a slow server %v", i, quick[i], slow[i])
			}
		}
		if times(1, 0, 0)[49] == quick[49] || times(0, 1, 0)[49] == quick[49] {
			t.Error("another run or session has the same times")
		}
		if mean := quick[49] / 50; mean < 25*time.Millisecond || mean > 60*time.Millisecond {
			t.Errorf("%v between commands", mean)
		}
	})
}
