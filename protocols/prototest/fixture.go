package prototest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fixture is what the header of a transcript asks for. It holds plain data; the
// caller of Run builds a store and a server from it.
type Fixture struct {
	Users     []User    // never empty
	Mailboxes []Mailbox // as written; INBOX only when the header names it
	Messages  []Message // in the order in which they arrive

	// Options are the free settings of the header's option lines.
	Options map[string]string
	// Needs are the capabilities of the header's needs lines.
	Needs []string
	// Files are the files of the archive, with the line ends of the wire.
	Files map[string][]byte
}

// User is somebody who can log in.
type User struct {
	Name     string
	Password string
}

// Mailbox is a mailbox that exists before the conversation begins.
type Mailbox struct {
	User       string   // whose it is
	Name       string   // with / between levels
	Attributes []string // special uses, such as \Sent
	Subscribed bool
}

// Message is a message that exists before the conversation begins, or that
// another program delivers during it.
type Message struct {
	User    string // whose it is
	Mailbox string // INBOX or a mailbox of the header
	Flags   []string
	Date    time.Time // received
	File    string    // name in the archive; empty when the content is generated
	Content []byte    // shared between alike messages: not to be changed
}

// defaultUser is the only user of a script that names none.
var defaultUser = User{Name: "demo", Password: "demo"}

// dateLayout is the date-time of RFC 3501, section 9.
const dateLayout = "_2-Jan-2006 15:04:05 -0700"

// maxMessages bounds the messages of one script.
const maxMessages = 100_000

// Generated returns the content of the nth message (counted from 1 over the
// header and the deliver lines) of a script when it has no file.
func Generated(n int) []byte {
	return fmt.Appendf(nil, "From: sender@example.org\r\n"+
		"To: demo@example.org\r\n"+
		"Subject: message %[1]d\r\n"+
		"Date: Wed, 17 Jul 1996 02:44:25 -0700\r\n"+
		"Message-ID: <%[1]d@example.org>\r\n"+
		"\r\n"+
		"This is message %[1]d.\r\n", n)
}

// headerLine reads one line of the header; known is false when the line is not
// one that belongs there.
func (p *parser) headerLine(words []string) (known bool, err error) {
	fx := &p.script.Fixture
	args := words[1:]
	switch words[0] {
	case "user":
		if len(args) != 2 {
			return true, fmt.Errorf("want: user NAME PASSWORD")
		}
		if p.userNamed {
			if p.user(args[0]) != nil {
				return true, fmt.Errorf("user %s is there twice", args[0])
			}
		} else if len(fx.Mailboxes)+len(fx.Messages) > 0 || p.script.login != nil {
			return true, fmt.Errorf("users come before what belongs to them")
		} else {
			fx.Users, p.userNamed = nil, true
		}
		fx.Users = append(fx.Users, User{Name: args[0], Password: args[1]})
	case "mailbox":
		m, err := p.mailbox(args)
		if err != nil {
			return true, err
		}
		fx.Mailboxes = append(fx.Mailboxes, m)
	case "message":
		ms, err := p.messages(args)
		if err != nil {
			return true, err
		}
		fx.Messages = append(fx.Messages, ms...)
	case "file":
		if len(args) != 2 || args[1] != "escaped" {
			return true, fmt.Errorf("want: file FILE escaped")
		}
		return true, p.escaped(args[0])
	case "option":
		if len(args) == 0 {
			return true, fmt.Errorf("want: option NAME=VALUE ...")
		}
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if _, twice := fx.Options[name]; !ok || name == "" || twice {
				return true, fmt.Errorf("option %q is not NAME=VALUE, or is there twice", arg)
			}
			fx.Options[name] = value
		}
	case "recorded":
		if len(args) != 0 {
			return true, fmt.Errorf("want: recorded")
		}
		p.script.Recorded = true
	case "needs":
		if len(args) == 0 {
			return true, fmt.Errorf("want: needs NAME ...")
		}
		fx.Needs = append(fx.Needs, args...)
	case "login":
		if len(args) > 1 || p.script.login != nil {
			return true, fmt.Errorf("want one line: login [NAME]")
		}
		u, err := p.loginUser(args)
		if err != nil {
			return true, err
		}
		p.script.login = u
	default:
		return false, nil
	}
	return true, nil
}

