package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/protocols/pop3"
)

// maildrop are the flags that say what POP3 clients see, and what becomes of it.
type maildrop struct {
	mailboxes  []string
	lock       bool
	uidl       string // the form of unique-ids
	hideOlder  span   // 0: nothing
	hideLarger derived
	markSeen   bool
	delete     string // what DELE does
	keep       span   // what DELE flagged; 0: for good
	expire     expiry
	loginDelay span
}

func newMaildrop() maildrop {
	return maildrop{mailboxes: []string{"INBOX"}, lock: true, uidl: "default", delete: "expunge"}
}

// register adds the flags. What the fields hold are the defaults.
func (m *maildrop) register(f *pflag.FlagSet) {
	f.StringSliceVar(&m.mailboxes, "pop3-mailboxes", m.mailboxes, "`mailboxes` that make up what POP3 clients see, with / between levels; those that an account lacks are passed over")
	f.BoolVar(&m.lock, "pop3-lock", m.lock, "let one POP3 session at a time have the mail of an account")
	f.StringVar(&m.uidl, "pop3-uidl", m.uidl, "`form` of unique-ids for POP3: default, dovecot, courier, cyrus, emailid, sha256 or a template, as %08Xu%08Xv")
	f.Var(&m.hideOlder, "pop3-hide-older", "hide messages from POP3 clients that were received longer ago than that; 0: none")
	f.Var(&m.hideLarger, "pop3-hide-larger", "hide messages from POP3 clients that are larger; empty: none")
	f.BoolVar(&m.markSeen, "pop3-mark-seen", m.markSeen, "mark what POP3 clients retrieved as seen")
	f.StringVar(&m.delete, "pop3-delete", m.delete, "`what` becomes of messages that POP3 clients delete: expunge, trash or flag")
	f.Var(&m.keep, "pop3-keep-flagged", "how many days after their arrival messages are expunged that --pop3-delete flag has flagged, as 30d; 0: never")
	f.Var(&m.expire, "pop3-expire", "`when` messages are deleted that POP3 clients leave: never, retrieved (once they were) or days after their arrival, as 30d")
	f.Var(&m.loginDelay, "pop3-login-delay", "how long after a POP3 login to an account the next one is refused; 0: not at all")
}

// policy is what the flags say.
func (m *maildrop) policy() (p pop3.Policy, err error) {
	p = pop3.Policy{
		Mailboxes: m.mailboxes, NoLock: !m.lock,
		HideOlder: time.Duration(m.hideOlder), HideLarger: int64(m.hideLarger),
		MarkSeen: m.markSeen, ExpireDays: int(m.expire), LoginDelay: time.Duration(m.loginDelay),
	}
	if p.UIDL, err = pop3.ParseUIDLFormat(m.uidl); err != nil {
		return p, fmt.Errorf("--pop3-uidl: %w", err)
	}
	switch m.delete {
	case "expunge":
	case "trash":
		p.Delete = pop3.DeleteToTrash
	case "flag":
		p.Delete = pop3.DeleteFlag
	default:
		return p, fmt.Errorf("--pop3-delete %q: not expunge, trash or flag", m.delete)
	}
	if p.KeepDays, err = wholeDays(time.Duration(m.keep)); err != nil {
		return p, fmt.Errorf("--pop3-keep-flagged %v: %w", &m.keep, err)
	}
	switch {
	case len(m.mailboxes) == 0:
		return p, errors.New("--pop3-mailboxes: none")
	case p.KeepDays > 0 && p.Delete != pop3.DeleteFlag:
		return p, errors.New("--pop3-keep-flagged needs --pop3-delete flag")
	}
	if err := p.Check(); err != nil { // all but the names is well by now
		return p, fmt.Errorf("--pop3-mailboxes: %w", err)
	}
	return p, nil
}

// expiry is a flag for [pop3.Policy.ExpireDays].
type expiry int

const (
	expireNever     = "never"
	expireRetrieved = "retrieved"
)

// Set implements pflag.Value.
func (e *expiry) Set(text string) error {
	switch text {
	case expireNever:
		*e = 0
		return nil
	case expireRetrieved:
		*e = pop3.ExpireRetrieved
		return nil
	}
	d, err := parseSpan(text)
	if err == nil {
		var n int
		n, err = wholeDays(d)
		*e = expiry(n)
	}
	if err != nil || *e == 0 {
		return errors.New(`not never, retrieved or a number of days, as "30d"`)
	}
	return nil
}

// Type implements pflag.Value.
func (*expiry) Type() string { return "string" }

// String implements pflag.Value.
func (e *expiry) String() string {
	switch *e {
	case 0:
		return expireNever
	case pop3.ExpireRetrieved:
		return expireRetrieved
	}
	return fmt.Sprintf("%dd", int(*e))
}

func wholeDays(d time.Duration) (int, error) {
	const day = 24 * time.Hour
	if d%day != 0 {
		return 0, errors.New("not whole days")
	}
	return int(d / day), nil
}
