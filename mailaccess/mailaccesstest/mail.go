package mailaccesstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// Message is a message in a mailbox.
type Message struct {
	// Mailbox is its name; empty: INBOX. / stands between levels.
	Mailbox string
	// UID is given by the server.
	UID uint32
	// Flags are written as in IMAP: \Seen, $Forwarded.
	Flags []string
	// Received is the internal date of IMAP; zero: the date in the header, or else
	// now.
	Received time.Time
	// Raw is the whole message. Lines may end in LF when it is loaded, and end in
	// CRLF when the server is asked for it.
	Raw string
}

// Deliver puts a message into a mailbox of a user, which is made if need be, and returns
// its UID. Connected clients are told as of any delivery.
func (s *Server) Deliver(user, mailbox, raw string, flags ...string) (uid uint32) {
	s.t.Helper()
	uid, err := s.add(user, Message{Mailbox: mailbox, Raw: raw, Flags: flags})
	s.must(err)
	return uid
}

// Load delivers all messages of a source to a user.
func (s *Server) Load(user string, from Source) {
	s.t.Helper()
	for m, err := range from {
		if err == nil {
			_, err = s.add(user, m)
		}
		s.must(err)
	}
}

func (s *Server) add(user string, m Message) (uid uint32, err error) {
	flags, err := parseFlags(m.Flags)
	if err != nil {
		return 0, err
	}
	account, box, err := s.mailbox(user, m.Mailbox, true)
	if err != nil {
		return 0, err
	}
	appender := account.Capabilities().Append
	if appender == nil {
		return 0, errors.New("the store takes in no messages")
	}
	ctx := context.Background()
	staged, err := appender.Stage(ctx, -1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, staged.Close()) }()
	if _, err := io.WriteString(message.NewCanonicalWriter(staged), m.Raw); err != nil {
		return 0, err
	}
	if m.Received.IsZero() {
		m.Received, _ = message.Header([]byte(m.Raw)).Date()
	}
	done, err := appender.Append(ctx, box.ID, []mailaccess.NewMessage{{Staged: staged, Flags: flags, Received: m.Received}})
	if err != nil {
		return 0, err
	}
	return uint32(done.Messages[0].UID), nil
}

// Messages returns what is in a mailbox of a user, by UID. In a mailbox that does not
// exist there is nothing.
func (s *Server) Messages(user, mailbox string) []Message {
	s.t.Helper()
	account, box, err := s.mailbox(user, mailbox, false)
	if isMissing(err) {
		return nil
	}
	s.must(err)
	var all []Message
	for m, err := range account.Messages(context.Background(), box.ID, everything()) {
		s.must(err)
		raw, err := read(account, m)
		if isMissing(err) {
			continue // somebody else was quicker
		}
		s.must(err)
		all = append(all, Message{Mailbox: box.Name, UID: uint32(m.UID), Flags: flagNames(m.Flags), Received: m.Received, Raw: raw})
	}
	return all
}

func read(account mailaccess.Account, m mailaccess.Message) (raw string, err error) {
	content, err := account.Content(context.Background(), m.EmailID)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	var b bytes.Buffer
	_, err = content.WriteRange(&b, 0, content.Size())
	return b.String(), err
}

// Mailboxes returns the names of a user's mailboxes, in order.
func (s *Server) Mailboxes(user string) []string {
	s.t.Helper()
	account, err := s.account(user)
	s.must(err)
	var names []string
	for box, err := range account.Mailboxes(context.Background()) {
		s.must(err)
		names = append(names, box.Name)
	}
	return names
}

// CreateMailbox makes a mailbox of a user, with its special use if it has one: \Sent,
// \Trash.
func (s *Server) CreateMailbox(user, name string, use ...string) {
	s.t.Helper()
	account, err := s.account(user)
	s.must(err)
	bits, err := parseUse(use)
	s.must(err)
	manager := account.Capabilities().Mailboxes
	if manager == nil {
		s.must(errors.New("the store makes no mailboxes"))
	}
	_, err = manager.CreateMailbox(context.Background(), name, bits)
	s.must(err)
}

// SetFlags makes these all flags of a message, which must be there, as another client would.
func (s *Server) SetFlags(user, mailbox string, uid uint32, flags ...string) {
	s.t.Helper()
	account, box, err := s.mailbox(user, mailbox, false)
	s.must(err)
	to, err := parseFlags(flags)
	s.must(err)
	setter := account.Capabilities().Flags
	if setter == nil {
		s.must(errors.New("the store changes no flags"))
	}
	s.must(s.has(account, box, uid))
	_, err = setter.SetFlags(context.Background(), box.ID, uidSet(uid), mailaccess.FlagChange{Replace: true, Add: to}, mailaccess.AnyModSeq)
	s.must(err)
}

