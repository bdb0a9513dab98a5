package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// check checks ann's account, or all there are, and returns the findings.
func (o *opened) check(repair bool, accounts ...string) (lines []string) {
	o.t.Helper()
	err := o.s.Check(context.Background(), accounts, repair, func(f Finding) { lines = append(lines, f.String()) })
	if err != nil {
		o.t.Fatal(err)
	}
	return lines
}

// A store that was used has no findings, while it is open, when it was closed, and when
// other programs did what they may.
func TestCheckFindsNothing(t *testing.T) {
	onDisks(t, func(t *testing.T, d *disk) {
		o := d.open(nil)
		o.create("Work")
		o.create("Old")
		for i := range 20 {
			o.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), flagsFor(t, mailaccess.FlagSeen, "work"))
		}
		inbox, work := o.mailbox("INBOX"), o.mailbox("Work")
		ctx := t.Context()
		some := mailaccess.UIDSet{}.WithRange(3, 7)
		if _, err := o.Copy(ctx, inbox.ID, some, work.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Move(ctx, inbox.ID, mailaccess.UIDSet{}.WithRange(8, 9), work.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := o.SetFlags(ctx, inbox.ID, some, mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagFlagged, "later")}, 1<<62); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Expunge(ctx, inbox.ID, mailaccess.UIDSet{}.WithRange(10, 12), 0); err != nil {
			t.Fatal(err)
		}
		if err := o.RenameMailbox(ctx, work.ID, "Done"); err != nil {
			t.Fatal(err)
		}
		if err := o.DeleteMailbox(ctx, o.mailbox("Old").ID); err != nil {
			t.Fatal(err)
		}
		d.plant(d.in("new"), "1.a.host", "Subject: LF\n\n", d.clock.now())
		if found := o.check(false); len(found) != 0 {
			t.Errorf("in use: %q", found)
		}
		o.close()
		d.plant(d.in("cur"), "2.b.host:2,S", "Subject: LF\n\n", d.clock.now())
		name := d.files("cur")[0]
		if err := d.in("cur").Rename(name, d.in("cur"), baseOf(name)+":2,RS"); err != nil {
			t.Fatal(err)
		}
		o = d.open(nil)
		if found := o.check(true, "ann"); len(found) != 0 {
			t.Errorf("closed and opened: %q", found)
		}
	})
}

