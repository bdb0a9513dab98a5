package imap_test

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// others are the other programs that use a Maildir while a server serves it.
type others struct {
	dir string

	mu sync.Mutex
	n  int
}

// deliver puts a message into new as a delivery agent does.
func (o *others) deliver(subject string) error {
	o.mu.Lock()
	o.n++
	n := o.n
	name := fmt.Sprintf("1700000000.M%dP7.example", n)
	o.mu.Unlock()
	tmp := filepath.Join(o.dir, "tmp", name)
	if err := os.WriteFile(tmp, []byte("Subject: "+subject+"\n\ntext\n"), 0o600); err != nil {
		return err
	}
	if n%2 == 0 {
		return os.Rename(tmp, filepath.Join(o.dir, "new", name))
	}
	if err := os.Link(tmp, filepath.Join(o.dir, "new", name)); err != nil {
		return err
	}
	return os.Remove(tmp)
}

// files returns the files of all messages: cur/NAME or new/NAME by subject. A file that is
// renamed meanwhile may be missing.
func (o *others) files() (map[string]string, error) {
	list, err := o.list()
	if err != nil {
		return nil, err
	}
	all := make(map[string]string)
	for _, file := range list {
		text, err := os.ReadFile(filepath.Join(o.dir, file))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		subject, _, _ := strings.Cut(strings.TrimPrefix(string(text), "Subject: "), "\n")
		subject = strings.TrimSuffix(subject, "\r")
		if have, twice := all[subject]; twice && baseName(have) != baseName(file) {
			return nil, fmt.Errorf("%s and %s are one message", have, file)
		}
		all[subject] = file
	}
	return all, nil
}

// list returns the files in new and cur.
func (o *others) list() (files []string, err error) {
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(o.dir, sub))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			files = append(files, filepath.Join(sub, e.Name()))
		}
	}
	return files, nil
}

func baseName(file string) string {
	base, _, _ := strings.Cut(filepath.Base(file), ":2,")
	return base
}

func letters(file string) string {
	_, flags, _ := strings.Cut(file, ":2,")
	return flags
}

// flag gives a message other flags, in the letters of file names. It tries until the file is
// not renamed by somebody else meanwhile, as mail readers do.
func (o *others) flag(subject string, change func(letters string) string) error {
	return o.try(subject, func(file string) error {
		to := filepath.Join("cur", baseName(file)+":2,"+change(letters(file)))
		if to == file {
			return nil
		}
		return os.Rename(filepath.Join(o.dir, file), filepath.Join(o.dir, to))
	})
}

func (o *others) remove(subject string) error {
	return o.try(subject, func(file string) error { return os.Remove(filepath.Join(o.dir, file)) })
}

