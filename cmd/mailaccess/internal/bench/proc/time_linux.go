package proc

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processTime returns the processor time of all threads of a process, those that have ended
// included, to the nanosecond: its clock is numbered as clock_getcpuclockid(3) does.
func processTime(pid int) (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED: time as the scheduler counts it
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
		return 0, err
	}
	return time.Duration(t.Nano()), nil
}

// Ended says whether that is the error of reading about a process that is no more.
func Ended(err error) bool { return errors.Is(err, syscall.ESRCH) }

// Self returns the processor time of this process.
func Self() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
