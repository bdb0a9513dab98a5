package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// parallel is how many sessions there are in workloads with several.
const parallel = 16

// sessionWorkloads are those without mail.
func sessionWorkloads() []*workload {
	return []*workload{
		{
			name: "login", about: "connect, LOGIN and LOGOUT, 16 at a time", unit: "login", sessions: parallel,
			open: func(r *run, _ int) (session, error) {
				return session{do: func() (done, error) {
					c, err := r.login(r)
					if err != nil {
						return done{}, err
					}
					err = c.Logout()
					return done{1, c.In()}, err
				}}, nil
			},
		},
		{
			name: "select", about: "SELECT INBOX", unit: "select",
			open: func(r *run, _ int) (session, error) {
				c, err := r.login(r)
				if err != nil {
					return session{}, err
				}
				return session{func() (done, error) {
					a, err := c.Do("SELECT INBOX")
					if err == nil {
						err = want("SELECT: messages", int64(a.Exists), int64(r.messages()))
					}
					return done{1, a.Octets}, err
				}, c.Logout}, nil
			},
		},
		{
			name: "noop", about: "NOOP with nothing new", unit: "noop",
			open: repeated("NOOP", func(*run, wire.Answer) (int, error) { return 1, nil }),
		},
	}
}

// repeated does one command again and again with INBOX selected. check returns how many units an
// answer is.
func repeated(command string, check func(*run, wire.Answer) (int, error)) func(*run, int) (session, error) {
	return func(r *run, _ int) (session, error) {
		c, err := r.selected(r, "INBOX", r.messages())
		if err != nil {
			return session{}, err
		}
		return session{func() (done, error) {
			a, err := c.Do(command)
			if err != nil {
				return done{}, err
			}
			units, err := check(r, a)
			if err != nil {
				err = fmt.Errorf("%s: %w", command, err)
			}
			return done{units, a.Octets}, err
		}, c.Logout}, nil
	}
}

// fetchWorkloads read mail.
func fetchWorkloads() []*workload {
	all := func(name, about, items string, check func(*run, wire.Answer) error) *workload {
		return &workload{
			name: name, about: about, unit: "message",
			open: repeated("UID FETCH 1:* ("+items+")", func(r *run, a wire.Answer) (int, error) {
				err := want("FETCH responses", int64(a.Fetches), int64(r.messages()))
				if err == nil && check != nil {
					err = check(r, a)
				}
				return a.Fetches, err
			}),
		}
	}
	return []*workload{
		all("fetch-flags", "FETCH of UID and FLAGS of all messages", "UID FLAGS", nil),
		all("fetch-envelope", "FETCH of ENVELOPE of all messages", "UID ENVELOPE", nil),
		all("fetch-headers", "FETCH of the header fields that Thunderbird asks for, of all messages",
			"UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)]", nil),
		all("fetch-structure", "FETCH of BODYSTRUCTURE of all messages", "UID BODYSTRUCTURE", nil),
		all("fetch-bodies", "FETCH of BODY.PEEK[] of all messages", "UID BODY.PEEK[]", func(r *run, a wire.Answer) error {
			return want("octets of all messages", a.Literals, r.expect.octets)
		}),
		{
			name: "fetch-one", about: "FETCH of BODY.PEEK[] of one message at random", unit: "message", open: fetchOne,
		},
		all("fetch-part", "FETCH of BODY.PEEK[1] of all messages", "UID BODY.PEEK[1]", nil),
	}
}

func fetchOne(r *run, k int) (session, error) {
	c, err := r.selected(r, "INBOX", r.messages())
	if err != nil {
		return session{}, err
	}
	sizes, err := messageSizes(c, r.messages())
	if err != nil {
		return session{}, err
	}
	random := rand.New(rand.NewPCG(r.corpus.Seed, uint64(r.number)<<16|uint64(k)))
	return session{func() (done, error) {
		n := random.IntN(len(sizes))
		a, err := c.Do("FETCH " + strconv.Itoa(n+1) + " (BODY.PEEK[])")
		if err == nil {
			err = want("FETCH of one message: octets", a.Literals, sizes[n])
		}
		return done{1, a.Octets}, err
	}, c.Logout}, nil
}

// messageSizes returns the sizes of all messages, in order.
func messageSizes(c *wire.IMAP, messages int) ([]int64, error) {
	sizes := make([]int64, 0, messages)
	c.On = func(line []byte) {
		if _, rest, ok := strings.Cut(string(line), "RFC822.SIZE "); ok {
			n, _ := strconv.ParseInt(strings.TrimRight(rest, ")"), 10, 64)
			sizes = append(sizes, n)
		}
	}
	defer func() { c.On = nil }()
	if _, err := c.Do("FETCH 1:* (RFC822.SIZE)"); err != nil {
		return nil, err
	}
	return sizes, want("sizes", int64(len(sizes)), int64(messages))
}

// searchWorkloads find, sort and thread mail.
func searchWorkloads() []*workload {
	numbers := func(name, about, command string, needs []string, number func(*run) int) *workload {
		return &workload{
			name: name, about: about, unit: "message", needs: needs,
			open: repeated(command, func(r *run, a wire.Answer) (int, error) {
				return r.messages(), want("messages found", int64(a.Numbers), int64(number(r)))
			}),
		}
	}
	all := func(r *run) int { return r.messages() }
	return []*workload{
		numbers("search-flags", "SEARCH UNSEEN", "SEARCH UNSEEN", nil, func(r *run) int { return r.expect.unseen }),
		numbers("search-subject", "SEARCH SUBJECT", "SEARCH SUBJECT quarterly", nil, func(r *run) int { return r.expect.subject }),
		numbers("search-body", "SEARCH BODY", "SEARCH BODY zephyrine", nil, func(r *run) int { return r.expect.word }),
		numbers("sort", "SORT (SUBJECT) of all messages", "SORT (SUBJECT) UTF-8 ALL", []string{"SORT"}, all),
		numbers("thread", "THREAD REFERENCES of all messages", "THREAD REFERENCES UTF-8 ALL", []string{"THREAD=REFERENCES"}, all),
	}
}
