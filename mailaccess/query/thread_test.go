package query

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// mail is a message to be threaded.
type mail struct {
	id, subject string
	refs        []string
	reply       string // In-Reply-To
	date        int    // 0: none
	received    int
}

func (l *mail) header() message.Header {
	var h strings.Builder
	if l.id != "" {
		fmt.Fprintf(&h, "Message-ID: <%s@x>\r\n", l.id)
	}
	if len(l.refs) > 0 {
		h.WriteString("References:")
		for _, id := range l.refs {
			fmt.Fprintf(&h, " <%s@x>", id)
		}
		h.WriteString("\r\n")
	}
	if l.reply != "" {
		fmt.Fprintf(&h, "In-Reply-To: <%s@x>\r\n", l.reply)
	}
	if l.subject != "" {
		fmt.Fprintf(&h, "Subject: %s\r\n", l.subject)
	}
	if l.date > 0 {
		fmt.Fprintf(&h, "Date: %s\r\n", time.Unix(int64(l.date), 0).UTC().Format(time.RFC1123Z))
	}
	return message.Header(h.String() + "\r\n")
}

func threads(t interface{ Fatal(...any) }, a ThreadAlgorithm, mails []mail) string {
	th, err := NewThreader(a, len(mails), upTo(1<<30))
	if err != nil {
		t.Fatal(err)
	}
	for i := range mails {
		m := mailaccess.Message{UID: mailaccess.UID(i + 1), Received: time.Unix(int64(mails[i].received), 0)}
		if ok, err := th.Add(&m, AppendThreadKey(nil, mails[i].header())); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	return writeThreads(th.Threads())
}

// writeThreads writes the THREAD response of RFC 5256, section 4, recursively.
func writeThreads(t *Threads) string {
	var b strings.Builder
	var list func(n ThreadNode)
	list = func(n ThreadNode) {
		for ; n != 0; n = t.Next(n) {
			b.WriteByte('(')
			at := n
			for space := false; ; space = true {
				if uid := t.UID(at); uid != 0 {
					if space {
						b.WriteByte(' ')
					}
					fmt.Fprint(&b, uid)
				}
				child := t.Child(at)
				if child == 0 {
					break
				}
				if t.Next(child) != 0 || t.UID(at) == 0 {
					if t.UID(at) != 0 {
						b.WriteByte(' ')
					}
					list(child)
					break
				}
				at = child
			}
			b.WriteByte(')')
		}
	}
	list(t.First())
	return b.String()
}

func TestThreads(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		mails                     []mail
		subject, references, refs string
	}{
		{"nothing", nil, "", "", ""},
		{"one", []mail{{}}, "(1)", "(1)", "(1)"},
		{
			"a conversation",
			[]mail{{id: "a", subject: "s"}, {id: "b", subject: "Re: s", refs: []string{"a"}}, {id: "c", subject: "Re: s", refs: []string{"a", "b"}}, {id: "d", subject: "Re: s", refs: []string{"a"}}},
			"(1 (2)(3)(4))", "(1 (2 3)(4))", "(1 (2 3)(4))",
		},
		{
			"the first is not there: siblings",
			[]mail{{id: "b", subject: "Re: s", reply: "a"}, {id: "c", subject: "Re: s", reply: "a"}},
			"(1 2)", "((1)(2))", "((1)(2))",
		},
		{
			"one in the middle is not there",
			[]mail{{id: "a", subject: "1"}, {id: "c", subject: "2", refs: []string{"a", "b"}}},
			"(1)(2)", "(1 2)", "(1 2)",
		},
		{
			"one child of dummies takes their place",
			[]mail{{id: "c", subject: "2", refs: []string{"a", "b"}}},
			"(1)", "(1)", "(1)",
		},
		{
			"answers before the question",
			[]mail{{id: "c", refs: []string{"a", "b"}}, {id: "b", refs: []string{"a"}}, {id: "a"}},
			"(1 (2)(3))", "(3 2 1)", "(3 2 1)",
		},
		{
			"truncated references are mended",
			[]mail{{id: "c", refs: []string{"a", "b"}}, {id: "b", refs: []string{"x"}}, {id: "x", refs: []string{"a"}}, {id: "a"}},
			"(1 (2)(3)(4))", "(4 3 2 1)", "(4 3 2 1)",
		},
		{
			"an id twice is the first one's",
			[]mail{{id: "a", subject: "1"}, {id: "a", subject: "2"}, {id: "b", subject: "3", reply: "a"}},
			"(1)(2)(3)", "(1 3)(2)", "(2)(1 3)",
		},
		{
			"loops are not made",
			[]mail{{id: "a", subject: "1", refs: []string{"b"}}, {id: "b", subject: "2", refs: []string{"a"}}, {id: "c", subject: "3", refs: []string{"c"}}},
			"(1)(2)(3)", "(2 1)(3)", "(2 1)(3)",
		},
		{
			"of In-Reply-To only without References",
			[]mail{{id: "a", subject: "1"}, {id: "b", subject: "2"}, {id: "c", subject: "3", refs: []string{"a"}, reply: "b"}},
			"(1)(2)(3)", "(1 3)(2)", "(2)(1 3)",
		},
		{
			"by subject: a reply goes below what is none",
			[]mail{{id: "a", subject: "Re: s"}, {id: "b", subject: "S"}, {id: "c", subject: "s (fwd)"}},
			"(1 (2)(3))", "(2 (1)(3))", "(1)(2)(3)",
		},
		{
			"by subject: equals become siblings",
			[]mail{{id: "a", subject: "s"}, {id: "b", subject: "s"}, {id: "c", subject: "s"}},
			"(1 (2)(3))", "((1)(2)(3))", "(1)(2)(3)",
		},
		{
			"by subject: dummies",
			[]mail{{id: "a", subject: "s", reply: "x"}, {id: "b", subject: "s", reply: "x"}, {id: "c", subject: "s", reply: "y"}, {id: "d", subject: "s", reply: "y"}, {id: "e", subject: "s"}},
			"(1 (2)(3)(4)(5))", "((1)(2)(3)(4)(5))", "((1)(2))((3)(4))(5)",
		},
		{
			"by subject: not without one",
			[]mail{{id: "a"}, {id: "b"}, {id: "c", subject: "Re:"}},
			"(1 (2)(3))", "(1)(2)(3)", "(1)(2)(3)",
		},
		{
			"by date, and by when it came where there is none",
			[]mail{{id: "a", subject: "1", date: 30}, {id: "b", subject: "2", received: 20}, {id: "c", subject: "3", date: 10}, {id: "d", subject: "4", date: 40, reply: "c"}, {id: "e", subject: "5", date: 35, reply: "c"}},
			"(3)(2)(1)(5)(4)", "(3 (5)(4))(2)(1)", "(2)(1)(3 (5)(4))",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for a, want := range map[ThreadAlgorithm]string{ThreadOrderedSubject: tt.subject, ThreadReferences: tt.references, ThreadRefs: tt.refs} {
				if got := threads(t, a, tt.mails); got != want {
					t.Errorf("algorithm %d: %s, want %s", a, got, want)
				}
			}
		})
	}
}

