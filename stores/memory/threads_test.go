package memory

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Messages find together by whom they name, in whatever order they arrive and in
// whatever mailbox; who is once in a thread stays in it.
func TestThreads(t *testing.T) {
	f := newFixture(t, nil)
	other := f.box("Other")
	var seen []mailaccess.ThreadID
	for i, test := range []struct {
		box     mailaccess.MailboxID
		header  string
		as      int // the message whose thread it is in; its own number: a new one
		because string
	}{
		0:  {f.inbox, "Message-ID: <a@x>", 0, "the first"},
		1:  {f.inbox, "Message-ID: <b@x>", 1, "unrelated"},
		2:  {other, "Message-ID: <c@x>\r\nReferences: <a@x>", 0, "a reply"},
		3:  {other, "Message-ID: <d@x>\r\nIn-Reply-To: <c@x>", 0, "a reply to the reply"},
		4:  {f.inbox, "Message-ID: <e@x>\r\nReferences: <a@x> <b@x>", 1, "the last one named decides"},
		5:  {f.inbox, "Message-ID: <g@x>\r\nReferences: <f@x>", 5, "answers what is not there"},
		6:  {f.inbox, "Message-ID: <f@x>", 5, "was named already"},
		7:  {f.inbox, "Message-ID: <h@x>\r\nReferences: <f@x> <nowhere@x>", 5, "the last one is not known"},
		8:  {f.inbox, "Subject: a", 8, "has no id"},
		9:  {f.inbox, "Subject: a", 9, "has no id either"},
		10: {f.inbox, "Message-ID: <a@x>", 0, "the same message once more"},
		11: {f.inbox, "Message-ID: <\"a\"@x>\r\nSubject: x", 0, "its id is written in another way"},
		12: {f.inbox, "Subject: s\r\n\r\nReferences: <a@x>", 12, "what stands in the body is no header"},
		13: {f.inbox, "message-id: <i@x>\r\nREFERENCES: (comment)\r\n <a@x>", 0, "folded, in another case"},
	} {
		m := f.append(test.box, test.header+"\r\n\r\n.\r\n", mailaccess.Flags{})
		seen = append(seen, m.ThreadID)
		if m.ThreadID != seen[test.as] {
			t.Errorf("%d (%s): thread %s, want that of %d, %s", i, test.because, m.ThreadID, test.as, seen[test.as])
		}
		for j := range i {
			if same := seen[j] == m.ThreadID; same && test.as == i {
				t.Errorf("%d (%s) is in the thread of %d", i, test.because, j)
			}
		}
	}
	for i, m := range f.list(other, mailaccess.UIDSetRange(1, 2)) {
		if m.ThreadID != seen[i+2] {
			t.Errorf("UID %d of Other is in thread %s, was in %s", m.UID, m.ThreadID, seen[i+2])
		}
	}
}

// What is known of threads goes with the messages.
func TestThreadsAreForgotten(t *testing.T) {
	for _, retain := range []bool{false, true} {
		f := newFixture(t, &Options{RetainExpunged: retain})
		first := f.append(f.inbox, "Message-ID: <a@x>\r\n\r\n", mailaccess.Flags{})
		staged := f.stage("Message-ID: <b@x>\r\nReferences: <a@x>\r\n\r\n")
		for range 3 {
			if _, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: staged}, {Staged: staged}}); err != nil {
				t.Fatal(err)
			}
			all := f.list(f.inbox, mailaccess.UIDSetRange(1, 1000))
			for _, m := range all {
				if m.ThreadID != first.ThreadID {
					t.Errorf("UID %d: thread %s, want %s", m.UID, m.ThreadID, first.ThreadID)
				}
			}
			f.expunge(f.inbox, mailaccess.UIDSetRange(1, 1000))
		}
		other := f.box("Other")
		f.append(other, "Message-ID: <c@x>\r\n\r\n", mailaccess.Flags{})
		f.must(f.DeleteMailbox(ctx, other))
		f.must(f.handle.Close())
		if n := len(f.threads.known); n != 0 {
			t.Errorf("retained %t: %d ids are known of no message", retain, n)
		}
	}
}
