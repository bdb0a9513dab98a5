package bench

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// scratch is how the names of mailboxes begin that workloads make and delete.
const scratch = "bench-"

// How much a run of a workload does that changes the mailboxes: the same on each server, unless it
// takes far longer than the time of a run.
const (
	appendsAlone      = 200
	appendsPipelined  = 16 // in one go
	pipelines         = 25
	appendsConcurrent = 25 // of each session
	blocks            = 10 // of messages that are copied, moved or expunged
	sampleMessages    = 200
)

// flagWorkloads change the flags of all messages, of which servers put off much: they come last, so that it
// falls into no other's figures.
func flagWorkloads() []*workload {
	return []*workload{{
		name: "store-flags", about: "STORE +FLAGS.SILENT and -FLAGS.SILENT on all messages, in turns", unit: "message", writes: true,
		open: storeFlags,
	}}
}

// writeWorkloads change mailboxes.
func writeWorkloads() []*workload {
	return []*workload{
		appending("append", "APPEND of one message after the other", 1, appendsAlone, func(r *run, c *wire.IMAP, mailbox string) func(n int) (done, error) {
			return func(n int) (done, error) {
				m := r.sample(n)
				a, err := c.Append(mailbox, m)
				return done{1, a.Octets}, err
			}
		}),
		appending("append-pipelined", "APPEND of 16 messages, whose answers are awaited at the end", 1, pipelines, pipelined),
		appending("append-concurrent", "APPEND by 16 sessions, each to a mailbox of its own", parallel, appendsConcurrent,
			func(r *run, c *wire.IMAP, mailbox string) func(n int) (done, error) {
				return func(n int) (done, error) {
					a, err := c.Append(mailbox, r.sample(n))
					return done{1, a.Octets}, err
				}
			}),
		{
			name: "copy", about: "COPY of a twentieth of the messages, 500 at most", unit: "message", writes: true, limit: blocks,
			setup:    func(r *run) error { return r.fresh("copy") },
			teardown: func(r *run) error { return r.remove("copy") },
			open: func(r *run, _ int) (session, error) {
				command := fmt.Sprintf("COPY 1:%d %scopy", r.block(), scratch)
				return repeated(command, func(r *run, _ wire.Answer) (int, error) { return r.block(), nil })(r, 0)
			},
		},
		{
			name: "move", about: "MOVE of as many", unit: "message", writes: true, limit: blocks, needs: []string{"MOVE"},
			setup:    func(r *run) error { return errors.Join(r.fresh("from"), r.fresh("to"), r.fill("from", blocks)) },
			teardown: func(r *run) error { return errors.Join(r.remove("from"), r.remove("to")) },
			open: func(r *run, _ int) (session, error) {
				return r.shrinking("from", func(int) string { return fmt.Sprintf("MOVE 1:%d %sto", r.block(), scratch) })
			},
		},
		{
			name: "expunge", about: "UID EXPUNGE of as many", unit: "message", writes: true, limit: blocks, needs: []string{"UIDPLUS"},
			setup: func(r *run) error {
				return errors.Join(r.fresh("expunge"), r.fill("expunge", blocks), r.commands("SELECT "+scratch+"expunge", `STORE 1:* +FLAGS.SILENT (\Deleted)`))
			},
			teardown: func(r *run) error { return r.remove("expunge") },
			open: func(r *run, _ int) (session, error) {
				return r.shrinking("expunge", func(k int) string { // whose UIDs begin with 1, since it is new
					return fmt.Sprintf("UID EXPUNGE %d:%d", k*r.block()+1, (k+1)*r.block())
				})
			},
		},
	}
}

// sample returns the n-th of some messages of the corpus, over and over.
func (r *run) sample(n int) wire.Append { return r.samples[n%len(r.samples)] }

func samples(c corpus.Corpus) []wire.Append {
	list := make([]wire.Append, min(sampleMessages, c.Messages))
	for i := range list {
		list[i] = seedMessage(c, i)
	}
	return list
}

