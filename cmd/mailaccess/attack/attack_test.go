//go:build linux

package attack

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var attackFor = flag.Duration("attack.for", 0, "how long each attack lasts at least, and the quiet before it; 0: as short as can be, with smaller messages, several at a time, and without asking how long others wait")

// scaled is a size, or a number of clients, that attacks which shall be short have less of.
func scaled(n int) int {
	if *attackFor > 0 {
		return n
	}
	return max(1, n/10)
}

// An attack is what hostile clients do at the same time.
type attack struct {
	name    string
	clients int
	// holds is what the limits in force let one of these connections hold of the server's
	// memory, and shared what they let all together, in octets.
	holds, shared int64
	// store is that of the server; empty: Maildirs.
	store string
	// prepare is done once, before memory is looked at; nil: nothing.
	prepare func(ctx context.Context, s *server) error
	// client is one of them. It is begun again when it returns, unless the attack is
	// over, and calls done when it has done what it is about. Errors are the server's
	// failures, but for those of hungUp.
	client func(ctx context.Context, s *server, i int, done func()) error
}

// What a connection may hold. A line is put together in memory of up to twice its
// length, and each connection has a goroutine or two, with stacks, and the runtime's records.
const (
	anybody = 16<<10 + 32<<10 // waits, or is greeted: stacks and what a connection is made of
	// beforeLogin: a line of 8 KiB at most, and commands of 16 KiB.
	beforeLogin = anybody + 2*8<<10 + 16<<10
	// overTLS is what TLS adds: a record each way and its state, and the handshake's.
	overTLS = 96 << 10
	// loggedIn: a line of 64 KiB, a command of 256 KiB with its literals, a piece of 64
	// KiB of output, and what a command becomes when it was parsed: sets of 32,768
	// ranges of 8 octets a few times, 1,000 search keys, 256 items.
	loggedIn = anybody + 2*64<<10 + 256<<10 + 64<<10 + 1<<20
	// inflating: the window of 32 KiB, and what is deflated.
	inflating = 256 << 10
)

// bound is by how much the process may grow: to twice what is in use (GOGC=100), and by
// what it takes to serve ann, to collect garbage, and to have touched its code.
func (a *attack) bound() int64 { return 2*(int64(a.clients)*a.holds+a.shared) + 32<<20 }

func TestAttacks(t *testing.T) {
	var table []string
	for _, group := range [][]attack{slowAttacks(), commandAttacks(), bombAttacks(), floodAttacks(), messageAttacks(), channelAttacks()} {
		for _, a := range group {
			t.Run(a.name, func(t *testing.T) {
				if *attackFor == 0 {
					t.Parallel()
					a.run(t)
					return
				}
				table = append(table, a.run(t))
			})
		}
	}
	if len(table) > 0 {
		t.Logf("%-44s %7s %17s %17s %16s %6s", "attack", "clients", "p50 quiet, under", "p99 quiet, under", "grew by, bound", "CPU")
	}
	for _, line := range table {
		t.Log(line)
	}
}

// run makes an attack on a server of its own, and returns a line for the table.
func (a *attack) run(t *testing.T) string {
	ctx := within(t, patience)
	var args []string
	if a.store != "" {
		args = []string{"--store", a.store}
	}
	s := serve(t, args...)
	if a.store == "" {
		must(t, s.deliver("ann", inbox))
	} else {
		must(t, s.appendMany(ctx, "ann", inbox))
	}
	p, err := s.newProbe(ctx)
	must(t, err)
	defer p.c.close()
	if a.prepare != nil {
		must(t, a.prepare(ctx, s))
	}
	quiet := p.forAWhile(t, ctx)

	sockets, err := s.sockets()
	must(t, err)
	must(t, s.resetPeak())
	before, _, err := s.memory()
	must(t, err)
	cpu, err := s.processorTime()
	must(t, err)
	begun := time.Now()
	under := a.onslaught(t, ctx, s, p)
	lasted := time.Since(begun)
	_, peak, err := s.memory()
	if err != nil {
		t.Fatalf("the server is gone: %v\n%s", err, s.log.tail())
	}
	cpu2, err := s.processorTime()
	must(t, err)
	if grew := peak - before; grew > a.bound() {
		t.Errorf("memory grew by %d MiB, bound is %d MiB", grew>>20, a.bound()>>20)
	}
	// Nothing is left of them, and somebody new is served.
	for n := sockets + 1; n > sockets; {
		if n, err = s.sockets(); err != nil || ctx.Err() != nil {
			t.Fatalf("%d sockets are open, %d were before: %v", n, sockets, err)
		}
		<-time.After(time.Millisecond)
	}
	c, err := s.session(ctx, "ann", true)
	must(t, err)
	must(t, c.oks("FETCH 1 BODY.PEEK[]"))
	c.close()
	return fmt.Sprintf("%-44s %7d %8v %8v %8v %8v %6.1f %5d MiB %5.0f%%", a.name, a.clients,
		quantile(quiet, 0.5), quantile(under, 0.5), quantile(quiet, 0.99), quantile(under, 0.99), float64(peak-before)/(1<<20), a.bound()>>20,
		100*float64(cpu2-cpu)/float64(lasted))
}

func (p *probe) forAWhile(t *testing.T, ctx context.Context) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, *attackFor)
	defer cancel()
	took, err := p.during(ctx)
	must(t, err)
	return took
}

// onslaught lets all clients at the server until each has done its thing once, and for as
// long as attacks last, and returns how long ann had to wait meanwhile.
func (a *attack) onslaught(t *testing.T, ctx context.Context, s *server, p *probe) (took []time.Duration) {
	attacking, over := context.WithCancel(ctx)
	defer over()
	var clients sync.WaitGroup
	var once, left sync.WaitGroup
	var rounds atomic.Int64
	failed := make(chan error, a.clients)
	once.Add(a.clients)
	for i := range a.clients {
		done := sync.OnceFunc(once.Done)
		clients.Go(func() {
			defer done()
			for attacking.Err() == nil {
				err := a.client(attacking, s, i, func() { rounds.Add(1); done() })
				if err != nil && attacking.Err() == nil && !hungUp(err) {
					failed <- fmt.Errorf("client %d: %w", i, err)
					return
				}
			}
		})
	}
	good, enough := context.WithCancel(ctx)
	left.Go(func() {
		var err error
		if took, err = p.during(good); err != nil {
			t.Error(err)
		}
	})
	begun := time.Now()
	once.Wait()
	if wait := *attackFor - time.Since(begun); wait > 0 {
		<-time.After(wait)
	}
	enough()
	left.Wait()
	over()
	clients.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	if len(errs) > 3 {
		errs = errs[:3]
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if rounds.Load() < int64(a.clients) {
		t.Errorf("only %d of %d clients did what they should", rounds.Load(), a.clients)
	}
	return slices.Clone(took)
}
