package engine_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/stores/memory"
)

// What a protocol does when a client logs in and looks into INBOX.
func ExampleNew() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()
	deliver(store, "Subject: Hello\r\n\r\nHow are you?\r\n")

	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"ann": "secret"})})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	session, err := e.Login(ctx, mailaccess.Login{Username: "ann", Password: "secret", Protocol: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	inbox, err := session.Lookup(ctx, "inbox")
	if err != nil {
		log.Fatal(err)
	}
	view, err := session.OpenView(ctx, inbox.ID, engine.ViewOptions{ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer view.Close()
	for m, err := range view.Messages(ctx, view.UIDs()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("message", m.Number, "of", view.Len(), "has", m.Size, "octets")
	}
	// Output: message 1 of 1 has 32 octets
}

// A client is told what changed when its protocol allows it.
func ExampleView_Update() {
	ctx := context.Background()
	store := memory.New(nil)
	defer store.Close()
	deliver(store, "Subject: 1\r\n\r\n")
	deliver(store, "Subject: 2\r\n\r\n")

	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(nil)})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	session, err := e.Open(ctx, mailaccess.Identity{User: "ann", Account: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	inbox, err := session.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		log.Fatal(err)
	}
	view, err := session.OpenView(ctx, inbox.ID, engine.ViewOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer view.Close()
	rang := make(chan bool)
	view.AfterRing(func() { close(rang) })

	deliver(store, "Subject: 3\r\n\r\n")
	<-rang
	if err := view.Expunge(ctx, mailaccess.UIDSetOf(1), 0); err != nil {
		log.Fatal(err)
	}
	if err := view.Update(ctx, engine.UpdateOptions{}, heard{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1 EXPUNGE
	// 2 EXISTS
}

// heard is told as in IMAP.
type heard struct{}

func (heard) Gone(gone engine.Gone) error {
	for n := range gone.Numbers() {
		fmt.Println(n, "EXPUNGE")
	}
	return nil
}

func (heard) Exists(n int, recent mailaccess.UIDSet) error {
	fmt.Println(n, "EXISTS")
	return nil
}

func (heard) Keywords(k mailaccess.Keywords) error { return nil }

func (heard) Flags(m *engine.Numbered) error {
	fmt.Println(m.Number, "FETCH", m.Flags)
	return nil
}

func deliver(store *memory.Store, raw string) {
	_, err := store.Deliver(context.Background(), "ann", mailaccess.Inbox, []byte(raw), mailaccess.Flags{}, time.Time{})
	if err != nil {
		log.Fatal(err)
	}
}
