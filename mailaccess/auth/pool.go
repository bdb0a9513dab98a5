package auth

import (
	"context"
	"runtime"
)

// A Pool bounds how much expensive work, such as password hashing, runs at
// once. Its users wait their turn, for as long as their context lasts.
//
// One argon2id hash takes as much memory as its parameters say, so a pool of n
// bounds what hashing takes to n times that. A Pool is safe for concurrent use.
type Pool struct {
	slots chan struct{}
}

// NewPool returns a pool that runs at most n functions at once; with n below
// one, as many as there are processors for the process, which is as much as
// hashing can use.
func NewPool(n int) *Pool {
	if n < 1 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Pool{slots: make(chan struct{}, n)}
}

// Do calls f in the calling goroutine when its turn has come, and returns nil
// after f has returned. When ctx ends before, Do returns its error and does not
// call f.
func (p *Pool) Do(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	f()
	return nil
}
