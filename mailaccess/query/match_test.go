package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

var all = mailaccess.And{}

func keywords(t testing.TB, words ...string) mailaccess.Keywords {
	t.Helper()
	k, err := mailaccess.NewKeywords(words...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// RFC 3501, section 6.4.4, the keys that metadata answer; RFC 7162, section
// 3.1.5 (MODSEQ); RFC 8474, section 5.3; RFC 8514; RFC 5032.
func TestMetadata(t *testing.T) {
	east := time.FixedZone("", 14*3600)
	received := time.Date(2024, 2, 29, 1, 0, 0, 0, east) // the day before in UTC
	msg := &mailaccess.Message{
		UID: 7, ModSeq: 50, Size: 1000, Received: received,
		Flags:    mailaccess.Flags{System: mailaccess.FlagSeen | mailaccess.FlagDraft, Keywords: keywords(t, "$Forwarded", "blue")},
		EmailID:  "E1",
		ThreadID: "T1",
	}
	day := func(d int) mailaccess.Day { return mailaccess.Day{Year: 2024, Month: 2, Day: d} }
	flags := func(f mailaccess.SystemFlags, words ...string) mailaccess.Expr {
		return mailaccess.HasFlags{Flags: mailaccess.Flags{System: f, Keywords: keywords(t, words...)}}
	}
	onDay := func(op mailaccess.DayOp, d int) mailaccess.Expr {
		return mailaccess.OnDay{Date: mailaccess.DateReceived, Op: op, Day: day(d)}
	}
	between := func(from, until time.Time) mailaccess.Expr {
		return mailaccess.Between{Date: mailaccess.DateReceived, From: from, Until: until}
	}
	tests := []struct {
		name string
		e    mailaccess.Expr
		want bool
	}{
		{"ALL", all, true},
		{"no alternative", mailaccess.Or{}, false},
		{"NOT ALL", mailaccess.Not{X: all}, false},
		{"UID", mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(5, 7)}, true},
		{"other UID", mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(8, 9)}, false},
		{"SEEN", flags(mailaccess.FlagSeen), true},
		{"ANSWERED", flags(mailaccess.FlagAnswered), false},
		{"SEEN DRAFT", flags(mailaccess.FlagSeen | mailaccess.FlagDraft), true},
		{"SEEN ANSWERED", flags(mailaccess.FlagSeen | mailaccess.FlagAnswered), false},
		{"KEYWORD", flags(0, "blue"), true},
		{"KEYWORD in another case", flags(0, "$FORWARDED"), true},
		{"two keywords", flags(0, "Blue", "$forwarded"), true},
		{"KEYWORD not there", flags(0, "blu"), false},
		{"one of two keywords", flags(0, "blue", "red"), false},
		{"keyword and flag", flags(mailaccess.FlagDeleted, "blue"), false},
		{"LARGER is strict", mailaccess.Larger{Than: 1000}, false},
		{"LARGER", mailaccess.Larger{Than: 999}, true},
		{"SMALLER is strict", mailaccess.Smaller{Than: 1000}, false},
		{"SMALLER", mailaccess.Smaller{Than: 1001}, true},
		{"MODSEQ equal", mailaccess.ModSeqFrom{Min: 50}, true},
		{"MODSEQ above", mailaccess.ModSeqFrom{Min: 51}, false},
		{"EMAILID", mailaccess.EmailIs{ID: "E1"}, true},
		{"EMAILID is exact", mailaccess.EmailIs{ID: "e1"}, false},
		{"THREADID", mailaccess.ThreadIs{ID: "T1"}, true},
		{"other THREADID", mailaccess.ThreadIs{ID: "T2"}, false},
		{"BEFORE the day", onDay(mailaccess.DayBefore, 29), false},
		{"BEFORE the next", onDay(mailaccess.DayBefore, 30), true},
		{"ON the day in its own zone", onDay(mailaccess.DayOn, 29), true},
		{"ON the day in UTC", onDay(mailaccess.DayOn, 28), false},
		{"SINCE the day", onDay(mailaccess.DaySince, 29), true},
		{"SINCE the next", onDay(mailaccess.DaySince, 30), false},
		{"between, no bound", between(time.Time{}, time.Time{}), true},
		{"between, from that instant", between(received.UTC(), time.Time{}), true},
		{"between, until that instant", between(time.Time{}, received.UTC()), false},
		{"between", between(received.Add(-1), received.Add(1)), true},
		{"between, later", between(received.Add(1), time.Time{}), false},
		{"saved, unknown", mailaccess.OnDay{Date: mailaccess.DateSaved, Op: mailaccess.DayBefore, Day: day(30)}, false},
		{"not saved, unknown", mailaccess.Not{X: mailaccess.Between{Date: mailaccess.DateSaved}}, true},
		{"BODY of nothing", mailaccess.Body{}, true},
		{"TEXT of nothing", mailaccess.FullText{}, true},
		{"BODY of no UTF-8", mailaccess.Body{Text: "\xff"}, false},
		{"OR", mailaccess.Or{flags(mailaccess.FlagAnswered), mailaccess.Larger{Than: 1}}, true},
		{"AND", mailaccess.And{flags(mailaccess.FlagAnswered), mailaccess.Larger{Than: 1}}, false},
		{"NOT OR", mailaccess.Not{X: mailaccess.Or{flags(mailaccess.FlagAnswered), mailaccess.Smaller{Than: 1}}}, true},
		{"NOT AND", mailaccess.Not{X: mailaccess.And{flags(mailaccess.FlagSeen), mailaccess.Smaller{Than: 1}}}, true},
		{"NOT NOT", mailaccess.Not{X: mailaccess.Not{X: mailaccess.Larger{Than: 1}}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := mustCompile(t, tt.e, nil)
			if m.NeedsContent() {
				t.Error("needs content")
			}
			if got, err := m.Match(t.Context(), msg, nil); got != tt.want || err != nil {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

var letter = crlf(`Received: from a.example.org
Received: from b.example.org
From: =?iso-8859-1?q?Ren=E9e?= <renee@example.org>
To: a@example.org,
 b@example.org
Subject: =?koi8-r?b?8NLJ18XU?= =?koi8-r?b?IM3J0g==?= folded
 line
Date: Thu, 29 Feb 2024 23:30:00 -1200
X-Empty:
Content-Type: multipart/mixed; boundary=b

the preamble
--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe aus K=C3=B6ln, ei=
nfach so
--b
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: base64

PGI+Zvxy6Wltc2VyPC9iPg==
--b
Content-Type: application/octet-stream; name=secret.bin
Content-Transfer-Encoding: base64

aGlkZGVuIHBheWxvYWQ=
--b
Content-Type: message/rfc822

From: inner@example.net
Subject: =?utf-8?q?d=C3=A9j=C3=A0?=

the inner text
--b
Content-Type: message/delivery-status

Status: 5.1.1
--b--
the epilogue
`)

// RFC 3501, section 6.4.4: HEADER, FROM, TO, SUBJECT, BODY, TEXT.
func TestContent(t *testing.T) {
	header := func(name, text string) mailaccess.Expr { return mailaccess.Header{Name: name, Text: text} }
	tests := []struct {
		e    mailaccess.Expr
		want bool
	}{
		{header("From", "Renée"), true},
		{header("FROM", "RENE"), true},
		{header("From", "iso-8859-1"), false},
		{header("From", "renee@example"), true},
		{header("From", "From"), false},
		{header("To", "b@EXAMPLE"), true},
		{header("To", "a@example.org, b@example.org"), true},
		{header("Subject", "привет мир folded line"), true},
		{header("Received", "a.example"), true},
		{header("Received", "b.example"), true},
		{header("Received", "a.example.orgfrom"), false},
		{header("X-Empty", ""), true},
		{header("X-Empty", " "), false},
		{header("X-None", ""), false},
		{header("", ""), false},
		{header("Subject", "déjà"), false},
		{mailaccess.Not{X: header("X-None", "")}, true},

		{mailaccess.Body{Text: "grüße aus"}, true},
		{mailaccess.Body{Text: "GRÜ\u00DFE AUS KÖLN, EINFACH"}, true},
		{mailaccess.Body{Text: "gru"}, true},
		{mailaccess.Body{Text: "=C3"}, false},
		{mailaccess.Body{Text: "<B>FÜRÉIMSER"}, true},
		{mailaccess.Body{Text: "PGI+"}, false},
		{mailaccess.Body{Text: "hidden payload"}, false},
		{mailaccess.Body{Text: "aGlkZGVu"}, false},
		{mailaccess.Body{Text: "preamble"}, false},
		{mailaccess.Body{Text: "epilogue"}, false},
		{mailaccess.Body{Text: "inner text"}, true},
		{mailaccess.Body{Text: "subject: Déjà"}, true},
		{mailaccess.Body{Text: "привет"}, false},
		{mailaccess.Body{Text: "secret.bin"}, false},
		{mailaccess.Body{Text: "status: 5.1"}, true},
		{mailaccess.Body{Text: "so<b>"}, false}, // across parts

		{mailaccess.FullText{Text: "привет мир"}, true},
		{mailaccess.FullText{Text: "x-empty: \r\ncontent-type"}, true},
		{mailaccess.FullText{Text: "renée <renee@"}, true},
		{mailaccess.FullText{Text: "secret.bin"}, true},
		{mailaccess.FullText{Text: "déjà"}, true},
		{mailaccess.FullText{Text: "grüße"}, true},
		{mailaccess.FullText{Text: "hidden payload"}, false},
		{mailaccess.FullText{Text: "preamble"}, false},

		{mailaccess.And{mailaccess.Body{Text: "grüße"}, mailaccess.Body{Text: "inner"}, header("To", "a@")}, true},
		{mailaccess.And{mailaccess.Body{Text: "grüße"}, mailaccess.Body{Text: "absent"}}, false},
		{mailaccess.Or{mailaccess.Body{Text: "absent"}, mailaccess.FullText{Text: "5.1.1"}}, true},
		{mailaccess.Not{X: mailaccess.Or{mailaccess.Body{Text: "absent"}, header("To", "nobody")}}, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T %+q", tt.e, tt.e), func(t *testing.T) {
			if got := matches(t, tt.e, &mailaccess.Message{}, letter); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// RFC 3501, section 6.4.4: SENTBEFORE, SENTON, SENTSINCE.
func TestSent(t *testing.T) {
	type ops struct{ before, on, since bool }
	tests := []struct {
		name, header string
		want         ops // of 29 February 2024
	}{
		{"that day, another in UTC", "Date: Thu, 29 Feb 2024 23:30:00 -1200\n", ops{false, true, true}},
		{"that day, folded", "DATE:\n Thu, 29 Feb 2024 00:00:00 +1400\n", ops{false, true, true}},
		{"the day before", "Date: 28 Feb 2024 23:59:59 -1200\n", ops{true, false, false}},
		{"the day after", "Date: 1 Mar 2024 00:00:00 +1400\n", ops{false, false, true}},
		{"no date", "Subject: none\n", ops{}},
		{"no readable date", "Date: soon\n", ops{}},
		{"the first counts", "Date: soon\nDate: 29 Feb 2024 12:00:00 +0000\n", ops{}},
		{"nothing at all", "", ops{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := crlf(tt.header + "\nDate: 29 Feb 2024 12:00:00 +0000\n")
			on := func(op mailaccess.DayOp) bool {
				e := mailaccess.OnDay{Date: mailaccess.DateSent, Op: op, Day: mailaccess.Day{Year: 2024, Month: 2, Day: 29}}
				got := matches(t, e, &mailaccess.Message{}, raw)
				if matches(t, mailaccess.Not{X: e}, &mailaccess.Message{}, raw) == got {
					t.Error("the negation agrees")
				}
				return got
			}
			got := ops{on(mailaccess.DayBefore), on(mailaccess.DayOn), on(mailaccess.DaySince)}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	// Also when more of the header must be read to decide.
	later := mailaccess.And{
		mailaccess.OnDay{Date: mailaccess.DateSent, Op: mailaccess.DayOn, Day: mailaccess.Day{Year: 2024, Month: 2, Day: 29}},
		mailaccess.Header{Name: "X-Last"},
	}
	if !matches(t, later, &mailaccess.Message{}, crlf("Date: 29 Feb 2024 12:00:00 +0000\nDate: soon\nX-Last: x\n\n")) {
		t.Error("the second Date counts")
	}
	instant := time.Date(2024, 3, 1, 11, 30, 0, 0, time.UTC)
	for _, tt := range []struct {
		from, until time.Time
		want        bool
	}{{instant, instant.Add(1), true}, {instant.Add(1), time.Time{}, false}, {time.Time{}, instant, false}} {
		e := mailaccess.Between{Date: mailaccess.DateSent, From: tt.from, Until: tt.until}
		if got := matches(t, e, &mailaccess.Message{}, letter); got != tt.want {
			t.Errorf("between %v and %v: got %v", tt.from, tt.until, got)
		}
	}
}

// The content is opened only if it must be, and read no further than needed.
func TestLazy(t *testing.T) {
	raw := "Subject: x\r\n\r\n" + strings.Repeat("needle in the text\r\n", 100_000)
	seen := mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}
	body := mailaccess.Body{Text: "needle"}
	absent := mailaccess.Body{Text: "haystack"}
	tests := []struct {
		name               string
		e                  mailaccess.Expr
		opened, structured int
		want               bool
		maxRead            int64
	}{
		{"metadata decide an And", mailaccess.And{body, mailaccess.Not{X: seen}}, 0, 0, false, 0},
		{"metadata decide an Or", mailaccess.Or{absent, seen}, 0, 0, true, 0},
		{"metadata decide deep down", mailaccess.And{mailaccess.Or{body, mailaccess.Not{X: mailaccess.Or{seen, body}}}, mailaccess.Not{X: seen}}, 0, 0, false, 0},
		{"metadata do not", mailaccess.And{body, seen}, 1, 1, true, 100 << 10},
		{"header decides", mailaccess.And{absent, mailaccess.Header{Name: "Subject", Text: "y"}}, 1, 0, false, 4 << 10},
		{"header decides a text", mailaccess.FullText{Text: "subject: X"}, 1, 0, true, 4 << 10},
		{"first of two texts decides", mailaccess.Or{body, absent}, 1, 1, true, 100 << 10},
		{"all but the header is read", absent, 1, 1, false, int64(len("needle in the text\r\n")) * 100_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := newSource(raw)
			msg := &mailaccess.Message{Flags: seen.Flags}
			got, err := mustCompile(t, tt.e, nil).Match(t.Context(), msg, src)
			if err != nil || got != tt.want {
				t.Errorf("got %v, %v, want %v", got, err, tt.want)
			}
			if src.opened != tt.opened || src.closed != tt.opened || src.structured != tt.structured {
				t.Errorf("opened %d, closed %d, structured %d; want %d and %d", src.opened, src.closed, src.structured, tt.opened, tt.structured)
			}
			if src.read > tt.maxRead {
				t.Errorf("read %d octets, want at most %d", src.read, tt.maxRead)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	gone := &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "open"}
	busy := &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "open"}
	tests := []struct {
		name  string
		spoil func(*source)
		want  error
	}{
		{"gone", func(s *source) { s.err = gone }, nil},
		{"gone while reading", func(s *source) { s.readErr = gone }, nil},
		{"gone at the structure", func(s *source) { s.structErr = fmt.Errorf("parse: %w", gone) }, nil},
		{"unavailable", func(s *source) { s.err = busy }, mailaccess.KindUnavailable},
		{"unavailable while reading", func(s *source) { s.readErr = busy }, mailaccess.KindUnavailable},
		{"structure fails", func(s *source) { s.structErr = busy }, mailaccess.KindUnavailable},
		{"unknown error", func(s *source) { s.readErr = io.ErrClosedPipe }, mailaccess.KindInternal},
		{"cause is kept", func(s *source) { s.readErr = io.ErrClosedPipe }, io.ErrClosedPipe},
		{"header is short", func(s *source) { s.missing = s.Size() - 3 }, mailaccess.KindCorrupt},
		{"text is short", func(s *source) { s.missing = 1 }, mailaccess.KindCorrupt},
	}
	absent := mailaccess.Body{Text: "absent"}
	for _, tt := range tests {
		for _, e := range []mailaccess.Expr{absent, mailaccess.Not{X: absent}} {
			t.Run(fmt.Sprintf("%s %T", tt.name, e), func(t *testing.T) {
				src := newSource("Subject: x\r\n\r\n" + strings.Repeat("text\r\n", 2000))
				tt.spoil(src)
				got, err := mustCompile(t, e, nil).Match(t.Context(), &mailaccess.Message{UID: 12}, src)
				if got {
					t.Error("matches")
				}
				if !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if err != nil && !strings.Contains(err.Error(), "search: ") {
					t.Errorf("error %q does not tell what was done", err)
				}
				if src.err == nil && (src.opened != 1 || src.closed != 1) {
					t.Errorf("opened %d, closed %d", src.opened, src.closed)
				}
			})
		}
	}
	t.Run("no source", func(t *testing.T) {
		_, err := mustCompile(t, absent, nil).Match(t.Context(), &mailaccess.Message{}, nil)
		if !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("context ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		src := newSource(letter)
		_, err := mustCompile(t, absent, nil).Match(ctx, &mailaccess.Message{}, src)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, mailaccess.KindUnavailable) {
			t.Errorf("error %v", err)
		}
		if src.closed != 1 {
			t.Error("not closed")
		}
	})
}

// No more than Octets decoded octets are looked at.
func TestOctets(t *testing.T) {
	raw := "Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\nYWJjZGVm" // abcdef
	for text, want := range map[string]bool{"abc": true, "abcd": true, "abcde": false, "e": false} {
		m := mustCompile(t, mailaccess.Body{Text: text}, &Options{Octets: 4})
		if got, err := m.Match(t.Context(), &mailaccess.Message{}, newSource(raw)); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// The limit counts over all reads and parts.
func TestOctetsOfLongTexts(t *testing.T) {
	filler := strings.Repeat("x", 60_000)
	raw := crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\n" + filler + "abc\n--b\n\n" + filler + "def" + filler + "ghi\n--b--\n")
	for text, want := range map[string]bool{"abc": true, "def": true, "ghi": false} {
		m := mustCompile(t, mailaccess.Body{Text: text}, &Options{Octets: 150_000})
		if got, err := m.Match(t.Context(), &mailaccess.Message{}, newSource(raw)); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
}

// A header that never ends is not read for ever.
func TestEndlessHeader(t *testing.T) {
	src := newSource("Subject: x\r\n" + strings.Repeat("X-Long: abcdefghijklmnopqrst\r\n", 100_000))
	m := mustCompile(t, mailaccess.Header{Name: "Absent"}, nil)
	if got, err := m.Match(t.Context(), &mailaccess.Message{}, src); got || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if src.read > 3<<20 {
		t.Errorf("read %d octets", src.read)
	}
}
