package maildir

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// step is one command of a workload: what is done, and what it leads to when it is
// acknowledged.
type step struct {
	name   string
	do     func(r *trial) error
	effect func(o oracle)
	closes bool // the store is gone afterwards
}

const ann, bob = "ann", "bob"

// workload is a day in the life of two accounts, everything that there is in it.
func workload() []step {
	seen, flagged, deleted := sys(mailaccess.FlagSeen), sys(mailaccess.FlagFlagged), sys(mailaccess.FlagDeleted)
	work, both := words("work"), words("Work", "$Forwarded")
	return []step{
		opening(),
		login(ann),
		appending1(ann, "INBOX", "a1", mailaccess.Flags{}),
		appendMany(ann, "INBOX", seen, "a2", "a3", "a4"),
		create(ann, "Work"),
		create(ann, "Work/Sub"),
		copyingTo(ann, "INBOX", "Work", "a1", "a2"),
		appending1(ann, "Work", "a5", work),
		flags(ann, "INBOX", flagged, mailaccess.Flags{}, "a1", "a3"),
		flags(ann, "Work", both, mailaccess.Flags{}, "a2"),
		upkeep(),
		movingTo(ann, "INBOX", "Work/Sub", "a2", "a3"),
		login(bob),
		appending1(bob, "INBOX", "b1", seen),
		deliver(ann, "INBOX", "x1"),
		look(ann, "INBOX"),
		renameOutside(ann, "Work", "a1", "RS"),
		look(ann, "Work"),
		shorten(),
		expunging(ann, "Work", "a1"),
		replacing(ann, "INBOX", "a1", "a6"),
		subscribing(ann, "Work", true),
		subscribing(ann, "Nowhere", true),
		renaming1(ann, "Work", "Arbeit"),
		appending1(ann, "Arbeit", "a7", seen),
		flags(ann, "Arbeit", mailaccess.Flags{}, seen, "a7"),
		copyingTo(ann, "Arbeit", "INBOX", "a7"),
		upkeep(),
		copyingTo(ann, "Arbeit/Sub", "Arbeit", "a2"),
		movingTo(ann, "Arbeit/Sub", "INBOX", "a3"),
		deleting(ann, "Arbeit/Sub"),
		create(ann, "Work"),
		movingTo(ann, "Arbeit", "Work", "a7", "a5"),
		subscribing(ann, "Nowhere", false),
		staging(ann, "u1"),
		appendStaged(ann, "INBOX", "u1"),
		checkpointing(ann),
		appendStaged(ann, "Work", "u1"),
		discarding("u1"),
		appending1(bob, "INBOX", "b2", work),
		closing(),
		opening(),
		appending1(ann, "INBOX", "a8", deleted),
		flags(ann, "INBOX", mailaccess.Flags{}, flagged, "a3"),
		removeOutside(ann, "Work", "a7"),
		look(ann, "Work"),
		expunging(ann, "INBOX", "a8"),
		copyingTo(ann, "INBOX", "INBOX", "a4"),
		movingTo(ann, "INBOX", "Work", "a4"),
		appending1(bob, "INBOX", "b3", both),
		expunging(bob, "INBOX", "b2"),
		upkeep(),
		create(bob, "v1.2"),
		movingTo(bob, "INBOX", "v1.2", "b1"),
		flags(bob, "v1.2", flagged, seen, "b1"),
		upkeep(),
		deleting(bob, "v1.2"),
		appending1(ann, "Work", "a9", seen),
		movingTo(ann, "Work", "INBOX", "a9"),
		movingTo(ann, "INBOX", "Arbeit", "a9", "x1"),
		flags(ann, "Arbeit", flagged, seen, "a9"),
		upkeep(),
		movingTo(ann, "Arbeit", "Work", "a9"),
		expunging(ann, "Work", "a9"),
	}
}

func sys(f mailaccess.SystemFlags) mailaccess.Flags { return mailaccess.Flags{System: f} }

func words(w ...string) mailaccess.Flags {
	k, err := mailaccess.NewKeywords(w...)
	if err != nil {
		panic(err)
	}
	return mailaccess.Flags{Keywords: k}
}

func opening() step { return step{name: "open", do: (*trial).open} }
func closing() step { return step{name: "close", do: (*trial).close, closes: true} }

func login(account string) step {
	return step{"login " + account, func(r *trial) error {
		_, err := r.account(account)
		return err
	}, func(o oracle) {
		o[account] = &oracleAccount{boxes: map[string][]oracleMessage{mailaccess.Inbox: nil}, subs: make(map[string]bool)}
	}, false}
}

