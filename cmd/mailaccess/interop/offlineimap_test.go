//go:build interop

package interop

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// offlineimap keeps the server and Maildirs alike, as mbsync does. It takes each
// message apart and puts it together again, so that only such are sent through it as
// survive that.
func offlineimap(t *testing.T, d *demo) {
	c := d.tool(t, "offlineimap")
	m := &mirror{d: d, c: c, near: filepath.Join(c.dir, "mail"), want: make(boxes)}
	config := c.write(t, "offlineimaprc", fmt.Appendf(nil, `[general]
metadata = %[1]s/state
accounts = all
ui = basic

[Account all]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %[2]s
sep = /

[Repository far]
type = IMAP
remotehost = localhost
remoteport = %[3]s
remoteuser = demo
remotepass = demo
ssl = yes
sslcacertfile = %[4]s
folderfilter = lambda name: name in ("Archive", "Lists/Go", "Projects", "Projects/Boats")
`, c.dir, m.near, port(d.imaps), d.cert))
	sync := func() string { return c.run(t, "-o", "-c", config) }
	check := func(when string) {
		t.Helper()
		equal(t, when+": mailboxes near", m.maildirs(t), slices.Sorted(maps.Keys(m.want)))
		for name, want := range m.want {
			sameBox(t, when+": "+name+" far", m.farBox(t, name), want)
			sameBox(t, when+": "+name+" near", m.nearBox(t, name), want)
		}
	}

	const far = "Lists/Go"
	s := d.session(t, nil)
	must(t, "create", s.Create(far, nil).Wait())
	remote := survivors("far", 40)
	for i, mail := range remote {
		flags := map[int][]imap.Flag{0: {imap.FlagSeen}, 1: {imap.FlagFlagged, imap.FlagSeen}, 2: {imap.FlagAnswered}}[i%5]
		appendMail(t, s, far, mail, &imap.AppendOptions{Flags: flags})
	}
	logout(t, s)
	m.want[far], m.want["Archive"] = m.farBox(t, far), m.farBox(t, "Archive")
	local := survivors("near", 40)
	for i, mail := range local {
		m.deliver(t, "Projects", fmt.Sprintf("17%08d_%d.1.example", i, i), []string{"", "S", "FS", "RS", "F"}[i%5], mail)
	}
	m.deliver(t, "Projects/Boats", "1700000001_0.1.example", "S", survivors("boats", 1)[0])
	sync()
	check("first sync")

	// Flags, removals and arrivals, on either side.
	m.setNear(t, far, remote[0], "FRS")
	m.setNear(t, far, remote[1], "")
	m.removeNear(t, far, remote[2])
	s = d.session(t, nil)
	m.store(t, s, "Projects", "near.4.", imap.StoreFlagsAdd, imap.FlagAnswered)
	m.want["Projects"][normal(local[3])] = "RS"
	m.store(t, s, "Projects", "near.2.", imap.StoreFlagsDel, imap.FlagSeen)
	m.want["Projects"][normal(local[1])] = ""
	m.store(t, s, "Projects", "near.6.", imap.StoreFlagsAdd, imap.FlagDeleted)
	must(t, "expunge", s.Expunge().Close())
	delete(m.want["Projects"], normal(local[5]))
	more := survivors("more", 2)
	appendMail(t, s, far, more[0], nil)
	m.want[far][normal(more[0])] = ""
	logout(t, s)
	m.deliver(t, "Projects", "1800000001_0.1.example", "S", more[1])
	sync()
	check("second sync")

	before := m.files(t)
	if out := sync(); strings.Contains(out, "Copy message") || strings.Contains(out, "flag") {
		t.Errorf("a sync with nothing to do did something: %s", out)
	}
	equal(t, "files after a sync with nothing to do", m.files(t), before)
	check("third sync")
}

// survivors returns letters that a client may parse and write anew.
func survivors(prefix string, n int) [][]byte {
	mails := make([][]byte, n)
	for i := range mails {
		mails[i] = canonical(fmt.Appendf(nil, `From: Sender <sender@example.org>
To: demo@example.org
Subject: a letter, %s.%d.
Message-ID: <%[1]s.%[2]d@example.org>

%[3]s`, prefix, i+1, strings.Repeat("One more line of text.\n", 1+i*7)))
	}
	return mails
}