// Expunge removes messages, which must be there, as another client would.
func (s *Server) Expunge(user, mailbox string, uids ...uint32) {
	s.t.Helper()
	account, box, err := s.mailbox(user, mailbox, false)
	s.must(err)
	expunger := account.Capabilities().Expunge
	if expunger == nil {
		s.must(errors.New("the store removes no messages"))
	}
	s.must(s.has(account, box, uids...))
	_, err = expunger.Expunge(context.Background(), box.ID, uidSet(uids...), 0)
	s.must(err)
}

// has fails unless a mailbox has messages of these UIDs: a test that names another is mistaken.
func (s *Server) has(account mailaccess.Account, box mailaccess.Mailbox, uids ...uint32) error {
	snapshot, err := account.Snapshot(context.Background(), box.ID)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if !snapshot.UIDs.Contains(mailaccess.UID(uid)) {
			return fmt.Errorf("there is no message with the UID %d in %s", uid, box.Name)
		}
	}
	return nil
}

// account returns a user's account, which it opens once.
func (s *Server) account(user string) (mailaccess.Account, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	if a := s.accounts[user]; a != nil {
		return a, nil
	}
	if _, known := s.opts.Users[user]; !known && s.opts.Authenticator == nil {
		return nil, fmt.Errorf("there is no user %q", user)
	}
	a, err := s.store.Open(context.Background(), user, mailaccess.Identity{User: user, Account: user})
	if err != nil {
		return nil, err
	}
	s.accounts[user] = a
	return a, nil
}

// mailbox finds a mailbox, or makes it.
func (s *Server) mailbox(user, name string, create bool) (mailaccess.Account, mailaccess.Mailbox, error) {
	if name == "" || strings.EqualFold(name, mailaccess.Inbox) {
		name = mailaccess.Inbox
	}
	account, err := s.account(user)
	if err != nil {
		return nil, mailaccess.Mailbox{}, err
	}
	box, err := account.Lookup(context.Background(), name)
	if isMissing(err) && create && account.Capabilities().Mailboxes != nil {
		box, err = account.Capabilities().Mailboxes.CreateMailbox(context.Background(), name, 0)
	}
	return account, box, err
}

func isMissing(err error) bool {
	k := mailaccess.KindOf(err)
	return k == mailaccess.KindNotFound || k == mailaccess.KindContentGone
}

func everything() mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	b.AddRange(1, mailaccess.UID(1<<32-1))
	return b.Set()
}

func uidSet(uids ...uint32) mailaccess.UIDSet {
	uids = slices.Clone(uids)
	slices.Sort(uids)
	var b mailaccess.UIDSetBuilder
	for _, uid := range slices.Compact(uids) {
		b.AddRange(mailaccess.UID(uid), mailaccess.UID(uid))
	}
	return b.Set()
}

// systemFlags are the flags of RFC 9051, section 2.3.2, in the order in which they are
// shown.
var systemFlags = [...]struct {
	name string
	bit  mailaccess.SystemFlags
}{
	{`\Answered`, mailaccess.FlagAnswered}, {`\Deleted`, mailaccess.FlagDeleted}, {`\Draft`, mailaccess.FlagDraft},
	{`\Flagged`, mailaccess.FlagFlagged}, {`\Seen`, mailaccess.FlagSeen},
}

func parseFlags(names []string) (f mailaccess.Flags, err error) {
	var keywords []string
	for _, name := range names {
		system := false
		for _, s := range systemFlags {
			if strings.EqualFold(name, s.name) {
				f.System |= s.bit
				system = true
			}
		}
		if !system {
			keywords = append(keywords, name)
		}
	}
	f.Keywords, err = mailaccess.NewKeywords(keywords...)
	return f, err
}

func flagNames(f mailaccess.Flags) []string {
	var names []string
	for _, s := range systemFlags {
		if f.System.Has(s.bit) {
			names = append(names, s.name)
		}
	}
	return slices.AppendSeq(names, f.Keywords.All())
}

// specialUses are the attributes of RFC 6154, section 2, and RFC 8457, section 3.
var specialUses = map[string]mailaccess.SpecialUse{
	`\all`: mailaccess.UseAll, `\archive`: mailaccess.UseArchive, `\drafts`: mailaccess.UseDrafts, `\flagged`: mailaccess.UseFlagged,
	`\important`: mailaccess.UseImportant, `\junk`: mailaccess.UseJunk, `\sent`: mailaccess.UseSent, `\trash`: mailaccess.UseTrash,
}

func parseUse(names []string) (use mailaccess.SpecialUse, err error) {
	for _, name := range names {
		bit, known := specialUses[strings.ToLower(name)]
		if !known {
			return 0, fmt.Errorf("%q is no special use", name)
		}
		use |= bit
	}
	return use, nil
}