func stage(h mailaccess.Account, text string) (mailaccess.Staged, error) {
	s, err := h.Capabilities().Append.Stage(context.Background(), -1)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(s, oracleMail(text)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func appending1(account, box, text string, f mailaccess.Flags) step {
	return appendMany(account, box, f, text)
}

func appendMany(account, box string, f mailaccess.Flags, texts ...string) step {
	return step{"append to " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		var messages []mailaccess.NewMessage
		for _, text := range texts {
			s, err := stage(h, text)
			if err != nil {
				return err
			}
			defer s.Close()
			messages = append(messages, mailaccess.NewMessage{Staged: s, Flags: f})
		}
		_, err = h.Capabilities().Append.Append(context.Background(), id, messages)
		return err
	}, func(o oracle) {
		for _, text := range texts {
			o[account].add(box, text, f)
		}
	}, false}
}

func staging(account, text string) step {
	return step{name: "stage", do: func(r *trial) error {
		h, err := r.account(account)
		if err != nil {
			return err
		}
		r.uploads[text], err = stage(h, text)
		return err
	}}
}

func appendStaged(account, box, text string) step {
	return step{"append an upload to " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		_, err = h.Capabilities().Append.Append(context.Background(), id, []mailaccess.NewMessage{{Staged: r.uploads[text]}})
		if err != nil && box == mailaccess.Inbox {
			// An upload that could not be written is to be closed, and made anew. One that
			// was appended has been written.
			s, again := stage(h, text)
			if again == nil {
				again, r.uploads[text] = r.uploads[text].Close(), s
			}
			err = errors.Join(err, again)
		}
		return err
	}, func(o oracle) { o[account].add(box, text, mailaccess.Flags{}) }, false}
}

func discarding(text string) step {
	return step{name: "close an upload", do: func(r *trial) error { return r.uploads[text].Close() }}
}

func create(account, box string) step {
	return step{"create " + box, func(r *trial) error {
		h, err := r.account(account)
		if err != nil {
			return err
		}
		_, err = h.Capabilities().Mailboxes.CreateMailbox(context.Background(), box, 0)
		return err
	}, func(o oracle) { o[account].boxes[box] = nil }, false}
}

func renaming1(account, from, to string) step {
	return step{"rename " + from, func(r *trial) error {
		h, id, err := r.box(account, from)
		if err != nil {
			return err
		}
		return h.Capabilities().Mailboxes.RenameMailbox(context.Background(), id, to)
	}, func(o oracle) { o[account].rename(from, to) }, false}
}

func deleting(account, box string) step {
	return step{"delete " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		return h.Capabilities().Mailboxes.DeleteMailbox(context.Background(), id)
	}, func(o oracle) { delete(o[account].boxes, box) }, false}
}

func copyingTo(account, from, to string, texts ...string) step {
	return transferring("copy from ", account, from, to, texts, func(h mailaccess.Account) transferFunc { return h.Capabilities().Copy.Copy }, func(a *oracleAccount, text string) {
		m := a.boxes[from][a.index(from, text)]
		a.add(to, text, m.flags)
	})
}

func movingTo(account, from, to string, texts ...string) step {
	return transferring("move from ", account, from, to, texts, func(h mailaccess.Account) transferFunc { return h.Capabilities().Move.Move }, func(a *oracleAccount, text string) {
		a.add(to, text, a.take(from, text).flags)
	})
}

type transferFunc func(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.MailboxID) (mailaccess.Copied, error)

// transferring takes texts in the order of their UIDs.
func transferring(what, account, from, to string, texts []string, call func(mailaccess.Account) transferFunc, effect func(a *oracleAccount, text string)) step {
	return step{what + from + " to " + to, func(r *trial) error {
		h, src, err := r.box(account, from)
		if err != nil {
			return err
		}
		_, dst, err := r.box(account, to)
		if err != nil {
			return err
		}
		done, err := call(h)(context.Background(), src, r.uids(account, from, texts...), dst)
		if err == nil && done.Source.Len() != len(texts) {
			err = errors.New("not all were there")
		}
		return err
	}, func(o oracle) {
		a := o[account]
		order := slices.Clone(texts)
		slices.SortFunc(order, func(x, y string) int { return a.index(from, x) - a.index(from, y) })
		for _, text := range order {
			effect(a, text)
		}
	}, false}
}

func flags(account, box string, add, remove mailaccess.Flags, texts ...string) step {
	change := mailaccess.FlagChange{Add: add, Remove: remove}
	return step{"flags in " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		_, err = h.Capabilities().Flags.SetFlags(context.Background(), id, r.uids(account, box, texts...), change, mailaccess.AnyModSeq)
		return err
	}, func(o oracle) {
		for _, text := range texts {
			m := &o[account].boxes[box][o[account].index(box, text)]
			m.flags = change.Apply(m.flags)
		}
	}, false}
}

