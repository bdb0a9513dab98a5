//go:build linux

package attack

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// bombAttacks add messages that are large or odd, and look at them in every way.
func bombAttacks() []attack {
	var all []attack
	for _, m := range []struct {
		name    string
		message repeated
	}{
		{"header of 60 MB", repeated{"", "X-Field: value\r\n", scaled(60*million) / 16, "\r\nbody\r\n"}},
		{"header line of 60 MB", repeated{"Subject: ", "x", scaled(60 * million), "\r\n\r\nbody\r\n"}},
		{"folded header field of 60 MB", repeated{"Subject: x\r\n", " y\r\n", scaled(15 * million), "\r\nbody\r\n"}},
		{"a million addresses", repeated{"To: ", "\"x\" <a@b.c>, ", scaled(million), "a@b.c\r\n\r\nbody\r\n"}},
		{"References of 10 MB", repeated{"Message-ID: <a@b>\r\nReferences: ", "<0123456789abcdef@example.org>\r\n ", scaled(300_000), "<x@y>\r\n\r\nbody\r\n"}},
		{"100,000 parts", repeated{"Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\nx\r\n", 100_000, "--b--\r\n"}},
		{"100,000 nested multiparts", repeated{"", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", scaled(100_000), "\r\nbody\r\n"}},
		{"100,000 nested messages", repeated{"", "Content-Type: message/rfc822\r\n\r\n", scaled(100_000), "Subject: x\r\n\r\nbody\r\n"}},
		{"100,000 parameters", repeated{"Content-Type: text/plain", "; a*0*=utf-8''%C3%A9", scaled(100_000), "\r\n\r\nbody\r\n"}},
		{"encoded words", repeated{"Subject: ", "=?utf-8?b?w6k=?= ", scaled(million), "\r\n\r\nbody\r\n"}},
		{"comments", repeated{"From: ", "(", scaled(million), "\r\n\r\nbody\r\n"}},
		{"HTML", repeated{"Content-Type: text/html\r\n\r\n", "<div><!--<a href='&amp;&lt;", scaled(million), "\r\n"}},
		{"base64 of 60 MB", repeated{"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n", base64Line, scaled(60*million) / len(base64Line), ""}},
		{"body of 60 MB", repeated{"Subject: x\r\n\r\n", "a line of a message that has many of them\r\n", scaled(60*million) / 43, ""}},
		{"NUL", repeated{"Subject: \x00\r\n\r\n", "\x00", scaled(million), ""}},
	} {
		all = append(all, attack{name: m.name, clients: max(2, scaled(4)), holds: loggedIn + examined, client: examine(m.message)})
	}
	return all
}

var base64Line = strings.Repeat("QUJD", 19) + "\r\n"

// examined is what one message is looked at with: its tree of 10,000 parts, 4 MiB of the
// header fields of all of them, what an envelope or a structure becomes of these on the
// wire, and the keys to sort and thread by.
const examined = 10_000*512 + 4*4<<20

// examine adds a message and asks for all that is made of one.
func examine(what repeated) func(context.Context, *server, int, func()) error {
	text := sync.OnceValue(what.String)
	return func(ctx context.Context, s *server, i int, done func()) error {
		c, err := s.session(ctx, "mallory", i%2 == 1)
		if err != nil {
			return err
		}
		defer c.close()
		box := fmt.Sprintf("box%d", i)
		if _, err := c.ask("CREATE " + box); err != nil {
			return err
		}
		message, kind := text(), ""
		if strings.Contains(message, "\x00") {
			kind = "~"
		}
		if err := c.expect(ok, fmt.Sprintf("APPEND %s %s{%d+}\r\n", box, kind, len(message)), message); err != nil {
			return err
		}
		for _, command := range []string{
			"SELECT " + box,
			"FETCH * (ENVELOPE BODYSTRUCTURE PREVIEW)", "FETCH * (BODY RFC822.SIZE BODY.PEEK[HEADER.FIELDS (SUBJECT FROM X-FIELD)])",
			"FETCH * (BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)] BODY.PEEK[TEXT]<0.10>)", "FETCH * BODY.PEEK[1.1.1.1.1.1.MIME]", "FETCH * BINARY.SIZE[1]",
			"SEARCH TEXT nowhere", "SEARCH BODY nowhere HEADER X-FIELD nowhere", "SEARCH FROM nobody TO nobody SENTON 1-Jan-2001",
			"SORT (SUBJECT FROM TO DATE) UTF-8 ALL", "SORT (DISPLAYFROM) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL",
		} {
			// NO where it is too much, as BINARY of what has no such part; not hanging up.
			if err := c.expect([]string{"OK", "NO"}, command); err != nil {
				return err
			}
		}
		done()
		return c.oks("STORE 1:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE")
	}
}

// messageAttacks are commands within the limits that take as much work as these let them.
func messageAttacks() []attack {
	var fields, sections, binaries []string
	for i := range 250 {
		fields = append(fields, fmt.Sprintf("BODY.PEEK[HEADER.FIELDS.NOT (A%d)]", i))
		sections = append(sections, fmt.Sprintf("BODY.PEEK[%d]", i+1))
		if i < 8 { // more are refused
			binaries = append(binaries, fmt.Sprintf("BINARY.PEEK[1]<%d.1>", 5*million+i))
		}
	}
	header := strings.Repeat("X: y\r\n", scaled(100_000)) + "\r\n"
	base64 := "Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(base64Line, scaled(10*million)/len(base64Line))
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"+strings.Repeat("QUJD", 10_000)+"\r\n", 250) + "--b--\r\n"
	var words, ors []string
	for i := range 250 {
		words = append(words, fmt.Sprintf("TEXT word%d", i))
	}
	for i := range 120 {
		ors = append(ors, fmt.Sprintf("OR BODY a%d NOT HEADER X%d b", i, i))
	}
	var ranges strings.Builder
	for i := range 16_000 { // a line is 64 KiB
		fmt.Fprintf(&ranges, "%d,", 2*i%1000+1)
	}
	put := func(messages ...string) func(context.Context, *server) error {
		return func(ctx context.Context, s *server) error { return s.append(ctx, "mallory", messages...) }
	}
	many := func(ctx context.Context, s *server) error { return s.appendMany(ctx, "mallory", scaled(2000)) }
	all := []attack{
		{name: "250 subsets of a large header", prepare: put(header), client: again("FETCH 1 (" + strings.Join(fields, " ") + ")")},
		{name: "250 parts", prepare: put(parts), client: again("FETCH 1 (" + strings.Join(sections, " ") + ")")},
		{name: "8 places in one decoded part", prepare: put(base64), client: again("FETCH 1 (" + strings.Join(binaries, " ") + ")")},
		{name: "250 decoded parts", prepare: put(parts), client: again("FETCH 1 (" + strings.ReplaceAll(strings.Join(sections, " "), "BODY", "BINARY") + ")")},
		{name: "SEARCH for 250 words", prepare: many, client: again("SEARCH " + strings.Join(words, " "))},
		{name: "SEARCH for any of 120 texts", prepare: put(base64, base64, base64, base64), client: again("SEARCH " + strings.Join(ors, " ") + " ALL")},
		{name: "SEARCH in all of many messages", prepare: many, client: again("SEARCH BODY nowhere")},
		{name: "SORT of many messages", prepare: many, client: again("SORT (SUBJECT FROM TO CC SIZE DATE ARRIVAL) UTF-8 ALL")},
		{name: "THREAD of many messages", prepare: many, client: again("THREAD REFERENCES UTF-8 ALL")},
		{name: "sets of 16,000 ranges", prepare: many, client: again("UID FETCH " + ranges.String() + "1 (UID FLAGS)")},
		{name: "SEARCH with sets of 16,000 ranges", prepare: many, client: again("SEARCH UID " + ranges.String() + "1")},
		{name: "FETCH of all flags", prepare: many, client: again("FETCH 1:* (FLAGS INTERNALDATE UID MODSEQ)")},
		{name: "STORE of all flags", prepare: many, client: again("STORE 1:* +FLAGS (\\Flagged)", "STORE 1:* -FLAGS (\\Flagged)")},
		{name: "LIST with 64 wildcards, many names", store: "memory:", prepare: func(ctx context.Context, s *server) error {
			return s.create(ctx, "mallory", scaled(5000))
		}, client: again("LIST \"\" " + strings.Repeat("*a", 60) + "*x")},
		{name: "LIST with status of many names", store: "memory:", prepare: func(ctx context.Context, s *server) error {
			return s.create(ctx, "mallory", scaled(5000))
		}, client: again("LIST \"\" * RETURN (STATUS (MESSAGES SIZE))")},
	}
	for i := range all {
		all[i].clients, all[i].holds = few(), loggedIn+examined
	}
	return all
}

// again says commands, which must succeed, again and again.
func again(commands ...string) func(context.Context, *server, int, func()) error {
	return func(ctx context.Context, s *server, _ int, done func()) error {
		c, err := s.session(ctx, "mallory", false)
		if err != nil {
			return err
		}
		defer c.close()
		for ctx.Err() == nil {
			if err := c.oks(commands...); err != nil {
				return err
			}
			done()
		}
		return nil
	}
}

// create makes mailboxes with long names.
func (s *server) create(ctx context.Context, user string, n int) error {
	c, err := s.session(ctx, user, false)
	if err != nil {
		return err
	}
	defer c.close()
	for i := range n {
		if err := c.oks(fmt.Sprintf("CREATE %s%d", strings.Repeat("a", 200), i)); err != nil {
			return err
		}
	}
	return nil
}
