//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Other people's programs use a Maildir while the server serves it and clients are
// connected, who are told.
func TestOthersOverMaildir(t *testing.T) {
	bin := build(t, "..")
	for _, c := range []struct {
		name string
		test func(*testing.T, *files, *demo)
	}{
		{"procmail", procmail},
		{"maildrop", maildrop},
		{"deliver", ownDelivery},
		{"mbsync", mbsyncOnFiles},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t, bin)
			d := f.serve(t)
			c.test(t, f, d)
			d.stop()
			f.check(t)
		})
	}
}

func procmail(t *testing.T, f *files, d *demo) {
	c := d.tool(t, "procmail")
	rc := c.write(t, "rc", fmt.Appendf(nil, `DEFAULT=%s/
LOGFILE=%s
:0
* ^Message-ID: <other\.1.@
%s/
`, f.maildir("INBOX"), filepath.Join(c.dir, "log"), f.maildir("Lists/Go")))
	f.delivered(t, d, c, "-m", rc)
}

func maildrop(t *testing.T, f *files, d *demo) {
	c := d.tool(t, "maildrop")
	filter := c.write(t, "filter", fmt.Appendf(nil, `if (/^Message-ID: <other\.1.@/)
{
  to "%s"
}
to "%s"
`, f.maildir("Lists/Go"), f.maildir("INBOX")))
	f.delivered(t, d, c, filter)
}

// ownDelivery is "mailaccess deliver", called by something that sorts.
func ownDelivery(t *testing.T, f *files, d *demo) {
	c := d.tool(t, "sh")
	f.delivered(t, d, c, "-c", `cat > mail
box=INBOX
if grep -q '^Message-ID: <other\.1.@' mail; then box=Lists/Go; fi
exec "$0" deliver demo --store "maildir:$1" --mailbox $box < mail`, f.bin, f.root)
}

// delivered has 12 messages delivered by a program, of which numbers 10 to 12 go to Lists/Go.
// Clients that wait in both mailboxes are told of each.
func (f *files) delivered(t *testing.T, d *demo, c *client, args ...string) {
	s := d.session(t, nil)
	must(t, "create", s.Create("Lists/Go", nil).Wait())
	logout(t, s)
	inbox, lists := d.listen(t, "INBOX"), d.listen(t, "Lists/Go")
	mails := letters("other", 12)
	for i, m := range mails {
		cmd := exec.CommandContext(d.ctx, c.file, args...)
		cmd.Dir, cmd.Env = c.dir, []string{"HOME=" + c.dir, "PATH=/usr/bin:/bin"}
		cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(m, []byte("\r"), nil))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.file, err, out)
		}
		if i < 9 {
			inbox.await(t, fmt.Sprint("exists ", i+1))
		} else {
			lists.await(t, fmt.Sprint("exists ", i-8))
		}
	}
	inbox.end(t)
	lists.end(t)
	d.sameOverBoth(t, mails[:9])
	sameMailInOrder(t, "Lists/Go", raws(d.overIMAP(t, "Lists/Go")), mails[9:])
}

