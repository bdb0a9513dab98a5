package maildir

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// SELECT of 100,000 messages looks at no message and lists nothing: not after a start either.
func TestSelectReadsNoDirectory(t *testing.T) {
	g := newGround(t)
	g.pretend(100_000)
	c := serve(t, g.open(nil)).dial()
	cold := g.during(func() { c.do("SELECT INBOX") })
	if n := openedFiles(cold) + listedDirs(cold); n != 0 {
		t.Errorf("the first SELECT opened or listed %d times", n)
	}
	for _, o := range cold {
		if strings.Contains(o.Name, ".rows.") || strings.Contains(o.Name, ".names.") {
			t.Errorf("the first SELECT did %v %s", o.Kind, o.Name)
		}
	}
	c.do("UNSELECT")
	warm := g.during(func() { c.do("SELECT INBOX") })
	if n := ofKind(warm, fsys.OpList, fsys.OpOpen, fsys.OpOpenRW, fsys.OpRead); n != 0 {
		t.Errorf("another SELECT did %v", warm)
	}
	// It looks whether folders came or went.
	if len(warm) > 1 {
		t.Errorf("another SELECT made %d calls: %v", len(warm), warm)
	}
}

// Opening an account and its INBOX takes as many operations with 100,000 messages as with
// 1,000, and reads no row.
func TestColdOpenReadsLittle(t *testing.T) {
	cost := func(n int) (ops, octets int) {
		g := newGround(t)
		g.pretend(n)
		s := g.open(nil)
		done := g.during(func() {
			h := g.account(s, "ann")
			m, err := h.Lookup(t.Context(), mailaccess.Inbox)
			if err != nil {
				t.Fatal(err)
			}
			release, err := h.Hold(t.Context(), m.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			st, err := h.Status(t.Context(), m.ID)
			if err != nil || st.Messages != n {
				t.Fatal(st.Messages, err)
			}
		})
		return len(done), octetsRead(done)
	}
	ops, octets := cost(1_000)
	moreOps, moreOctets := cost(100_000)
	if moreOps > ops {
		t.Errorf("%d operations for 100,000 messages, %d for 1,000", moreOps, ops)
	}
	// One UID in ten is missing, and each gap takes its place.
	if moreOctets > octets+100_000 {
		t.Errorf("%d octets read for 100,000 messages, %d for 1,000", moreOctets, octets)
	}
}

// What is unseen or deleted, and which messages there are, is searched without reading a row,
// and any flags without opening a file.
func TestSearchOfFlagsReadsLittle(t *testing.T) {
	const n = 1_000
	g := newGround(t)
	g.pretend(n)
	h := g.account(g.open(nil), "ann")
	m, err := h.Lookup(t.Context(), mailaccess.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	release, err := h.Hold(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	flag := func(f mailaccess.SystemFlags) mailaccess.Expr {
		return mailaccess.HasFlags{Flags: mailaccess.Flags{System: f}}
	}
	unseen := mailaccess.Not{X: flag(mailaccess.FlagSeen)}
	word, err := mailaccess.NewKeywords("$NotJunk")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		e    mailaccess.Expr
		want int
		rows bool
	}{
		{unseen, n / 10, false},
		{mailaccess.And{}, n, false},
		{mailaccess.And{mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(1, 100)}, mailaccess.Not{X: flag(mailaccess.FlagDeleted)}}, 90, false},
		{mailaccess.Or{unseen, flag(mailaccess.FlagDeleted)}, n / 10, false},
		{mailaccess.HasFlags{Flags: mailaccess.Flags{Keywords: word}}, n / 20, true},
	} {
		var found mailaccess.Found
		ops := g.during(func() { found, err = h.Search(t.Context(), m.ID, test.e) })
		if err != nil || !found.Exact || found.UIDs.Len() != test.want {
			t.Errorf("%v: found %d, exact %v, %v; want %d", test.e, found.UIDs.Len(), found.Exact, err, test.want)
		}
		if read := octetsRead(ops) > 0; read != test.rows || openedFiles(ops) > 0 {
			t.Errorf("%v: %d octets read, %d message files opened", test.e, octetsRead(ops), openedFiles(ops))
		}
	}
}

// What clients list of messages that were seen once comes without a look into their files,
// after a start too.
func TestSeenFilesStayClosed(t *testing.T) {
	for _, end := range []string{"\r\n", "\n"} {
		t.Run(fmt.Sprintf("%q", end), func(t *testing.T) {
			seenFilesStayClosed(t, func(i int) string {
				text := mail(i)
				if i%50 == 0 { // longer than what is looked at when it arrives
					text = strings.Replace(text, "This is", strings.Repeat("This is more\r\n", 3000), 1)
				}
				return strings.ReplaceAll(text, "\r\n", end)
			})
		})
	}
}

func seenFilesStayClosed(t *testing.T, text func(i int) string) {
	const n = 500
	g := newGround(t)
	g.deliver("ann", n, text)
	s := g.open(nil)
	v := serve(t, s)
	c := v.dial("SELECT INBOX")
	commands := []string{
		"FETCH 1:* (ENVELOPE)",
		"FETCH 1:* (BODYSTRUCTURE)",
		"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
		"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID)])",
		"FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (References List-Id X-Priority)]<0.10> BODY.PEEK[HEADER.FIELDS (TO)])",
		"FETCH 1:* (PREVIEW)",
		"SEARCH SUBJECT some",
		"SEARCH OR FROM sender1 TO nobody",
		"SEARCH HEADER In-Reply-To 6@example.org",
		"SEARCH SENTSINCE 1-Mar-2026 LARGER 10",
		"SORT (SUBJECT) UTF-8 ALL",
		"SORT (REVERSE DATE FROM SIZE) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL",
		"THREAD ORDEREDSUBJECT UTF-8 ALL",
	}
	first := g.during(func() {
		for _, line := range commands {
			c.do(line)
		}
	})
	if opened := openedFiles(first); opened < n {
		t.Fatalf("%d files were opened at first: the test counts nothing", opened)
	}
	again := func(c *conn, when string) {
		for _, line := range commands {
			if opened := openedFiles(g.during(func() { c.do(line) })); opened != 0 {
				t.Errorf("%s, %s: %d files were opened", when, line, opened)
			}
		}
	}
	again(c, "again")
	v.stop()
	g.close(s)
	again(serve(t, g.open(nil)).dial("SELECT INBOX"), "after a start")
}

// STORE on 100,000 messages renames nothing before it answers.
func TestFlagsRenameLater(t *testing.T) {
	g := newGround(t)
	g.pretend(100_000)
	now := g.now()
	g.now = func() time.Time { return now } // nothing becomes due
	c := serve(t, g.open(nil)).dial("SELECT INBOX")
	ops := g.during(func() { c.do("STORE 1:* +FLAGS.SILENT (\\Flagged)") })
	for _, o := range ops {
		if ofMessages(o.Dir) {
			t.Fatalf("%v in %s before the answer", o.Kind, o.Dir)
		}
	}
	if syncs := ofKind(ops, fsys.OpSyncData, fsys.OpSyncFile, fsys.OpSyncDir); syncs > 100_000/txnMax+3 {
		t.Errorf("%d syncs", syncs)
	}
}

// 16 writers into 16 mailboxes share syncs: the log's and the spool directory's, once for
// the first and once for all who come meanwhile.
func TestWritersShareSyncs(t *testing.T) {
	const writers = 16
	text := mail(1)
	for _, accounts := range []bool{false, true} {
		t.Run(map[bool]string{false: "one account", true: "16 accounts"}[accounts], func(t *testing.T) {
			g := newGround(t)
			s := g.open(nil)
			var boxes [writers]func() error
			for i := range boxes {
				user, name := "ann", fmt.Sprintf("box%d", i)
				if accounts {
					user, name = fmt.Sprintf("user%d", i), mailaccess.Inbox
				}
				h := g.account(s, user)
				if !accounts {
					if _, err := h.CreateMailbox(t.Context(), name, 0); err != nil {
						t.Fatal(err)
					}
				}
				m, err := h.Lookup(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				boxes[i] = func() error { return put(t.Context(), h, m.ID, text) }
				if err := boxes[i](); err != nil { // reserves UIDs
					t.Fatal(err)
				}
			}
			waiting := func() int {
				if accounts {
					s.spoolSync.mu.Lock()
					defer s.spoolSync.mu.Unlock()
					if s.spoolSync.next == nil {
						return 0
					}
					return s.spoolSync.next.members
				}
				l := &g.account(s, "ann").lead
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.waiting)
			}
			errs := make(chan error, writers)
			held, goOn, written := make(chan struct{}), make(chan struct{}), make(chan struct{})
			records := make(chan struct{}, 2*writers)
			first, firstOfLog := true, accounts
			var ops []fsys.Op
			note := make(chan fsys.Op, 1000)
			g.mu.Lock()
			g.note = func(o fsys.Op) {
				note <- o
				if filepath.Base(o.Dir) == "log" && o.Kind == fsys.OpWrite {
					records <- struct{}{}
				}
				if o.Kind == fsys.OpSyncDir && filepath.Base(o.Dir) == "spool" && first {
					first = false // nobody else syncs
					close(held)
					<-goOn
				}
				if o.Kind == fsys.OpSyncData && filepath.Base(o.Dir) == "log" && firstOfLog {
					firstOfLog = false
					<-written
				}
			}
			g.mu.Unlock()
			go func() { errs <- boxes[0]() }()
			<-held
			for _, append := range boxes[1:] {
				go func() { errs <- append() }()
			}
			waitUntil(t, func() bool { return waiting() == writers-1 })
			close(goOn)
			if accounts {
				for range writers {
					<-records
				}
				close(written)
			}
			for range writers {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			g.mu.Lock()
			g.note = nil
			g.mu.Unlock()
			close(note)
			for o := range note {
				ops = append(ops, o)
			}
			shared := 0
			for _, o := range ops {
				switch {
				case o.Kind == fsys.OpSyncDir, o.Kind == fsys.OpSyncData, o.Kind == fsys.OpSyncFile && filepath.Base(o.Dir) != "spool":
					shared++
				}
			}
			if shared != 4 {
				t.Errorf("%d syncs of the log and of directories for %d appends", shared, writers)
			}
		})
	}
}

// put appends a message.
func put(ctx context.Context, h *handle, box mailaccess.MailboxID, text string) error {
	s, err := h.Stage(ctx, int64(len(text)))
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write([]byte(text)); err != nil {
		return err
	}
	_, err = h.Append(ctx, box, []mailaccess.NewMessage{{Staged: s}})
	return err
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to that")
		}
	}
}

