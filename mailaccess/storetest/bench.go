package storetest

import (
	"io"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// benchMessages is the size of the large mailbox; with -short it is smaller.
const benchMessages = 100_000

// Bench measures what front-ends ask of a store most, in a mailbox of 100,000
// messages (1,000 with -short).
func Bench(b *testing.B, newStore func(t testing.TB) Harness) {
	e := newEnv(b, newStore(b))
	e.need("Append")
	e.ctx = b.Context() // however long it takes
	size := benchMessages
	if testing.Short() {
		size = 1000
	}
	large := e.inbox().ID
	e.benchFill(large, size)

	run := func(name, needs string, f func(e *env, b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			own := *e
			own.TB, own.ctx = b, b.Context()
			own.need(needs)
			b.ReportAllocs()
			f(&own, b)
		})
	}
	run("Append", "", benchAppend)
	run("Status", "", func(e *env, b *testing.B) {
		for b.Loop() {
			e.status(large)
		}
	})
	run("Snapshot", "", func(e *env, b *testing.B) {
		for b.Loop() {
			e.snapshot(large)
		}
	})
	run("ListAll", "", func(e *env, b *testing.B) { benchList(e, b, large, size) })
	run("ListOne", "", func(e *env, b *testing.B) { benchListOne(e, b, large) })
	run("SetFlagsOfOne", "Flags", func(e *env, b *testing.B) { benchSetFlags(e, b, large) })
	run("ChangesAfter10", "Flags", func(e *env, b *testing.B) { benchChanges(e, b, large) })
	run("AccountChanges", "", benchAccountChanges)
	run("Copy1000", "Copy CopyMany Mailboxes", func(e *env, b *testing.B) { benchCopy(e, b, large) })
	run("OpenContent", "", func(e *env, b *testing.B) { benchContent(e, b, large) })
}

// benchFill fills box with copies where the store can, which is faster.
func (e *env) benchFill(box mailaccess.MailboxID, size int) {
	first := size
	if e.caps.Copy != nil && e.caps.CopyMany {
		first = 100
	}
	s := e.stage(e.letter())
	for range first {
		if _, err := e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s, Received: someDay}}); err != nil {
			e.Fatalf("Append: %v", err)
		}
	}
	for have := first; have < size; {
		uids := e.snapshot(box).UIDs
		if have > size-have {
			uids = uids.Intersect(mailaccess.UIDSetRange(1, uids.Select(size-have)))
		}
		if _, err := e.caps.Copy.Copy(e.ctx, box, uids, box); err != nil {
			e.Fatalf("Copy: %v", err)
		}
		have += uids.Len()
	}
	if got := e.status(box).Messages; got != size {
		e.Fatalf("%d messages, want %d", got, size)
	}
}

// benchAppend stages and appends messages of 4 KiB to a mailbox of their own
// where the store makes one.
func benchAppend(e *env, b *testing.B) {
	box := e.inbox().ID
	if e.caps.Mailboxes != nil {
		box = e.create("Appended").ID
	}
	body := make([]byte, 0, 4096)
	for body = append(body, e.letter()...); len(body) < 4096-64; {
		body = append(body, "All is well, and there is nothing more to be said about it.\r\n"...)
	}
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := appendTo(e, e.acct, box, body); err != nil {
			b.Fatal(err)
		}
	}
}

func benchList(e *env, b *testing.B, box mailaccess.MailboxID, size int) {
	all := everyUID()
	for b.Loop() {
		n := 0
		for _, err := range e.acct.Messages(e.ctx, box, all) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n < size {
			b.Fatalf("%d messages, want %d", n, size)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/message")
}

func benchListOne(e *env, b *testing.B, box mailaccess.MailboxID) {
	uids := e.snapshot(box).UIDs
	i := 0
	for b.Loop() {
		i = (i + 7919) % uids.Len()
		n := 0
		for _, err := range e.acct.Messages(e.ctx, box, mailaccess.UIDSetOf(uids.Select(i+1))) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 1 {
			b.Fatalf("%d messages, want 1", n)
		}
	}
}

func benchSetFlags(e *env, b *testing.B, box mailaccess.MailboxID) {
	f := e.somethingKept()
	uids := e.snapshot(box).UIDs
	i := 0
	for b.Loop() {
		i++
		c := add(f)
		if i/uids.Len()%2 == 1 {
			c = remove(f)
		}
		e.setFlags(box, mailaccess.UIDSetOf(uids.Select(i%uids.Len()+1)), c)
	}
}

// benchChanges asks for ten changes in a mailbox of many messages.
func benchChanges(e *env, b *testing.B, box mailaccess.MailboxID) {
	f := e.somethingKept()
	uids := e.snapshot(box).UIDs
	since := e.status(box).ModSeq
	for i := range 10 {
		one := mailaccess.UIDSetOf(uids.Select(1 + i*uids.Len()/10))
		if res := e.setFlags(box, one, add(f)); len(res.Changed) == 0 {
			e.setFlags(box, one, remove(f))
		}
	}
	for b.Loop() {
		c, err := e.acct.MailboxChanges(e.ctx, box, since)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, err := range c.Messages {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		for _, err := range c.Vanished {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 10 {
			b.Fatalf("%d changes, want 10", n)
		}
	}
}

func benchAccountChanges(e *env, b *testing.B) {
	state := e.state()
	for b.Loop() {
		if _, err := e.acct.Changes(e.ctx, state); err != nil {
			b.Fatal(err)
		}
	}
}

func benchCopy(e *env, b *testing.B, box mailaccess.MailboxID) {
	uids := e.snapshot(box).UIDs
	uids = uids.Intersect(mailaccess.UIDSetRange(1, uids.Select(1000)))
	dst := e.create("Copies").ID
	for b.Loop() {
		if _, err := e.caps.Copy.Copy(e.ctx, box, uids, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func benchContent(e *env, b *testing.B, box mailaccess.MailboxID) {
	m := e.message(box, e.snapshot(box).UIDs.Min())
	for b.Loop() {
		c, err := e.acct.Content(e.ctx, m.EmailID)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.WriteRange(io.Discard, 0, c.Size()); err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
