package maildirname

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/lines"
)

const (
	// SubscriptionsFile is the file in an account's root that lists what is
	// subscribed: Dovecot's.
	SubscriptionsFile = "subscriptions"

	// maxSubscription is the longest line, in octets: the longest name, encoded.
	maxSubscription = 8 * mailaccess.MaxMailboxName

	// maxSubscriptions is how many names are taken from a file.
	maxSubscriptions = 100_000
)

// Subscriptions is what a file of subscribed names holds.
type Subscriptions struct {
	// Names are in the order of the file, each once.
	Names []string
	// Skipped counts the lines that were left out: names that the contract does
	// not allow, or of other people's mailboxes, or too many (over 100,000).
	Skipped int
}

// ReadSubscriptions reads Dovecot's file, in both of its forms: a name in each line,
// encoded as its directory is, without the first dot; or, after a header that says so,
// the levels of a name with tabs between. It fails when the header tells of another
// form, and when r does.
func (e Encoding) ReadSubscriptions(r io.Reader) (Subscriptions, error) {
	return readSubscriptions(r, func(line string, levels []string) (string, error) {
		if strings.EqualFold(line, mailaccess.Inbox) {
			return mailaccess.Inbox, nil
		}
		return e.decodeLevels(levels)
	})
}

// ReadCourierSubscriptions reads Courier's file, courierimapsubscribed: the names as its
// clients know them, below "INBOX.". Names elsewhere ("#shared.") are left out.
func (e Encoding) ReadCourierSubscriptions(r io.Reader) (Subscriptions, error) {
	return readSubscriptions(r, func(line string, levels []string) (string, error) {
		if !strings.EqualFold(levels[0], mailaccess.Inbox) {
			return "", fmt.Errorf("%q is not below INBOX", line)
		}
		if len(levels) == 1 {
			return mailaccess.Inbox, nil
		}
		name, err := e.decodeLevels(levels[1:])
		if err == nil && name == mailaccess.Inbox {
			err = fmt.Errorf("%q has no directory", line)
		}
		return name, err
	})
}

func readSubscriptions(r io.Reader, decode func(line string, levels []string) (string, error)) (Subscriptions, error) {
	var s Subscriptions
	seen := make(map[string]bool)
	in := lines.NewReader(r, maxSubscription)
	separator := "."
	for b, ok := in.Next(); ok; b, ok = in.Next() {
		line := string(b)
		if version, header := strings.CutPrefix(line, "V\t"); header && in.Number() == 1 {
			if version != "2" {
				return Subscriptions{}, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "read subscriptions", Err: fmt.Errorf("version %q", version)}
			}
			separator = "\t"
			continue
		}
		// Some versions wrote the separator at the end.
		line = strings.TrimSuffix(line, separator)
		if line == "" {
			continue
		}
		name, err := decode(line, strings.Split(line, separator))
		switch {
		case err != nil, len(s.Names) == maxSubscriptions:
			s.Skipped++
		case !seen[name]:
			seen[name] = true
			s.Names = append(s.Names, name)
		}
	}
	s.Skipped += in.Long()
	return s, in.Err()
}

// AppendSubscriptions appends Dovecot's file in its plain form, which all its versions
// read. It fails with KindInvalid on a name that the contract does not allow; one that
// is too long for a directory is fine.
func (e Encoding) AppendSubscriptions(dst []byte, names iter.Seq[string]) ([]byte, error) {
	for name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
		dst = append(append(dst, e.encodeLevels(name)...), '\n')
	}
	return dst, nil
}
