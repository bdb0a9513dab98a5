package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// A search finds the same by the header fields that are kept as by whole messages, whether
// they decide or not.
func TestSearchKeptHeaders(t *testing.T) {
	w, count := newCounting(t)
	deliver := func(text string) {
		_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, []byte(text), mailaccess.Flags{}, time.Time{})
		w.check(err)
	}
	for i, header := range []string{
		"Subject: one\r\nFrom: a@example.org\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nX-Other: blue\r\n",
		"X-Other: red\r\n\tand blue\r\nsubject: two\r\n folded\r\nFrom: b@example.org\r\nDate: no date\r\n",
		" odd: first\r\nTo: =?utf-8?q?gr=C3=BCn?= <c@example.org>\r\nno field\r\n folded\r\nCC: a@example.org\r\n",
		"Date: Tue, 3 Mar 2026 10:00:00 +0100\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nSubject:\r\nSubject: one\r\n",
		"",
		"To: " + strings.Repeat("a@example.org,\r\n ", 5000) + "z@example.org\r\n",
	} {
		deliver(header + fmt.Sprintf("\r\nbody %d\r\n", i))
	}
	deliver("Subject: no blank line")
	v := w.open(w.session(), engine.ViewOptions{})
	header := func(name, text string) mailaccess.Expr { return mailaccess.Header{Name: name, Text: text} }
	day := mailaccess.OnDay{Date: mailaccess.DateSent, Op: mailaccess.DayOn, Day: mailaccess.Day{Year: 2026, Month: 3, Day: 3}}
	for _, test := range []struct {
		e      mailaccess.Expr
		want   string
		opened int // of the second search
	}{
		{header("SUBJECT", "one"), "1,4", 2},
		{header("subject", ""), "1:2,4,7", 2},
		{header("to", "grün"), "3", 2},
		{header("to", "z@"), "6", 2},
		{mailaccess.Not{X: header("cc", "a@")}, "1:2,4:7", 2},
		{header("x-other", "blue"), "1:2", 7},
		{mailaccess.And{header("subject", "o"), header("x-other", "red")}, "2", 5},
		{mailaccess.Or{header("subject", "one"), mailaccess.Body{Text: "body 4"}}, "1,4:5", 5},
		{day, "4", 2},
		{mailaccess.Not{X: day}, "1:3,5:7", 2},
	} {
		for _, room := range []engine.Room{nil, func(int) bool { return false }, nil} {
			count.contents = 0
			found, err := v.Search(w.ctx, test.e, engine.SearchOptions{Room: room})
			w.check(err)
			if found.String() != test.want {
				t.Errorf("%+v found %s, want %s", test.e, found, test.want)
			}
			if room != nil && count.contents < test.opened {
				t.Errorf("%+v took what there is no room for", test.e)
			}
		}
		if count.contents != test.opened {
			t.Errorf("%+v opened %d messages, want %d", test.e, count.contents, test.opened)
		}
	}
}
