//go:build interop

package interop

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Dovecot keeps a Maildir, and then we do: clients find the UIDVALIDITY, UIDs, flags,
// keywords and subscriptions that they know, and have nothing to download. Then Dovecot
// reads what we have made of it.
func TestDovecot(t *testing.T) {
	bin := build(t, "..")
	for _, names := range []naming{
		{separator: "."},
		{separator: "/"},
		{separator: ".", prefix: "INBOX."}, // as Courier's
		{separator: ".", utf8: true},
	} {
		t.Run(fmt.Sprintf("%+v", names), func(t *testing.T) {
			t.Parallel()
			f := newFiles(t, bin)
			dc := newDovecot(t, f, names)
			dc.fill(t)
			m := &mirror{c: dc.tool(t, "mbsync"), want: make(boxes)}
			m.near = filepath.Join(m.c.dir, "mail")
			makeMaildir(t, filepath.Join(m.near, "INBOX"))
			m.syncWith(t, "Tunnel \""+dc.command+"\"\n")
			known := dc.state(t)
			if len(known.boxes) < 5 || len(known.subscribed) != 3 {
				t.Fatalf("Dovecot has %v", known)
			}

			d := f.serve(t, "--name-separator", names.separator, "--name-prefix", names.prefix)
			m.d = d
			taken := stateOf(t, d.session(t, nil))
			sameState(t, "taken over from Dovecot", taken, known)
			m.nothingToDo(t)
			ours := changeTaken(t, d, names)
			d.stop()
			f.check(t)

			// Dovecot reads what we have written. The UIDs are new to it.
			sameState(t, "read by Dovecot", dc.state(t).withoutUIDs(), ours.withoutUIDs())
		})
	}
}

// TestDovecotReads: Dovecot understands a Maildir in which it never was.
func TestDovecotReads(t *testing.T) {
	bin := build(t, "..")
	example := copyMail(t, start(t, program{bin.file, []string{"demo"}}))
	f := newFiles(t, bin)
	d := f.serve(t)
	d.fill(t, example)
	c := d.session(t, nil)
	for _, name := range []string{"v1.2", "v1.2/Übung", "R&D"} {
		must(t, "create", c.Create(name, nil).Wait())
		must(t, "subscribe", c.Subscribe(name).Wait())
		appendMail(t, c, name, letters("ours", 1)[0], &imap.AppendOptions{Flags: []imap.Flag{"work", imap.FlagSeen}})
	}
	ours := stateOf(t, c)
	d.stop()
	dc := newDovecot(t, f, naming{separator: "/"})
	sameState(t, "read by Dovecot", dc.state(t).withoutUIDs(), ours.withoutUIDs())
}

// dovecot is Dovecot's IMAP server on the Maildir of the user demo. It is run for one client
// at a time, who is logged in, and speaks on its standard input and output: no daemon.
type dovecot struct {
	*demo
	naming
	f       *files
	command string
}

// naming is how clients know mailboxes.
type naming struct {
	separator, prefix string
	utf8              bool // on disk
}

// name is what clients call a mailbox that is not INBOX.
func (n naming) name(name string) string {
	return n.prefix + strings.ReplaceAll(name, "/", n.separator)
}

