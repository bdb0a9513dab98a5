//go:build !linux

package proc

import (
	"errors"
	"time"
)

func processTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

// Ended says whether that is the error of reading about a process that is no more.
func Ended(error) bool { return false }

// Self returns the processor time of this process; here it is unknown, and 0.
func Self() time.Duration { return 0 }
