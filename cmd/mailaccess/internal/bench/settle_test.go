package bench

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A server is awaited while it works on what it put off, for minutes, and not for ever.
func TestSettle(t *testing.T) {
	const calm = 3500 * time.Millisecond
	for _, test := range []struct {
		name            string
		pause, work     time.Duration // it does nothing first, works then, and rests after that
		least, most     time.Duration
		unsettled, fail bool
	}{
		{name: "calm", least: calm, most: calm + time.Second},
		{name: "put off", pause: 3 * time.Second, work: 2 * time.Minute, least: 2*time.Minute + 3*time.Second + calm, most: 2*time.Minute + 4*time.Second + calm},
		{name: "restless", work: time.Hour, least: settleLimit, most: settleLimit + time.Second, unsettled: true},
		{name: "gone", fail: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				unsettled, err := settle(t.Context(), calm, func() (time.Duration, error) {
					if test.fail {
						return 0, errors.New("no such process")
					}
					return min(max(0, time.Since(start)-test.pause), test.work) / 2, nil
				})
				took := time.Since(start)
				if unsettled != test.unsettled || (err != nil) != test.fail || took < test.least || took > test.most {
					t.Errorf("unsettled %t after %v, %v", unsettled, took, err)
				}
			})
		})
	}
}

// To look at many processes takes long, and all of them together do a little now and then.
func TestSettleOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		unsettled, err := settle(t.Context(), time.Second, func() (time.Duration, error) {
			time.Sleep(3 * settleStep)
			return time.Since(start) / 100, nil
		})
		if unsettled || err != nil {
			t.Errorf("unsettled %t, %v", unsettled, err)
		}
	})
}

// What did not become calm is marked in the tables.
func TestUnsettledIsTold(t *testing.T) {
	result := func(unsettled bool) *Report {
		s := Sample{Units: 1, Operations: 1, Wall: time.Second, CPU: time.Second}
		calm := s
		s.Unsettled = unsettled
		return &Report{Target: "one", Results: []*Result{{Workload: "store-flags", Unit: "message", Samples: []Sample{calm, s, s}}}}
	}
	for _, unsettled := range []bool{false, true} {
		var out bytes.Buffer
		if err := errors.Join(WriteTable(&out, result(unsettled)), WriteComparison(&out, "theirs", "ours", Compare(result(unsettled), result(false))),
			(&Page{Reports: []*Report{result(unsettled)}}).Write(&out)); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "not calm after 5m0s in 2 of 3 runs"); n != 3 && unsettled || n != 0 && !unsettled {
			t.Errorf("%d times in %s", n, out.String())
		}
	}
}

// What is put off after store-flags is in no other workload's figures.
func TestFlagsOfAllComeLast(t *testing.T) {
	if names := Names(); slices.Index(names, "store-flags") != len(names)-1 {
		t.Errorf("%q", names)
	}
}
