package imap_test

import (
	"slices"
	"strconv"
	"testing"
)

// modSeq is a mod-sequence-value (RFC 7162, section 7): 63 bits, and not 0.
func (g *grammar) modSeq() {
	s := g.take("a mod-sequence", digit)
	if n, err := strconv.ParseUint(s, 10, 63); g.ok() && (err != nil || n == 0 || s[0] == '0') {
		g.fail("mod-sequence %s", s)
	}
}

// vanished is expunged-resp. Without EARLIER each UID is that of a message which the
// client knew of (RFC 7162, section 3.2.10.2).
func (g *grammar) vanished() {
	if !slices.Contains(g.on, "QRESYNC") && !slices.Contains(g.on, "UIDONLY") {
		g.fail("VANISHED, which was not enabled")
	}
	earlier := g.accept(" (EARLIER)")
	n := g.uids()
	if earlier {
		return
	}
	if g.exists -= n; g.exists < 0 {
		g.fail("more messages vanished than there were")
	}
}

// uidFetch is uidfetch-resp (RFC 9586, section 4).
func (g *grammar) uidFetch(uid uint32) {
	if uid == 0 || !slices.Contains(g.on, "UIDONLY") {
		g.fail("UIDFETCH, which was not enabled, of UID %d", uid)
	}
	g.expect(" ")
	g.attributes()
}

// numbered is a response that names a message by its number.
func (g *grammar) numbered(word string) {
	switch {
	case slices.Contains(g.on, "UIDONLY"):
		g.fail("%s after ENABLE UIDONLY", word) // RFC 9586, section 3
	case word == "EXPUNGE" && slices.Contains(g.on, "QRESYNC"):
		g.fail("EXPUNGE after ENABLE QRESYNC") // RFC 7162, section 3.2.10
	}
}

// numbers are those of a SEARCH response, with the mod-sequence that may follow (RFC
// 7162, section 7).
func (g *grammar) numbers() {
	for n := 0; g.ok() && g.accept(" "); n++ {
		if n > 0 && g.accept("(MODSEQ ") {
			g.modSeq()
			g.expect(")")
			return
		}
		g.nzNumber()
	}
}

// TestGrammarSync: the checker takes what RFC 7162 and RFC 9586 show, and nothing else.
func TestGrammarSync(t *testing.T) {
	const qresync, uidOnly = "* ENABLED QRESYNC\r\n* 3 EXISTS\r\n", "* ENABLED UIDONLY\r\n* 3 EXISTS\r\n"
	for _, in := range []string{
		"* OK [HIGHESTMODSEQ 9223372036854775807] x\r\n", "* OK [CLOSED] x\r\na OK [MODIFIED 7,9] x\r\n", "* SEARCH 2 5 (MODSEQ 917162500)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (UID 4 MODSEQ (65402) FLAGS ())\r\n", "* STATUS a (MESSAGES 1 HIGHESTMODSEQ 7011231777)\r\n",
		qresync + "* VANISHED (EARLIER) 300:310,405\r\n* VANISHED 1,3:4\r\n* 1 EXISTS\r\n* 1 FETCH (UID 1)\r\n",
		uidOnly + "* VANISHED 25001:25003\r\n* 25998 UIDFETCH (FLAGS ())\r\na BAD [UIDREQUIRED] x\r\n",
	} {
		if err := checkResponses([]byte(in)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"* OK [HIGHESTMODSEQ 9223372036854775808] x\r\n", "* OK [HIGHESTMODSEQ 0] x\r\n", "* OK [MODIFIED] x\r\n", "* SEARCH (MODSEQ 1)\r\n",
		"* SEARCH 1 (MODSEQ 1) 2\r\n", "* VANISHED 1\r\n", "* 1 EXISTS\r\n* 1 FETCH (MODSEQ 1)\r\n", "* 1 EXISTS\r\n* 1 UIDFETCH (UID 1)\r\n",
		qresync + "* 1 EXPUNGE\r\n", qresync + "* VANISHED 1:4\r\n", qresync + "* VANISHED (EARLIER)\r\n", qresync + "* VANISHED 1:2\r\n* 2 FETCH (UID 2)\r\n",
		uidOnly + "* 1 FETCH (UID 1)\r\n", uidOnly + "* 1 EXPUNGE\r\n",
	} {
		if checkResponses([]byte(in)) == nil {
			t.Errorf("%q is taken", in)
		}
	}
}
