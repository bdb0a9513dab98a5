package peers

import (
	"bytes"
	"os"
	"strconv"
)

// instances is the file that says how many inotify instances a user may have. Dovecot takes one for
// each session that waits, and without one looks every 30 seconds.
const instances = "/proc/sys/fs/inotify/max_user_instances"

// raiseWatches sees to it that so many sessions can wait at once, and returns how to put that back.
func raiseWatches(sessions int) (lower func(), err error) {
	lower = func() {}
	text, err := os.ReadFile(instances)
	if err != nil {
		return lower, err
	}
	now, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || now >= 2*sessions+128 {
		return lower, err
	}
	if err := os.WriteFile(instances, strconv.AppendInt(nil, int64(2*sessions+128), 10), 0o644); err != nil {
		return lower, err
	}
	return func() {
		os.WriteFile(instances, text, 0o644) //nolint:errcheck // it could be written before; a reboot sets it anyway
	}, nil
}