func TestThreadsAreTheNaiveOnes(t *testing.T) {
	ids := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "g"})
	some := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "x", "y", "z"})
	subjects := rapid.SampledFrom([]string{"", "Re:", "s", "S", "Re: s", "[fwd: s]", "t", "t (fwd)", "u"})
	one := rapid.Custom(func(t *rapid.T) mail {
		l := mail{
			id: ids.Draw(t, "id"), subject: subjects.Draw(t, "subject"),
			date: rapid.IntRange(0, 5).Draw(t, "date"), received: rapid.IntRange(0, 5).Draw(t, "received"),
			refs: rapid.SliceOfN(some, 0, 4).Draw(t, "references"),
		}
		if rapid.Bool().Draw(t, "replies") {
			l.reply = some.Draw(t, "in reply to")
		}
		return l
	})
	rapid.Check(t, func(t *rapid.T) {
		mails := rapid.SliceOfN(one, 0, 14).Draw(t, "mails")
		for a := range threadAlgorithms {
			got, want := threads(t, a, mails), naiveThreads(a, mails)
			if got != want {
				t.Fatalf("algorithm %d:\n got %s\nwant %s", a, got, want)
			}
		}
	})
}

// A deep tree neither overflows the stack nor takes time by the square of its depth,
// whichever end of it comes first, and however often it is hung elsewhere.
func TestDeepThreads(t *testing.T) {
	const n = 100_000
	id := func(i int) string { return fmt.Sprint("m", i) }
	depth := func(mails []mail) int {
		th, err := NewThreader(ThreadReferences, len(mails), upTo(1<<30))
		if err != nil {
			t.Fatal(err)
		}
		for i := range mails {
			if _, err := th.Add(&mailaccess.Message{UID: mailaccess.UID(i + 1)}, AppendThreadKey(nil, mails[i].header())); err != nil {
				t.Fatal(err)
			}
		}
		deepest := 0
		got := th.Threads()
		for at := got.First(); at != 0; at = got.Child(at) {
			deepest++
		}
		return deepest
	}
	chain := make([]mail, n)
	for i := range chain {
		chain[i] = mail{id: id(i), refs: []string{id(i - 1)}}
	}
	chain[0].refs = nil
	if got := depth(chain); got != n {
		t.Errorf("%d deep, want %d", got, n)
	}
	slices.Reverse(chain)
	if got := depth(chain); got != n {
		t.Errorf("from the last on: %d deep, want %d", got, n)
	}
	// Pairs hung at the end of the chain, each of which asks whether the whole
	// chain is below it.
	slices.Reverse(chain)
	pairs := chain[: n/2 : n/2]
	for i := range n / 4 {
		x, y := fmt.Sprint("x", i), fmt.Sprint("y", i)
		pairs = append(pairs, mail{id: y, refs: []string{x}}, mail{id: x, refs: []string{id(n/2 - 1)}})
	}
	if got := depth(pairs); got != n/2+2 {
		t.Errorf("pairs: %d deep, want %d", got, n/2+2)
	}
	// The same chain of messages that are not there, above each.
	var refs []string
	for i := range 1000 {
		refs = append(refs, id(i))
	}
	absent := make([]mail, 1000)
	for i := range absent {
		absent[i] = mail{id: fmt.Sprint("a", i), refs: refs}
	}
	if got := depth(absent); got != 2 {
		t.Errorf("absent: %d deep, want 2", got)
	}
}