// user returns the user of that name, or nil.
func (p *parser) user(name string) *User {
	for i := range p.script.Fixture.Users {
		if u := &p.script.Fixture.Users[i]; u.Name == name {
			return u
		}
	}
	return nil
}

// loginUser returns the user that login names, the first one when it names none.
func (p *parser) loginUser(args []string) (*User, error) {
	if len(args) == 0 {
		u := p.script.Fixture.Users[0]
		return &u, nil
	}
	u := p.user(args[0])
	if u == nil {
		return nil, fmt.Errorf("no user %s in the header", args[0])
	}
	found := *u
	return &found, nil
}

// mailbox reads the words after mailbox.
func (p *parser) mailbox(args []string) (Mailbox, error) {
	if len(args) == 0 || args[0] == "" {
		return Mailbox{}, fmt.Errorf(`want: mailbox NAME [\Attribute ...] [subscribed] [user=NAME]`)
	}
	m := Mailbox{User: p.script.Fixture.Users[0].Name, Name: args[0]}
	for _, arg := range args[1:] {
		switch {
		case strings.HasPrefix(arg, `\`):
			m.Attributes = append(m.Attributes, arg)
		case arg == "subscribed":
			m.Subscribed = true
		case strings.HasPrefix(arg, "user="):
			m.User = arg[len("user="):]
		default:
			return Mailbox{}, fmt.Errorf("mailbox %s: %q is not known", m.Name, arg)
		}
	}
	if p.user(m.User) == nil {
		return Mailbox{}, fmt.Errorf("mailbox %s: no user %s in the header", m.Name, m.User)
	}
	for _, other := range p.script.Fixture.Mailboxes {
		if other.User == m.User && other.Name == m.Name {
			return Mailbox{}, fmt.Errorf("mailbox %s is there twice", m.Name)
		}
	}
	return m, nil
}

// messages reads the words after message or deliver.
func (p *parser) messages(args []string) ([]Message, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("want: MAILBOX [flags=(...)] [date=DATE] [file=FILE] [count=N] [user=NAME]")
	}
	m := Message{User: p.script.Fixture.Users[0].Name, Mailbox: args[0]}
	date, count := "17-Jul-1996 02:44:25 -0700", 1
	var err error
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "flags":
			inner, open := strings.CutPrefix(value, "(")
			inner, closed := strings.CutSuffix(inner, ")")
			if !open || !closed {
				return nil, fmt.Errorf(`want flags in parentheses: flags=(\Seen $Forwarded)`)
			}
			m.Flags = strings.Fields(inner)
		case "date":
			date = value
		case "file":
			m.File = value
			if m.Content, err = p.fileRef(value); err != nil {
				return nil, err
			}
		case "count":
			if count, err = strconv.Atoi(value); err != nil || count < 1 {
				return nil, fmt.Errorf("count %q is not a number above 0", value)
			}
		case "user":
			m.User = value
		default:
			return nil, fmt.Errorf("message in %s: %q is not known", m.Mailbox, arg)
		}
	}
	if m.Date, err = time.Parse(dateLayout, date); err != nil {
		return nil, fmt.Errorf("date %q is not one of IMAP, as 17-Jul-1996 02:44:25 -0700", date)
	}
	if p.user(m.User) == nil {
		return nil, fmt.Errorf("message in %s: no user %s in the header", m.Mailbox, m.User)
	}
	if !p.inBody && !p.hasMailbox(m.User, m.Mailbox) {
		return nil, fmt.Errorf("user %s has no mailbox %s in the header", m.User, m.Mailbox)
	}
	if count > maxMessages-p.messageCount {
		return nil, fmt.Errorf("more than %d messages", maxMessages)
	}
	ms := make([]Message, count)
	for i := range ms {
		p.messageCount++
		ms[i] = m
		if m.File == "" {
			ms[i].Content = Generated(p.messageCount)
		}
	}
	return ms, nil
}

func (p *parser) hasMailbox(user, name string) bool {
	// RFC 3501, section 5.1: INBOX is the same in any case.
	if strings.EqualFold(name, "INBOX") {
		return true
	}
	for _, m := range p.script.Fixture.Mailboxes {
		if m.User == user && m.Name == name {
			return true
		}
	}
	return false
}
