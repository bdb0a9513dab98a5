package bench

import (
	"errors"
	"fmt"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// What happened before a client comes back.
const (
	resyncFlags   = 10 // messages whose flags changed
	resyncRemoved = 5  // messages that are gone
)

func resyncWorkloads() []*workload {
	return []*workload{{
		name: "resync", about: "SELECT INBOX (QRESYNC) after flags of 10 messages changed and 5 messages went", unit: "resync", needs: []string{"QRESYNC", "CONDSTORE", "UIDPLUS"},
		open: resync,
	}}
}

// resync comes back again and again to the same changes.
func resync(r *run, _ int) (session, error) {
	validity, number, err := r.change()
	if err != nil {
		return session{}, err
	}
	c, err := r.login(r)
	if err != nil {
		return session{}, err
	}
	if _, err := c.Do("ENABLE QRESYNC"); err != nil {
		return session{}, errors.Join(err, c.Close())
	}
	command := fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, number)
	changed := min(resyncFlags, r.messages())
	return session{func() (done, error) {
		a, err := c.Do(command)
		if err == nil {
			err = errors.Join(want("QRESYNC: FETCH responses", int64(a.Fetches), int64(changed)), want("QRESYNC: messages", int64(a.Exists), int64(r.messages())))
			if a.Vanished == 0 {
				err = errors.Join(err, errors.New("QRESYNC: no VANISHED response"))
			}
		}
		return done{1, a.Octets}, err
	}, c.Logout}, nil
}

// change makes the changes, and returns what a client knew before. There are as many messages then as
// before.
func (r *run) change() (validity, number int64, err error) {
	c, err := r.login(r)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	many := make([]wire.Append, resyncRemoved)
	for i := range many {
		many[i] = r.sample(i)
		if _, err := c.Append("INBOX", many[i]); err != nil {
			return 0, 0, err
		}
	}
	c.On = func(line []byte) {
		if n, ok := responseCode(string(line), "UIDVALIDITY"); ok {
			validity = n
		}
		if n, ok := responseCode(string(line), "HIGHESTMODSEQ"); ok {
			number = n
		}
	}
	if _, err := c.Do("SELECT INBOX (CONDSTORE)"); err != nil {
		return 0, 0, err
	}
	c.On = nil
	n := r.messages()
	for _, command := range []string{
		// Both, so that whatever they are, they change.
		fmt.Sprintf(`STORE 1:%d +FLAGS.SILENT (\Flagged)`, min(resyncFlags, n)),
		fmt.Sprintf(`STORE 1:%d -FLAGS.SILENT (\Flagged)`, min(resyncFlags, n)),
		fmt.Sprintf(`STORE %d:* +FLAGS.SILENT (\Deleted)`, n+1),
		"EXPUNGE",
	} {
		if _, err := c.Do(command); err != nil {
			return 0, 0, err
		}
	}
	if validity == 0 || number == 0 {
		return 0, 0, errors.New("SELECT: no UIDVALIDITY or no HIGHESTMODSEQ")
	}
	_, err = c.Do("LOGOUT")
	return validity, number, err
}
