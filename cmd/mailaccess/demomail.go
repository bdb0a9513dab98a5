package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/memory"
)

//go:embed demomail/*/*.eml
var demoFiles embed.FS

// A demoMailbox is a mailbox of the demonstration, and what is in it in the
// order in which it arrived.
type demoMailbox struct {
	name     string
	use      mailaccess.SpecialUse
	folder   string // below demomail
	messages []demoMessage
}

// A demoMessage is one message of the demonstration.
type demoMessage struct {
	file     string // without .eml
	flags    mailaccess.SystemFlags
	keywords []string
	received string // RFC 3339; empty: the date in the header
}

// demoMailboxes returns all the mail of the demonstration.
func demoMailboxes() []demoMailbox {
	const (
		seen     = mailaccess.FlagSeen
		answered = mailaccess.FlagAnswered
		flagged  = mailaccess.FlagFlagged
		deleted  = mailaccess.FlagDeleted
		draft    = mailaccess.FlagDraft
	)
	// The registered keywords that clients show (RFC 5788).
	forwarded, junk, mdnSent := []string{"$Forwarded"}, []string{"$Junk"}, []string{"$MDNSent"}
	return []demoMailbox{
		{name: mailaccess.Inbox, folder: "inbox", messages: []demoMessage{
			{file: "welcome", flags: seen},
			{file: "plain-quoted-printable", flags: seen | answered},
			{file: "alternative", flags: seen},
			{file: "alternative-with-inline-image", flags: seen | flagged},
			{file: "invoice-with-pdf", flags: seen | flagged},
			{file: "nested-multiparts", flags: seen},
			{file: "forwarded-message", flags: seen | answered, keywords: forwarded},
			{file: "forwarded-twice", flags: seen},
			{file: "digest", flags: seen},
			{file: "encoded-words", flags: seen},
			{file: "utf8-headers"},
			{file: "japanese", flags: seen},
			{file: "russian"},
			{file: "hebrew-right-to-left"},
			{file: "thread-1", flags: seen},
			{file: "thread-2", flags: seen},
			{file: "thread-3", flags: seen},
			{file: "thread-4", flags: seen | answered},
			{file: "thread-5"},
			{file: "bounce", flags: seen},
			{file: "read-receipt", flags: seen, keywords: mdnSent},
			{file: "invitation", flags: flagged},
			{file: "html-only"},
			{file: "signed", flags: seen | flagged},
			{file: "mailing-list", flags: seen | deleted},
			{file: "attachment-names"},
			{file: "addresses"},
			{file: "empty-body", flags: seen},
			{file: "no-subject"},
			{file: "long-line", flags: seen | deleted},
			{file: "malformed", received: "2025-05-27T13:37:00+02:00"},
			{file: "unclosed-multipart"},
			{file: "report-with-html-attachment"},
		}},
		{name: "Archive", use: mailaccess.UseArchive, folder: "archive", messages: []demoMessage{
			{file: "launch", flags: seen},
			{file: "contract", flags: seen | answered},
		}},
		{name: "Drafts", use: mailaccess.UseDrafts, folder: "drafts", messages: []demoMessage{
			{file: "unfinished", flags: seen | draft},
			{file: "empty", flags: seen | draft},
		}},
		{name: "Junk", use: mailaccess.UseJunk, folder: "junk", messages: []demoMessage{
			{file: "prize", keywords: junk},
			{file: "rope-offer", flags: seen, keywords: junk},
		}},
		{name: "Sent", use: mailaccess.UseSent, folder: "sent", messages: []demoMessage{
			{file: "thread-reply", flags: seen},
			{file: "bounced", flags: seen},
			{file: "berth", flags: seen},
		}},
		{name: "Trash", use: mailaccess.UseTrash, folder: "trash", messages: []demoMessage{
			{file: "old-newsletter", flags: seen},
		}},
	}
}

// read returns the octets of a message.
func (b *demoMailbox) read(m demoMessage) ([]byte, error) {
	return demoFiles.ReadFile("demomail/" + b.folder + "/" + m.file + ".eml")
}

// fillDemo puts the mail of the demonstration into a store.
func fillDemo(ctx context.Context, store *memory.Store) error {
	boxes := demoMailboxes()
	if err := makeDemoMailboxes(ctx, store, boxes); err != nil {
		return fmt.Errorf("example mail: %w", err)
	}
	for _, b := range boxes {
		for _, m := range b.messages {
			if err := deliverDemo(ctx, store, b, m); err != nil {
				return fmt.Errorf("example mail: %s/%s: %w", b.folder, m.file, err)
			}
		}
	}
	return nil
}

func makeDemoMailboxes(ctx context.Context, store *memory.Store, boxes []demoMailbox) (err error) {
	account, err := store.Open(ctx, demoUser, mailaccess.Identity{User: demoUser, Account: demoUser})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, account.Close()) }()
	can := account.Capabilities()
	for _, b := range boxes {
		if b.name != mailaccess.Inbox {
			if _, err := can.Mailboxes.CreateMailbox(ctx, b.name, b.use); err != nil {
				return err
			}
		}
		if err := can.Subscriptions.Subscribe(ctx, b.name, true); err != nil {
			return err
		}
	}
	return nil
}

func deliverDemo(ctx context.Context, store *memory.Store, b demoMailbox, m demoMessage) error {
	raw, err := b.read(m)
	if err != nil {
		return err
	}
	received, ok := message.Header(raw).Date()
	if m.received != "" {
		received, err = time.Parse(time.RFC3339, m.received)
		ok = err == nil
	}
	if !ok {
		return errors.New("no date")
	}
	keywords, err := mailaccess.NewKeywords(m.keywords...)
	if err != nil {
		return err
	}
	_, err = store.Deliver(ctx, demoUser, b.name, raw, mailaccess.Flags{System: m.flags, Keywords: keywords}, received)
	return err
}
