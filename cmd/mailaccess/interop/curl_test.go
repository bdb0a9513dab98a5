//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// base returns the URL, without path, of the server. Without implicit TLS curl
// must be told to insist on STARTTLS.
func (c *client) base(s security, protocol string) string {
	switch {
	case protocol == "imap" && s == implicitTLS:
		return "imaps://" + c.d.imaps
	case protocol == "imap":
		return "imap://" + c.d.imap
	case s == implicitTLS:
		return "pop3s://" + c.d.pop3s
	default:
		return "pop3://" + c.d.pop3
	}
}

// curl runs curl and returns what it printed. All it does goes over TLS.
func (c *client) curl(t *testing.T, args ...string) string {
	t.Helper()
	return c.run(t, append([]string{"--disable", "--silent", "--show-error", "--ssl-reqd",
		"--cacert", c.d.cert, "--user", "demo:demo", "--max-time", "20", "--fail-early"}, args...)...)
}

// fetchAll fetches n messages in one session; url has %d where the last number
// stands.
func (c *client) fetchAll(t *testing.T, n int, url string) [][]byte {
	t.Helper()
	if n == 0 {
		return nil
	}
	c.curl(t, fmt.Sprintf(url, n), "--output", "got-#1")
	var mails [][]byte
	for i := range n {
		mails = append(mails, readFile(t, fmt.Sprintf("%s/got-%d", c.dir, i+1)))
	}
	return mails
}

func curlIMAP(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		c := d.tool(t, "curl")
		base := c.base(s, "imap")

		list := regexp.MustCompile(`(?m)^\* LIST \([^)]*\) "/" (\S+)\r$`).FindAllStringSubmatch(c.curl(t, base+"/"), -1)
		var names []string
		for _, m := range list {
			names = append(names, strings.Trim(m[1], `"`))
		}
		equal(t, "mailboxes", names, d.mailboxes(t))

		inbox := demoInbox(t)
		sameMail(t, "INBOX", c.fetchAll(t, len(inbox), base+"/INBOX;MAILINDEX=[1-%d]"), inbox)

		// Upload, and fetch again by UID, whole and in parts.
		mails := letters("curl", 14)
		for i, m := range mails {
			c.write(t, fmt.Sprintf("put-%d", i+1), m)
		}
		c.curl(t, base+"/", "--request", "CREATE Uploads")
		c.curl(t, base+"/Uploads", "--upload-file", fmt.Sprintf("put-[1-%d]", len(mails)))
		sameMailInOrder(t, "Uploads over IMAP", raws(d.overIMAP(t, "Uploads")), mails)
		sameMailInOrder(t, "Uploads", c.fetchAll(t, len(mails), base+"/Uploads;UID=[1-%d]"), mails)
		header, body := cut(mails[10])
		for section, want := range map[string]string{
			"HEADER":                        string(header),
			"TEXT":                          string(body),
			"HEADER.FIELDS%20(DATE%20FROM)": "From: Sender <sender@example.org>\r\nDate: Tue, 11 Jul 2025 10:10:00 +0200\r\n\r\n",
			"1":                             "first",
			"2.HEADER":                      "From: inner@example.net\r\nSubject: inner\r\n\r\n",
			"2.TEXT":                        "inside",
		} {
			equal(t, section, strconv.Quote(c.curl(t, base+"/Uploads;UID=11;SECTION="+section)), strconv.Quote(want))
		}

		// Search, change flags, expunge.
		for key, want := range map[string]string{
			"ALL":                       " 1 2 3 4 5 6 7 8 9 10 11 12 13 14",
			"SUBJECT%20curl.7.":         " 7",
			"TEXT%20%22goes%20on%22":    " 6",
			"BODY%20inside":             " 11",
			"HEADER%20Message-ID%20l.3": " 3",
			"LARGER%20200000":           " 12",
			"FROM%20nobody":             "",
			"OR%20UID%202%20UID%2014":   " 2 14",
		} {
			equal(t, "search "+key, strconv.Quote(c.curl(t, base+"/Uploads?"+key)), strconv.Quote("* SEARCH"+want+"\r\n"))
		}
		c.curl(t, base+"/Uploads", "--request", `STORE 2:3 +FLAGS.SILENT (\Deleted)`)
		equal(t, "deleted", c.curl(t, base+"/Uploads?DELETED"), "* SEARCH 2 3\r\n")
		left := slices.Clone(mails)
		for _, m := range regexp.MustCompile(`(?m)^\* (\d+) EXPUNGE\r$`).FindAllStringSubmatch(c.curl(t, base+"/Uploads", "--request", "EXPUNGE"), -1) {
			n, err := strconv.Atoi(m[1])
			must(t, "number of an expunged message", err)
			left = slices.Delete(left, n-1, n)
		}
		sameMailInOrder(t, "what EXPUNGE told is left", left, slices.Concat(mails[:1], mails[3:]))
		if got := c.curl(t, base+"/", "--request", "STATUS Uploads (MESSAGES)"); !strings.Contains(got, "(MESSAGES 12)") {
			t.Errorf("STATUS: %q", got)
		}
		sameMailInOrder(t, "Uploads after expunge", c.fetchAll(t, len(left), base+"/Uploads;MAILINDEX=[1-%d]"), left)

		// What is uploaded to INBOX is what POP3 gives.
		before := d.overPOP3(t, len(inbox))
		c.curl(t, base+"/INBOX", "--upload-file", fmt.Sprintf("put-[1-%d]", len(mails)))
		d.sameOverBoth(t, append(before, mails...))
	}
}

