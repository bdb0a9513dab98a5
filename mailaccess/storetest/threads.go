package storetest

import (
	"fmt"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func threadChecks() []check {
	return []check{
		{"Replies", "Messages Threads", checkThreadReplies},
		{"OtherMailbox", "Messages Threads Mailboxes", checkThreadAcross},
		{"Stay", "Messages Threads", checkThreadsStay},
	}
}

// post appends a message of a conversation and returns it as it is listed.
func (e *env) post(box mailaccess.MailboxID, id, subject string, references ...string) mailaccess.Message {
	e.Helper()
	msg := fmt.Sprintf("From: sender@example.org\r\nDate: Tue, 02 Jan 2024 03:04:05 +0000\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n", subject, id)
	for i, r := range references {
		if i == 0 {
			msg += "References:"
		}
		msg += " <" + r + "@example.org>"
	}
	if len(references) > 0 {
		msg += fmt.Sprintf("\r\nIn-Reply-To: <%s@example.org>\r\n", references[len(references)-1])
	}
	m := e.appendNew(box, []byte(msg+"\r\n"+id+"\r\n"), mailaccess.Flags{}, someDay)
	return e.message(box, m.UID)
}

// A reply is in the thread of what it answers, and nothing else is. How much more a
// store takes for related is its own affair.
func checkThreadReplies(e *env) {
	box := e.inbox().ID
	first, other := e.post(box, "first", "lunch"), e.post(box, "other", "dinner")
	reply := e.post(box, "reply", "Re: lunch", "first")
	again := e.post(box, "again", "Re: lunch", "first", "reply")
	if reply.ThreadID != first.ThreadID || again.ThreadID != first.ThreadID {
		e.Errorf("replies are in threads %s and %s, what they answer in %s", reply.ThreadID, again.ThreadID, first.ThreadID)
	}
	if other.ThreadID == first.ThreadID {
		e.Errorf("unrelated messages are in one thread, %s", other.ThreadID)
	}
	for _, m := range e.list(box) {
		if slices.Contains(emailIDs(e.list(box)), mailaccess.EmailID(m.ThreadID)) {
			e.Errorf("%s is a thread and a message", m.ThreadID)
		}
	}
}

// RFC 8474, section 5.2: even in different mailboxes.
func checkThreadAcross(e *env) {
	first := e.post(e.inbox().ID, "first", "lunch")
	if reply := e.post(e.create("Papers").ID, "reply", "Re: lunch", "first"); reply.ThreadID != first.ThreadID {
		e.Errorf("a reply in another mailbox is in thread %s, what it answers in %s", reply.ThreadID, first.ThreadID)
	}
}

// What joins two threads changes neither.
func checkThreadsStay(e *env) {
	box := e.inbox().ID
	before := []mailaccess.Message{e.post(box, "first", "lunch"), e.post(box, "second", "lunch, again")}
	e.post(box, "reply", "Re: lunch", "first", "second")
	e.post(box, "reply", "Re: lunch, again", "second", "first")
	for i, m := range e.listOf(box, uidsOf(before)) {
		if !sameMessage(m, before[i]) {
			e.Errorf("%+v, was %+v", m, before[i])
		}
	}
}