// Everything that can be wrong is found, and what can be repaired is right afterwards.
func TestCheckFinds(t *testing.T) {
	type test struct {
		name string
		// before damages the store while it is closed, after while it is open.
		before func(d *disk)
		after  func(o *opened, b *mailbox)
		want   string // in the first finding
		// heals: with repair there is nothing left to find; once: nor is there without.
		heals, once bool
	}
	curFile := func(d *disk) string { return d.files("cur")[0] }
	overwrite := func(d *disk, text string, path ...string) {
		dir := d.in(path[:len(path)-1]...)
		name := path[len(path)-1]
		if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Fatal(err)
		}
		d.plant(dir, name, text, d.clock.now())
	}
	tests := []test{
		{name: "file gone", before: func(d *disk) {
			if err := d.in("cur").Remove(curFile(d)); err != nil {
				d.t.Fatal(err)
			}
		}, want: "ann: INBOX: UID 1: its file is gone", once: true},
		{name: "second file", before: func(d *disk) {
			name := curFile(d)
			if err := d.in("cur").Link(name, d.in("cur"), name+"F"); err != nil {
				d.t.Fatal(err)
			}
		}, want: "UID 1: a second file of the same name"},
		{name: "not a file", before: func(d *disk) {
			if err := d.in("new").Mkdir("17.directory.host"); err != nil {
				d.t.Fatal(err)
			}
		}, want: "ann: INBOX: not a regular file"},
		{name: "size in the index", after: func(o *opened, b *mailbox) {
			o.noteSize(b, 1, 7)
		}, want: "UID 1: its size is 16 octets, and the index says 7", heals: true},
		{name: "size in the name", before: func(d *disk) {
			d.plant(d.in("cur"), "1.a.host,S=99:2,", "Subject: x\n\n", d.clock.now())
		}, want: "UID 2: its file has 12 octets, 14 with CRLF, and is called"},
		{name: "orphan", before: func(d *disk) {
			d.plant(d.in("tmp"), "17.a.host", "x", d.clock.now().Add(-2*day))
		}, want: "ann: INBOX: a delivery was left in tmp for more than 36h", heals: true},
		{name: "orphan of a folder", before: func(d *disk) {
			d.plant(d.in(".Work", "tmp"), "17.a.host", "x", d.clock.now().Add(-2*day))
		}, want: "ann: Work: a delivery was left in tmp", heals: true},
		{name: "identity is gone", after: func(o *opened, b *mailbox) {
			if err := o.dir.Remove(mailboxFile); err != nil {
				o.t.Fatal(err)
			}
		}, want: "ann: INBOX: mailaccess-mailbox: ", heals: true},
		{name: "identity is another", after: func(o *opened, b *mailbox) {
			overwrite(o.d, "mailaccess mailbox 1\nid abc\nuidvalidity 7\nuids-reserved 99999\nuse 0\n", mailboxFile)
		}, want: "ann: INBOX: mailaccess-mailbox: it says something else", heals: true},
		{name: "too little is reserved", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			b.reserved = 1
			o.mu.Unlock()
		}, want: "UIDNEXT is 2, above the UIDs that are reserved, 1"},
		{name: "account's file", before: func(d *disk) {
			overwrite(d, "mailaccess account 7\n", accountFile)
		}, want: "ann: mailaccess-account cannot be read: ", once: true},
		{name: "account's file is gone", before: func(d *disk) {
			if err := d.in().Remove(accountFile); err != nil {
				d.t.Fatal(err)
			}
		}, want: "ann: it has no mailaccess-account, and is not checked"},
		{name: "account's file of somebody else", after: func(o *opened, b *mailbox) {
			overwrite(o.d, "mailaccess account 1\nnext-uidvalidity 1\nnumbers-reserved 9\nnames UTF-8\n", accountFile)
		}, want: "ann: mailaccess-account was changed by somebody else"},
		{name: "change numbers above those reserved", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			o.ModSeq = o.meta.reserved + 1
			o.mu.Unlock()
		}, want: "is above those that are reserved"},
		{name: "keywords", before: func(d *disk) {
			overwrite(d, "0 work\n99 nonsense\n", keywordsFile)
		}, want: "ann: INBOX: dovecot-keywords has 1 lines that make no sense"},
		{name: "expunged", before: func(d *disk) {
			d.plant(d.in(expungedDir), "readme", "x", d.clock.now())
		}, want: `something else among the expunged messages: "readme"`},
		{name: "expunged from a mailbox", before: func(d *disk) {
			box := slices.DeleteFunc(d.files(expungedDir), func(n string) bool { return !isID(n) })[0]
			d.plant(d.in(expungedDir, box), "readme", "x", d.clock.now())
		}, want: `something else among the expunged messages`},
		{name: "index of the account", before: func(d *disk) {
			overwrite(d, "damage", indexDir, checkpointFile)
		}, want: "ann: the index of the account cannot be read: ", once: true},
		{name: "index of a mailbox", before: func(d *disk) {
			head := slices.DeleteFunc(d.files(indexDir), func(n string) bool { return !strings.HasSuffix(n, ".head") })[0]
			overwrite(d, "damage", indexDir, head)
		}, want: "cannot be read: open index of mailbox"},
		{name: "UIDs", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			b.ix.Arrive([]index.Row{{UID: 5, ModSeq: o.ModSeq + 10, Created: o.ModSeq + 11, Size: 1}}, []index.FileName{{Base: "x", Place: index.PlaceSpool}})
			o.mu.Unlock()
		}, want: "UID 5: its file was never put into the folder"},
		{name: "change numbers", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			b.ix.Arrive([]index.Row{{UID: 1, ModSeq: o.ModSeq, Created: o.ModSeq + 1, Size: 16}}, []index.FileName{mustName(o.t, b, 1)})
			o.mu.Unlock()
		}, want: "UID 1: change numbers out of order"},
		{name: "change number of the mailbox", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			b.ix.RaiseModSeq(o.ModSeq + 1)
			o.mu.Unlock()
		}, want: "ann: INBOX: change number"},
		{name: "message number", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			o.LastEmail = 0
			o.mu.Unlock()
		}, want: "UID 1: message or thread number above the last one"},
		{name: "one file for two", after: func(o *opened, b *mailbox) {
			o.mu.Lock()
			b.ix.Arrive([]index.Row{{UID: 2, ModSeq: 1, Created: 1, Size: 16}}, []index.FileName{mustName(o.t, b, 1)})
			o.mu.Unlock()
		}, want: "UID 2: it has the file of UID 1"},
		{name: "spool", after: func(o *opened, b *mailbox) {
			o.d.plant(o.s.spool, fmt.Sprintf("%d.a.host", o.d.clock.now().Add(-2*day).Unix()), "x", o.d.clock.now())
			o.d.plant(o.s.spool, fmt.Sprintf("%d.b.host", o.d.clock.now().Unix()), "x", o.d.clock.now().Add(-2*day))
		}, want: "an upload was left in the spool", heals: true},
		{name: "folder", before: func(d *disk) {
			if err := d.in(".Work").Rename("cur", d.in(), ".A..B"); err != nil {
				d.t.Fatal(err)
			}
		}, want: `ann: the folder ".A..B" is left alone`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := memDisk(t)
			o := d.open(nil)
			o.create("Work")
			o.put("Work", "Subject: gone\r\n\r\n", mailaccess.Flags{})
			o.expunge("Work")
			o.put("INBOX", "Subject: one\r\n\r\n", mailaccess.Flags{})
			if tt.before != nil {
				o.close()
				tt.before(d)
				o = &opened{t: t, d: d, s: reopenStore(t, d)}
			} else {
				tt.after(o, o.mailbox("INBOX"))
			}
			found := o.check(false)
			if len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), tt.want) {
				t.Fatalf("found %q, want %q", found, tt.want)
			}
			again := o.check(true)
			switch {
			case tt.once && len(again) != 0:
				t.Errorf("found again: %q", again)
			case tt.heals && (len(again) == 0 || !strings.HasSuffix(again[0], " (repaired)")):
				t.Errorf("with repair: %q", again)
			case !tt.once && !tt.heals && !strings.Contains(strings.Join(again, "\n"), tt.want):
				t.Errorf("with repair: %q, want again %q", again, tt.want)
			}
			if last := o.check(false); tt.heals && len(last) != 0 {
				t.Errorf("after the repair: %q", last)
			}
		})
	}
}

