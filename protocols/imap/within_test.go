package imap

import (
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// TestReceivedWithin: RFC 5032, section 2: exact to the second, which both keys
// match.
func TestReceivedWithin(t *testing.T) {
	now := time.Date(2024, 2, 29, 12, 0, 0, 700, time.UTC)
	for _, tt := range []struct {
		age            time.Duration
		older, younger bool
	}{
		{0, false, true},
		{59 * time.Second, false, true},
		{60*time.Second - 1, true, true},
		{60 * time.Second, true, true},
		{60*time.Second + 700, true, true},
		{60*time.Second + 701, true, false},
		{61 * time.Second, true, false},
		{100 * 365 * 24 * time.Hour, true, false},
		{-time.Hour, false, true}, // from the future
	} {
		msg := mailaccess.Message{Received: now.Add(-tt.age).In(time.FixedZone("", 3600))}
		for _, younger := range []bool{false, true} {
			m, err := query.Compile(receivedWithin(younger, time.Minute, now), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.older
			if younger {
				want = tt.younger
			}
			if got, err := m.Match(t.Context(), &msg, nil); got != want || err != nil {
				t.Errorf("%v old, younger %v: %v, %v", tt.age, younger, got, err)
			}
		}
	}
}
