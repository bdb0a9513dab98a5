package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

func mixedWorkloads() []*workload {
	return []*workload{{
		name: "mixed", about: "16 sessions of people at work: looking for news, reading, flagging, searching, sending; each command has its time", unit: "command",
		sessions: parallel, writes: true, open: mixed, paced: true,
		setup:    func(r *run) error { return r.fresh("mixed") },
		teardown: func(r *run) error { return r.remove("mixed") },
	}}
}

// mixed does what people's clients do, drawn from a stream of its own for each session.
func mixed(r *run, k int) (session, error) {
	c, err := r.selected(r, "INBOX", r.messages())
	if err != nil {
		return session{}, err
	}
	random := rand.New(rand.NewPCG(r.corpus.Seed, uint64(r.number)<<16|uint64(k)))
	n := r.messages()
	do := func(command string, check func(wire.Answer) error) (done, error) {
		a, err := c.Do(command)
		if err == nil && check != nil {
			if err = check(a); err != nil {
				err = fmt.Errorf("%s: %w", command, err)
			}
		}
		return done{1, a.Octets}, err
	}
	return session{func() (done, error) {
		one := strconv.Itoa(1 + random.IntN(n))
		switch draw := random.IntN(100); {
		case draw < 45:
			return do("NOOP", nil)
		case draw < 60: // a page of the list
			from := 1 + random.IntN(max(1, n-50))
			to := min(n, from+49)
			return do(fmt.Sprintf("FETCH %d:%d (UID FLAGS RFC822.SIZE ENVELOPE)", from, to), func(a wire.Answer) error {
				// Others change flags meanwhile, and are told of too.
				if a.Fetches < to-from+1 {
					return want("FETCH responses", int64(a.Fetches), int64(to-from+1))
				}
				return nil
			})
		case draw < 80:
			return do("FETCH "+one+" (BODY.PEEK[])", func(a wire.Answer) error {
				if a.Literals == 0 {
					return errors.New("no message")
				}
				return nil
			})
		case draw < 90:
			sign := "+"
			if random.IntN(2) == 0 {
				sign = "-"
			}
			return do("STORE "+one+" "+sign+`FLAGS.SILENT (\Flagged)`, nil)
		case draw < 95:
			return do("SEARCH SUBJECT "+`"meeting"`, nil)
		}
		a, err := c.Append(scratch+"mixed", r.sample(random.IntN(sampleMessages)))
		return done{1, a.Octets}, err
	}, c.Logout}, nil
}