// reopenStore opens the store and no account in it.
func reopenStore(t *testing.T, d *disk) *Store {
	t.Helper()
	p, err := parsePattern(".")
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(d.root(), p, nil, d.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // damaged stores may fail to close
	return s
}

func mustName(t *testing.T, b *mailbox, uid mailaccess.UID) index.FileName {
	t.Helper()
	name, err := b.ix.FileName(uid)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// More findings of one kind than are held are counted.
func TestCheckBoundsFindings(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	for i := range findingsMax + 5 {
		if err := d.in("cur").Mkdir(fmt.Sprint(i, ".a.host")); err != nil {
			t.Fatal(err)
		}
	}
	found := o.check(false)
	if len(found) != findingsMax+1 || found[findingsMax] != "ann: INBOX: 5 more of this kind" {
		t.Errorf("%d findings, the last one %q", len(found), found[len(found)-1])
	}
}

// All accounts below the root are checked, wherever the path puts them, and nothing else.
func TestCheckAllAccounts(t *testing.T) {
	for i, tt := range []struct {
		path     string
		accounts []string
	}{
		{"", []string{"ann", "bob@example.org"}},
		{"%u", []string{"ann", "bob@example.org"}},
		{"%d/%n/Maildir", []string{"ann@example.org", "bob@example.com"}},
		{"mail-%n", []string{"ann", "bob"}},
		{"100%%/%u", []string{"ann", "bob"}},
	} {
		// The name of a test becomes that of its directory, where % means something.
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, tt.path)
			ctx := t.Context()
			for _, name := range tt.accounts {
				if _, err := Deliver(ctx, path, name, "", strings.NewReader("Subject: x\n\n")); err != nil {
					t.Fatal(err)
				}
			}
			s, err := New(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.root.Mkdir("lost+found"); err != nil {
				t.Fatal(err)
			}
			for _, name := range tt.accounts {
				parts, err := s.path.account(name)
				if err != nil {
					t.Fatal(err)
				}
				account, err := descendInto(s.root, parts)
				if err != nil {
					t.Fatal(err)
				}
				defer account.Close()
				f, err := account.Create("dovecot-keywords")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.Write([]byte("nonsense\n")); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
			found := func(what string) (accounts []string) {
				err := s.Check(ctx, nil, false, func(f Finding) {
					if strings.Contains(f.What, what) {
						accounts = append(accounts, f.Account)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(accounts)
				return accounts
			}
			if got := found(""); len(got) != 0 {
				t.Errorf("of accounts that were never opened there are findings: %q", got)
			}
			for _, name := range tt.accounts {
				a, err := s.Open(ctx, name, mailaccess.Identity{User: name, Account: name})
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
			}
			if got := found("dovecot-keywords"); !slices.Equal(got, tt.accounts) {
				t.Errorf("checked %q, want %q", got, tt.accounts)
			}
			if err := s.Check(ctx, []string{"nobody"}, false, nil); !errors.Is(err, mailaccess.KindNotFound) {
				t.Errorf("an account that is not there: %v", err)
			}
		})
	}
}

// An account that was never opened belongs to another server, or to nobody yet: it stays as
// it is, whatever is asked for.
func TestCheckTakesNothingOver(t *testing.T) {
	fsm := layout(t, dovecotLayout())()
	s := reopenStore(t, &disk{t: t, clock: newClock(), root: fsm.Root})
	ann, err := s.root.Sub("ann")
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	was := tree(t, ann, "")
	for _, repair := range []bool{false, true} {
		for _, accounts := range [][]string{nil, {"ann"}} {
			var found []string
			if err := s.Check(t.Context(), accounts, repair, func(f Finding) { found = append(found, f.String()) }); err != nil {
				t.Fatal(err)
			}
			if len(found) != 1 || !strings.HasPrefix(found[0], "ann: not opened yet") {
				t.Errorf("repair %v: found %q", repair, found)
			}
		}
	}
	if is := tree(t, ann, ""); !slices.Equal(is, was) {
		t.Errorf("the account was %q and is %q", was, is)
	}
}

// The name that is found for a path leads to that path.
func TestAccountOfPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom([]string{"/m", "/m/%u", "/m/%d/%n", "/m/%n@%d", "/m/x%n/%%%d", "/m/%n", "/m/%d/%u/mail"}).Draw(t, "path")
		p, err := parsePattern(path)
		if err != nil {
			t.Fatal(err)
		}
		name := rapid.StringMatching(`[a-z.%]{1,4}(@[a-z.%]{1,4})?`).Draw(t, "name")
		parts, err := p.account(name)
		if err != nil {
			return
		}
		back, ok := p.name(parts)
		if !ok {
			t.Fatalf("%q gives %q, which gives no name", name, parts)
		}
		again, err := p.account(back)
		if err != nil || !slices.Equal(again, parts) {
			t.Fatalf("%q gives %q, which gives %q, which gives %q, %v", name, parts, back, again, err)
		}
	})
}

func TestFindingString(t *testing.T) {
	f := Finding{Account: "ann", Mailbox: "Work", UID: 7, What: "something", Repaired: true}
	if got, want := f.String(), "ann: Work: UID 7: something (repaired)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Checking goes on while clients work, and finds nothing in what they do.
func TestCheckWhileInUse(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	o.create("Work")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			m := o.put("INBOX", fmt.Sprintf("Subject: %d\r\n\r\n", i), mailaccess.Flags{})
			uid := mailaccess.UIDSetOf(m.UID)
			ctx := context.Background()
			inbox, work := o.mailbox("INBOX").ID, o.mailbox("Work").ID
			var err error
			switch i % 3 {
			case 0:
				_, err = o.Move(ctx, inbox, uid, work)
			case 1:
				_, err = o.Expunge(ctx, inbox, uid, 0)
			case 2:
				_, err = o.SetFlags(ctx, inbox, uid, mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagSeen)}, 1<<62)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if found := o.check(false); len(found) != 0 {
			t.Fatalf("found %q", found)
		}
	}
}