// The forest with splay trees is the one without.
func TestForest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 12
		var plain, fast forest
		for range n {
			plain.add()
			fast.add()
		}
		fast.paths = newPathForest(fast.up)
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			a := int32(rapid.IntRange(1, n).Draw(t, "node"))
			b := int32(rapid.IntRange(1, n).Draw(t, "parent"))
			if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
				plain.cut(a)
				fast.cut(a)
			} else if plain.parent(a) == 0 {
				plain.link(a, b)
				fast.link(a, b)
			}
			if !slices.Equal(plain.up, fast.up) {
				t.Fatalf("parents %v, want %v", fast.up, plain.up)
			}
			for i := range int32(n) {
				if got, want := fast.paths.root(i+1), plain.root(i+1, 0); got != want {
					t.Fatalf("root of %d is %d, want %d", i+1, got, want)
				}
			}
		}
	})
}

func TestThreaderLimits(t *testing.T) {
	if _, err := NewThreader(ThreadRefs, 100, upTo(100*threadMessageSize-1)); mailaccess.KindOf(err) != mailaccess.KindLimit {
		t.Errorf("too many messages: %v", err)
	}
	if _, err := NewThreader(threadAlgorithms, 0, upTo(1<<20)); mailaccess.KindOf(err) != mailaccess.KindInvalid {
		t.Errorf("unknown algorithm: %v", err)
	}
	th, err := NewThreader(ThreadRefs, 0, upTo(100*(threadNodeSize+digestSize)))
	if err != nil {
		t.Fatal(err)
	}
	var refs []string
	for i := range 100 {
		refs = append(refs, fmt.Sprint(i))
	}
	l := mail{id: "a", refs: refs}
	if _, err := th.Add(&mailaccess.Message{UID: 1}, AppendThreadKey(nil, l.header())); mailaccess.KindOf(err) != mailaccess.KindLimit {
		t.Errorf("too many references: %v", err)
	}
}

