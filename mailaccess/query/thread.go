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

// Threader puts messages into threads. It keeps some 70 octets for each, and 40 for each
// message that they refer to and that is not there.
type Threader struct {
	algorithm ThreadAlgorithm
	memory    counted
	messages  []threadMessage
	fields    threadFields
	subjects  *digestNumbers

	// The nodes of the forest are messages and the dummies that stand for those
	// which are only referred to, each with the number of its id. message is the index
	// of a node's message, or -1.
	forest  forest
	message []int32
	ids     *digestNumbers
}

type threadMessage struct {
	seconds int64
	uid     mailaccess.UID
	node    int32
	subject int32 // its number; 0: empty
	reply   bool
}

// What is taken into account, in octets.
const (
	threadMessageSize = 24
	threadNodeSize    = 4 + 4 // of forest.up and message
	// threadPathSize is what a node takes more in forest.paths.
	threadPathSize = 12 + 12/4
	// Threads takes so much for a message and for a node, once digests are not needed
	// any more.
	groupedMessage = 28
	groupedNode    = 4 + 4
)

// NewThreader makes a Threader for about n messages that takes no more than memory
// permits.
func NewThreader(a ThreadAlgorithm, n int, memory Memory) (*Threader, error) {
	if a >= threadAlgorithms {
		return nil, threadError(mailaccess.KindInvalid, "unknown algorithm %d", a)
	}
	t := &Threader{algorithm: a, memory: counted{may: memory}}
	var err error
	if t.messages, err = grown(&t.memory, t.messages, threadMessageSize, n); err != nil {
		return nil, err
	}
	if t.subjects, err = newDigestNumbers(n/4, &t.memory); err != nil || a == ThreadOrderedSubject {
		return t, err
	}
	if t.ids, err = newDigestNumbers(n, &t.memory); err != nil {
		return nil, err
	}
	if err := t.grow(n + 1); err != nil {
		return nil, err
	}
	t.forest.up, t.message = append(t.forest.up, 0), append(t.message, 0) // node 0 is none
	return t, nil
}

// grow makes room for n nodes more.
func (t *Threader) grow(n int) (err error) {
	if t.forest.up, err = grown(&t.memory, t.forest.up, threadNodeSize/2, n); err == nil {
		t.message, err = grown(&t.memory, t.message, threadNodeSize/2, n)
	}
	return err
}

// account checks that there may be what is there, now and in Threads.
func (t *Threader) account() error {
	messages, nodes := int64(cap(t.messages)), int64(cap(t.message))
	paths := int64(0)
	if t.forest.paths != nil {
		paths = nodes * threadPathSize
	}
	return t.memory.take(paths + max(t.memory.held, messages*(threadMessageSize+groupedMessage)+nodes*(threadNodeSize+groupedNode)))
}

// Add takes a message in; messages come in ascending order of UIDs. key is what
// [AppendThreadKey] made of its header; it is not kept. ok is false, and nothing was
// taken, when it is no such thing. The error is that of Memory, when the messages take
// too much of it.
func (t *Threader) Add(m *mailaccess.Message, key []byte) (ok bool, err error) {
	if !t.fields.read(key) {
		return false, nil
	}
	added := threadMessage{seconds: t.fields.seconds, uid: m.UID, reply: t.fields.reply}
	if !t.fields.sent {
		added.seconds = m.Received.Unix()
	}
	if t.fields.subject != (digest{}) {
		if added.subject, _, err = t.subjects.of(t.fields.subject, &t.memory); err != nil {
			return true, err
		}
	}
	if t.messages, err = grown(&t.memory, t.messages, threadMessageSize, 1); err != nil {
		return true, err
	}
	if t.algorithm != ThreadOrderedSubject {
		if added.node, err = t.link(); err != nil {
			return true, err
		}
		t.message[added.node] = int32(len(t.messages))
	}
	t.messages = append(t.messages, added)
	return true, t.account()
}