func newDovecot(t *testing.T, f *files, names naming) *dovecot {
	t.Helper()
	d, _ := newDemo(t)
	dc := &dovecot{demo: d, f: f, naming: names}
	location, plugins := f.maildir("INBOX"), ""
	if names.utf8 {
		location += ":UTF-8"
	}
	if names.separator == "/" {
		plugins = "listescape" // for names with a dot
	}
	const server = "/usr/lib/dovecot/imap"
	if _, err := os.Stat(server); err != nil {
		t.Fatalf("%v: .ci/run installs what is missing", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "dovecot.conf")
	must(t, "write", os.WriteFile(config, fmt.Appendf(nil, `base_dir = %[1]s
state_dir = %[1]s
mail_location = maildir:%[2]s
first_valid_uid = 1
first_valid_gid = 1
ssl = no
mail_plugins = %[3]s
namespace inbox {
  inbox = yes
  separator = %[4]s
  prefix = %[5]s
}
`, dir, location, plugins, names.separator, names.prefix), 0o644))
	dc.command = "env USER=demo HOME=" + dir + " " + server + " -c " + config
	if os.Getuid() == 0 {
		// It does not work for root. Others have to reach the directories.
		dc.command = fmt.Sprintf("setpriv --reuid=%d --regid=%[1]d --clear-groups %s", nobody, dc.command)
		for _, dir := range []string{dir, f.root} {
			for parent := dir; parent != os.TempDir() && parent != "/"; parent = filepath.Dir(parent) {
				if err := os.Chmod(parent, 0o755); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
		}
		must(t, "chown", os.Chown(dir, nobody, nobody))
	}
	return dc
}

// nobody is the user of Debian that owns nothing.
const nobody = 65534

// session begins a conversation.
func (dc *dovecot) session(t *testing.T) *imapclient.Client {
	t.Helper()
	dc.give(t)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, "socketpair", err)
	here, there := os.NewFile(uintptr(fds[0]), "client"), os.NewFile(uintptr(fds[1]), "server")
	conn, err := net.FileConn(here)
	must(t, "connection", err)
	here.Close()
	// Not the context of the test, whose end would kill it before it has logged out.
	ctx, kill := context.WithTimeout(context.Background(), clientTime)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+dc.command)
	var stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = there, there, &stderr
	must(t, "start Dovecot", cmd.Start())
	there.Close()
	c := imapclient.New(conn, nil)
	t.Cleanup(func() {
		defer kill()
		c.Close()
		if err := cmd.Wait(); err != nil || strings.Contains(stderr.String(), "Error:") {
			t.Errorf("Dovecot: %v: %s", err, stderr.String())
		}
	})
	must(t, "greeting", c.WaitGreeting())
	return c
}

// give gives it the files, if the tests are root's.
func (dc *dovecot) give(t *testing.T) {
	t.Helper()
	must(t, "make the root", os.MkdirAll(dc.f.root, 0o755))
	if os.Getuid() == 0 {
		must(t, "give away the files", filepath.WalkDir(dc.f.root, func(name string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(name, nobody, nobody)
		}))
	}
}

// fill uses it for a while.
func (dc *dovecot) fill(t *testing.T) {
	t.Helper()
	c := dc.session(t)
	names := []string{"Lists", "Lists/Go", "Entwürfe/日本語", "R&D"}
	if dc.separator == "/" {
		names = append(names, "v1.2", "v1.2/sub.level")
	}
	flags := [][]imap.Flag{
		{imap.FlagSeen}, {}, {imap.FlagFlagged, "work"}, {imap.FlagAnswered, imap.FlagSeen, imap.FlagForwarded},
		{imap.FlagDraft}, {"$MDNSent", "work", "later"}, {imap.FlagDeleted},
	}
	date := time.Date(2019, 3, 31, 1, 59, 59, 0, time.UTC)
	for n, name := range append([]string{"INBOX"}, names...) {
		if name != "INBOX" {
			name = dc.name(name)
			must(t, "create", c.Create(name, nil).Wait())
		}
		for i, mail := range letters("dovecot", 14) {
			appendMail(t, c, name, mail, &imap.AppendOptions{Flags: flags[(n+i)%len(flags)], Time: date.Add(time.Duration(i) * time.Hour)})
		}
	}
	for _, name := range []string{"INBOX", dc.name("Entwürfe/日本語"), dc.name("R&D")} {
		must(t, "subscribe", c.Subscribe(name).Wait())
	}
	// UIDs go, and the last one too; others come from elsewhere.
	_, err := c.Select("INBOX", nil).Wait()
	must(t, "select", err)
	must(t, "store", c.Store(imap.UIDSetNum(2, 3, 9, 14), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, "expunge", c.Expunge().Close())
	_, err = c.Copy(imap.UIDSetNum(1, 4), dc.name("Lists/Go")).Wait()
	must(t, "copy", err)
	_, err = c.Move(imap.UIDSetNum(5), dc.name("Lists")).Wait()
	must(t, "move", err)
	must(t, "store", c.Store(imap.UIDSetNum(1, 8), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{"late", imap.FlagFlagged}}, nil).Close())
	logout(t, c)
}

func (dc *dovecot) state(t *testing.T) serverState {
	t.Helper()
	return stateOf(t, dc.session(t))
}

