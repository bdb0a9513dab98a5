//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Mail of Dovecot comes in by IMAP and by its files, goes out to another Dovecot by IMAP and as
// files, and each time is what it was. A second run carries only what has changed.
func TestTransferDovecot(t *testing.T) {
	bin := build(t, "..")
	for _, names := range []naming{{separator: "/"}, {separator: "."}, {separator: ".", prefix: "INBOX."}} {
		t.Run(fmt.Sprintf("%+v", names), func(t *testing.T) {
			t.Parallel()
			old := newDovecot(t, newFiles(t, bin), names)
			old.fill(t)
			known := old.neutral(t)
			if len(known.boxes) < 5 || len(known.subscribed) != 3 {
				t.Fatalf("Dovecot has %v", known)
			}
			ours := newFiles(t, bin)
			in := []string{"import", old.listen(t), "--insecure-plaintext", "--password-file", password(t), "--user", "demo"}
			total := ours.transfer(t, in...)
			messages := 0
			for _, b := range known.boxes {
				messages += len(b.mails)
			}
			equal(t, "imported", total, fmt.Sprintf("%d moved, 0 skipped", messages))
			sameState(t, "imported from Dovecot", ours.state(t), known)
			equal(t, "imported again", ours.transfer(t, in...), fmt.Sprintf("0 moved, %d skipped", messages))

			// The old server is still in use.
			c := old.session(t)
			name := old.name("Lists/Go")
			_, err := c.Select(name, nil).Wait()
			must(t, "select", err)
			must(t, "store", c.Store(imap.UIDSetNum(2, 3), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, "seen-later"}}, nil).Close())
			appendMail(t, c, name, letters("late", 1)[0], &imap.AppendOptions{Time: time.Unix(1e9, 0)})
			logout(t, c)
			equal(t, "what changed", ours.transfer(t, in...), fmt.Sprintf("1 moved, %d skipped, 2 with other flags", messages))
			known = old.neutral(t)
			sameState(t, "cut over from Dovecot", ours.state(t), known)

			// To an empty one, by IMAP.
			to := newDovecot(t, newFiles(t, bin), names)
			out := []string{"export", to.listen(t), "--insecure-plaintext", "--password-file", password(t), "--user", "demo"}
			equal(t, "exported", ours.transfer(t, out...), fmt.Sprintf("%d moved, 0 skipped", messages+1))
			sameState(t, "exported to Dovecot", to.neutral(t), known)
			equal(t, "exported again", ours.transfer(t, out...), fmt.Sprintf("0 moved, %d skipped", messages+1))
			if names.separator != "/" {
				return // its files are of another Maildir++ than listescape's
			}

			// And by files, both ways.
			files := newDovecot(t, newFiles(t, bin), names)
			ours.transfer(t, "export", "maildir:"+files.f.maildir("INBOX"), "--user", "demo")
			sameState(t, "exported as a Maildir", files.neutral(t), known)
			back := newFiles(t, bin)
			back.transfer(t, "import", "maildir:"+files.f.maildir("INBOX"), "--user", "demo")
			sameState(t, "imported from a Maildir", back.state(t), known)
		})
	}
}

// Through mbox files mail comes back as it was.
func TestTransferMbox(t *testing.T) {
	bin := build(t, "..")
	example := copyMail(t, start(t, program{bin.file, []string{"demo"}}))
	ours := newFiles(t, bin)
	d := ours.serve(t)
	d.fill(t, example)
	d.stop()
	want := ours.state(t)
	dir := filepath.Join(t.TempDir(), "mail")
	ours.transfer(t, "export", "mbox:"+dir, "--user", "demo")
	back := newFiles(t, bin)
	back.transfer(t, "import", "mbox:"+dir, "--user", "demo")
	sameState(t, "there and back", back.state(t), want)
}

func password(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	must(t, "write", os.WriteFile(file, []byte("demo\n"), 0o600))
	return file
}

// transfer runs import or export, which has to go well, and returns its last line without sizes.
func (f *files) transfer(t *testing.T, args ...string) string {
	t.Helper()
	args = append(args, "--store", "maildir:"+f.root)
	cmd := exec.CommandContext(t.Context(), f.bin, args...)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Dir(f.root))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mailaccess %s: %v\n%s\n%s", strings.Join(args, " "), err, out, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	total := strings.TrimPrefix(lines[len(lines)-1], "total: ")
	before, after, _ := strings.Cut(total, " (")
	_, after, _ = strings.Cut(after, ")")
	return strings.ReplaceAll(before+after, " skipped as they are there", " skipped")
}

// state is what clients see of the store, which nobody serves. UIDs are left out.
func (f *files) state(t *testing.T) serverState {
	t.Helper()
	d := f.serve(t)
	s := stateOf(t, d.session(t, nil)).withoutUIDs()
	d.stop()
	return s
}

// neutral is what clients see of Dovecot, without UIDs, and with names as we have them.
func (dc *dovecot) neutral(t *testing.T) serverState {
	t.Helper()
	s := dc.state(t).withoutUIDs()
	prefix := strings.ReplaceAll(dc.prefix, dc.separator, "/")
	boxes := make(map[string]boxState)
	for name, b := range s.boxes {
		boxes[strings.TrimPrefix(name, prefix)] = b
	}
	s.boxes = boxes
	for i, name := range s.subscribed {
		s.subscribed[i] = strings.TrimPrefix(name, prefix)
	}
	slices.Sort(s.subscribed)
	return s
}

// listen lets clients reach Dovecot by TCP, each of whom gets one of its own, already logged
// in. It returns the URL.
func (dc *dovecot) listen(t *testing.T) string {
	t.Helper()
	dc.give(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				f, err := conn.(*net.TCPConn).File()
				conn.Close()
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				ctx, kill := context.WithTimeout(context.Background(), clientTime)
				defer kill()
				cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+dc.command)
				cmd.Stdin, cmd.Stdout = f, f
				var stderr strings.Builder
				cmd.Stderr = &stderr
				if err := cmd.Run(); err != nil || strings.Contains(stderr.String(), "Error:") {
					t.Errorf("Dovecot: %v: %s", err, stderr.String())
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		clients.Wait()
	})
	return "imap://demo@" + l.Addr().String()
}
