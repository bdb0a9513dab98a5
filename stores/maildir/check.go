package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/takeover"
)

// Finding is something that is not as it should be.
type Finding struct {
	Account string         `json:"account,omitempty"` // empty: the store as a whole
	Mailbox string         `json:"mailbox,omitempty"` // by name; empty: the account as a whole
	UID     mailaccess.UID `json:"uid,omitempty"`     // 0: no message in particular
	What    string         `json:"what"`
	// Repaired says that it is now as it should be.
	Repaired bool `json:"repaired,omitempty"`
}

// String returns the finding in one line.
func (f Finding) String() string {
	var b strings.Builder
	for _, name := range []string{f.Account, f.Mailbox} {
		if name != "" {
			b.WriteString(name + ": ")
		}
	}
	if f.UID != 0 {
		fmt.Fprintf(&b, "UID %d: ", f.UID)
	}
	b.WriteString(f.What)
	if f.Repaired {
		b.WriteString(" (repaired)")
	}
	return b.String()
}

// Check verifies accounts, or all there are when none is named, while they may be in use:
//
//   - the index can be read and agrees with itself: UIDs below UIDNEXT and that below what
//     is reserved, change numbers in order, counts, no two messages in one file;
//   - every message has its file and every file its message. Both are looked at before and
//     after the directories were listed anew, so that mail that another program removed while
//     nobody looked is told as well as mail that was lost;
//   - sizes are those of the files, which are all read;
//   - the store's own files make sense, and nothing is left over that nobody needs: in tmp
//     and the spool for more than 36 hours, among the expunged messages.
//
// report hears of each thing that is not so, one at a time. With repair, what can be put
// right without guessing is: sizes, files that became another message, which become a new
// one, the files that tell a mailbox's identity, left-overs in tmp and the spool. An index
// that is damaged is made anew when an account is opened, with or without repair. An account
// that was never opened is left as it is, and reported if another server keeps it.
//
// Errors: KindNotFound for an account that was named and is not there, KindUnavailable.
func (s *Store) Check(ctx context.Context, accounts []string, repair bool, report func(Finding)) error {
	const op = "check"
	c := checking{ctx: ctx, op: op, s: s, repair: repair, report: report}
	if err := s.usable(ctx, op); err != nil {
		return err
	}
	if err := c.spool(); err != nil {
		return failDisk(op, "", err)
	}
	c.tell()
	for _, name := range accounts {
		if err := c.account(name); err != nil {
			return failDisk(op, "", err)
		}
	}
	if len(accounts) > 0 {
		return nil
	}
	for name, err := range s.accountNames(s.root, s.path.below, nil) {
		if err == nil {
			err = c.account(name)
		}
		if err != nil && !errors.Is(err, mailaccess.KindNotFound) { // it may be gone since
			return failDisk(op, "", err)
		}
	}
	return nil
}

// checking is a call of Check.
type checking struct {
	ctx    context.Context
	op     string
	s      *Store
	repair bool
	report func(Finding)
	at     Finding // account and mailbox that are being checked

	// What was found is reported when no lock is held.
	findings []Finding
	more     int // are not in findings
}

// findingsMax is how many findings are held until they are reported.
const findingsMax = 1000

// found notes a finding about what is being checked.
func (c *checking) found(uid mailaccess.UID, repaired bool, format string, args ...any) {
	if len(c.findings) == findingsMax {
		c.more++
		return
	}
	f := c.at
	f.UID, f.Repaired, f.What = uid, repaired, fmt.Sprintf(format, args...)
	c.findings = append(c.findings, f)
}

// tell reports what was found. No lock is held, nor the lead.
func (c *checking) tell() {
	for _, f := range c.findings {
		c.report(f)
	}
	if c.more > 0 {
		f := c.at
		f.What = fmt.Sprintf("%d more of this kind", c.more)
		c.report(f)
	}
	c.findings, c.more = nil, 0
}

// accountNames yields the names of the accounts there are in dir, below which the components
// of their paths are left to go.
func (s *Store) accountNames(dir fsys.Dir, left, parts []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range dir.Names(0) {
			if err != nil {
				yield("", err)
				return
			}
			if !e.Type.IsDir() || strings.HasPrefix(e.Name, ".") {
				continue
			}
			sub, err := dir.Sub(e.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				yield("", err)
				return
			}
			more := s.accountNamesAt(sub, left[1:], append(slices.Clip(parts), e.Name), yield)
			if sub.Close() != nil || !more {
				return
			}
		}
	}
}

