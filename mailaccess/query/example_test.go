package query_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// text is a message in memory, which is a Source and a Content.
type text struct{ *strings.Reader }

func (t text) Content(context.Context) (mailaccess.Content, error) { return t, nil }

func (t text) Structure(_ context.Context, c mailaccess.Content) (*message.Part, error) {
	return message.Parse(c, c.Size(), nil)
}

func (t text) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(t, off, n))
}

func (t text) Close() error { return nil }

func ExampleMatcher() {
	// UNSEEN BODY "cafe"
	unseen := mailaccess.Not{X: mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}}
	m, err := query.Compile(mailaccess.And{unseen, mailaccess.Body{Text: "cafe"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	src := text{strings.NewReader("Content-Type: text/plain; charset=iso-8859-1\r\n" +
		"Content-Transfer-Encoding: quoted-printable\r\n\r\nIm Caf=E9 um drei?\r\n")}
	for _, flags := range []mailaccess.SystemFlags{0, mailaccess.FlagSeen} {
		msg := &mailaccess.Message{UID: 1, Flags: mailaccess.Flags{System: flags}}
		fmt.Println(m.Match(context.Background(), msg, src))
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleUnicodeCasemap() {
	fmt.Println(query.UnicodeCasemap("Straße") == query.UnicodeCasemap("STRAßE"))
	fmt.Println(strings.Contains(query.UnicodeCasemap("Café"), query.UnicodeCasemap("cafe")))
	// Output:
	// true
	// true
}
