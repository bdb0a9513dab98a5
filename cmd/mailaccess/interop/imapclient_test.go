//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// imapClient goes through all that go-imap's client can ask of the server.
func imapClient(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		c := authenticate(t, d, s)
		listMailboxes(t, c)
		readDemo(t, c)
		inbox := raws(d.overIMAP(t, "INBOX"))
		mails := letters("go", 12)
		changeMail(t, d, c, mails)
		changeMailboxes(t, d, c, mails)
		idle(t, d, c)
		logout(t, c)
		d.sameOverBoth(t, slices.Concat(inbox, mails[:6]))
	}
}

func authenticate(t *testing.T, d *demo, s security) *imapclient.Client {
	t.Helper()
	options := &imapclient.Options{TLSConfig: d.tls}
	dial, addr := imapclient.DialTLS, d.imaps
	if s == starttls {
		dial, addr = imapclient.DialStartTLS, d.imap
	}
	c, err := dial(addr, options)
	must(t, "dial", err)
	stop := context.AfterFunc(d.ctx, func() { c.Close() })
	t.Cleanup(func() {
		stop()
		c.Close()
	})
	must(t, "greeting", c.WaitGreeting())
	if err := c.Authenticate(sasl.NewPlainClient("", "demo", "wrong")); err == nil {
		t.Fatal("a wrong password was accepted")
	}
	must(t, "authenticate", c.Authenticate(sasl.NewPlainClient("", "demo", "demo")))
	caps := c.Caps()
	for _, want := range []imap.Cap{imap.CapIMAP4rev1, imap.CapIdle, imap.CapNamespace, imap.CapUIDPlus, imap.CapMove,
		imap.CapSpecialUse, imap.CapUnselect, imap.CapLiteralPlus, imap.CapID, imap.CapEnable} {
		if !caps.Has(want) {
			t.Errorf("no %s among %v", want, caps)
		}
	}
	_, err = c.ID(&imap.IDData{Name: "go-imap"}).Wait()
	must(t, "id", err)
	return c
}

func listMailboxes(t *testing.T, c *imapclient.Client) {
	t.Helper()
	ns, err := c.Namespace().Wait()
	must(t, "namespace", err)
	equal(t, "namespace", fmt.Sprintf("%+v", *ns), fmt.Sprintf("%+v", imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: '/'}}}))

	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true, ReturnChildren: true}).Collect()
	must(t, "list", err)
	uses := map[string]imap.MailboxAttr{"INBOX": "", "Archive": imap.MailboxAttrArchive, "Drafts": imap.MailboxAttrDrafts,
		"Junk": imap.MailboxAttrJunk, "Sent": imap.MailboxAttrSent, "Trash": imap.MailboxAttrTrash}
	equal(t, "mailboxes", len(list), len(uses))
	for _, m := range list {
		use, ok := uses[m.Mailbox]
		if !ok || m.Delim != '/' || use != "" && !slices.Contains(m.Attrs, use) ||
			!slices.Contains(m.Attrs, imap.MailboxAttrHasNoChildren) {
			t.Errorf("mailbox %+v", *m)
		}
	}
	special, err := c.List("", "*", &imap.ListOptions{SelectSpecialUse: true}).Collect()
	must(t, "list", err)
	equal(t, "mailboxes with a special use", len(special), len(uses)-1)
}

// readDemo reads all of the INBOX, in all its parts, and holds the parts against
// the whole.
func readDemo(t *testing.T, c *imapclient.Client) {
	t.Helper()
	selected, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	must(t, "examine", err)
	var (
		whole  = &imap.FetchItemBodySection{Peek: true}
		header = &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}
		text   = &imap.FetchItemBodySection{Specifier: imap.PartSpecifierText, Peek: true}
		middle = &imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 50, Size: 75}, Peek: true}
	)
	fetched, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, Envelope: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imap.FetchItemBodySection{header, whole, middle, text},
	}).Collect()
	must(t, "fetch", err)
	equal(t, "messages fetched", len(fetched), selected.NumMessages)
	var got [][]byte
	types := make(map[string]int)
	for _, m := range fetched {
		raw := m.FindBodySection(whole)
		got = append(got, raw)
		what := fmt.Sprintf("message %d", m.UID)
		equal(t, what+": size", m.RFC822Size, len(raw))
		if !bytes.Equal(slices.Concat(m.FindBodySection(header), m.FindBodySection(text)), raw) {
			t.Errorf("%s: header and text are not the whole", what)
		}
		if !bytes.Equal(m.FindBodySection(middle), raw[50:min(125, len(raw))]) {
			t.Errorf("%s: octets 50 to 125 are %q", what, m.FindBodySection(middle))
		}
		if m.InternalDate.Year() != 2025 || len(m.Envelope.From) == 0 && m.BodyStructure.MediaType() != "text/plain" {
			t.Errorf("%s: %v, %+v", what, m.InternalDate, *m.Envelope)
		}
		for _, part := range leaves(m.BodyStructure) {
			types[part.is.MediaType()]++
			checkPart(t, c, m.UID, part, raw)
		}
	}
	sameMail(t, "INBOX", got, demoInbox(t))
	for _, want := range []string{"text/plain", "text/html", "message/rfc822", "image/png", "application/pdf"} {
		if types[want] == 0 {
			t.Errorf("no part is %s, of %v", want, types)
		}
	}
	must(t, "unselect", c.Unselect().Wait())
}

