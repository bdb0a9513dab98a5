//go:build interop

package interop

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// mbsync keeps the server and Maildirs alike: in its words the server is far and
// the Maildirs are near.
func mbsync(t *testing.T, d *demo) {
	c := d.tool(t, "mbsync")
	m := &mirror{d: d, c: c, near: filepath.Join(c.dir, "mail"), want: make(boxes)}

	// 60 messages on each side, and what is in the demonstration.
	const far = "Lists/Go"
	s := d.session(t, nil)
	must(t, "create", s.Create("Lists", nil).Wait())
	must(t, "create", s.Create(far, nil).Wait())
	for i, mail := range letters("far", 60) {
		flags := map[int][]imap.Flag{0: {imap.FlagSeen}, 1: {imap.FlagFlagged, imap.FlagSeen}, 2: {imap.FlagAnswered}, 3: {imap.FlagDraft}}[i%6]
		appendMail(t, s, far, mail, &imap.AppendOptions{Flags: flags})
	}
	logout(t, s)
	for _, name := range d.mailboxes(t) {
		m.want[name] = m.farBox(t, name)
		for mail, flags := range m.want[name] {
			if strings.Contains(flags, "T") { // Expunge Both
				delete(m.want[name], mail)
			}
		}
	}
	for i, mail := range letters("near", 60) {
		m.deliver(t, "INBOX", fmt.Sprintf("17%08d.M%d.example", i, i), []string{"", "S", "FS", "RS", "F"}[i%5], mail)
	}
	m.sync(t, implicitTLS)
	m.check(t, "first sync")

	// Flags, on either side and on both.
	local := letters("near", 60)
	m.setNear(t, "INBOX", local[0], "FRS")
	m.setNear(t, "INBOX", local[1], "")
	s = d.session(t, nil)
	m.store(t, s, "INBOX", "near.3.", imap.StoreFlagsAdd, imap.FlagAnswered, imap.FlagFlagged)
	m.want["INBOX"][normal(local[2])] = "FRS"
	m.store(t, s, "INBOX", "near.4.", imap.StoreFlagsDel, imap.FlagSeen)
	m.want["INBOX"][normal(local[3])] = "R"
	m.setNear(t, "INBOX", local[5], "F")
	m.store(t, s, "INBOX", "near.6.", imap.StoreFlagsAdd, imap.FlagAnswered)
	m.want["INBOX"][normal(local[5])] = "FR"

	// Messages go, on either side.
	remote := letters("far", 60)
	m.removeNear(t, far, remote[6])
	m.store(t, s, far, "far.8.", imap.StoreFlagsAdd, imap.FlagDeleted)
	must(t, "expunge", s.Expunge().Close())
	delete(m.want[far], normal(remote[7]))

	// Messages come, on either side and in new folders.
	more := letters("more", 8)
	m.deliver(t, far, "1800000001.M1.example", "S", more[0])
	for i, name := range []string{"Projects", "Projects/Boats"} {
		m.deliver(t, name, "1800000002.M1.example", "", more[1+i])
		m.deliver(t, name, "1800000002.M2.example", "F", more[3+i])
	}
	for i, name := range []string{"INBOX", "Reports", "Reports/2026"} {
		if name != "INBOX" {
			must(t, "create", s.Create(name, nil).Wait())
			m.want[name] = make(box)
		}
		appendMail(t, s, name, more[5+i], nil)
		m.want[name][normal(more[5+i])] = ""
	}
	logout(t, s)
	m.sync(t, starttls)
	m.check(t, "second sync")

	m.nothingToDo(t)
	m.check(t, "third sync")
}

// A box is what is in a mailbox: for each message, as normal returns it, its
// flags in the letters of Maildir.
type box map[string]string

type boxes map[string]box

// A mirror is what mbsync works on.
type mirror struct {
	d    *demo
	c    *client
	near string // directory of the Maildirs
	want boxes
}

// normal is a message without what mbsync does to one: a field of its own in the
// header, and no CR in Maildirs.
func normal(mail []byte) string {
	s := regexp.MustCompile(`(?m)^X-TUID: \S{12}\r\n`).ReplaceAllString(string(mail), "")
	return strings.ReplaceAll(s, "\r", "")
}

// sync runs mbsync. Its certificate check knows names, and no addresses.
func (m *mirror) sync(t *testing.T, s security, args ...string) string {
	t.Helper()
	addr, ssl := m.d.imaps, "IMAPS"
	if s == starttls {
		addr, ssl = m.d.imap, "STARTTLS"
	}
	return m.syncWith(t, fmt.Sprintf("Host localhost\nPort %s\nUser demo\nPass demo\nSSLType %s\nCertificateFile %s\n",
		port(addr), ssl, m.d.cert), args...)
}

// syncWith runs it with a server that is found so.
func (m *mirror) syncWith(t *testing.T, server string, args ...string) string {
	t.Helper()
	return m.c.run(t, append(args, "--config", m.config(t, server), "--all")...)
}

