package hooks_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
)

// Three functions make a store, and an authenticator.
func ExampleNew() {
	ctx := context.Background()
	items := []hooks.Item{{Key: "17", Flags: []string{hooks.Seen}, Body: []byte("Subject: Hello\n\nHow are you?\n")}}
	store, err := hooks.New(hooks.Handlers{
		Authenticate: func(_ context.Context, name, password string) (email string, err error) {
			if name == "ann" && password == "secret" {
				return "ann@example.org", nil
			}
			return "", mailaccess.KindAuthFailed
		},
		MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) {
			return nil, nil // INBOX is always there
		},
		MailItems: func(context.Context, string, hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return hooks.Items(items)
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	who, err := store.Authenticate(ctx, mailaccess.Login{Username: "ann", Password: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	account, err := store.Open(ctx, who.Account, who)
	if err != nil {
		log.Fatal(err)
	}
	defer account.Close()
	inbox, err := account.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		log.Fatal(err)
	}
	for m, err := range account.Messages(ctx, inbox.ID, mailaccess.UIDSetRange(1, 10)) {
		if err != nil {
			log.Fatal(err)
		}
		content, err := account.Content(ctx, m.EmailID)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size()))
		content.Close()
		fmt.Printf("UID %d, seen %v: %q, %v\n", m.UID, m.Flags.System.Has(mailaccess.FlagSeen), text, err)
	}
	// Output: UID 1, seen true: "Subject: Hello\r\n\r\nHow are you?\r\n", <nil>
}
