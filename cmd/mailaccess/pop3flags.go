package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/protocols/pop3"
)

// maildrop are the flags that say what POP3 clients see.
type maildrop struct {
	uidl   string // the form of unique-ids
	delete string // what DELE does
}

func (m *maildrop) register(f *pflag.FlagSet) {
	f.StringVar(&m.uidl, "pop3-uidl", "default", "`form` of unique-ids for POP3: default, dovecot, courier, cyrus, emailid, sha256 or a template, as %08Xu%08Xv")
	f.StringVar(&m.delete, "pop3-delete", "expunge", "`what` becomes of messages that POP3 clients delete: expunge, trash or flag")
}

// policy is what the flags say.
func (m *maildrop) policy() (p pop3.Policy, err error) {
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
	return p, nil
}