// A loaded mailbox of a million messages takes less than 64 octets for each, all told.
func TestMillionInMemory(t *testing.T) {
	const n = 1_000_000
	g := newGround(t)
	g.pretend(n)
	s := g.open(nil)
	h := g.account(s, "ann")
	m, err := h.Lookup(t.Context(), mailaccess.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	rows := 0
	for _, err := range h.Messages(t.Context(), m.ID, mailaccess.UIDSetRange(1, 1<<32-1)) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	used := heap() - before
	if rows != n || used > 64*n || used < 8*n {
		t.Errorf("%d octets of heap for %d messages", used, rows)
	}
	runtime.KeepAlive(h)
}

// NOOP with nothing new asks the disk for nothing where the mailbox is watched, and allocates
// what it does over a store in memory.
func TestNoopCostsNothing(t *testing.T) {
	g := newGround(t)
	g.deliver("ann", 10, mail)
	s := g.open(nil)
	h := g.account(s, "ann")
	c := serve(t, s).dial("SELECT INBOX")
	m, err := h.Lookup(t.Context(), mailaccess.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	watched := h.boxes[m.ID].scan.watched
	h.mu.Unlock()
	if !watched {
		t.Fatal("the mailbox is not watched")
	}
	if ops := g.during(func() {
		for range 10 {
			c.do("NOOP")
		}
	}); len(ops) != 0 {
		t.Errorf("NOOP did %v", ops)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := h.Status(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Status allocates %v times", n)
	}
}

// Accounts in which nothing happens cost the work in the background a glance, until something
// does: then names of files follow flags as ever.
func TestCalmAccountsAreLeftAlone(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.put(mailaccess.Inbox, "a\r\n", mailaccess.Flags{})
	o.create("box")
	looks := func() bool {
		d.clock.advance(time.Second)
		o.mu.Lock()
		before := o.due
		o.mu.Unlock()
		o.upkeep(d.clock.now(), time.Time{})
		o.mu.Lock()
		defer o.mu.Unlock()
		return !o.due.Equal(before)
	}
	waitUntil(t, func() bool { return !looks() })
	for range 10 {
		if looks() {
			t.Fatal("a calm account was gone through")
		}
	}
	m := o.list(mailaccess.Inbox)[0]
	box := o.mailbox(mailaccess.Inbox).ID
	seen := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
	if _, err := o.SetFlags(t.Context(), box, mailaccess.UIDSetOf(m.UID), seen, mailaccess.AnyModSeq); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool {
		looks()
		names := d.files("cur")
		return len(names) == 1 && strings.HasSuffix(names[0], ":2,S")
	})
	// Where nothing tells what others do, a mailbox in use is looked at all the same.
	release, err := o.Hold(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	o.mu.Lock()
	looked := o.boxes[box].scan.looked
	o.mu.Unlock()
	for range 3 {
		looks()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.boxes[box].scan.looked.Sub(looked); n < 2*time.Second {
		t.Errorf("a mailbox in use was last looked at %v after it was opened", n)
	}
}

// Whoever asks for the status of many mailboxes does not make the process run out of
// descriptors, and sees what was delivered all the same.
func TestStatusOfManyKeepsFewOpen(t *testing.T) {
	const n, most = 20, 4
	g := newGround(t)
	s := g.open(nil)
	h := g.account(s, "ann")
	for i := range n {
		if _, err := h.CreateMailbox(t.Context(), fmt.Sprintf("box%d", i), 0); err != nil {
			t.Fatal(err)
		}
	}
	status := func(i int) int {
		m, err := h.Lookup(t.Context(), fmt.Sprintf("box%d", i))
		if err != nil {
			t.Fatal(err)
		}
		st, err := h.Status(t.Context(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		return st.Messages
	}
	for i := range n {
		status(i) // lists it
	}
	g.close(s)
	if open := s.openBoxes.Load(); open != 0 {
		t.Errorf("%d mailboxes count as open in a store that is closed", open)
	}
	s = g.open(nil)
	s.openLimit = most
	h = g.account(s, "ann")
	for range 2 {
		for i := range n {
			status(i)
		}
	}
	if open := s.openBoxes.Load(); open > most {
		t.Errorf("%d mailboxes are open", open)
	}
	g.deliver("ann/.box17", 1, mail)
	if got := status(17); got != 1 {
		t.Errorf("%d messages were seen where one was delivered", got)
	}
}
