package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

func Example() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()

	_, err := store.Deliver(ctx, "ann@example.org", mailaccess.Inbox,
		[]byte("Subject: Hello\n\nHow are you?\n"), mailaccess.Flags{}, time.Time{})
	if err != nil {
		fmt.Println(err)
		return
	}

	account, err := store.Open(ctx, "ann@example.org", mailaccess.Identity{User: "ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer account.Close()
	inbox, err := account.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		fmt.Println(err)
		return
	}
	for m, err := range account.Messages(ctx, inbox.ID, mailaccess.UIDSetRange(1, 10)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(m.UID, m.Size, "octets")
	}
	// Output: 1 32 octets
}
