//go:build interop

package interop

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A shape is a kind of message, and what it could break.
type shape struct {
	name   string
	header string // more fields, each with its line end
	body   string
}

// shapes returns the kinds of messages that are sent through every client. Lines
// end in LF here. Each body ends with a line end: POP3 cannot tell whether one
// is missing (RFC 1939, section 3).
func shapes() []shape {
	const mixed = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"edge\"\n"
	attachment := make([]byte, 200_000)
	for i := range attachment {
		attachment[i] = byte(i * i >> 7)
	}
	all := make([]byte, 0, 256)
	for c := 0x80; c <= 0xff; c++ {
		all = append(all, byte(c))
	}
	return []shape{
		{name: "plain", body: "Three lines,\nof which this is the second,\nand no more.\n"},
		// Lines of three octets begin, and end, wherever a buffer ends.
		{name: "dots", body: "..\n...\n.leading\n\n" + strings.Repeat(".\n", 33_000)},
		{name: "empty body"},
		{name: "blank lines at the end", body: "text\n\n\n\n"},
		{name: "blanks at the ends of lines", body: "one \ntwo\t\n \n\t\nfive\n"},
		{name: "From at the start of a line", body: "From here it goes on.\n>From there too.\n"},
		{name: "looks like a protocol", body: ")\n* BYE and gone\nA1 OK done\n+OK\n-ERR\n+ idling\n{5}\nDONE\n"},
		{name: "long line", body: strings.Repeat("long line ", 900) + "\n"},
		{name: "UTF-8", header: "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n",
			body: "Zażółć gęślą jaźń. 日本語。 ⛵\n"},
		{name: "every octet above ASCII", body: string(all) + "\n"},
		{name: "multipart", header: mixed, body: "preamble\n--edge\nContent-Type: text/plain\n\nfirst\n" +
			"--edge\nContent-Type: message/rfc822\n\nFrom: inner@example.net\nSubject: inner\n\ninside\n--edge--\nepilogue\n"},
		{name: "attachment", header: mixed, body: "--edge\nContent-Type: text/plain\n\nSee below.\n" +
			"--edge\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + base64Lines(attachment) + "--edge--\n"},
	}
}

func base64Lines(data []byte) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(data)), 76) {
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// letters returns n messages of all shapes in canonical form (every line ends in
// CRLF), no two alike. The subject of number i, from 1, ends in "prefix.i.".
func letters(prefix string, n int) [][]byte {
	kinds := shapes()
	mails := make([][]byte, n)
	for i := range mails {
		k := kinds[i%len(kinds)]
		mails[i] = canonical(fmt.Appendf(nil, `From: Sender <sender@example.org>
To: demo@example.org
Subject: %s, %s.%d.
Date: Tue, %d Jul 2025 10:%02d:00 +0200
Message-ID: <%[2]s.%[3]d@example.org>
%[6]s
%[7]s`, k.name, prefix, i+1, i%28+1, i%60, k.header, k.body))
	}
	return mails
}

// canonical returns text in which lines end in LF, or in CRLF, with all of them
// ending in CRLF.
func canonical(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// cut splits a message into its header, with the empty line, and its body.
func cut(mail []byte) (header, body []byte) {
	n := bytes.Index(mail, []byte("\r\n\r\n")) + 4
	return mail[:n], mail[n:]
}

// demoInbox returns the messages that are in the INBOX of a new demonstration,
// in no particular order.
func demoInbox(t *testing.T) [][]byte {
	t.Helper()
	files, err := filepath.Glob("../demomail/inbox/*.eml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d messages of the demonstration, %v", len(files), err)
	}
	var mails [][]byte
	for _, f := range files {
		mails = append(mails, canonical(readFile(t, f)))
	}
	return mails
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sameMail demands that got holds the messages of want and no others, in any
// order.
func sameMail(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	missing := make(map[string]int)
	for _, m := range want {
		missing[string(m)]++
	}
	var odd [][]byte
	for _, m := range got {
		if missing[string(m)]--; missing[string(m)] < 0 {
			odd = append(odd, m)
		}
	}
	for m, n := range missing {
		if n > 0 {
			t.Errorf("%s: misses %d times %s", what, n, brief([]byte(m)))
		}
	}
	for _, m := range odd {
		t.Errorf("%s: nobody stored %s", what, brief(m))
	}
}

// sameMailInOrder demands that got and want are the same messages in the same
// order.
func sameMailInOrder(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: message %d is %s\nwant %s", what, i+1, brief(got[i]), brief(want[i]))
		}
	}
}

// brief is a message as a failure shows it.
func brief(m []byte) string {
	const most = 1200
	if len(m) <= most {
		return fmt.Sprintf("%d octets %q", len(m), m)
	}
	return fmt.Sprintf("%d octets %q...", len(m), m[:most])
}