// accountNamesAt yields the name of the account at dir, or those of the accounts below it.
func (s *Store) accountNamesAt(dir fsys.Dir, left, parts []string, yield func(string, error) bool) bool {
	if len(left) > 0 {
		for name, err := range s.accountNames(dir, left, parts) {
			if !yield(name, err) || err != nil {
				return false
			}
		}
		return true
	}
	name, ok := s.path.name(parts)
	if !ok {
		return true
	}
	for _, is := range []string{"cur", accountFile} {
		if _, err := dir.Lstat(is); err == nil {
			return yield(name, nil)
		}
	}
	return true
}

// name returns a name of the account whose path these are the components of.
func (p pattern) name(parts []string) (string, bool) {
	variables := regexp.MustCompile(`%.`)
	value := make(map[string]string)
	for i, part := range p.below {
		var names []string
		literal := variables.Split(part, -1)
		expr := "^" + regexp.QuoteMeta(literal[0])
		for k, v := range variables.FindAllString(part, -1) {
			if v == "%%" {
				expr += "%"
			} else {
				expr += "(.*)"
				names = append(names, v)
			}
			expr += regexp.QuoteMeta(literal[k+1])
		}
		m := regexp.MustCompile(expr + "$").FindStringSubmatch(parts[i])
		if m == nil {
			return "", false
		}
		for k, v := range names {
			value[v] = m[k+1]
		}
	}
	name := value["%u"]
	if name == "" {
		name = value["%n"]
		if value["%d"] != "" {
			name += "@" + value["%d"]
		}
	}
	back, err := p.account(name)
	return name, err == nil && slices.Equal(back, parts)
}

// spool looks for uploads that nobody will commit. Those that are needed belong to work that
// accounts have yet to do.
func (c *checking) spool() error {
	s := c.s
	if s.isBehind() {
		c.found(0, false, "an account could not be brought forward after the last stop: the commit log is kept for it")
		return nil
	}
	needed := make(map[string]bool)
	for _, a := range s.loadedAccounts() {
		a.mu.Lock()
		for _, name := range a.spent {
			needed[name] = true
		}
		for i := range a.pending {
			needed[a.pending[i].from.Spool] = true
		}
		for name := range a.uploads {
			needed[name] = true
		}
		a.mu.Unlock()
	}
	for e, err := range s.spool.Names(0) {
		if err != nil {
			return err
		}
		if needed[e.Name] || s.now().Sub(nameTime(e.Name)) <= orphanAge {
			continue
		}
		repaired := c.repair && s.spool.Remove(e.Name) == nil
		c.found(0, repaired, "an upload was left in the spool: %q", e.Name)
	}
	return nil
}

// account checks one account.
func (c *checking) account(name string) error {
	c.at = Finding{Account: name}
	defer func() {
		c.tell()
		c.at = Finding{}
	}()
	parts, err := c.s.path.account(name)
	if err != nil {
		return fail(c.op, mailaccess.KindNotFound, "", err)
	}
	dir, err := descendInto(c.s.root, parts)
	if err != nil {
		return failAccount(c.op, err)
	}
	ours, err := c.onDisk(dir)
	if err := errors.Join(err, dir.Close()); err != nil || !ours {
		return err
	}
	a, err := c.s.acquire(c.op, name, false)
	if err != nil {
		if errors.Is(err, mailaccess.KindNotFound) || c.s.closed.Load() {
			return err
		}
		c.found(0, false, "it cannot be opened: %v", err)
		return nil
	}
	defer c.s.letGo(a)
	return c.opened(a)
}

// onDisk reads what is on the disk before the account is opened, which would put a part of
// it right. It reports whether the account was ever opened: opening one for the first time
// takes it over from the server that keeps it, which is nothing that a check may do.
func (c *checking) onDisk(dir fsys.Dir) (ours bool, err error) {
	text, err := readSmall(dir, accountFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, c.notOpened(dir)
	}
	if err == nil {
		_, err = parseAccountMeta(text)
	}
	if err != nil {
		c.found(0, false, "%s cannot be read: %v", accountFile, err)
	}
	ixDir, err := dir.Sub(indexDir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // no index yet
	}
	if err != nil {
		return false, err
	}
	defer ixDir.Close()
	// A checkpoint that is being written takes files away from one that is being read.
	broken := c.checkpoint(ixDir)
	if broken != nil {
		broken = c.checkpoint(ixDir)
	}
	if broken != nil {
		c.found(0, false, "%v", broken)
	}
	return true, c.ctx.Err()
}

