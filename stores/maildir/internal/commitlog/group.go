package commitlog

import (
	"fmt"
	"sync"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// group is everybody whose records one sync will cover. The first who finds nobody
// busy syncs for all of them; who comes during a sync is in the next group.
type group struct {
	wake sync.Cond
	done bool
	err  error
}

// finish tells the members; a nil group has none.
func (g *group) finish(err error) {
	if g == nil {
		return
	}
	g.done, g.err = true, err
	g.wake.Broadcast()
}

// wait returns when the last record that was written is on disk, or not. mu is held,
// but not all the time.
func (l *Log) wait() error {
	if l.forming == nil {
		l.forming = &group{wake: sync.Cond{L: &l.mu}}
	}
	g := l.forming
	for !g.done {
		if l.busy {
			g.wake.Wait()
			continue
		}
		l.busy = true
		l.sync()
		l.release()
	}
	return g.err
}

// release ends being busy. One of those who wait for the next sync has to lead it.
func (l *Log) release() {
	l.busy = false
	if l.forming != nil {
		l.forming.wake.Signal()
	}
	l.idle.Broadcast()
}

// sync makes durable what has been written, and tells the group that waits for it;
// other callers are told what went wrong. The caller is busy; mu is held, but not
// during the sync.
func (l *Log) sync() error {
	if l.end == l.synced {
		return nil
	}
	g, before, end := l.forming, l.before, l.end
	l.forming, l.before = nil, false
	l.mu.Unlock()
	var err error
	if before && l.opts.BeforeSync != nil {
		err = l.opts.BeforeSync()
	}
	if err == nil {
		err = l.file.SyncData()
	}
	l.mu.Lock()
	if err != nil {
		return l.discard(err, g)
	}
	l.synced = end
	g.finish(nil)
	return nil
}

// discard gives up all that was written since the last sync, because that of group g
// has failed, and begins a segment whose header says so. It tells the group, and the
// one behind it, and returns what went wrong. The caller is busy; mu is held, but not
// all the time.
func (l *Log) discard(cause error, g *group) error {
	from, told := position(l.number, l.synced), l.told > l.synced
	l.file.Close() // whatever it says is no worse than cause
	l.file = nil
	l.end = l.synced
	behind := l.forming // and nobody joins while there is no file
	l.forming, l.before = nil, false
	l.mu.Unlock()
	f, err := l.begin()
	if told && l.opts.OnDiscard != nil {
		l.opts.OnDiscard(from)
	}
	l.mu.Lock()
	outcome := ErrNotWritten
	if err == nil {
		l.begun(f)
	} else {
		outcome = ErrUncertain
		cause = fmt.Errorf("%w; then %w", cause, err)
	}
	answer := fmt.Errorf("commit log: %w: %w", outcome, cause)
	g.finish(answer)
	behind.finish(answer)
	return cause
}

// renew begins a segment; before that the last one is synced. Nobody is busy; mu is
// held, but not all the time.
func (l *Log) renew() error {
	l.busy = true
	defer l.release()
	if l.file != nil {
		l.sealed = true
		if err := l.sync(); err != nil {
			return err
		}
		l.file.Close() // all of it is on disk
		l.file = nil
	}
	l.mu.Unlock()
	var err error
	if l.end > l.synced {
		err = l.settle()
	}
	var f fsys.File
	if err == nil {
		f, err = l.begin()
	}
	l.mu.Lock()
	if err == nil {
		l.begun(f)
	}
	return err
}

// syncBehind is the sync in the background.
func (l *Log) syncBehind() {
	defer l.background.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = nil
	for l.busy {
		l.idle.Wait()
	}
	if l.closed || l.file == nil {
		return
	}
	l.busy = true
	if err := l.sync(); err != nil {
		l.failed = err
	}
	l.release()
}
