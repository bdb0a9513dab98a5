package fsys

import (
	"io/fs"
	"slices"
	"sync"
)

// Kind is what an operation does.
type Kind uint8

const (
	OpSub Kind = iota
	OpOpen
	OpOpenRW
	OpLock
	OpRead // ReadAt, and Std, after which reads are out of sight
	OpList // one for each listing
	OpLstat
	OpStat // of a directory or file that is open
	OpMkdir
	OpCreate
	OpLink
	OpRename
	OpRemove
	OpRemoveDir
	OpSetModTime
	OpWrite
	OpTruncate
	OpSyncFile
	OpSyncData
	OpSyncDir
	kinds
)

// String is the word for it in errors.
func (k Kind) String() string {
	return [kinds]string{"sub", "open", "open", "lock", "read", "readdir", "lstat", "stat", "mkdir", "create", "link",
		"rename", "remove", "rmdir", "chtimes", "write", "truncate", "sync", "sync", "sync"}[k]
}

// Mutates reports whether it changes what is on the disk or makes it durable. The
// Lock of a file that exists does not.
func (k Kind) Mutates() bool { return k >= OpMkdir }

// Op is one operation.
type Op struct {
	Kind          Kind
	Dir, Name     string // Name is empty for what is done to the directory itself
	ToDir, ToName string // of OpLink and OpRename
	Size          int    // octets to read or write
}

// Path is the place that it works on.
func (o Op) Path() string {
	if o.Name == "" {
		return o.Dir
	}
	return o.Dir + "/" + o.Name
}

// Counters counts operations, tells a hook of them, and makes chosen ones fail. The
// zero value counts. All methods may be called at the same time.
type Counters struct {
	mu     sync.Mutex
	counts [kinds]int64
	hook   func(Op)
	left   int // until a fault; 0: none
	err    error
	opts   FaultOptions
	failed int
}

// FaultOptions say which operations [Counters.Fail] counts and how one fails. Nil
// options are the zero value: those that mutate, whole, once.
type FaultOptions struct {
	Reads  bool          // count what mutates nothing too: opens, reads, stats, listings, locks
	Match  func(Op) bool // count only these; nil: all
	Short  bool          // a write writes half of its octets and then fails
	Sticky bool          // all that follow fail too, until Clear
	// Lose: the Sync of a file that fails loses what it was to write. It is read as
	// before, but no later Sync writes it: after an error Linux takes the pages for
	// written. Only what can lose power can do that.
	Lose bool
}

// Loser is a File that can do what FaultOptions.Lose says.
type Loser interface{ LoseUnsynced() }

// Fail makes the k-th operation from now fail with err and without effect; 1 is the
// next. It replaces what an earlier Fail has left to do.
func (c *Counters) Fail(k int, err error, o *FaultOptions) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.err, c.opts, c.failed = max(k, 1), err, FaultOptions{}, 0
	if o != nil {
		c.opts = *o
	}
}

// Clear ends failing.
func (c *Counters) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = 0
}

// Failed returns how many operations were made to fail since the last Fail: none, when
// a workload has fewer than k.
func (c *Counters) Failed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Observe calls hook before each operation that is about to have its effect, those
// that will fail by a fault included. Operations at the same time call it at the same
// time. The hook may use the file system and crash it. Nil: no more.
func (c *Counters) Observe(hook func(Op)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hook = hook
}

// Count returns the operations of these kinds so far, those that failed included;
// without kinds, all.
func (c *Counters) Count(of ...Kind) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int64
	for k, m := range c.counts {
		if len(of) == 0 || slices.Contains(of, Kind(k)) {
			n += m
		}
	}
	return n
}

// Ops returns the number of operations so far that mutate: what Fail numbers without
// options.
func (c *Counters) Ops() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n int64
	for k, m := range c.counts {
		if Kind(k).Mutates() {
			n += m
		}
	}
	return n
}

// Tally is the operations so far by class.
type Tally struct {
	Opens, Reads, Writes, FileSyncs, DirSyncs, Renames, Links, Removes, DirReads, Stats int64
}

// Sub returns what was done since an earlier tally.
func (t Tally) Sub(since Tally) Tally {
	return Tally{t.Opens - since.Opens, t.Reads - since.Reads, t.Writes - since.Writes, t.FileSyncs - since.FileSyncs,
		t.DirSyncs - since.DirSyncs, t.Renames - since.Renames, t.Links - since.Links, t.Removes - since.Removes,
		t.DirReads - since.DirReads, t.Stats - since.Stats}
}

// Tally returns the counts by class. Opens are of files, made or not; opening a
// directory or a lock is in none.
func (c *Counters) Tally() Tally {
	return Tally{
		Opens:     c.Count(OpOpen, OpOpenRW, OpCreate),
		Reads:     c.Count(OpRead),
		Writes:    c.Count(OpWrite, OpTruncate),
		FileSyncs: c.Count(OpSyncFile, OpSyncData),
		DirSyncs:  c.Count(OpSyncDir),
		Renames:   c.Count(OpRename),
		Links:     c.Count(OpLink),
		Removes:   c.Count(OpRemove, OpRemoveDir),
		DirReads:  c.Count(OpList),
		Stats:     c.Count(OpLstat, OpStat),
	}
}

// fault is how an operation is to fail.
type fault struct {
	short int // octets of a write to write before
	lose  bool
}

// begin counts an operation and returns the error that it is to fail with.
func (c *Counters) begin(o Op) (f fault, err error) {
	c.mu.Lock()
	hook := c.hook
	c.mu.Unlock()
	if hook != nil {
		hook(o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[o.Kind]++
	if c.left == 0 || !o.Kind.Mutates() && !c.opts.Reads || c.opts.Match != nil && !c.opts.Match(o) {
		return fault{}, nil
	}
	if c.left--; c.left > 0 {
		return fault{}, nil
	}
	if c.opts.Sticky {
		c.left = 1
	}
	c.failed++
	if c.opts.Short && o.Kind == OpWrite {
		f.short = o.Size / 2
	}
	f.lose = c.opts.Lose && (o.Kind == OpSyncFile || o.Kind == OpSyncData)
	if o.Kind == OpLink || o.Kind == OpRename {
		return fault{}, linkError(o, c.err)
	}
	return f, &fs.PathError{Op: o.Kind.String(), Path: o.Path(), Err: c.err}
}