// A message of a usual mailbox takes less than 80 octets to be threaded, and no more than
// was asked for, then or later. What hangs deep takes some more.
func TestThreaderMemory(t *testing.T) {
	const n = 100_000
	id := func(i int) string { return fmt.Sprint("m", i) }
	for _, tt := range []struct {
		name  string
		each  int64
		mails func(i int) mail
	}{
		{"usual", 80, func(i int) mail {
			l := mail{id: id(i), subject: fmt.Sprint("subject ", i/2), date: i + 1}
			if i%2 == 1 {
				l.refs = []string{id(i - 1)}
			}
			return l
		}},
		{"absent, deep", 180, func(i int) mail {
			return mail{id: id(i), subject: fmt.Sprint("subject ", i), refs: []string{fmt.Sprint("other", i), id(i - 1)}, date: i + 1}
		}},
		{"deep", 100, func(i int) mail { return mail{id: id(i), subject: "subject", refs: []string{id(max(0, i-1))}} }},
		{"one subject", 80, func(i int) mail { return mail{subject: "subject"} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys := make([][]byte, n)
			for i := range keys {
				l := tt.mails(i)
				keys[i] = AppendThreadKey(nil, l.header())
			}
			for a := range threadAlgorithms {
				var asked int64
				heap := func() int64 {
					var m runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&m)
					return int64(m.HeapAlloc)
				}
				before := heap()
				th, err := NewThreader(a, n, func(octets int64) error { asked = octets; return nil })
				if err != nil {
					t.Fatal(err)
				}
				for i, key := range keys {
					if ok, err := th.Add(&mailaccess.Message{UID: mailaccess.UID(i + 1)}, key); !ok || err != nil {
						t.Fatal(ok, err)
					}
				}
				added := heap() - before
				threads := th.Threads()
				threaded := heap() - before
				if asked > tt.each*n || added > asked || threaded > asked {
					t.Errorf("algorithm %d: %d octets were asked for each message; they took %d, and then %d", a, asked/n, added/n, threaded/n)
				}
				runtime.KeepAlive(threads)
				runtime.KeepAlive(th)
			}
		})
	}
}

// What a store keeps may be damaged: any octets are a key or are refused.
func FuzzThreadKey(f *testing.F) {
	f.Add(AppendThreadKey(nil, message.Header("Message-ID: <a@b>\r\nReferences: <c@d>\r\nSubject: x\r\nDate: 1 Jan 2020 00:00 +0000\r\n\r\n")))
	f.Add([]byte{0, 7, 1})
	f.Fuzz(func(t *testing.T, key []byte) {
		th, err := NewThreader(ThreadReferences, 2, upTo(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		ok, err := th.Add(&mailaccess.Message{UID: 1}, key)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			key = AppendThreadKey(nil, message.Header(key))
			if ok, err := th.Add(&mailaccess.Message{UID: 1}, key); !ok || err != nil || len(key) > MaxThreadKey {
				t.Fatalf("a key of %d octets: %v, %v", len(key), ok, err)
			}
		}
		if got := writeThreads(th.Threads()); got != "(1)" {
			t.Fatalf("threads %s", got)
		}
	})
}
