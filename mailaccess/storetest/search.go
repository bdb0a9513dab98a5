package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func searchChecks() []check {
	return []check{
		{"NeverMisses", "Messages Search", checkSearch},
		{"MissingMailbox", "Search", checkSearchMissing},
		{"UnderChanges", "Messages Search Flags", checkSearchChanges},
	}
}

// text is what a letter of the search checks says, as matched without regard to
// case.
type text struct{ subject, body string }

// search asks the store, again when it declines, as it may; false: it always
// does.
func (e *env) search(box mailaccess.MailboxID, x mailaccess.Expr) (mailaccess.Found, bool) {
	e.Helper()
	for range 20 {
		found, err := e.caps.Search.Search(e.ctx, box, x)
		if err == nil {
			return found, true
		}
		if !errors.Is(err, mailaccess.ErrSkip) {
			e.Fatalf("Search(%+v): %v", x, err)
		}
	}
	return mailaccess.Found{}, false
}

// Among messages that do not change, a search finds all that match, and when it
// says so nothing else.
func checkSearch(e *env) {
	box := e.inbox().ID
	rng := rand.New(rand.NewPCG(7, 7))
	words := []string{"apple", "Pear", "quince", "plum"}
	texts := map[mailaccess.UID]text{}
	for i := range 24 {
		t := text{words[rng.IntN(4)], words[rng.IntN(4)] + " " + words[rng.IntN(4)]}
		body := fmt.Sprintf("From: sender@example.org\r\nSubject: %s\r\nDate: Tue, 02 Jan 2024 03:04:05 +0000\r\n\r\nText %s.\r\n%s",
			t.subject, t.body, strings.Repeat("x\r\n", rng.IntN(50)))
		f := mailaccess.Flags{System: mailaccess.SystemFlags(rng.IntN(32))}
		if rng.IntN(2) == 0 {
			f.Keywords = keywords("Work")
		}
		m := e.appendNew(box, []byte(body), f, someDay.Add(time.Duration(i*13)*time.Hour))
		texts[m.UID] = text{strings.ToLower(t.subject), strings.ToLower(t.body)}
	}
	if e.caps.Expunge != nil {
		e.expunge(box, e.list(box)[3].UID)
	}
	g := exprGen{rng: rng, messages: e.list(box), texts: texts, words: words}
	upTo := e.status(box).ModSeq
	declined := 0
	for range 300 {
		x := g.expr(3)
		var want mailaccess.UIDSetBuilder
		for _, m := range g.messages {
			if g.matches(x, m) {
				want.AddUID(m.UID)
			}
		}
		found, ok := e.search(box, x)
		if !ok {
			declined++
			continue
		}
		if found.UpTo > upTo {
			e.Errorf("Search is up to %d, the mailbox is at %d", found.UpTo, upTo)
		}
		if found.UpTo < upTo {
			continue // says nothing of what changed after
		}
		if missed := want.Set().Minus(found.UIDs); !missed.IsEmpty() {
			e.Fatalf("Search(%+v) missed %s", x, missed)
		}
		if found.Exact && !found.UIDs.Equal(want.Set()) {
			e.Fatalf("Search(%+v) = %s, said to be exact; want %s", x, found.UIDs, want.Set())
		}
	}
	if declined > 0 {
		e.Logf("declined %d of 300", declined)
	}
}

func checkSearchMissing(e *env) {
	for range 20 {
		_, err := e.caps.Search.Search(e.ctx, "no-such-id", mailaccess.And{})
		if !errors.Is(err, mailaccess.ErrSkip) {
			e.wantKind("Search", err, mailaccess.KindNotFound)
			return
		}
	}
}

// The answer holds up to the number it names: messages that changed after it
// apart, nothing is missing.
func checkSearchChanges(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	ms := e.fill(box, 10)
	x := mailaccess.HasFlags{Flags: mailaccess.Flags{System: f}}
	for i, m := range ms {
		e.setFlags(box, mailaccess.UIDSetOf(m.UID), add(f))
		found, ok := e.search(box, x)
		if !ok {
			e.Skip("Search declines")
		}
		for _, m := range e.list(box) {
			if m.ModSeq <= found.UpTo && m.Flags.System.Has(f) && !found.UIDs.Contains(m.UID) {
				e.Errorf("round %d: UID %d, number %d, is missing up to %d", i, m.UID, m.ModSeq, found.UpTo)
			}
		}
	}
}

// exprGen makes expressions and knows what they match, of what the suite itself
// appended.
type exprGen struct {
	rng      *rand.Rand
	messages []mailaccess.Message
	texts    map[mailaccess.UID]text
	words    []string
}

