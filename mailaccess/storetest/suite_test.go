package storetest_test

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

const account = "user@example.org"

func newMemory(testing.TB) storetest.Harness {
	s := memory.New(nil)
	return storetest.Harness{
		Store: s, Account: account,
		LowerFloor: func(account string, box mailaccess.MailboxID) { s.DropHistory(account, box) },
	}
}

func TestMemory(t *testing.T) { storetest.Run(t, newMemory) }
