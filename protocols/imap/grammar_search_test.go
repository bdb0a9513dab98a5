package imap_test

import (
	"strconv"
	"strings"
	"testing"
)

// esearch is an ESEARCH response (RFC 4466, section 3, esearch-response). Without
// the word UID, the numbers in it are those of messages that the client knows of.
func (g *grammar) esearch() {
	correlators := ""
	if g.accept(" (") {
		for more := true; g.ok() && more; more = g.accept(" ") {
			word := g.atom()
			if strings.Contains(correlators, word) {
				g.fail("correlator %s twice", word)
			}
			correlators += word + " "
			g.expect(" ")
			switch word {
			case "TAG":
				g.str()
			case "MAILBOX": // RFC 7377, section 4
				g.mailbox()
			case "UIDVALIDITY":
				g.nzNumber()
			default:
				g.fail("correlator %q", word)
			}
		}
		g.expect(")")
	}
	uid := g.accept(" UID")
	if correlators != "TAG " && (correlators != "TAG MAILBOX UIDVALIDITY " || !uid) {
		g.fail("correlators %q", correlators) // RFC 7377, section 2.1
	}
	seen := make(map[string]int)
	for g.ok() && g.accept(" ") {
		word := g.atom()
		seen[word]++
		g.expect(" ")
		g.searchData(word, uid)
		if seen[word] > 1 && word != "ADDTO" && word != "REMOVEFROM" {
			g.fail("%s twice", word)
		}
	}
	if seen["ALL"] > 0 && seen["PARTIAL"] > 0 {
		g.fail("ALL and PARTIAL") // RFC 9394, section 3.1
	}
}

// searchData is the value of an item of an ESEARCH response.
func (g *grammar) searchData(word string, uid bool) {
	switch word {
	case "MIN", "MAX": // RFC 4731, section 4
		g.foundNumber(uid)
	case "ALL":
		g.foundSet(uid)
	case "COUNT":
		g.number()
	case "MODSEQ": // RFC 4731, section 3.2
		if n, err := strconv.ParseUint(g.take("a mod-sequence", digit), 10, 63); err != nil || n == 0 {
			g.fail("mod-sequence: %v", err)
		}
	case "PARTIAL": // RFC 9394, section 4, ret-data-partial
		g.expect("(")
		minus := g.accept("-")
		g.nzNumber()
		g.expect(":")
		if minus {
			g.expect("-")
		}
		g.nzNumber()
		g.expect(" ")
		if !g.accept("NIL") {
			g.foundSet(uid)
		}
		g.expect(")")
	case "ADDTO", "REMOVEFROM": // RFC 5267, section 5
		g.expect("(")
		for more := true; g.ok() && more; more = g.accept(" ") {
			g.number()
			g.expect(" ")
			g.foundSet(uid)
		}
		g.expect(")")
	default:
		g.fail("search data %q", word)
	}
}

func (g *grammar) foundNumber(uid bool) uint32 {
	n := g.nzNumber()
	if g.ok() && !uid && int(n) > g.exists {
		g.fail("message %d of %d", n, g.exists)
	}
	return n
}

// foundSet is a sequence-set of what was found, without "*". Its ranges ascend (RFC
// 5267, section 3.2).
func (g *grammar) foundSet(uid bool) {
	for more := true; g.ok() && more; more = g.accept(",") {
		first := g.foundNumber(uid)
		if g.accept(":") {
			if last := g.foundNumber(uid); last <= first {
				g.fail("range %d:%d", first, last)
			}
		}
	}
}

// TestGrammarOfSearch: as TestGrammar, for the responses to searching commands.
func TestGrammarOfSearch(t *testing.T) {
	for _, in := range []string{
		"* ESEARCH (TAG \"a\")\r\n", "* ESEARCH (TAG \"a\") UID\r\n", "* 11 EXISTS\r\n* ESEARCH (TAG \"a\") MIN 2 MAX 11 ALL 2,10:11 COUNT 3\r\n",
		"* ESEARCH (TAG \"a\") UID PARTIAL (-1:-100 7:9)\r\n", "* ESEARCH (TAG \"a\") UID PARTIAL (1:2 NIL) COUNT 0 MODSEQ 917162488\r\n",
		"* ESEARCH (TAG \"a\") UID ADDTO (1 2733 1 2731:2732) ADDTO (0 5) REMOVEFROM (3 7)\r\n", "* NO [NOUPDATE \"B02\"] no\r\n",
		"* ESEARCH (TAG \"tag1\" MAILBOX \"folder1\" UIDVALIDITY 1) UID ALL 4001,4003\r\n",
	} {
		if err := checkResponses([]byte(in)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"* ESEARCH\r\n", "* ESEARCH (TAG a)\r\n", "* ESEARCH (TAG \"a\") MIN 1\r\n", "* ESEARCH (TAG \"a\") UID MIN 0\r\n",
		"* ESEARCH (TAG \"a\") UID ALL\r\n", "* ESEARCH (TAG \"a\") UID ALL 2:1\r\n", "* ESEARCH (TAG \"a\") UID ALL 1:*\r\n",
		"* ESEARCH (TAG \"a\") UID MIN 1 MIN 2\r\n", "* ESEARCH (TAG \"a\") UID ALL 1 PARTIAL (1:2 1)\r\n",
		"* ESEARCH (TAG \"a\") UID PARTIAL (-1:2 1)\r\n", "* ESEARCH (TAG \"a\") UID PARTIAL (1:2 )\r\n",
		"* ESEARCH (TAG \"a\" MAILBOX x) UID ALL 1\r\n", "* ESEARCH (TAG \"a\" MAILBOX x UIDVALIDITY 1) ALL 1\r\n",
		"* ESEARCH (TAG \"a\") UID ADDTO (0)\r\n", "* ESEARCH (TAG \"a\") REMOVEFROM (0 1)\r\n", "* NO [NOUPDATE B02] no\r\n",
		"* ESEARCH (TAG \"a\" TAG \"a\")\r\n", "* ESEARCH (TAG \"a\") UID MODSEQ 0\r\n",
	} {
		if checkResponses([]byte(in)) == nil {
			t.Errorf("%q is taken", in)
		}
	}
}
