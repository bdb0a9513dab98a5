package mailaccess_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashmail/mailaccess/mailaccess"
)

func ExampleUIDSetBuilder() {
	var b mailaccess.UIDSetBuilder
	b.AddUID(7)
	b.AddRange(1, 3)
	fmt.Println(b.Set())
	// Output: 1:3,7
}

func ExampleNewKeywords() {
	k, err := mailaccess.NewKeywords("$Forwarded", "Work")
	fmt.Println(k, k.Has("work"), err)
	_, err = mailaccess.NewKeywords("not one word")
	fmt.Println(err)
	// Output:
	// $Forwarded Work true <nil>
	// keyword: invalid: character ' ' is not allowed
}

// A change of flags is applied to those that a message has.
func ExampleFlagChange() {
	c := mailaccess.FlagChange{
		Add:    mailaccess.Flags{System: mailaccess.FlagSeen},
		Remove: mailaccess.Flags{System: mailaccess.FlagFlagged},
	}
	f := c.Apply(mailaccess.Flags{System: mailaccess.FlagFlagged | mailaccess.FlagDraft})
	fmt.Println(f.System == mailaccess.FlagSeen|mailaccess.FlagDraft)
	// Output: true
}

// A store says what is wrong by a kind, and keeps the cause.
func ExampleError() {
	cause := errors.New("no space left on device")
	err := fmt.Errorf("while saving: %w", &mailaccess.Error{Kind: mailaccess.KindOverQuota, Op: "append", Mailbox: "Sent", Err: cause})
	fmt.Println(err)
	fmt.Println(mailaccess.KindOf(err), errors.Is(err, mailaccess.KindOverQuota), errors.Is(err, cause))
	// Output:
	// while saving: append Sent: over quota: no space left on device
	// over quota true true
}

func ExampleCheckMailboxName() {
	fmt.Println(mailaccess.CheckMailboxName("Work/2026"))
	fmt.Println(mailaccess.CheckMailboxName("Work//2026"))
	// Output:
	// <nil>
	// mailbox name Work//2026: invalid: empty level between separators
}

// The smallest authenticator is a function.
func ExampleAuthenticatorFunc() {
	users := mailaccess.AuthenticatorFunc(func(_ context.Context, name, password string) (account string, err error) {
		if name == "ann" && password == "secret" {
			return "ann@example.org", nil
		}
		return "", mailaccess.KindAuthFailed
	})
	who, err := users.Authenticate(context.Background(), mailaccess.Login{Username: "ann", Password: "secret"})
	fmt.Println(who.User, who.Account, err)
	_, err = users.Authenticate(context.Background(), mailaccess.Login{Username: "ann", Password: "guess"})
	fmt.Println(err)
	// Output:
	// ann ann@example.org <nil>
	// authentication failed
}