// changeTaken goes on using what was taken over, and returns the state at the end.
func changeTaken(t *testing.T, d *demo, names naming) serverState {
	t.Helper()
	c, name := d.session(t, nil), names.name
	_, err := c.Select(name("Lists/Go"), nil).Wait()
	must(t, "select", err)
	must(t, "store", c.Store(imap.UIDSetNum(1, 2), &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{"ours", imap.FlagAnswered}}, nil).Close())
	must(t, "store", c.Store(imap.UIDSetNum(3), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close())
	must(t, "expunge", c.UIDExpunge(imap.UIDSetNum(3)).Close())
	_, err = c.Move(imap.UIDSetNum(4), "INBOX").Wait()
	must(t, "move", err)
	must(t, "create", c.Create(name("Neu/Übung"), nil).Wait())
	must(t, "subscribe", c.Subscribe(name("Neu/Übung")).Wait())
	must(t, "rename", c.Rename(name("R&D"), name("Neu/R&D"), nil).Wait())
	for i, m := range letters("ours", 12) {
		appendMail(t, c, name("Neu/Übung"), m, &imap.AppendOptions{Flags: [][]imap.Flag{{"work"}, {imap.FlagSeen, "ours"}, {}}[i%3], Time: time.Unix(1e9, 0)})
	}
	return stateOf(t, c)
}

// serverState is what a client knows of a server that keeps UIDs.
type serverState struct {
	boxes      map[string]boxState // by name, with / between levels
	subscribed []string
}

type boxState struct {
	validity uint32
	next     imap.UID
	mails    map[string]string // flags, date and content by UID
}

// stateOf asks for everything, and logs out.
func stateOf(t *testing.T, c *imapclient.Client) serverState {
	t.Helper()
	s := serverState{boxes: make(map[string]boxState)}
	list, err := c.List("", "*", &imap.ListOptions{}).Collect()
	must(t, "list", err)
	for _, m := range list {
		if slices.Contains(m.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(m.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		selected, err := c.Select(m.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		must(t, "examine "+m.Mailbox, err)
		b := boxState{validity: selected.UIDValidity, next: selected.UIDNext, mails: make(map[string]string)}
		if selected.NumMessages > 0 {
			fetched, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}},
				&imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
			must(t, "fetch from "+m.Mailbox, err)
			for _, f := range fetched {
				var flags []string
				for _, flag := range f.Flags {
					if flag != `\Recent` {
						flags = append(flags, string(flag))
					}
				}
				slices.Sort(flags)
				b.mails[fmt.Sprint(f.UID)] = fmt.Sprintf("%v %d %d %x", flags, f.InternalDate.Unix(), f.RFC822Size, sha256.Sum256(f.FindBodySection(whole)))
			}
		}
		s.boxes[strings.ReplaceAll(m.Mailbox, string(m.Delim), "/")] = b
	}
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	must(t, "list subscriptions", err)
	for _, m := range subscribed {
		s.subscribed = append(s.subscribed, strings.ReplaceAll(m.Mailbox, string(m.Delim), "/"))
	}
	slices.Sort(s.subscribed)
	logout(t, c)
	return s
}

// withoutUIDs is the state as somebody sees it who does not know the UIDs.
func (s serverState) withoutUIDs() serverState {
	all := serverState{boxes: make(map[string]boxState), subscribed: s.subscribed}
	for name, b := range s.boxes {
		mails := make(map[string]string)
		for _, m := range b.mails {
			k := m
			for mails[k] != "" {
				k += " again"
			}
			mails[k] = m
		}
		all.boxes[name] = boxState{mails: mails}
	}
	return all
}

func sameState(t *testing.T, what string, got, want serverState) {
	t.Helper()
	equal(t, what+": mailboxes", slices.Sorted(maps.Keys(got.boxes)), slices.Sorted(maps.Keys(want.boxes)))
	equal(t, what+": subscriptions", got.subscribed, want.subscribed)
	for name, w := range want.boxes {
		g := got.boxes[name]
		equal(t, what+": "+name+": UIDVALIDITY and UIDNEXT", fmt.Sprint(g.validity, g.next), fmt.Sprint(w.validity, w.next))
		for uid, m := range w.mails {
			if g.mails[uid] != m {
				t.Errorf("%s: %s: message %s is %q, want %q", what, name, uid, g.mails[uid], m)
			}
		}
		equal(t, what+": "+name+": messages", len(g.mails), len(w.mails))
	}
}
