package message_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

const example = `Date: Mon, 7 Feb 1994 21:52:25 -0800
From: Joe <joe@example.org>
To: Friends: ann@example.com, bob@example.com;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b

Hello
--b
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<b>Gr=FC=DFe</b>
--b--
`

func Example() {
	// Bring the bytes into canonical form and parse them in the same pass.
	var stored strings.Builder
	parser := message.NewParser(nil)
	w := message.NewCanonicalWriter(io.MultiWriter(&stored, parser))
	if _, err := io.WriteString(w, example); err != nil {
		log.Fatal(err)
	}
	tree := parser.Finish()
	content := strings.NewReader(stored.String())

	for _, part := range tree.Children {
		fmt.Printf("%s/%s: %d octets at %d\n", part.Type, part.Subtype, part.Body.Len, part.Body.Off)
	}

	// BODY[2] is a piece of the original; the text is for reading.
	part, _ := tree.Find([]int{2})
	if _, err := io.Copy(os.Stdout, part.Raw(content)); err != nil {
		log.Fatal(err)
	}
	fmt.Println()
	if _, err := io.Copy(os.Stdout, part.Text(content)); err != nil {
		log.Fatal(err)
	}
	fmt.Println()
	// Output:
	// text/plain: 5 octets at 230
	// text/html: 16 octets at 334
	// <b>Gr=FC=DFe</b>
	// <b>Grüße</b>
}

func ExamplePart_Section() {
	content := strings.NewReader(strings.ReplaceAll(example, "\n", "\r\n"))
	tree, err := message.Parse(content, content.Size(), nil)
	if err != nil {
		log.Fatal(err)
	}
	// BODY[HEADER.FIELDS (TO FROM)]<6.21>
	ranges, ok, err := tree.Section(content, message.Section{
		Kind:   message.SectionHeaderFields,
		Fields: []string{"TO", "FROM"},
	})
	if err != nil || !ok {
		log.Fatal(ok, err)
	}
	b, err := io.ReadAll(ranges.Partial(6, 21).Reader(content))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d octets in %d ranges, of which %q\n", ranges.Size(), len(ranges), b)
	// Output:
	// 79 octets in 2 ranges, of which "Joe <joe@example.org>"
}

func ExampleHeader() {
	h := message.Header(strings.ReplaceAll(example, "\n", "\r\n"))
	subject, _ := h.Text("subject")
	date, _ := h.Date()
	fmt.Println(subject, date.UTC().Year())
	for _, a := range h.Envelope().To {
		switch a.Kind {
		case message.GroupStart:
			fmt.Println("group", a.Mailbox)
		case message.Mailbox:
			fmt.Println(a.Mailbox, "at", a.Host)
		}
	}
	// Output:
	// Grüße 1994
	// group Friends
	// ann at example.com
	// bob at example.com
}