func (o *others) try(subject string, do func(file string) error) error {
	for end := time.Now().Add(time.Minute); ; {
		files, err := o.files()
		if err != nil {
			return err
		}
		if file, ok := files[subject]; ok {
			if err := do(file); !os.IsNotExist(err) {
				return err
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("message %s cannot be caught", subject)
		}
	}
}

// with and without change letters, which stay in order.
func with(letter string) func(string) string {
	return func(letters string) string {
		if strings.Contains(letters, letter) {
			return letters
		}
		all := strings.Split(letters+letter, "")
		slices.Sort(all)
		return strings.Join(all, "")
	}
}

func without(letter string) func(string) string {
	return func(letters string) string { return strings.ReplaceAll(letters, letter, "") }
}

// startBeside starts a server over a Maildir and returns what others see of a mailbox.
func startBeside(t *testing.T) (s *server, inbox, box *others) {
	t.Helper()
	dir := t.TempDir()
	fx := fuzzFixture()
	fx.Messages = nil
	s = startServer(t, fx, filedIn(t, dir, nil))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &others{dir: filepath.Join(dir, "demo")}, &others{dir: filepath.Join(dir, "demo", ".Box")}
}

// hear waits for a line that matches, and returns it.
func (c *rawClient) hear(pattern string) string {
	c.t.Helper()
	want := regexp.MustCompile("^" + pattern + "$")
	for {
		if line := c.answer(); want.MatchString(line) {
			return line
		}
	}
}

func (c *rawClient) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// TestOthersAreHeard: what other programs do with files is told to clients that idle, in
// INBOX and elsewhere: arrivals, flags, keywords, removals.
func TestOthersAreHeard(t *testing.T) {
	s, inbox, box := startBeside(t)
	for _, at := range []struct {
		mailbox string
		*others
	}{{"INBOX", inbox}, {"Box", box}} {
		t.Run(at.mailbox, func(t *testing.T) {
			t.Parallel() // names follow the flags after a while
			c := dialRaw(t, s)
			if _, status := c.do("SELECT " + at.mailbox); !strings.HasPrefix(status, "OK") {
				t.Fatal(status)
			}
			idle := func() {
				c.say("i IDLE")
				c.hear(`\+ .*`)
			}
			done := func(err error, pattern string) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				c.hear(pattern)
			}
			idle()
			done(at.deliver("one"), `\* 1 EXISTS`)
			done(at.deliver("two"), `\* 2 EXISTS`)
			// A mail reader takes a message out of new.
			done(at.flag("one", with("S")), `\* 1 FETCH \(.*FLAGS \(\\Seen.*\).*`)
			done(at.flag("one", with("F")), `\* 1 FETCH \(.*FLAGS \(\\Flagged \\Seen.*\).*`)
			done(at.flag("one", without("S")), `\* 1 FETCH \(.*FLAGS \(\\Flagged[^S]*\).*`)
			done(at.flag("two", with("T")), `\* 2 FETCH \(.*FLAGS \(\\Deleted.*\).*`)
			c.say("DONE")
			c.hear(`i OK .*`)

			// Keywords are letters too.
			c.do(`STORE 2 -FLAGS (\Deleted)`)
			c.do(`STORE 2 +FLAGS (work)`)
			idle()
			letter := "T"
			for end := time.Now().Add(20 * time.Second); letter == "T"; time.Sleep(5 * time.Millisecond) {
				files, err := at.files()
				if err != nil {
					t.Fatal(err)
				}
				if letter = letters(files["two"]); time.Now().After(end) {
					t.Fatal("the name of the file does not follow the flags")
				}
			}
			if letter != "a" {
				t.Errorf("work and nothing else is %q in the name of the file", letter)
			}
			done(at.flag("one", with(letter)), `\* 1 FETCH \(.*FLAGS \(\\Flagged[^S]* work.*\).*`)
			done(at.flag("two", without(letter)), `\* 2 FETCH \(.*FLAGS \((\\Recent)?\).*`)

			done(at.remove("one"), `\* 1 EXPUNGE`)
			done(at.deliver("three"), `\* 2 EXISTS`)
			c.say("DONE")
			c.hear(`i OK .*`)
			untagged, _ := c.do("UID FETCH 1:* (UID BODY.PEEK[])")
			if len(untagged) != 2 || !strings.Contains(untagged[0], "UID 2 ") || !strings.Contains(untagged[1], "UID 3 ") ||
				literalOf(t, untagged[1]) != "Subject: three\r\n\r\ntext\r\n" {
				t.Errorf("in the mailbox is %q", untagged)
			}
		})
	}
}

var subjectOf = regexp.MustCompile(`(?s)^\* \d+ FETCH \(.*Subject: (\S+)`)