// link is step (1) of REFERENCES for the message in fields. It returns its node.
func (t *Threader) link() (n int32, err error) {
	// (A)
	last := int32(0)
	for refs := t.fields.references; len(refs) > 0; refs = refs[len(digest{}):] {
		if n, err = t.named(digest(refs)); err != nil {
			return 0, err
		}
		if last != 0 && t.forest.parent(n) == 0 {
			t.forest.link(n, last)
		}
		last = n
	}
	// Of several messages with one id it is the first one's; a message without
	// an id that nobody can refer to is as good as one with a unique id.
	n = 0
	if t.fields.hasID {
		if n, err = t.named(t.fields.id); err != nil {
			return 0, err
		}
		if t.message[n] >= 0 {
			n = 0
		}
	}
	if n == 0 {
		if n, err = t.ids.next(digest{}, &t.memory); err == nil {
			err = t.node()
		}
		if err != nil {
			return 0, err
		}
	}
	// (B)
	if t.forest.parent(n) != last {
		t.forest.cut(n)
	}
	if last != 0 && t.forest.parent(n) == 0 {
		t.forest.link(n, last)
	}
	return n, nil
}

// named returns the node with an id, which is a dummy when it is new.
func (t *Threader) named(id digest) (int32, error) {
	n, fresh, err := t.ids.of(id, &t.memory)
	if fresh && err == nil {
		err = t.node()
	}
	return n, err
}

// node makes the node of the number that was given out last.
func (t *Threader) node() error {
	if err := t.grow(1); err != nil {
		return err
	}
	t.message = append(t.message, -1)
	t.forest.add()
	return nil
}

// Threads puts what was added into threads, after which nothing can be added.
func (t *Threader) Threads() *Threads {
	subjects := len(t.subjects.all)
	t.ids, t.subjects, t.forest.paths = nil, nil, nil
	g := newGrouping(t.messages)
	switch t.algorithm {
	case ThreadOrderedSubject:
		g.orderedSubject(subjects)
		return g.threads(g.firstRoots())
	case ThreadReferences:
		t.prune(g)
		g.gatherSubjects(subjects)
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
	held := make([]int32, len(t.message)) // by dummies at the top: a message and one more, or less the dummy in g; 0: nothing
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
		switch first := held[parent]; {
		case first == 0:
			held[parent] = int32(i) + 1
		case first > 0:
			dummy := g.dummy()
			g.up[first-1], g.up[i] = dummy, dummy
			held[parent] = -dummy
		default:
			g.up[i] = -first
		}
	}
	t.forest.up, t.message = nil, nil
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
// subject before would change nothing. Subjects are numbered below subjects.
func (g *grouping) orderedSubject(subjects int) {
	firsts := make([]int32, subjects) // by subject: a message and one more; 0: none
	for _, i := range g.order {
		if first := &firsts[g.messages[i].subject]; *first != 0 {
			g.up[i] = *first - 1
		} else {
			*first = i + 1
		}
	}
}

// gatherSubjects is step (5). The children of the root are gone through in the order
// of step (4).
func (g *grouping) gatherSubjects(subjects int) {
	type subjectRoot struct{ root, subject int32 }
	var (
		roots []subjectRoot
		table = make([]int32, subjects) // (A): a root by subject
	)
	for i := range table {
		table[i] = top // none
	}
	// A dummy is no reply, whatever its first child is.
	isReply := func(n int32) bool { return !g.isDummy(n) && g.messages[n].reply }
	// (B)
	for root, first := range g.roots() {
		subject := g.messages[first].subject
		if subject == 0 {
			continue
		}
		if other := table[subject]; other == top || !g.isDummy(other) && (g.isDummy(root) || isReply(other) && !isReply(root)) {
			table[subject] = root
		}
		roots = append(roots, subjectRoot{root, subject})
	}
	// (C)
	var merged []int32 // pairs of dummies: the first is the second
	for _, r := range roots {
		other := table[r.subject]
		switch {
		case other == r.root:
		case g.isDummy(other) && g.isDummy(r.root):
			merged = append(merged, r.root, other)
		case g.isDummy(other), isReply(r.root) && !isReply(other):
			g.up[r.root] = other
		default:
			dummy := g.dummy()
			g.up[r.root], g.up[other] = dummy, dummy
			table[r.subject] = dummy
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
