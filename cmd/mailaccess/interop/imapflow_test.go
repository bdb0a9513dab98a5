//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// node installs what a directory of testdata needs, and returns node and a script of it.
func (d *demo) node(t *testing.T, dir, script string) (node *client, file string) {
	t.Helper()
	npm := d.tool(t, "npm")
	for _, name := range []string{"package.json", script} {
		npm.write(t, name, readFile(t, filepath.Join("testdata", dir, name)))
	}
	npm.run(t, "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
	return d.tool(t, "node"), filepath.Join(npm.dir, script)
}

// imapflow goes a round with imapflow, which npm installs for the test.
func imapflow(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		node, round := d.node(t, "imapflow", "round.js")
		d.expunge(t, "INBOX")
		inbox, archive := raws(d.overIMAP(t, "INBOX")), raws(d.overIMAP(t, "Archive"))
		mails := letters("imapflow", 12)
		how, addr := "tls", d.imaps
		if s == starttls {
			how, addr = "starttls", d.imap
		}
		args := []string{round, how, port(addr), d.cert}
		for i, m := range mails {
			args = append(args, node.write(t, fmt.Sprintf("mail-%03d", i), m))
		}
		if out := node.run(t, args...); !strings.HasSuffix(out, "round complete\n") {
			t.Errorf("the round was not completed: %s", out)
		}
		sameMailInOrder(t, "INBOX", raws(d.overIMAP(t, "INBOX")), slices.Concat(inbox, mails[:1], mails[2:]))
		sameMailInOrder(t, "Łódź/Żagle", raws(d.overIMAP(t, "Łódź/Żagle")), mails[2:])
		sameMailInOrder(t, "Archive", raws(d.overIMAP(t, "Archive")), slices.Concat(archive, mails[:2]))
	}
}
