//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// neomutt reads, copies, flags, moves and deletes at a terminal, and comes back to
// what changed while it was away: with what it kept of the mailbox it asks for the
// difference (RFC 7162, section 3.2.6).
func neomutt(t *testing.T, d *demo) {
	m := &mutt{d: d, c: d.tool(t, "script")}
	d.tool(t, "neomutt")
	must(t, "mkdir", os.MkdirAll(filepath.Join(m.c.dir, "bodies"), 0o700))
	mails := letters("neomutt", 9)
	d.expunge(t, "INBOX")
	d.put(t, "INBOX", mails)
	archive := raws(d.overIMAP(t, "Archive"))

	// Whatever is in the mailbox comes out as it is.
	m.run(t, "first", "<tag-pattern>~s neomutt\\..<enter><tag-prefix><copy-message>"+filepath.Join(m.c.dir, "copies")+"<enter>"+
		"<untag-pattern>~A<enter><tag-pattern>~s neomutt\\.2<enter><tag-prefix><flag-message><quit>")
	sameMail(t, "copies", m.maildir(t, "copies"), mails)

	// While it is away: flags, a removal, an arrival.
	s := d.session(t, nil)
	mi := &mirror{d: d}
	mi.store(t, s, "INBOX", "neomutt.6.", imap.StoreFlagsAdd, imap.FlagFlagged)
	mi.store(t, s, "INBOX", "neomutt.2.", imap.StoreFlagsDel, imap.FlagFlagged)
	mi.store(t, s, "INBOX", "neomutt.7.", imap.StoreFlagsAdd, imap.FlagDeleted)
	found, err := s.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "neomutt.7."}}}, nil).Wait()
	must(t, "search", err)
	must(t, "expunge", s.UIDExpunge(imap.UIDSetNum(found.AllUIDs()...)).Close())
	late := letters("late", 1)[0]
	appendMail(t, s, "INBOX", late, nil)
	logout(t, s)

	log := m.run(t, "second", "<tag-pattern>~F ~s neomutt<enter><tag-prefix><copy-message>"+filepath.Join(m.c.dir, "flagged")+"<enter>"+
		"<untag-pattern>~A<enter><tag-pattern>~s '(neomutt|late)\\..'<enter><tag-prefix><copy-message>"+filepath.Join(m.c.dir, "all")+"<enter><quit>")
	sameMail(t, "flagged", m.maildir(t, "flagged"), mails[5:6])
	sameMail(t, "all", m.maildir(t, "all"), slices.Concat(mails[:6], mails[7:], [][]byte{late}))
	asked := regexp.MustCompile(`UID FETCH 1:\d+ \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)`).MatchString(log)
	// Version 20220429 numbers its messages as if what vanished were there, notices
	// that, and lists the mailbox anew.
	if !asked || !strings.Contains(log, "Handling VANISHED") {
		t.Errorf("it did not ask for the difference, or was not answered:\n%s", log)
	}

	// It moves and removes.
	m.run(t, "third", "<tag-pattern>~s neomutt\\.[35]<enter><tag-prefix><save-message>=Archive<enter><untag-pattern>~A<enter>"+
		"<tag-pattern>~s neomutt\\.4<enter><tag-prefix><delete-message><quit>")
	var left []string
	for _, s := range d.overIMAP(t, "INBOX") {
		if i := slices.IndexFunc(mails, func(b []byte) bool { return string(b) == string(s.raw) }); i >= 0 {
			left = append(left, fmt.Sprint(i+1, slices.Contains(s.flags, imap.FlagFlagged)))
		}
	}
	equal(t, "INBOX", left, []string{"1 false", "2 false", "6 true", "8 false", "9 false"})
	sameMailInOrder(t, "Archive", raws(d.overIMAP(t, "Archive")), slices.Concat(archive, [][]byte{mails[2], mails[4]}))
}

// A mutt is neomutt at a terminal that script makes.
type mutt struct {
	d *demo
	c *client
}

// run opens INBOX and types keys. It returns what was said on the connection.
func (m *mutt) run(t *testing.T, name, keys string) string {
	t.Helper()
	return m.runWith(t, name, fmt.Sprintf("set folder = \"imaps://demo@localhost:%s/\"\nset imap_pass = demo\n", port(m.d.imaps)), keys)
}

// runWith does so with a server that is found so.
func (m *mutt) runWith(t *testing.T, name, server, keys string) string {
	t.Helper()
	config := m.c.write(t, name+".rc", fmt.Appendf(nil, `%sset spoolfile = "+INBOX"
set certificate_file = %s
set ssl_usesystemcerts = no
set ssl_verify_host = no
set header_cache = %[3]s/headers
set message_cachedir = %[3]s/bodies
set imap_condstore = yes
set imap_qresync = yes
set mbox_type = Maildir
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set mark_old = no
set wait_key = no
set quit = yes
push "%[4]s"
`, server, m.d.cert, m.c.dir, strings.ReplaceAll(keys, `\`, `\\`)))
	log := filepath.Join(m.c.dir, name+".log")
	m.c.run(t, "-qec", "TERM=xterm neomutt -F "+config+" -d 2 -l "+log, filepath.Join(m.c.dir, name+".typescript"))
	return string(readFile(t, log+"0"))
}

// maildir returns the messages of a Maildir that neomutt wrote, in canonical form and
// without the fields that it adds.
func (m *mutt) maildir(t *testing.T, name string) [][]byte {
	t.Helper()
	var mails [][]byte
	added := regexp.MustCompile(`Content-Length: \d+\r\nLines: \d+\r\n\r\n`)
	for _, raw := range readMaildir(t, filepath.Join(m.c.dir, name)) {
		mails = append(mails, added.ReplaceAll(raw, []byte("\r\n")))
	}
	return mails
}
