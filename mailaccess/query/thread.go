package query

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// ThreadAlgorithm says how messages are threaded.
type ThreadAlgorithm uint8

const (
	// ThreadOrderedSubject puts messages with the same base subject into one
	// thread: the others below the first (RFC 5256, section 3).
	ThreadOrderedSubject ThreadAlgorithm = iota
	// ThreadReferences threads by who answers whom, and then by subject (RFC
	// 5256, section 3).
	ThreadReferences
	// ThreadRefs is ThreadReferences without a look at subjects (its step 5),
	// in which the thread with the latest message comes last: THREAD=REFS as
	// Dovecot has it.
	ThreadRefs
	threadAlgorithms
)

// Threader puts messages into threads. It keeps some 50 octets for each, and as many
// for each message that they refer to.
type Threader struct {
	algorithm ThreadAlgorithm
	memory    counted
	messages  []threadMessage
	fields    threadFields

	// The nodes of the forest are messages and the dummies that stand for those
	// which are only referred to. message is the index of a node's message, or -1.
	forest  forest
	message []int32
	ids     map[digest]int32
}

type threadMessage struct {
	subject digest // zero: empty
	seconds int64
	uid     mailaccess.UID
	node    int32
	reply   bool
}

// What is taken into account for a message and for a node: what it has in slices and
// maps while they grow.
const (
	threadMessageSize = 100
	threadNodeSize    = 100
)

// NewThreader makes a Threader for about n messages that takes no more than memory
// permits.
func NewThreader(a ThreadAlgorithm, n int, memory Memory) (*Threader, error) {
	if a >= threadAlgorithms {
		return nil, threadError(mailaccess.KindInvalid, "unknown algorithm %d", a)
	}
	t := &Threader{algorithm: a, memory: counted{may: memory}}
	if err := t.account(n); err != nil {
		return nil, err
	}
	t.messages = make([]threadMessage, 0, n)
	if a != ThreadOrderedSubject {
		t.ids = make(map[digest]int32, n)
		t.forest.up = make([]int32, 1, n+1)
		t.message = make([]int32, 1, n+1)
	}
	return t, nil
}

// account checks that there may be messages messages.
func (t *Threader) account(messages int) error {
	return t.memory.take(int64(messages)*threadMessageSize + int64(len(t.message))*threadNodeSize)
}

// Add takes a message in; messages come in ascending order of UIDs. key is what
// [AppendThreadKey] made of its header; it is not kept. ok is false, and nothing was
// taken, when it is no such thing. The error is that of Memory, when the messages take
// too much of it.
func (t *Threader) Add(m *mailaccess.Message, key []byte) (ok bool, err error) {
	if !t.fields.read(key) {
		return false, nil
	}
	added := threadMessage{subject: t.fields.subject, seconds: t.fields.seconds, uid: m.UID, reply: t.fields.reply}
	if !t.fields.sent {
		added.seconds = m.Received.Unix()
	}
	if t.algorithm != ThreadOrderedSubject {
		added.node = t.link()
		t.message[added.node] = int32(len(t.messages))
	}
	t.messages = append(t.messages, added)
	return true, t.account(len(t.messages))
}

// link is step (1) of REFERENCES for the message in fields. It returns its node.
func (t *Threader) link() int32 {
	// (A)
	last := int32(0)
	for refs := t.fields.references; len(refs) > 0; refs = refs[len(digest{}):] {
		n := t.named(digest(refs))
		if last != 0 && t.forest.parent(n) == 0 {
			t.forest.link(n, last)
		}
		last = n
	}
	// Of several messages with one id it is the first one's; a message without
	// an id that nobody can refer to is as good as one with a unique id.
	n := int32(0)
	if t.fields.hasID {
		if n = t.named(t.fields.id); t.message[n] >= 0 {
			n = 0
		}
	}
	if n == 0 {
		n = t.node()
	}
	// (B)
	if t.forest.parent(n) != last {
		t.forest.cut(n)
	}
	if last != 0 && t.forest.parent(n) == 0 {
		t.forest.link(n, last)
	}
	return n
}

// named returns the node with an id, which is a dummy when it is new.
func (t *Threader) named(id digest) int32 {
	n, ok := t.ids[id]
	if !ok {
		n = t.node()
		t.ids[id] = n
	}
	return n
}

func (t *Threader) node() int32 {
	t.message = append(t.message, -1)
	return t.forest.add()
}

// Threads puts what was added into threads, after which nothing can be added.
func (t *Threader) Threads() *Threads {
	g := newGrouping(t.messages)
	switch t.algorithm {
	case ThreadOrderedSubject:
		g.orderedSubject()
		return g.threads(g.firstRoots())
	case ThreadReferences:
		t.prune(g)
		g.gatherSubjects()
		return g.threads(g.firstRoots())
	default:
		t.prune(g)
		return g.threads(g.lastRoots())
	}
}

