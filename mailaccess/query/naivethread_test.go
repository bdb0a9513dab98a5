package query

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// naiveThreads is RFC 5256, section 3, taken literally.
func naiveThreads(a ThreadAlgorithm, mails []mail) string {
	n := naiveThreader{subjects: map[string]*naiveNode{}}
	if a == ThreadOrderedSubject {
		return n.orderedSubject(mails)
	}
	// (1)
	named := map[string]*naiveNode{}
	find := func(id string) *naiveNode {
		if named[id] == nil {
			named[id] = n.add(nil)
		}
		return named[id]
	}
	for i := range mails {
		l := naiveMessage{&mails[i], i + 1}
		refs := l.refs
		if len(refs) == 0 && l.reply != "" {
			refs = []string{l.reply}
		}
		var last *naiveNode
		for _, id := range refs {
			node := find(id)
			if last != nil && node.parent == nil && !last.isBelow(node) {
				node.setParent(last)
			}
			last = node
		}
		var node *naiveNode
		if l.id != "" && find(l.id).msg == nil {
			node = find(l.id)
			node.msg = &l
		} else {
			node = n.add(&l)
		}
		node.setParent(nil)
		if last != nil && !last.isBelow(node) {
			node.setParent(last)
		}
	}
	// (2)
	root := &naiveNode{}
	for _, node := range n.nodes {
		if node.parent == nil {
			root.children = append(root.children, node)
		}
	}
	for _, node := range root.children {
		node.parent = root
	}
	// (3)
	root.prune(true)
	// (4)
	for _, node := range root.children {
		if node.msg == nil {
			node.sort()
		}
	}
	root.sort()
	if a == ThreadReferences {
		n.gather(root)
	}
	// (6)
	root.sortAll()
	if a == ThreadRefs {
		slices.SortFunc(root.children, func(a, b *naiveNode) int { return a.last().compare(b.last()) })
	}
	var b strings.Builder
	for _, node := range root.children {
		b.WriteString("(" + node.String() + ")")
	}
	return b.String()
}

type naiveMessage struct {
	*mail
	number int
}

func (m *naiveMessage) compare(o *naiveMessage) int {
	date := func(m *naiveMessage) int {
		if m.date > 0 {
			return m.date
		}
		return m.received
	}
	return cmp.Or(cmp.Compare(date(m), date(o)), cmp.Compare(m.number, o.number))
}

type naiveThreader struct {
	nodes    []*naiveNode
	subjects map[string]*naiveNode
}

type naiveNode struct {
	msg      *naiveMessage
	parent   *naiveNode
	children []*naiveNode
}

func (n *naiveThreader) add(m *naiveMessage) *naiveNode {
	node := &naiveNode{msg: m}
	n.nodes = append(n.nodes, node)
	return node
}

func (n *naiveNode) setParent(parent *naiveNode) {
	if old := n.parent; old != nil {
		old.children = slices.DeleteFunc(old.children, func(c *naiveNode) bool { return c == n })
	}
	if n.parent = parent; parent != nil {
		parent.children = append(parent.children, n)
	}
}

// isBelow: n is top, or below it.
func (n *naiveNode) isBelow(top *naiveNode) bool {
	return n != nil && (n == top || n.parent.isBelow(top))
}

func (n *naiveNode) prune(atRoot bool) {
	var kept []*naiveNode
	for _, c := range n.children {
		c.prune(false)
		switch {
		case c.msg != nil, atRoot && len(c.children) > 1:
			kept = append(kept, c)
		default:
			kept = append(kept, c.children...)
		}
	}
	n.children = kept
	for _, c := range kept {
		c.parent = n
	}
}

// sortedBy is the message by which a node is sorted.
func (n *naiveNode) sortedBy() *naiveMessage {
	if n.msg != nil {
		return n.msg
	}
	return n.children[0].sortedBy()
}

func (n *naiveNode) sort() {
	slices.SortFunc(n.children, func(a, b *naiveNode) int { return a.sortedBy().compare(b.sortedBy()) })
}

func (n *naiveNode) sortAll() {
	for _, c := range n.children {
		c.sortAll()
	}
	n.sort()
}

// last is the latest message of a thread.
func (n *naiveNode) last() *naiveMessage {
	latest := n.msg
	for _, c := range n.children {
		if l := c.last(); latest == nil || latest.compare(l) < 0 {
			latest = l
		}
	}
	return latest
}

func (n *naiveNode) subject() string {
	base, _ := naiveBaseSubject(n.sortedBy().mail.subject)
	return strings.ToUpper(base)
}

func (n *naiveNode) isReply() bool {
	if n.msg == nil {
		return false
	}
	_, reply := naiveBaseSubject(n.msg.mail.subject)
	return reply
}

// gather is step (5).
func (n *naiveThreader) gather(root *naiveNode) {
	// (B)
	for _, c := range root.children {
		subject := c.subject()
		if subject == "" {
			continue
		}
		other := n.subjects[subject]
		switch {
		case other == nil:
			n.subjects[subject] = c
		case other.msg != nil && (c.msg == nil || other.isReply() && !c.isReply()):
			n.subjects[subject] = c
		}
	}
	// (C)
	for _, c := range slices.Clone(root.children) {
		subject := c.subject()
		if subject == "" || n.subjects[subject] == c {
			continue
		}
		other := n.subjects[subject]
		switch {
		case c.msg == nil && other.msg == nil:
			for _, child := range slices.Clone(c.children) {
				child.setParent(other)
			}
			c.setParent(nil)
		case other.msg == nil && c.msg != nil:
			c.setParent(other)
		case c.isReply() && !other.isReply():
			c.setParent(other)
		default:
			dummy := &naiveNode{}
			dummy.setParent(root)
			c.setParent(dummy)
			other.setParent(dummy)
			n.subjects[subject] = dummy
		}
	}
}

// String is the inside of a thread-list (RFC 5256, section 5).
func (n *naiveNode) String() string {
	s := ""
	if n.msg != nil {
		s = fmt.Sprint(n.msg.number)
		if len(n.children) > 0 {
			s += " "
		}
	}
	if len(n.children) == 1 && n.msg != nil {
		return s + n.children[0].String()
	}
	for _, c := range n.children {
		s += "(" + c.String() + ")"
	}
	return s
}

func (n *naiveThreader) orderedSubject(mails []mail) string {
	var sorted []*naiveNode
	for i := range mails {
		sorted = append(sorted, &naiveNode{msg: &naiveMessage{&mails[i], i + 1}})
	}
	slices.SortFunc(sorted, func(a, b *naiveNode) int {
		return cmp.Or(strings.Compare(a.subject(), b.subject()), a.msg.compare(b.msg))
	})
	root := &naiveNode{}
	for _, c := range sorted {
		if k := len(root.children); k > 0 && root.children[k-1].subject() == c.subject() {
			root.children[k-1].children = append(root.children[k-1].children, c)
		} else {
			root.children = append(root.children, c)
		}
	}
	root.sort()
	s := ""
	for _, c := range root.children {
		s += "(" + c.String() + ")"
	}
	return s
}
