package pop3

import (
	"sync"
	"time"
)

// loginDelays are when accounts logged in last (RFC 2449, section 6.5), for as long as
// that matters.
type loginDelays struct {
	mu    sync.Mutex
	last  map[string]time.Time
	prune int // how many entries there may be before old ones are looked for
}

// over reports whether the account logged in last at least wait ago.
func (d *loginDelays) over(account string, wait time.Duration, now time.Time) bool {
	if wait <= 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	last, ok := d.last[account]
	return !ok || now.Sub(last) >= wait
}

// note notes a login.
func (d *loginDelays) note(account string, wait time.Duration, now time.Time) {
	if wait <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last, d.prune = make(map[string]time.Time), 1000
	}
	if len(d.last) >= d.prune {
		for other, last := range d.last {
			if now.Sub(last) >= wait {
				delete(d.last, other)
			}
		}
		d.prune = max(1000, 2*len(d.last))
	}
	d.last[account] = now
}
