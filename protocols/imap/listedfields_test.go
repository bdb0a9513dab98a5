package imap_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Header fields that the store keeps are told as those of the message are: those beside a
// field that is not kept are read from it.
func TestListedHeaderFields(t *testing.T) {
	s := newBenchServer(t, 0)
	for _, text := range []string{
		"Subject: one\r\n folded\r\nX-Other: blue\r\nFrom: a@example.org\r\nsubject: two\r\n\r\nbody\r\n",
		"\r\nSubject: not in the header\r\n\r\n",
		"no field\r\n folded\r\nTo: b@example.org\r\nodd: x\r\n\tfolded\r\n\r\n",
		"Date: 1\r\n",
		"To: " + strings.Repeat("a@example.org,\r\n\t", 6000) + "z@example.org\r\nSubject: long\r\n\r\n",
		"From : spaced\r\nSUBJECT:\r\n\r\nx",
	} {
		if _, err := s.store.Deliver(context.Background(), "demo", mailaccess.Inbox, []byte(text), mailaccess.Flags{}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	c := s.dial(t, "SELECT INBOX")
	fetch := func(fields, partial string) string {
		if _, err := io.WriteString(c, fmt.Sprintf("t FETCH 1:* (BODY.PEEK[HEADER.FIELDS (%s)]%s)\r\n", fields, partial)); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for {
			l := c.line(t)
			if strings.HasPrefix(string(l), "t ") {
				if !strings.HasPrefix(string(l), "t OK") {
					t.Fatalf("%s", l)
				}
				return b.String()
			}
			b.Write(l)
		}
	}
	for _, fields := range []string{"Subject", "FROM TO", "Date Message-ID", "subject from to cc date"} {
		for _, partial := range []string{"", "<0.7>", "<3.20>", "<100000.5>"} {
			want := strings.ReplaceAll(fetch(fields+" X-Not-There", partial), " X-Not-There", "")
			want = strings.ReplaceAll(want, " X-NOT-THERE", "")
			for _, when := range []string{"first", "again"} {
				if got := fetch(fields, partial); got != want {
					t.Errorf("%s%s, %s:\n%.2000s\nwant\n%.2000s", fields, partial, when, got, want)
				}
			}
		}
	}
}