// config writes mbsync's configuration.
func (m *mirror) config(t *testing.T, server string) string {
	t.Helper()
	return m.c.write(t, "mbsyncrc", fmt.Appendf(nil, `IMAPStore far
%s
MaildirStore near
Path %[2]s/
Inbox %[2]s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, server, m.near))
}

// nothingToDo syncs, which asks for no message and changes nothing near.
func (m *mirror) nothingToDo(t *testing.T) {
	t.Helper()
	before := m.files(t)
	asked := regexp.MustCompile(`(?m)^F: >>> \d+ (.*)$`).FindAllStringSubmatch(m.sync(t, implicitTLS, "--debug"), -1)
	if len(asked) < len(m.maildirs(t)) {
		t.Errorf("the conversation cannot be read from what mbsync prints: %q", asked)
	}
	harmless := regexp.MustCompile(`^(AUTHENTICATE PLAIN .*|COMPRESS DEFLATE|NAMESPACE|LIST .*|SELECT .*|UID FETCH [\d:*]+ \(UID FLAGS\)|CLOSE|LOGOUT)\r?$`)
	for _, command := range asked {
		if !harmless.MatchString(command[1]) {
			t.Errorf("a sync with nothing to do asks for %q", command[1])
		}
	}
	equal(t, "files after a sync with nothing to do", m.files(t), before)
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// check demands that both sides hold what is wanted.
func (m *mirror) check(t *testing.T, when string) {
	t.Helper()
	equal(t, when+": mailboxes far", m.d.mailboxes(t), slices.Sorted(maps.Keys(m.want)))
	equal(t, when+": mailboxes near", m.maildirs(t), slices.Sorted(maps.Keys(m.want)))
	for name, want := range m.want {
		sameBox(t, when+": "+name+" far", m.farBox(t, name), want)
		sameBox(t, when+": "+name+" near", m.nearBox(t, name), want)
	}
}

func sameBox(t *testing.T, what string, got, want box) {
	t.Helper()
	for mail, flags := range want {
		switch f, ok := got[mail]; {
		case !ok:
			t.Errorf("%s: misses %s", what, brief([]byte(mail)))
		case f != flags:
			t.Errorf("%s: flags %q, want %q: %s", what, f, flags, brief([]byte(mail)))
		}
	}
	for mail := range got {
		if _, ok := want[mail]; !ok {
			t.Errorf("%s: should not have %s", what, brief([]byte(mail)))
		}
	}
}

// farBox reads a mailbox of the server.
func (m *mirror) farBox(t *testing.T, name string) box {
	t.Helper()
	b := make(box)
	mails := m.d.overIMAP(t, name)
	for _, s := range mails {
		var flags []string
		for _, f := range s.flags {
			flags = append(flags, map[imap.Flag]string{
				imap.FlagDraft: "D", imap.FlagFlagged: "F", imap.FlagForwarded: "P",
				imap.FlagAnswered: "R", imap.FlagSeen: "S", imap.FlagDeleted: "T",
			}[f])
		}
		slices.Sort(flags)
		b[normal(s.raw)] = strings.Join(flags, "")
	}
	equal(t, name+" far: different messages", len(b), len(mails))
	return b
}

// nearBox reads a Maildir.
func (m *mirror) nearBox(t *testing.T, name string) box {
	t.Helper()
	b := make(box)
	mails := readMaildir(t, filepath.Join(m.near, name))
	for file, raw := range mails {
		_, flags, _ := strings.Cut(file, ":2,")
		b[normal(raw)] = flags
	}
	equal(t, name+" near: different messages", len(b), len(mails))
	return b
}

// maildirs returns the names of all Maildirs, sorted.
func (m *mirror) maildirs(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, file := range m.files(t) {
		if name, ok := strings.CutSuffix(file, "/cur"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// files returns the names of all files and directories near, but those that
// begin with a dot: there mbsync keeps its state.
func (m *mirror) files(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(m.near), ".", func(name string, e fs.DirEntry, err error) error {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, name)
		}
		return err
	})
	must(t, "walk the Maildirs", err)
	return names
}

// deliver puts a message into a Maildir, which is made if there is none.
func (m *mirror) deliver(t *testing.T, name, file, flags string, mail []byte) {
	t.Helper()
	dir := filepath.Join(m.near, name)
	makeMaildir(t, dir)
	file = filepath.Join(dir, "cur", file+":2,"+flags)
	must(t, "deliver", os.WriteFile(file, []byte(normal(mail)), 0o600))
	if m.want[name] == nil {
		m.want[name] = make(box)
	}
	m.want[name][normal(mail)] = flags
}

// find returns the file of a message in a Maildir.
func (m *mirror) find(t *testing.T, name string, mail []byte) string {
	t.Helper()
	for file, raw := range readMaildir(t, filepath.Join(m.near, name)) {
		if normal(raw) == normal(mail) {
			return filepath.Join(m.near, name, file)
		}
	}
	t.Fatalf("%s near: misses %s", name, brief(mail))
	return ""
}

// setNear sets the flags of a message in a Maildir.
func (m *mirror) setNear(t *testing.T, name string, mail []byte, flags string) {
	t.Helper()
	file := m.find(t, name, mail)
	unique, _, _ := strings.Cut(filepath.Base(file), ":2,")
	must(t, "rename", os.Rename(file, filepath.Join(m.near, name, "cur", unique+":2,"+flags)))
	m.want[name][normal(mail)] = flags
}

func (m *mirror) removeNear(t *testing.T, name string, mail []byte) {
	t.Helper()
	must(t, "remove", os.Remove(m.find(t, name, mail)))
	delete(m.want[name], normal(mail))
}

// store changes flags of the one message far whose subject has the text.
func (m *mirror) store(t *testing.T, s *imapclient.Client, name, subject string, op imap.StoreFlagsOp, flags ...imap.Flag) {
	t.Helper()
	_, err := s.Select(name, nil).Wait()
	must(t, "select", err)
	found, err := s.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}}, nil).Wait()
	must(t, "search", err)
	if len(found.AllUIDs()) != 1 {
		t.Fatalf("%s: %d messages have the subject %s", name, len(found.AllUIDs()), subject)
	}
	must(t, "store", s.Store(imap.UIDSetNum(found.AllUIDs()...), &imap.StoreFlags{Op: op, Flags: flags, Silent: true}, nil).Close())
}