// It ends when its context does.
func TestCheckIsCancelled(t *testing.T) {
	o := memDisk(t).open(nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	if err := o.s.Check(ctx, nil, false, nil); err == nil {
		t.Error("a check without an end")
	}
}

// What is delivered at any moment of a check is no finding.
func TestCheckWhileMailComes(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	fresh := d.in("new")
	listings := 0
	d.fs.Observe(func(op fsys.Op) {
		if op.Kind == fsys.OpList && strings.HasSuffix(op.Dir, "/new") {
			listings++
			d.plant(fresh, fmt.Sprint(listings, ".a.host"), "Subject: x\n\n", d.clock.now())
		}
	})
	found := o.check(false)
	d.fs.Observe(nil)
	if len(found) != 0 || listings < 3 {
		t.Errorf("%d messages came, and were found: %q", listings, found)
	}
}

// Repairing the file that tells what is reserved never gives a UID out again.
func TestCheckKeepsReservation(t *testing.T) {
	d := memDisk(t)
	o := d.open(nil)
	b := o.mailbox("INBOX")
	meta := mailboxMeta{id: b.ID, validity: b.UIDValidity, reserved: 99_999, use: b.Use}
	if err := o.s.writeSmall(o.dir, mailboxFile, meta.text()); err != nil {
		t.Fatal(err)
	}
	if found := o.check(true); len(found) != 1 {
		t.Fatalf("found %q", found)
	}
	text, err := readSmall(o.dir, mailboxFile)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseMailboxMeta(text); err != nil || got.reserved < 99_999 {
		t.Errorf("%d are reserved, %v; want 99999", got.reserved, err)
	}
}

// A repair gives a size only to the file that it belongs to. A file that took the place of
// another is a message of its own: nothing of the old one stands for its octets.
func TestRepairOfAnotherFile(t *testing.T) {
	const was, now = "Subject: one\n\nwas\n", "Subject: another\n\nis\nnow\n"
	for _, file := range []string{"1.one.host", fmt.Sprintf("1.one.host,S=%d,W=%d", len(was), len(crlf(was)))} {
		for _, quiet := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, its time kept %v", file, quiet), func(t *testing.T) {
				d := memDisk(t)
				o := d.open(nil)
				p := program{t, d}
				d.plant(d.in("cur"), file+":2,S", was, d.clock.now())
				before := o.list2("INBOX")[0]
				if before.Size != int64(len(crlf(was))) {
					t.Fatalf("%d octets are known of", before.Size)
				}
				p.overwrite("cur", file+":2,S", now, quiet)
				for _, repair := range []bool{false, true} {
					found := o.check(repair, "ann")
					want := fmt.Sprintf("ann: INBOX: UID 1: its file has become another message: it has %d octets, and had %d", len(crlf(now)), before.Size)
					if repair {
						want += " (repaired)"
					}
					if len(found) == 0 || found[0] != want {
						t.Errorf("found %q, want %q", found, want)
					}
				}
				after := o.list2("INBOX")
				if len(after) != 1 || after[0].UID != 2 || after[0].EmailID == before.EmailID || after[0].Size != int64(len(crlf(now))) || after[0].Flags.System != mailaccess.FlagSeen {
					t.Fatalf("there is %+v", after)
				}
				if got, err := o.text(after[0]); err != nil || got != crlf(now) {
					t.Errorf("it reads %q, %v", got, err)
				}
			})
		}
	}
}
