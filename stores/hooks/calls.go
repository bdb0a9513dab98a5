package hooks

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// calls runs the application's functions, each in a goroutine of its own: one
// that panics or does not return harms only whoever waits for it. A goroutine
// cannot be killed; that of an abandoned call keeps its place among those allowed
// until it returns, so that there are never more than the limits say.
type calls struct {
	timeout time.Duration
	perUser int
	log     *zap.Logger
	closed  <-chan struct{} // the store's end
	all     chan struct{}   // one element for each call that runs

	mu    sync.Mutex
	users map[string]*callers // those with calls, or waiting for one
}

// callers are the calls for one account.
type callers struct {
	using int           // calls that run or wait; guarded by calls.mu
	slots chan struct{} // one element for each that runs
	hung  atomic.Int32  // of those, how many were abandoned
}

func newCalls(o *Options, closed <-chan struct{}) *calls {
	return &calls{
		timeout: o.Timeout,
		perUser: o.MaxAccountCalls,
		log:     o.Logger,
		closed:  closed,
		all:     make(chan struct{}, o.MaxCalls),
		users:   make(map[string]*callers),
	}
}

// call is one call of a function of the application.
type call struct {
	op string
	// changes: the function changes something. Its context does not end with the
	// caller's, and when it is abandoned the outcome is not known.
	changes bool
	// late, if not nil, is called when an abandoned call returns.
	late func()

	start time.Time
	moved atomic.Int64 // when there was progress, since start
	state atomic.Int32 // callRunning, then one of the others, for good
	done  chan struct{}
	err   error // valid when done is closed
}

const (
	callRunning int32 = iota
	callFinished
	callAbandoned
)

// progress says that the function is at work: its time begins anew.
func (k *call) progress() { k.moved.Store(int64(time.Since(k.start))) }

var errAbandoned = errors.New("a call of the application did not return in time")

// do runs f for user. When finished is false f may be running still, and what it
// writes to must be left alone.
func (c *calls) do(ctx context.Context, user string, k *call, f func(ctx context.Context) error) (finished bool, err error) {
	who, err := c.enter(ctx, user, k.op)
	if err != nil {
		return false, err
	}
	inner := ctx
	if k.changes {
		inner = context.WithoutCancel(ctx)
	}
	inner, cancel := context.WithCancel(inner)
	k.start, k.done = time.Now(), make(chan struct{})
	go func() {
		defer func() {
			cancel()
			late := !k.state.CompareAndSwap(callRunning, callFinished)
			if late {
				who.hung.Add(-1)
			}
			c.leave(user, who)
			close(k.done)
			if late && k.late != nil {
				k.late()
			}
		}()
		c.protect(k, func() error { return f(inner) })
	}()
	if why := c.wait(ctx, k); why != nil {
		who.hung.Add(1)
		if k.state.CompareAndSwap(callRunning, callAbandoned) {
			cancel()
			return false, c.abandoned(k, why)
		}
		who.hung.Add(-1)
		<-k.done
	}
	return true, k.err
}

// wait returns nil when k is done, or why it is not waited for any longer.
func (c *calls) wait(ctx context.Context, k *call) error {
	ended := ctx.Done()
	if k.changes {
		ended = nil
	}
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	for {
		select {
		case <-k.done:
			return nil
		case <-ended:
			return ctx.Err()
		case <-c.closed:
			return errStoreClosed
		case <-timer.C:
			left := c.timeout - (time.Since(k.start) - time.Duration(k.moved.Load()))
			if left <= 0 {
				return errAbandoned
			}
			timer.Reset(left)
		}
	}
}

func (c *calls) abandoned(k *call, why error) error {
	if errors.Is(why, errAbandoned) {
		c.log.Warn("hooks: a call did not return in time and was abandoned", zap.String("op", k.op), zap.Duration("timeout", c.timeout))
	}
	if k.changes {
		return fail(k.op, mailaccess.KindUncertain, "", why)
	}
	return fail(k.op, mailaccess.KindUnavailable, "", why)
}

// enter waits for a place for one more call.
func (c *calls) enter(ctx context.Context, user, op string) (*callers, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail(op, mailaccess.KindUnavailable, "", err)
	}
	c.mu.Lock()
	who := c.users[user]
	if who == nil {
		who = &callers{slots: make(chan struct{}, c.perUser)}
		c.users[user] = who
	}
	who.using++
	c.mu.Unlock()

	err := c.place(ctx, who)
	if err != nil {
		c.unuse(user, who)
		return nil, fail(op, mailaccess.KindUnavailable, "", err)
	}
	return who, nil
}

func (c *calls) place(ctx context.Context, who *callers) error {
	if int(who.hung.Load()) >= c.perUser {
		return fmt.Errorf("%d calls of the application for this account do not return", c.perUser)
	}
	var timer *time.Timer
	for _, slots := range [...]chan struct{}{who.slots, c.all} {
		select {
		case slots <- struct{}{}:
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(c.timeout)
			defer timer.Stop()
		}
		select {
		case slots <- struct{}{}:
			continue
		case <-ctx.Done():
			c.unplace(who, slots)
			return ctx.Err()
		case <-c.closed:
			c.unplace(who, slots)
			return errStoreClosed
		case <-timer.C:
			c.unplace(who, slots)
			return errors.New("the application is busy with other calls")
		}
	}
	return nil
}

// unplace gives back what place took before it failed at slots.
func (c *calls) unplace(who *callers, failed chan struct{}) {
	if failed == c.all {
		<-who.slots
	}
}

func (c *calls) leave(user string, who *callers) {
	<-c.all
	<-who.slots
	c.unuse(user, who)
}

func (c *calls) unuse(user string, who *callers) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who.using--; who.using == 0 {
		delete(c.users, user)
	}
}

// protect runs f and sets k.err. A panic becomes an error and is logged with its
// stack, without its value, which may be content; so is the end of the goroutine.
func (c *calls) protect(k *call, f func() error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		what := "the application's function ended its goroutine"
		switch v := recover().(type) {
		case nil:
		case runtime.Error:
			what = "the application's function panicked: " + v.Error()
		default:
			what = fmt.Sprintf("the application's function panicked with a %T", v)
		}
		c.log.Error("hooks: "+what, zap.String("op", k.op), zap.ByteString("stack", debug.Stack()))
		k.err = fail(k.op, mailaccess.KindInternal, "", errors.New(what))
	}()
	k.err = f()
	returned = true
}

// appError gives an error of the application its kind. What has none means: not
// now. ErrSkip means nothing here and must not get out.
func appError(op, box string, err error) error {
	if err == nil {
		return nil
	}
	kind := mailaccess.KindUnavailable
	var e *mailaccess.Error
	var k mailaccess.Kind
	switch {
	case errors.As(err, &e):
		kind = e.Kind
	case errors.As(err, &k):
		kind = k
	}
	if errors.Is(err, mailaccess.ErrSkip) {
		err = errors.New("the application declined")
	}
	return fail(op, kind, box, err)
}

func fail(op string, kind mailaccess.Kind, box string, cause error) error {
	return &mailaccess.Error{Kind: kind, Op: op, Mailbox: box, Err: cause}
}