// mbsyncOnFiles keeps our Maildir and others alike, without asking the server: it keeps its
// UIDs in a file (AltMap), as it has to in Maildirs that others use.
func mbsyncOnFiles(t *testing.T, f *files, d *demo) {
	c := d.tool(t, "mbsync")
	m := &mirror{d: d, c: c, near: filepath.Join(c.dir, "mail"), want: make(boxes)}
	config := c.write(t, "mbsyncrc", fmt.Appendf(nil, `MaildirStore ours
Inbox %s
SubFolders Maildir++
AltMap yes

MaildirStore near
Path %[2]s/
Inbox %[2]s/INBOX
SubFolders Verbatim

Channel all
Far :ours:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState %[3]s/
`, f.maildir("INBOX"), m.near, c.dir))
	sync := func() { c.run(t, "--config", config, "--all") }
	check := func(when string) {
		t.Helper()
		equal(t, when+": mailboxes near", m.maildirs(t), slices.Sorted(maps.Keys(m.want)))
		for name, want := range m.want {
			sameBox(t, when+": "+name+" near", m.nearBox(t, name), want)
			d.until(t, func() bool { return maps.Equal(m.farBox(t, name), want) })
			sameBox(t, when+": "+name+" far", m.farBox(t, name), want)
		}
	}

	const far = "Lists/Go"
	s := d.session(t, nil)
	must(t, "create", s.Create("Lists", nil).Wait())
	must(t, "create", s.Create(far, nil).Wait())
	remote, local := letters("far", 24), letters("near", 24)
	for i, mail := range remote {
		flags := map[int][]imap.Flag{0: {imap.FlagSeen}, 1: {imap.FlagFlagged, imap.FlagSeen}, 2: {imap.FlagAnswered}, 3: {imap.FlagDraft}}[i%6]
		appendMail(t, s, far, mail, &imap.AppendOptions{Flags: flags})
	}
	m.want["INBOX"], m.want["Lists"], m.want[far] = make(box), make(box), m.farBox(t, far)
	for i, mail := range local {
		m.deliver(t, "INBOX", fmt.Sprintf("17%08d.M%d.example", i, i), []string{"", "S", "FS", "RS", "F"}[i%5], mail)
	}
	waiting := d.listen(t, "INBOX")
	sync()
	waiting.await(t, fmt.Sprint("exists ", len(local)))
	check("first sync")

	// Flags, removals and arrivals, on either side.
	m.setNear(t, "INBOX", local[0], "FRS")
	m.setNear(t, far, remote[0], "")
	m.removeNear(t, far, remote[2])
	m.removeNear(t, "INBOX", local[3])
	m.store(t, s, "INBOX", "near.2.", imap.StoreFlagsAdd, imap.FlagAnswered)
	m.want["INBOX"][normal(local[1])] = "RS"
	m.store(t, s, far, "far.2.", imap.StoreFlagsDel, imap.FlagSeen)
	m.want[far][normal(remote[1])] = "F"
	m.store(t, s, far, "far.5.", imap.StoreFlagsAdd, imap.FlagDeleted)
	must(t, "expunge", s.Expunge().Close())
	delete(m.want[far], normal(remote[4]))
	more := letters("more", 3)
	appendMail(t, s, far, more[0], nil)
	m.want[far][normal(more[0])] = ""
	m.deliver(t, far, "1800000001.M1.example", "S", more[1])
	m.deliver(t, "Projects", "1800000001.M2.example", "F", more[2])
	logout(t, s)
	// The names of the files follow the flags.
	for _, is := range []struct {
		name, flags string
		mail        []byte
	}{{"INBOX", "RS", local[1]}, {far, "F", remote[1]}} {
		d.until(t, func() bool { return maildirBox(t, f.maildir(is.name))[normal(is.mail)] == is.flags })
	}
	sync()
	waiting.await(t, `flags \d+ \\Answered \\Flagged \\Seen`)
	waiting.await(t, `expunge \d+`)
	waiting.end(t)
	check("second sync")

	before := m.files(t)
	sync()
	equal(t, "files after a sync with nothing to do", m.files(t), before)
	check("third sync")
}

// maildirBox reads a Maildir in which files may be renamed meanwhile.
func maildirBox(t *testing.T, dir string) box {
	t.Helper()
	b := make(box)
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		must(t, "read the Maildir", err)
		for _, e := range entries {
			raw, err := os.ReadFile(filepath.Join(dir, sub, e.Name()))
			if err != nil {
				continue
			}
			_, flags, _ := strings.Cut(e.Name(), ":2,")
			b[normal(canonical(raw))] = flags
		}
	}
	return b
}

// until waits for something that comes about.
func (d *demo) until(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-d.ctx.Done():
			t.Error("waited for in vain")
			return
		}
	}
}