func (g *exprGen) some() mailaccess.Message { return g.messages[g.rng.IntN(len(g.messages))] }

func (g *exprGen) expr(depth int) mailaccess.Expr {
	if depth > 0 && g.rng.IntN(3) > 0 {
		switch g.rng.IntN(3) {
		case 0:
			return mailaccess.Not{X: g.expr(depth - 1)}
		case 1:
			all := make(mailaccess.And, g.rng.IntN(4))
			for i := range all {
				all[i] = g.expr(depth - 1)
			}
			return all
		default:
			any := make(mailaccess.Or, g.rng.IntN(4))
			for i := range any {
				any[i] = g.expr(depth - 1)
			}
			return any
		}
	}
	return g.leaf()
}

func (g *exprGen) leaf() mailaccess.Expr {
	m := g.some()
	switch g.rng.IntN(13) {
	case 0:
		return mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(g.some().UID, m.UID)}
	case 1:
		return mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.SystemFlags(1 << g.rng.IntN(5))}}
	case 2:
		return mailaccess.HasFlags{Flags: mailaccess.Flags{Keywords: keywords("work")}}
	case 3:
		return mailaccess.Larger{Than: m.Size}
	case 4:
		return mailaccess.Smaller{Than: m.Size}
	case 5:
		return mailaccess.ModSeqFrom{Min: m.ModSeq}
	case 6:
		return mailaccess.EmailIs{ID: m.EmailID}
	case 7:
		return mailaccess.ThreadIs{ID: m.ThreadID}
	case 8:
		return mailaccess.OnDay{Date: mailaccess.DateReceived, Op: mailaccess.DayOp(g.rng.IntN(3)), Day: mailaccess.DayOf(m.Received)}
	case 9:
		b := mailaccess.Between{Date: mailaccess.DateReceived, From: m.Received, Until: g.some().Received}
		if g.rng.IntN(3) == 0 {
			b.From = time.Time{}
		}
		if g.rng.IntN(3) == 0 {
			b.Until = time.Time{}
		}
		return b
	case 10:
		return mailaccess.Header{Name: "SUBJECT", Text: g.part()}
	case 11:
		return mailaccess.Body{Text: g.part()}
	default:
		return mailaccess.FullText{Text: g.part()}
	}
}

// part returns a piece of one of the words.
func (g *exprGen) part() string {
	w := g.words[g.rng.IntN(len(g.words))]
	return w[g.rng.IntN(2) : len(w)-g.rng.IntN(2)]
}

// matches evaluates x, as directly as it can be written.
func (g *exprGen) matches(x mailaccess.Expr, m mailaccess.Message) bool {
	t := g.texts[m.UID]
	switch x := x.(type) {
	case mailaccess.And:
		for _, y := range x {
			if !g.matches(y, m) {
				return false
			}
		}
		return true
	case mailaccess.Or:
		for _, y := range x {
			if g.matches(y, m) {
				return true
			}
		}
		return false
	case mailaccess.Not:
		return !g.matches(x.X, m)
	case mailaccess.UIDIn:
		return x.UIDs.Contains(m.UID)
	case mailaccess.HasFlags:
		for w := range x.Flags.Keywords.All() {
			if !m.Flags.Keywords.Has(w) {
				return false
			}
		}
		return m.Flags.System.Has(x.Flags.System)
	case mailaccess.Larger:
		return m.Size > x.Than
	case mailaccess.Smaller:
		return m.Size < x.Than
	case mailaccess.ModSeqFrom:
		return m.ModSeq >= x.Min
	case mailaccess.EmailIs:
		return m.EmailID == x.ID
	case mailaccess.ThreadIs:
		return m.ThreadID == x.ID
	case mailaccess.OnDay:
		c := mailaccess.DayOf(m.Received).Compare(x.Day)
		return x.Op == mailaccess.DayBefore && c < 0 || x.Op == mailaccess.DayOn && c == 0 || x.Op == mailaccess.DaySince && c >= 0
	case mailaccess.Between:
		return (x.From.IsZero() || !m.Received.Before(x.From)) && (x.Until.IsZero() || m.Received.Before(x.Until))
	case mailaccess.Header:
		return strings.Contains(t.subject, strings.ToLower(x.Text))
	case mailaccess.Body:
		return strings.Contains(t.body, strings.ToLower(x.Text))
	case mailaccess.FullText:
		return strings.Contains(t.subject, strings.ToLower(x.Text)) || strings.Contains(t.body, strings.ToLower(x.Text))
	}
	return false
}