func expunging(account, box string, texts ...string) step {
	return step{"expunge from " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		_, err = h.Capabilities().Expunge.Expunge(context.Background(), id, r.uids(account, box, texts...), 0)
		return err
	}, func(o oracle) {
		for _, text := range texts {
			o[account].take(box, text)
		}
	}, false}
}

func replacing(account, box, old, text string) step {
	return step{"replace in " + box, func(r *trial) error {
		h, id, err := r.box(account, box)
		if err != nil {
			return err
		}
		s, err := stage(h, text)
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = h.Capabilities().Replace.Replace(context.Background(), id, r.uids(account, box, old).Min(), id, mailaccess.NewMessage{Staged: s})
		return err
	}, func(o oracle) {
		o[account].take(box, old)
		o[account].add(box, text, mailaccess.Flags{})
	}, false}
}

func subscribing(account, name string, on bool) step {
	return step{"subscribe to " + name, func(r *trial) error {
		h, err := r.account(account)
		if err != nil {
			return err
		}
		return h.Capabilities().Subscriptions.Subscribe(context.Background(), name, on)
	}, func(o oracle) {
		if delete(o[account].subs, name); on {
			o[account].subs[name] = true
		}
	}, false}
}

// upkeep lets names of files follow their flags.
func upkeep() step {
	return step{name: "upkeep", do: func(r *trial) error {
		*r.past += 3 * time.Second
		r.store.upkeep(r.now())
		return nil
	}}
}

func shorten() step {
	return step{name: "shorten the log", do: func(r *trial) error { r.store.shortenLog(true); return nil }}
}

func checkpointing(account string) step {
	return step{name: "checkpoint", do: func(r *trial) error {
		if _, err := r.account(account); err != nil {
			return err
		}
		if err := r.store.accounts[account].checkpoint(); err != nil {
			return failDisk("checkpoint", "", err)
		}
		return nil
	}}
}

// deliver is another program that delivers a message.
func deliver(account, box, text string) step {
	return step{"deliver to " + box, func(r *trial) error {
		return r.outside(account, box, func(_ *mailbox, dir, fresh, _ fsys.Dir) error {
			tmp, err := dir.Sub("tmp")
			if err != nil {
				return err
			}
			f, err := tmp.Create(text + ".example")
			if err != nil {
				return err
			}
			_, err = io.WriteString(f, strings.ReplaceAll(oracleMail(text), "\r\n", "\n"))
			if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
				err = tmp.Rename(text+".example", fresh, text+".example")
			}
			return errors.Join(err, fresh.Sync())
		})
	}, func(o oracle) { o[account].add(box, text, mailaccess.Flags{}) }, false}
}

// renameOutside is another program that sets the flags of a message to others.
func renameOutside(account, box, text, letters string) step {
	return step{"rename a file in " + box, func(r *trial) error {
		uid := r.uids(account, box, text).Min()
		return r.outside(account, box, func(b *mailbox, _, fresh, cur fsys.Dir) error {
			dir, name, err := fileOf(b, uid, fresh, cur)
			if err != nil {
				return err
			}
			return errors.Join(dir.Rename(name, cur, baseOf(name)+":2,"+letters), cur.Sync())
		})
	}, func(o oracle) {
		m := &o[account].boxes[box][o[account].index(box, text)]
		m.flags.System = mailaccess.FlagAnswered | mailaccess.FlagSeen
	}, false}
}

// removeOutside is another program that removes a message.
func removeOutside(account, box, text string) step {
	return step{"remove a file in " + box, func(r *trial) error {
		uid := r.uids(account, box, text).Min()
		return r.outside(account, box, func(b *mailbox, _, fresh, cur fsys.Dir) error {
			dir, name, err := fileOf(b, uid, fresh, cur)
			if err != nil {
				return err
			}
			return errors.Join(dir.Remove(name), dir.Sync())
		})
	}, func(o oracle) { o[account].take(box, text) }, false}
}

func fileOf(b *mailbox, uid mailaccess.UID, fresh, cur fsys.Dir) (fsys.Dir, string, error) {
	if err := b.ix.Load(); err != nil {
		return nil, "", err
	}
	name, err := b.ix.FileName(uid)
	if name.Place == index.PlaceNew {
		return fresh, name.Base + name.Suffix, err
	}
	return cur, name.Base + name.Suffix, err
}

// look has a mailbox compared with its directories.
func look(account, box string) step {
	return step{name: "look at " + box, do: func(r *trial) error {
		h, id, err := r.box(account, box)
		if err == nil {
			_, err = h.Status(context.Background(), id)
		}
		if err != nil {
			return err
		}
		delete(r.stale, account+"/"+box)
		if err := r.compare(); err != nil {
			// A file that could not be read is found with the next look.
			r.stale[account+"/"+box] = true
			return fail("look", mailaccess.KindUnavailable, box, err)
		}
		return nil
	}}
}
