package query

import (
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Threads is messages in threads: trees, in each of which siblings are in the order
// of their sent dates.
type Threads struct {
	messages []threadMessage
	links    []threadLink
	first    ThreadNode
}

// ThreadNode is a message in a thread, or what stands for one that is not there. The
// zero value is none.
type ThreadNode int32

type threadLink struct{ child, next ThreadNode }

// First returns the root of the first thread.
func (t *Threads) First() ThreadNode { return t.first }

// UID returns the message of a node. It is 0 for the root of a thread whose messages
// belong together though what they answer is not there; such a root has at least two
// children.
func (t *Threads) UID(n ThreadNode) mailaccess.UID {
	if int(n) > len(t.messages) {
		return 0
	}
	return t.messages[n-1].uid
}

// Child returns the first child of a node.
func (t *Threads) Child(n ThreadNode) ThreadNode { return t.links[n].child }

// Next returns the next sibling of a node, or the root of the next thread.
func (t *Threads) Next(n ThreadNode) ThreadNode { return t.links[n].next }

// threads is step (6) of REFERENCES. Each set of siblings is in order because all
// messages are gone through in that order.
func (g *grouping) threads(roots iter.Seq2[int32, int32]) *Threads {
	t := &Threads{messages: g.messages, links: make([]threadLink, len(g.up)+1)}
	last := make([]ThreadNode, len(g.up)+1) // by parent; 0: of the roots
	add := func(parent, n ThreadNode) {
		switch {
		case last[parent] != 0:
			t.links[last[parent]].next = n
		case parent == 0:
			t.first = n
		default:
			t.links[parent].child = n
		}
		last[parent] = n
	}
	for _, i := range g.order {
		if g.up[i] != top {
			add(ThreadNode(g.up[i]+1), ThreadNode(i+1))
		}
	}
	for root := range roots {
		add(0, ThreadNode(root+1))
	}
	return t
}

// roots yields what is at the top in the order of the sent dates, dummies in that of
// their first child, which it yields with them.
func (g *grouping) roots() iter.Seq2[int32, int32] {
	return func(yield func(root, first int32) bool) {
		seen := make([]bool, len(g.up)-len(g.messages)) // dummies
		for _, i := range g.order {
			root := i
			if up := g.up[i]; up != top {
				if !g.isDummy(up) || seen[int(up)-len(g.messages)] {
					continue
				}
				seen[int(up)-len(g.messages)] = true
				root = up
			}
			if !yield(root, i) {
				return
			}
		}
	}
}

func (g *grouping) firstRoots() iter.Seq2[int32, int32] { return g.roots() }

// lastRoots yields what is at the top in the order of the last messages below it.
func (g *grouping) lastRoots() iter.Seq2[int32, int32] {
	return func(yield func(root, last int32) bool) {
		// roots is what is at the top of each message; top if it was not looked for.
		roots := make([]int32, len(g.up))
		for i := range roots {
			roots[i] = top
		}
		last := make([]int32, len(g.up)) // by root
		for _, i := range g.order {
			root := i
			for roots[root] == top && g.up[root] != top {
				root = g.up[root]
			}
			if roots[root] != top {
				root = roots[root]
			}
			for n := i; roots[n] == top && n != root; n = g.up[n] {
				roots[n] = root
			}
			roots[root] = root
			last[root] = i
		}
		for _, i := range g.order {
			if root := roots[i]; last[root] == i && !yield(root, i) {
				return
			}
		}
	}
}
