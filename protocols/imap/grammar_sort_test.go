package imap_test

import "testing"

// sort is a SORT response (RFC 5256, section 5, sort-data; RFC 7162, section 7), of
// which each message is one that the client knows of, unless they are UIDs.
func (g *grammar) sort() {
	seen := make(map[uint32]bool)
	for g.ok() && g.accept(" ") {
		if g.accept("(MODSEQ ") {
			if g.take("a mod-sequence", digit) == "0" || len(seen) == 0 {
				g.fail("a mod-sequence of nothing")
			}
			g.expect(")")
			return
		}
		g.once(seen)
	}
}

// thread is a THREAD response (RFC 5256, section 5, thread-data). What is nested is
// as deep as it likes.
func (g *grammar) thread() {
	if !g.accept(" ") {
		return
	}
	seen := make(map[uint32]bool)
	if g.peek() != '(' {
		g.fail("a thread that does not begin with a bracket")
	}
	// lists is, for each list that is open, how many lists it holds.
	lists := []int{0}
	for g.ok() && g.accept("(") {
		lists[len(lists)-1]++
		lists = append(lists, 0)
		if digit(g.peek()) {
			g.once(seen)
			splits := false
			for g.ok() && !splits && g.accept(" ") {
				if splits = g.peek() == '('; !splits {
					g.once(seen)
				}
			}
			if !splits && g.peek() == '(' {
				g.fail("no space before the lists")
			}
		} else if g.peek() != '(' {
			g.fail("a thread without a member")
		}
		for len(lists) > 1 && g.accept(")") {
			if lists[len(lists)-1] == 1 {
				g.fail("one list where a thread splits") // thread-nested
			}
			lists = lists[:len(lists)-1]
		}
	}
	if len(lists) != 1 {
		g.fail("%d lists are not closed", len(lists)-1)
	}
}

// once is the number of a message that was not told yet.
func (g *grammar) once(seen map[uint32]bool) {
	n := g.nzNumber()
	if seen[n] {
		g.fail("message %d twice", n)
	}
	seen[n] = true
}

// TestGrammarOfSort: as TestGrammar, for SORT and THREAD.
func TestGrammarOfSort(t *testing.T) {
	for _, in := range []string{
		"* SORT\r\n", "* SORT 2 84 882\r\n", "* SORT 2 1 (MODSEQ 917162488)\r\n",
		"* THREAD\r\n", "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n", "* THREAD ((3)(5))\r\n", "* THREAD (1)((2)(3 (4)(5)))(6 7)\r\n",
	} {
		if err := checkResponses([]byte(in)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"* SORT \r\n", "* SORT 0\r\n", "* SORT 1 1\r\n", "* SORT 1,2\r\n", "* SORT (MODSEQ 1)\r\n", "* SORT 1 (MODSEQ 0)\r\n",
		"* SORT 1 (MODSEQ 1) 2\r\n", "* THREAD \r\n", "* THREAD 1\r\n", "* THREAD ()\r\n", "* THREAD (1\r\n", "* THREAD (1))\r\n",
		"* THREAD (1 )\r\n", "* THREAD (1) (2)\r\n", "* THREAD (1 (2))\r\n", "* THREAD ((1))\r\n", "* THREAD (1(2)(3))\r\n",
		"* THREAD (1 (2)(3) 4)\r\n", "* THREAD (1)(1)\r\n", "* THREAD (1 (2) (3))\r\n",
	} {
		if checkResponses([]byte(in)) == nil {
			t.Errorf("%q is taken", in)
		}
	}
}
