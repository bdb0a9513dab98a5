//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// python runs a script of testdata with messages as files.
func (d *demo) python(t *testing.T, script, security, addr string, mails [][]byte) {
	t.Helper()
	c := d.tool(t, "/usr/bin/python3") // Debian's, whatever else is installed
	script, err := filepath.Abs(filepath.Join("testdata", script))
	must(t, "find the script", err)
	args := []string{"-I", "-B", "-W", "error", script, security, port(addr), d.cert}
	for i, m := range mails {
		args = append(args, c.write(t, fmt.Sprintf("mail-%03d", i), m))
	}
	if out := c.run(t, args...); !strings.HasSuffix(out, "round complete\n") {
		t.Errorf("the round was not completed: %s", out)
	}
}

func imaplib(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		inbox, archive, trash := raws(d.overIMAP(t, "INBOX")), raws(d.overIMAP(t, "Archive")), raws(d.overIMAP(t, "Trash"))
		mails := letters("python", 12)
		if s == implicitTLS {
			d.python(t, "imaplib_round.py", "tls", d.imaps, mails)
		} else {
			d.python(t, "imaplib_round.py", "starttls", d.imap, mails)
		}
		d.sameOverBoth(t, slices.Concat(inbox, mails))
		sameMailInOrder(t, "Łódź/Żagle", raws(d.overIMAP(t, "Łódź/Żagle")), mails[3:])
		sameMailInOrder(t, "Archive", raws(d.overIMAP(t, "Archive")), slices.Concat(archive, mails[:3]))
		sameMailInOrder(t, "Trash", raws(d.overIMAP(t, "Trash")), slices.Concat(trash[1:], mails[:1]))
		if names := d.mailboxes(t); slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, "Pass") }) {
			t.Errorf("a mailbox that was deleted is still there: %q", names)
		}
	}
}

func poplib(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		d.put(t, "INBOX", letters("python", 12))
		mails := raws(d.overIMAP(t, "INBOX"))
		if s == implicitTLS {
			d.python(t, "poplib_round.py", "tls", d.pop3s, mails)
		} else {
			d.python(t, "poplib_round.py", "stls", d.pop3, mails)
		}
		d.sameOverBoth(t, slices.Concat(mails[:1], mails[2:len(mails)-1]))
	}
}
