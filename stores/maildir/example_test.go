package maildir_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// Another program delivers into ann's Maildir, and the store shows it.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "ann", sub), 0o700); err != nil {
			log.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ann", "new", "1.example"), []byte("Subject: Hello\n\nHow are you?\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	store, err := maildir.New(dir, &maildir.Options{Sync: maildir.SyncNormal})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	account, err := store.Open(ctx, "ann", mailaccess.Identity{User: "ann", Account: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	defer account.Close()
	inbox, err := account.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		log.Fatal(err)
	}
	status, err := account.Status(ctx, inbox.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status.Messages, "message,", status.Unseen, "unseen")
	// Output: 1 message, 1 unseen
}