// A leaf is a part of a message with its number.
type leaf struct {
	path []int
	is   *imap.BodyStructureSinglePart
}

func leaves(bs imap.BodyStructure) []leaf {
	var all []leaf
	bs.Walk(func(path []int, part imap.BodyStructure) bool {
		if single, ok := part.(*imap.BodyStructureSinglePart); ok {
			all = append(all, leaf{path: slices.Clone(path), is: single})
		}
		return true
	})
	return all
}

// checkPart fetches a part and holds it against its structure and the message.
func checkPart(t *testing.T, c *imapclient.Client, uid imap.UID, part leaf, raw []byte) {
	t.Helper()
	section := &imap.FetchItemBodySection{Part: part.path, Peek: true}
	fetched, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	must(t, "fetch a part", err)
	what := fmt.Sprintf("part %v of message %d", part.path, uid)
	if len(fetched) != 1 || fetched[0].UID != uid {
		t.Errorf("%s: %d messages fetched", what, len(fetched))
		return
	}
	body := fetched[0].FindBodySection(section)
	equal(t, what+": size", len(body), part.is.Size)
	if !bytes.Contains(raw, body) {
		t.Errorf("%s is not in the message: %s", what, brief(body))
	}
	if part.is.Text != nil {
		equal(t, what+": lines", bytes.Count(append(body, "\r\n"...), []byte("\r\n")), part.is.Text.NumLines+1)
	}
}