// prune is steps (2) and (3): what is left is messages, each below the nearest one
// above it, and dummies at the top that hold at least two of them together. A chain
// of dummies is gone up once.
func (t *Threader) prune(g *grouping) {
	// above is, for a dummy, the nearest message above it, or the dummy at the
	// top; 0 if it was not looked for.
	above := make([]int32, len(t.message))
	held := make(map[int32]int32) // by dummies at the top; negative: the dummy in g
	nearest := func(n int32) int32 {
		end := n
		for t.message[end] < 0 && above[end] == 0 && t.forest.parent(end) != 0 {
			end = t.forest.parent(end)
		}
		if t.message[end] < 0 && above[end] != 0 {
			end = above[end]
		}
		for t.message[n] < 0 && above[n] == 0 {
			above[n] = end
			n = t.forest.parent(n)
		}
		return end
	}
	for i := range t.messages {
		parent := t.forest.parent(t.messages[i].node)
		if parent == 0 {
			continue
		}
		if parent = nearest(parent); t.message[parent] >= 0 {
			g.up[i] = t.message[parent]
			continue
		}
		first, again := held[parent]
		switch {
		case !again:
			held[parent] = int32(i)
		case first >= 0:
			dummy := g.dummy()
			g.up[first], g.up[i] = dummy, dummy
			held[parent] = -dummy
		default:
			g.up[i] = -first
		}
	}
}

func threadError(kind mailaccess.Kind, format string, a ...any) error {
	return &mailaccess.Error{Kind: kind, Op: "thread", Err: fmt.Errorf(format, a...)}
}

// grouping is messages and what they are below. A number below len(messages) is a
// message, one from there on a dummy.
type grouping struct {
	messages []threadMessage
	order    []int32 // the messages by sent date and UID
	up       []int32 // -1: at the top
}

const top = -1

func newGrouping(messages []threadMessage) *grouping {
	g := &grouping{messages: messages, order: make([]int32, len(messages)), up: make([]int32, len(messages))}
	type dated struct {
		seconds int64
		i       int32
	}
	// RFC 5256, section 2.2: the order in the mailbox decides between equals.
	byDate := make([]dated, len(messages))
	for i := range messages {
		byDate[i] = dated{messages[i].seconds, int32(i)}
		g.up[i] = top
	}
	slices.SortFunc(byDate, func(a, b dated) int {
		if c := cmp.Compare(a.seconds, b.seconds); c != 0 {
			return c
		}
		return cmp.Compare(a.i, b.i)
	})
	for i, d := range byDate {
		g.order[i] = d.i
	}
	return g
}

// dummy makes a dummy at the top. At most one is made for two messages, so that
// there are fewer numbers than fit.
func (g *grouping) dummy() int32 {
	g.up = append(g.up, top)
	return int32(len(g.up) - 1)
}

func (g *grouping) isDummy(n int32) bool { return int(n) >= len(g.messages) }

// orderedSubject is ORDEREDSUBJECT: the first message of a subject has the others
// below it. Since threads are put in the order of their first messages, sorting by
// subject before would change nothing.
func (g *grouping) orderedSubject() {
	firsts := make(map[digest]int32, len(g.messages))
	for _, i := range g.order {
		if first, ok := firsts[g.messages[i].subject]; ok {
			g.up[i] = first
		} else {
			firsts[g.messages[i].subject] = i
		}
	}
}

// gatherSubjects is step (5). The children of the root are gone through in the order
// of step (4).
func (g *grouping) gatherSubjects() {
	type subjectRoot struct {
		root int32
		slot int32 // of its subject
	}
	var (
		roots []subjectRoot
		slots = make(map[digest]int32)
		table []int32 // (A): a root by slot
	)
	// A dummy is no reply, whatever its first child is.
	isReply := func(n int32) bool { return !g.isDummy(n) && g.messages[n].reply }
	// (B)
	for root, first := range g.roots() {
		subject := g.messages[first].subject
		if subject == (digest{}) {
			continue
		}
		slot, ok := slots[subject]
		if !ok {
			slot = int32(len(table))
			slots[subject] = slot
			table = append(table, root)
		} else if other := table[slot]; !g.isDummy(other) && (g.isDummy(root) || isReply(other) && !isReply(root)) {
			table[slot] = root
		}
		roots = append(roots, subjectRoot{root, slot})
	}
	// (C)
	var merged []int32 // pairs of dummies: the first is the second
	for _, r := range roots {
		other := table[r.slot]
		switch {
		case other == r.root:
		case g.isDummy(other) && g.isDummy(r.root):
			merged = append(merged, r.root, other)
		case g.isDummy(other), isReply(r.root) && !isReply(other):
			g.up[r.root] = other
		default:
			dummy := g.dummy()
			g.up[r.root], g.up[other] = dummy, dummy
			table[r.slot] = dummy
		}
	}
	if len(merged) == 0 {
		return
	}
	// A dummy that others were merged into was never merged itself.
	into := make(map[int32]int32, len(merged)/2)
	for i := 0; i < len(merged); i += 2 {
		into[merged[i]] = merged[i+1]
	}
	for i := range g.messages {
		if other, ok := into[g.up[i]]; ok {
			g.up[i] = other
		}
	}
}
