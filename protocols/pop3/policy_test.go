package pop3

import (
	"fmt"
	"testing"
	"time"
)

func TestPolicyCheck(t *testing.T) {
	good := []Policy{
		{},
		{Mailboxes: []string{"INBOX", "Archive/2026"}, NoLock: true, HideOlder: time.Hour, HideLarger: 1},
		{Delete: DeleteFlag, KeepDays: 7, ExpireDays: ExpireRetrieved, LoginDelay: time.Minute},
		{Delete: DeleteToTrash, ExpireDays: 36500},
	}
	for _, p := range good {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	bad := []Policy{
		{Mailboxes: []string{""}},
		{Mailboxes: []string{"a", "b", "a"}},
		{HideOlder: -1},
		{HideLarger: -1},
		{LoginDelay: -1},
		{Delete: DeleteFlag + 1},
		{KeepDays: 7},
		{KeepDays: -1, Delete: DeleteFlag},
		{KeepDays: 36501, Delete: DeleteFlag},
		{ExpireDays: -2},
		{ExpireDays: 36501},
	}
	for _, p := range bad {
		if err := p.Check(); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
}

// RFC 2449, section 6.5: an account waits, others do not; what is over is forgotten.
func TestLoginDelays(t *testing.T) {
	var d loginDelays
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const wait = time.Minute
	d.note("anna", wait, now)
	for _, test := range []struct {
		account string
		after   time.Duration
		over    bool
	}{
		{"anna", 0, false},
		{"anna", wait - 1, false},
		{"anna", wait, true},
		{"ben", 0, true},
	} {
		if got := d.over(test.account, wait, now.Add(test.after)); got != test.over {
			t.Errorf("%s after %v: %v", test.account, test.after, got)
		}
	}
	if d.note("cleo", 0, now); !d.over("cleo", 0, now) {
		t.Error("there is no delay, and it is not over")
	}
	for i := range 100_000 {
		now = now.Add(wait / 100)
		d.note(fmt.Sprint(i), wait, now)
		if len(d.last) > 1000 {
			t.Fatalf("%d logins are remembered, when 100 matter", len(d.last))
		}
	}
	if d.over("99999", wait, now) || d.over("99950", wait, now) {
		t.Error("what matters was forgotten")
	}
}

func TestMarks(t *testing.T) {
	var m marks
	if m.has(1) {
		t.Error("marked without marks")
	}
	for _, n := range []int{1, 64, 65, 100} {
		m.set(n, 100)
	}
	for n := 1; n <= 100; n++ {
		if want := n == 1 || n == 64 || n == 65 || n == 100; m.has(n) != want {
			t.Errorf("%d: %v", n, m.has(n))
		}
	}
}
