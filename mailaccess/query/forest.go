package query

// forest is the parents of nodes, which are numbered from 1 on; 0 is none. It lets
// no loop come about.
//
// Whether a link would make one is found by going up from the parent to be. Where
// trees are deep that would take, for all messages, time by the square of their
// number; from the first deep tree on, paths keeps the trees balanced as well.
type forest struct {
	up    []int32
	paths *pathForest
}

// deepTree is how far up it is gone without paths.
const deepTree = 256

// add makes a node that is the root of its own tree.
func (f *forest) add() int32 {
	if len(f.up) == 0 {
		f.up = append(f.up, 0)
	}
	f.up = append(f.up, 0)
	if f.paths != nil {
		f.paths.add()
	}
	return int32(len(f.up) - 1)
}

// parent returns the parent of n, or 0.
func (f *forest) parent(n int32) int32 { return f.up[n] }

// link makes parent the parent of n, which has none, unless parent is n or below it.
func (f *forest) link(n, parent int32) {
	if f.root(parent, n) == n {
		return
	}
	f.up[n] = parent
	if f.paths != nil {
		f.paths.link(n, parent)
	}
}

// cut takes n away from its parent, if it has one.
func (f *forest) cut(n int32) {
	if f.up[n] == 0 {
		return
	}
	f.up[n] = 0
	if f.paths != nil {
		f.paths.cut(n)
	}
}

// root returns the root of the tree that n is in, or stop, if that is not further
// up.
func (f *forest) root(n, stop int32) int32 {
	if f.paths == nil {
		for range deepTree {
			if n == stop || f.up[n] == 0 {
				return n
			}
			n = f.up[n]
		}
		f.paths = newPathForest(f.up)
	}
	return f.paths.root(n)
}

// pathForest is a forest cut into paths, each of them a splay tree by depth
// (Sleator and Tarjan's link-cut trees): root, link and cut take logarithmic time,
// taken over many of them.
type pathForest struct{ nodes []pathNode }

// pathNode is a node of a splay tree. up of a splay tree's root is the node of
// another path above the first node of this one.
type pathNode struct{ left, right, up int32 }

// newPathForest makes each node a path of its own.
func newPathForest(up []int32) *pathForest {
	p := &pathForest{make([]pathNode, len(up))}
	for i, parent := range up {
		p.nodes[i].up = parent
	}
	return p
}

func (p *pathForest) add() { p.nodes = append(p.nodes, pathNode{}) }

func (p *pathForest) root(n int32) int32 {
	p.access(n)
	for p.nodes[n].left != 0 {
		n = p.nodes[n].left
	}
	p.splay(n)
	return n
}

func (p *pathForest) link(n, parent int32) {
	p.access(parent)
	p.access(n)
	p.nodes[n].up = parent
}

func (p *pathForest) cut(n int32) {
	p.access(n)
	above := p.nodes[n].left
	p.nodes[above].up = 0
	p.nodes[n].left = 0
}

// access makes what is between the root and n one path, and n the root of its splay
// tree.
func (p *pathForest) access(n int32) {
	below := int32(0)
	for at := n; at != 0; at = p.nodes[at].up {
		p.splay(at)
		p.nodes[at].right = below
		below = at
	}
	p.splay(n)
}

// splay makes n the root of its splay tree.
func (p *pathForest) splay(n int32) {
	for !p.isTop(n) {
		up := p.nodes[n].up
		if !p.isTop(up) {
			if (p.nodes[up].left == n) == (p.nodes[p.nodes[up].up].left == up) {
				p.rotate(up)
			} else {
				p.rotate(n)
			}
		}
		p.rotate(n)
	}
}

func (p *pathForest) isTop(n int32) bool {
	up := p.nodes[n].up
	return up == 0 || p.nodes[up].left != n && p.nodes[up].right != n
}

// rotate puts n above its parent in the splay tree.
func (p *pathForest) rotate(n int32) {
	up := p.nodes[n].up
	top, above := p.isTop(up), p.nodes[up].up
	var child int32
	if p.nodes[up].left == n {
		child = p.nodes[n].right
		p.nodes[n].right, p.nodes[up].left = up, child
	} else {
		child = p.nodes[n].left
		p.nodes[n].left, p.nodes[up].right = up, child
	}
	if child != 0 {
		p.nodes[child].up = up
	}
	p.nodes[up].up, p.nodes[n].up = n, above
	if top {
		return
	}
	if p.nodes[above].left == up {
		p.nodes[above].left = n
	} else {
		p.nodes[above].right = n
	}
}
