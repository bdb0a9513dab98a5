package query

import (
	"errors"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// upTo permits so many octets.
func upTo(limit int64) Memory {
	return func(octets int64) error {
		if octets > limit {
			return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "sort"}
		}
		return nil
	}
}

// Memory is asked for ahead of what is taken, not for each message, and what it refuses is
// not taken.
func TestMemoryIsAskedFor(t *testing.T) {
	var granted, asked int64
	refused := errors.New("no more")
	c := counted{may: func(octets int64) error {
		if octets > 1<<20 {
			return refused
		}
		asked++
		granted = octets
		return nil
	}}
	var err error
	taken := int64(0)
	for ; err == nil; taken += 100 {
		if err = c.take(taken); err == nil && granted < taken {
			t.Fatalf("%d octets are taken, and %d were granted", taken, granted)
		}
	}
	if err != refused || taken < 1<<20-2*memoryStep || asked > 1000 {
		t.Errorf("after %d octets, asked for %d times: %v", taken, asked, err)
	}
}