func curlPOP3(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		c := d.tool(t, "curl")
		base := c.base(s, "pop3")
		mails := append(raws(d.overIMAP(t, "INBOX")), letters("curl", 14)...)
		d.put(t, "INBOX", mails[len(mails)-14:])

		var list strings.Builder
		for i, m := range mails {
			fmt.Fprintf(&list, "%d %d\r\n", i+1, len(m))
		}
		equal(t, "LIST", strconv.Quote(c.curl(t, base+"/")), strconv.Quote(list.String()))
		uidl := c.curl(t, base+"/", "--request", "UIDL")
		ids := make(map[string]bool)
		for i, line := range strings.Split(strings.TrimSuffix(uidl, "\r\n"), "\r\n") {
			n, id, _ := strings.Cut(line, " ")
			if n != strconv.Itoa(i+1) || id == "" || ids[id] {
				t.Errorf("line %d of UIDL: %q", i+1, line)
			}
			ids[id] = true
		}
		equal(t, "unique ids", len(ids), len(mails))

		sameMailInOrder(t, "INBOX", c.fetchAll(t, len(mails), base+"/[1-%d]"), mails)
		sameMailInOrder(t, "INBOX over IMAP", raws(d.overIMAP(t, "INBOX")), mails)

		n := len(mails) - 14 // then come the shapes
		header, body := cut(mails[n])
		equal(t, "TOP 0", c.curl(t, base+"/", "--request", fmt.Sprintf("TOP %d 0", n+1)), string(header))
		lines := bytes.SplitAfter(body, []byte("\n"))
		equal(t, "TOP 2", c.curl(t, base+"/", "--request", fmt.Sprintf("TOP %d 2", n+1)),
			string(header)+string(bytes.Join(lines[:2], nil)))

		// Each of these is a session, whose end deletes.
		c.curl(t, base+"/", "--head", "--request", fmt.Sprintf("DELE %d", n+2))
		c.curl(t, base+"/", "--head", "--request", "DELE 1")
		left := slices.Concat(mails[1:n+1], mails[n+2:])
		d.sameOverBoth(t, left)
		var rest []string
		for i, line := range strings.Split(strings.TrimSuffix(uidl, "\r\n"), "\r\n") {
			if i == 0 || i == n+1 {
				continue
			}
			_, id, _ := strings.Cut(line, " ")
			rest = append(rest, fmt.Sprintf("%d %s\r\n", len(rest)+1, id))
		}
		equal(t, "UIDL afterwards", c.curl(t, base+"/", "--request", "UIDL"), strings.Join(rest, ""))
	}
}