// notOpened tells of an account that has no file of ours, unless there is nothing yet that
// could be checked.
func (c *checking) notOpened(dir fsys.Dir) error {
	files := make(map[string]time.Time)
	for e, err := range dir.Names(0) {
		if err != nil {
			return err
		}
		files[e.Name] = time.Time{}
	}
	if takeover.Recognize(maps.All(files)) != takeover.Unknown {
		c.found(0, false, "not opened yet, and so not checked: another server keeps it")
	} else if _, ours := files[mailboxFile]; ours {
		c.found(0, false, "it has no %s, and is not checked", accountFile)
	}
	return nil
}

// checkpoint reads the index as it was written last.
func (c *checking) checkpoint(dir fsys.Dir) error {
	a := account{store: c.s, indexDir: dir}
	var state checkpointState
	err := a.readCheckpoint(&state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is made of the files, or not written yet
	}
	if err != nil {
		return fmt.Errorf("the index of the account cannot be read: %w", err)
	}
	for _, b := range state.Boxes {
		if err := c.ctx.Err(); err != nil {
			return nil
		}
		ix, err := index.Open(dir, string(b.Box), a.indexOptions())
		if err == nil {
			err = ix.Load()
			ix.Release()
		}
		if err != nil {
			return fmt.Errorf("the index of %s cannot be read: %w", b.Name, err)
		}
	}
	return nil
}

// opened checks an account that is open.
func (c *checking) opened(a *account) error {
	if err := a.lookAround(c.op); err != nil {
		return err
	}
	if err := a.do(&change{op: c.op, alone: func() error { return c.numbers(a) }}); err != nil {
		return err
	}
	a.mu.Lock()
	boxes := a.sortedMailboxes()
	a.mu.Unlock()
	for _, m := range boxes {
		a.mu.Lock()
		b := a.boxes[m.ID]
		a.mu.Unlock()
		if b == nil {
			continue
		}
		c.tell()
		c.at.Mailbox = m.Name
		err := c.mailbox(a, b)
		c.tell()
		c.at.Mailbox = ""
		if err != nil && !errors.Is(err, mailaccess.KindNotFound) {
			return err
		}
	}
	return c.kept(a)
}

// numbers checks what the account as a whole counts. The lead is held.
func (c *checking) numbers(a *account) error {
	text, err := readSmall(a.dir, accountFile)
	if err != nil {
		return err
	}
	if meta, err := parseAccountMeta(text); err == nil && meta != a.meta {
		c.found(0, false, "%s was changed by somebody else", accountFile)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ModSeq > a.meta.reserved && a.meta.reserved > 0 {
		c.found(0, false, "change number %d is above those that are reserved, %d", a.ModSeq, a.meta.reserved)
	}
	if a.Floor > a.ModSeq {
		c.found(0, false, "history begins at %d, after the last change number, %d", a.Floor, a.ModSeq)
	}
	last := mailaccess.ModSeq(0)
	for _, t := range a.Tombstones {
		if t.ModSeq < last || t.ModSeq > a.ModSeq {
			c.found(0, false, "the deleted mailbox %s has a change number out of order: %d", t.Name, t.ModSeq)
		}
		last = t.ModSeq
	}
	for i := range a.pending {
		c.found(0, false, "a file is not where it belongs yet: %q", a.pending[i].base)
	}
	for dir, r := range a.refused {
		c.found(0, false, "the folder %q is left alone: %s", dir, r.why)
	}
	return nil
}

// kept checks what is kept of expunged messages.
func (c *checking) kept(a *account) error {
	all, err := a.dir.Sub(expungedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	for e, err := range all.Names(0) {
		if err == nil && e.Type.IsDir() && isID(e.Name) {
			err = c.keptOf(all, e.Name)
		} else if _, _, ok := parseDeleted(e.Name); err == nil && (!ok || !e.Type.IsDir()) {
			c.found(0, false, "something else among the expunged messages: %q", e.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checking) keptOf(all fsys.Dir, box string) error {
	d, err := all.Sub(box)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	for e, err := range d.Names(0) {
		if err != nil {
			return err
		}
		if _, ok := parseKept(e.Name); (!ok || e.Type != 0) && e.Name != expungedName && e.Name != expungedName+".new" {
			c.found(0, false, "something else among the expunged messages: %q", box+"/"+e.Name)
		}
	}
	return nil
}

// leftOvers looks into the tmp of a folder.
func (c *checking) leftOvers(a *account, folder string) error {
	tmp, err := openTmp(a.dir, folder)
	if err != nil || tmp == nil {
		return err
	}
	defer tmp.Close()
	for name, err := range orphansIn(tmp, a.store.now()) {
		if err != nil {
			return err
		}
		repaired := c.repair && tmp.Remove(name) == nil
		c.found(0, repaired, "a delivery was left in tmp for more than %v: %q", orphanAge.Truncate(time.Hour), name)
	}
	return nil
}