// changeMail appends the messages, and does to them what can be done. The first
// six are in INBOX at the end.
func changeMail(t *testing.T, d *demo, c *imapclient.Client, mails [][]byte) {
	t.Helper()
	const box, other = "Żółw & Co", "Żółw & Co/Inner"
	must(t, "create", c.Create(box, nil).Wait())
	must(t, "create", c.Create(other, nil).Wait())
	date := time.Date(1996, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))
	var uids []imap.UID
	for i, m := range mails {
		var flags []imap.Flag
		if i%3 == 0 {
			flags = []imap.Flag{imap.FlagFlagged, "colour"}
		}
		place := appendMail(t, c, box, m, &imap.AppendOptions{Flags: flags, Time: date})
		uids = append(uids, place.UID)
		equal(t, "UIDVALIDITY after append", place.UIDValidity, validity(t, c, box))
	}
	selected, err := c.Select(box, nil).Wait()
	must(t, "select", err)
	equal(t, "messages", selected.NumMessages, len(mails))
	equal(t, "next UID", selected.UIDNext, uids[len(uids)-1]+1)

	// What was stored, asked for by UID, the last first.
	whole := &imap.FetchItemBodySection{} // sets \Seen
	for i, uid := range slices.Backward(uids) {
		fetched, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		must(t, "fetch", err)
		if len(fetched) != 1 || !bytes.Equal(fetched[0].FindBodySection(whole), mails[i]) {
			t.Errorf("message %d is not what was stored", uid)
			continue
		}
		if !fetched[0].InternalDate.Equal(date) {
			t.Errorf("message %d: internal date %v", uid, fetched[0].InternalDate)
		}
	}
	for _, s := range []struct {
		what     string
		criteria imap.SearchCriteria
		want     []imap.UID
	}{
		{"seen", imap.SearchCriteria{Flag: []imap.Flag{imap.FlagSeen}}, uids},
		{"keyword", imap.SearchCriteria{Flag: []imap.Flag{"colour"}}, []imap.UID{uids[0], uids[3], uids[6], uids[9]}},
		{"header", imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: "<go.5@example.org>"}}}, uids[4:5]},
		{"body, not ASCII", imap.SearchCriteria{Body: []string{"gĘŚLĄ"}}, uids[8:9]},
		{"sent on", imap.SearchCriteria{SentSince: time.Date(2025, 7, 2, 0, 0, 0, 0, time.UTC), SentBefore: time.Date(2025, 7, 4, 0, 0, 0, 0, time.UTC)}, uids[1:3]},
		{"not, or", imap.SearchCriteria{
			Not: []imap.SearchCriteria{{UID: []imap.UIDSet{imap.UIDSetNum(uids[:10]...)}}},
			Or:  [][2]imap.SearchCriteria{{{Larger: 100000}, {Text: []string{"inside"}}}},
		}, uids[10:]},
		{"nothing", imap.SearchCriteria{Flag: []imap.Flag{imap.FlagDraft}}, nil},
	} {
		found, err := c.UIDSearch(&s.criteria, nil).Wait()
		must(t, "search "+s.what, err)
		equal(t, "search "+s.what, found.AllUIDs(), s.want)
	}

	stored, err := c.Store(imap.UIDSetNum(uids[0], uids[1]), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{imap.FlagAnswered}}, nil).Collect()
	must(t, "store", err)
	equal(t, "messages told after store", len(stored), 2)
	for _, m := range stored {
		if !slices.Contains(m.Flags, imap.FlagAnswered) || slices.Contains(m.Flags, "colour") || slices.Contains(m.Flags, imap.FlagSeen) {
			t.Errorf("flags of message %d after store: %v", m.SeqNum, m.Flags)
		}
	}
	copied, err := c.Copy(imap.UIDSetNum(uids[:6]...), "INBOX").Wait()
	must(t, "copy", err)
	sources, _ := copied.SourceUIDs.Nums()
	destinations, _ := copied.DestUIDs.Nums()
	equal(t, "copied", sources, uids[:6])
	equal(t, "copies", len(destinations), 6)
	equal(t, "UIDVALIDITY after copy", copied.UIDValidity, validity(t, c, "INBOX"))
	moved, err := c.Move(imap.UIDSetNum(uids[6:9]...), other).Wait()
	must(t, "move", err)
	equal(t, "moved", moved.SourceUIDs, imap.UIDSetNum(uids[6:9]...))
	equal(t, "UIDVALIDITY after move", moved.UIDValidity, validity(t, c, other))
	sameMailInOrder(t, other, raws(d.overIMAP(t, other)), mails[6:9])

	// UID EXPUNGE takes its UIDs only, EXPUNGE the rest.
	must(t, "store", c.Store(imap.UIDSetNum(uids[0], uids[1], uids[11]), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	gone, err := c.UIDExpunge(imap.UIDSetNum(uids[11], uids[10])).Collect()
	must(t, "UID EXPUNGE", err)
	equal(t, "number expunged", gone, []uint32{9})
	gone, err = c.Expunge().Collect()
	must(t, "expunge", err)
	equal(t, "messages expunged", len(gone), 2)
	must(t, "unselect", c.Unselect().Wait())
	sameMailInOrder(t, box, raws(d.overIMAP(t, box)), slices.Concat(mails[2:6], mails[9:11]))
}

func validity(t *testing.T, c *imapclient.Client, mailbox string) uint32 {
	t.Helper()
	status, err := c.Status(mailbox, &imap.StatusOptions{UIDValidity: true}).Wait()
	must(t, "status", err)
	return status.UIDValidity
}

// changeMailboxes renames, subscribes and deletes.
func changeMailboxes(t *testing.T, d *demo, c *imapclient.Client, mails [][]byte) {
	t.Helper()
	status, err := c.Status("Żółw & Co", &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true}).Wait()
	must(t, "status", err)
	equal(t, "messages", *status.NumMessages, 6)
	equal(t, "unseen", *status.NumUnseen, 0)
	equal(t, "next UID", status.UIDNext, 13)

	must(t, "rename", c.Rename("Żółw & Co", "日本語", nil).Wait())
	sameMailInOrder(t, "the inner mailbox renamed with the outer", raws(d.overIMAP(t, "日本語/Inner")), mails[6:9])
	must(t, "subscribe", c.Subscribe("日本語/Inner").Wait())
	must(t, "unsubscribe", c.Unsubscribe("日本語/Inner").Wait())
	must(t, "delete", c.Delete("日本語/Inner").Wait())
	must(t, "delete", c.Delete("日本語").Wait())
	equal(t, "mailboxes", d.mailboxes(t), []string{"Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"})
	if err := c.Delete("INBOX").Wait(); err == nil {
		t.Error("INBOX was deleted")
	}
}

// idle waits for what another session does.
func idle(t *testing.T, d *demo, other *imapclient.Client) {
	t.Helper()
	l := d.listen(t, "Sent")
	appendMail(t, other, "Sent", letters("idle", 1)[0], nil)
	l.await(t, fmt.Sprint("exists ", l.n+1))
	_, err := other.Select("Sent", nil).Wait()
	must(t, "select", err)
	must(t, "store", other.Store(imap.SeqSetNum(l.n+1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, imap.FlagDeleted}}, nil).Close())
	l.await(t, fmt.Sprintf(`flags %d \\Deleted \\Flagged`, l.n+1))
	must(t, "expunge", other.Expunge().Close())
	l.await(t, fmt.Sprint("expunge ", l.n+1))
	equal(t, "messages", l.end(t), l.n)
}