// TestBesideOthers: delivery agents, a mail reader and clients of the server use a mailbox
// at once. Nothing is lost, nothing comes back, and the flags are those that anybody gave.
func TestBesideOthers(t *testing.T) {
	const each = 40
	s, inbox, _ := startBeside(t)
	var wg sync.WaitGroup
	failed := func(err error) bool {
		if err != nil {
			t.Error(err)
		}
		return err != nil
	}
	// Of each delivery agent's messages others change the flags, remove or leave some:
	// which, their number says.
	for _, agent := range []string{"x", "y"} {
		wg.Go(func() {
			for i := range each {
				if failed(inbox.deliver(fmt.Sprintf("%s-%d", agent, i))) {
					return
				}
			}
		})
		wg.Go(func() { // a mail reader
			random := rand.New(rand.NewPCG(1, uint64(agent[0])))
			for i := range each {
				subject := fmt.Sprintf("%s-%d", agent, i)
				switch {
				case i%4 == 0:
					failed(inbox.remove(subject))
				case i%4 == 1 || i%4 == 2:
					for _, change := range []func(string) string{with("S"), with("F"), without("S")} {
						if random.IntN(3) > 0 {
							change = with("F")
						}
						failed(inbox.flag(subject, change))
					}
					failed(inbox.flag(subject, func(l string) string { return with("F")(without("S")(l)) }))
				}
			}
		})
	}
	wg.Go(func() { // a client
		c := dialRaw(t, s)
		flagged := make(map[string]bool)
		for end := time.Now().Add(time.Minute); len(flagged) < each && time.Now().Before(end); {
			fetched, _ := c.do("FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
			for _, f := range fetched {
				m := subjectOf.FindStringSubmatch(f)
				if m == nil || flagged[m[1]] {
					continue
				}
				var agent string
				var i int
				if n, _ := fmt.Sscanf(strings.Replace(m[1], "-", " ", 1), "%s %d", &agent, &i); n != 2 || agent == "z" || i%4 < 2 {
					continue
				}
				flagged[m[1]] = true
				uid := regexp.MustCompile(`UID (\d+)`).FindStringSubmatch(f)[1]
				c.do("UID STORE " + uid + ` +FLAGS (\Answered)`)
				if i%4 == 3 {
					c.do("UID STORE " + uid + ` +FLAGS (\Deleted)`)
					c.do("UID EXPUNGE " + uid)
				}
			}
		}
		if len(flagged) < each {
			t.Errorf("the client has seen %d messages", len(flagged))
		}
	})
	wg.Go(func() { // another one
		for i := range each / 2 {
			m := prototest.Message{User: "demo", Mailbox: "INBOX", Content: fmt.Appendf(nil, "Subject: z-%d\r\n\r\ntext\r\n", i)}
			failed(s.Deliver(t, m))
		}
	})
	wg.Wait()

	want := make(map[string]string)
	for i := range each {
		for _, agent := range []string{"x", "y"} {
			switch i % 4 {
			case 1:
				want[fmt.Sprintf("%s-%d", agent, i)] = "F"
			case 2:
				want[fmt.Sprintf("%s-%d", agent, i)] = "FR"
			}
		}
	}
	for i := range each / 2 {
		want[fmt.Sprintf("z-%d", i)] = ""
	}
	c := dialRaw(t, s)
	var onDisk, told map[string]string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		files, err := inbox.files()
		if err != nil {
			t.Fatal(err)
		}
		onDisk = make(map[string]string)
		for subject, file := range files {
			onDisk[subject] = letters(file)
		}
		fetched, _ := c.do("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
		told = make(map[string]string)
		for _, f := range fetched {
			if m := subjectOf.FindStringSubmatch(f); m != nil {
				if _, twice := told[m[1]]; twice {
					t.Fatalf("%s is there twice", m[1])
				}
				l := ""
				for _, flag := range []string{`F\Flagged`, `R\Answered`, `S\Seen`, `T\Deleted`} {
					if strings.Contains(f, flag[1:]) {
						l += flag[:1]
					}
				}
				told[m[1]] = l
			}
		}
		if maps.Equal(onDisk, want) && maps.Equal(told, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("on disk are %v\nclients are told %v\nwant %v", onDisk, told, want)
		}
	}
}

// TestResyncAfterOthers: what other programs did while no server ran is all that a client is
// told when it comes back (RFC 7162, section 3.2.5).
func TestResyncAfterOthers(t *testing.T) {
	dir := t.TempDir()
	inbox := &others{dir: filepath.Join(dir, "demo")}
	serve := func() (c *rawClient, stop func()) {
		fx := fuzzFixture()
		fx.Messages, fx.Mailboxes = nil, nil
		s := startServer(t, fx, filedIn(t, dir, nil))
		c = dialRaw(t, s)
		c.do("UNSELECT")
		c.do("ENABLE QRESYNC")
		return c, func() {
			c.nc.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	c, stop := serve()
	for _, subject := range []string{"one", "two", "three", "four", "five"} {
		if err := inbox.deliver(subject); err != nil {
			t.Fatal(err)
		}
	}
	var told []string
	for end := time.Now().Add(30 * time.Second); !slices.Contains(told, "* 5 EXISTS"); {
		if told, _ = c.do("SELECT INBOX"); time.Now().After(end) {
			t.Fatalf("told %q", told)
		}
	}
	c.do(`UID STORE 1:5 +FLAGS (word)`)
	told, _ = c.do("SELECT INBOX")
	all := strings.Join(told, "\n")
	validity := regexp.MustCompile(`UIDVALIDITY (\d+)`).FindStringSubmatch(all)
	highest := regexp.MustCompile(`HIGHESTMODSEQ (\d+)`).FindStringSubmatch(all)
	stop()

	for _, err := range []error{
		inbox.deliver("six"),
		inbox.remove("two"),
		inbox.flag("three", with("F")),
		inbox.flag("four", func(string) string { return "" }),
		inbox.flag("five", func(string) string { return "" }),
		inbox.flag("five", with("a")), // as it was
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c, stop = serve()
	defer stop()
	told, _ = c.do(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", validity[1], highest[1]))
	var news []string
	for _, line := range told {
		if strings.HasPrefix(line, "* VANISHED") || strings.Contains(line, " FETCH ") {
			line = strings.ReplaceAll(strings.ReplaceAll(line, ` \Recent`, ""), `\Recent`, "")
			news = append(news, regexp.MustCompile(` MODSEQ \(\d+\)`).ReplaceAllString(line, ""))
		}
	}
	want := []string{
		"* VANISHED (EARLIER) 2",
		`* 2 FETCH (UID 3 FLAGS (\Flagged word))`,
		"* 3 FETCH (UID 4 FLAGS ())",
		"* 5 FETCH (UID 6 FLAGS ())",
	}
	if !slices.Equal(news, want) {
		t.Errorf("told %q, want %q", news, want)
	}
}