// commands gives commands in a session of their own.
func (r *run) commands(list ...string) error {
	c, err := r.login(r)
	if err != nil {
		return err
	}
	for _, command := range list {
		if _, err := c.Do(command); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return c.Logout()
}

// fresh makes an empty mailbox. One that an interrupted run left behind goes first.
func (r *run) fresh(name string) error {
	_ = r.commands("DELETE " + scratch + name) // mostly there is none
	return r.commands("CREATE " + scratch + name)
}

func (r *run) remove(name string) error { return r.commands("DELETE " + scratch + name) }

// fill copies that many blocks of messages from INBOX.
func (r *run) fill(name string, blocks int) error {
	list := []string{"EXAMINE INBOX"}
	for range blocks {
		list = append(list, fmt.Sprintf("COPY 1:%d %s%s", r.block(), scratch, name))
	}
	return r.commands(list...)
}

func storeFlags(r *run, _ int) (session, error) {
	c, err := r.selected(r, "INBOX", r.messages())
	if err != nil {
		return session{}, err
	}
	// The first STORE changes what the run before left, too.
	before, err := c.Do("SEARCH FLAGGED")
	if err != nil {
		return session{}, errors.Join(err, c.Close())
	}
	sign := "-"
	if before.Numbers == r.messages() {
		sign = "+"
	}
	do := func() (done, error) {
		if sign == "-" {
			sign = "+"
		} else {
			sign = "-"
		}
		a, err := c.Do("STORE 1:* " + sign + `FLAGS.SILENT (\Flagged)`)
		return done{r.messages(), a.Octets}, err
	}
	return session{do, func() error {
		flagged := 0
		if sign == "+" {
			flagged = r.messages()
		}
		a, err := c.Do("SEARCH FLAGGED")
		if err == nil {
			err = want("STORE: messages that are flagged then", int64(a.Numbers), int64(flagged))
		}
		return errors.Join(err, c.Logout())
	}}, nil
}

// appending is a workload of sessions that each append to a mailbox of their own.
func appending(name, about string, sessions, limit int, do func(*run, *wire.IMAP, string) func(n int) (done, error)) *workload {
	box := func(k int) string { return "append" + strconv.Itoa(k) }
	each := func(r *run, what func(*run, string) error) error {
		var errs []error
		for k := range sessions {
			errs = append(errs, what(r, box(k)))
		}
		return errors.Join(errs...)
	}
	return &workload{
		name: name, about: about, unit: "message", writes: true, sessions: sessions, limit: limit,
		setup:    func(r *run) error { return each(r, (*run).fresh) },
		teardown: func(r *run) error { return each(r, (*run).remove) },
		open: func(r *run, k int) (session, error) {
			c, err := r.login(r)
			if err != nil {
				return session{}, err
			}
			appended, n := 0, 0
			one := do(r, c, scratch+box(k))
			return session{func() (done, error) {
				d, err := one(n)
				n++
				appended += d.units
				return d, err
			}, func() error {
				a, err := c.Do("EXAMINE " + scratch + box(k))
				if err == nil {
					err = want("APPEND: messages that are there then", int64(a.Exists), int64(appended))
				}
				return errors.Join(err, c.Logout())
			}}, nil
		},
	}
}

func pipelined(r *run, c *wire.IMAP, mailbox string) func(n int) (done, error) {
	return func(n int) (d done, err error) {
		if !c.Has("LITERAL+") {
			return d, &notOffered{"no LITERAL+"}
		}
		// The answers are read meanwhile: a server may stop reading until they are.
		first, sent := c.Tag()+1, make(chan error, 1)
		go func() {
			for i := range appendsPipelined {
				if _, err := c.SendAppend(mailbox, r.sample(n*appendsPipelined+i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range appendsPipelined {
			a, e := c.Wait(first + i)
			if err = e; err != nil {
				break
			}
			d.units++
			d.octets += a.Octets
		}
		if err != nil {
			return d, errors.Join(err, c.Close(), <-sent)
		}
		return d, <-sent
	}
}

// shrinking gives commands each of which takes a block of messages out of a mailbox.
func (r *run) shrinking(name string, command func(k int) string) (session, error) {
	c, err := r.selected(r, scratch+name, blocks*r.block())
	if err != nil {
		return session{}, err
	}
	k := 0
	return session{func() (done, error) {
		if k == blocks {
			return done{}, errEnough
		}
		a, err := c.Do(command(k))
		k++
		if err == nil && a.Vanished == 0 {
			err = want("EXPUNGE responses", int64(a.Expunges), int64(r.block()))
		}
		return done{r.block(), a.Octets}, err
	}, c.Logout}, nil
}
