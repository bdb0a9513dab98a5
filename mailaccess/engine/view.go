package engine

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// View is an open mailbox as a client was told it: a set of UIDs in which each
// message has a number from 1 on. It belongs to one goroutine at a time.
//
// A view holds two change numbers. What it knows reaches to applied; what the
// client may rely on reaches to told. While a removal that the view knows of may
// not be told yet (RFC 3501, section 7.4.1), told stays below it: a client that
// comes back with a higher number would keep a ghost (RFC 7162, section 3.2).
type View struct {
	s        *Session
	at       mailaccess.Status // as of the last update, Messages etc. included
	readOnly bool
	frozen   bool
	listener *Listener
	release  func() // of the hold, if any

	uids   mailaccess.UIDSet // what the client was told, gone ones included
	gone   mailaccess.UIDSet // those of uids that are removed and not told
	recent mailaccess.UIDSet
	// claimed is the UID from which on what arrived was claimed for this session
	// and is not in recent yet; 0: nothing.
	claimed mailaccess.UID
	applied mailaccess.ModSeq
	// told is applied as it was before the first removal in gone; it counts
	// only while gone is not empty.
	told mailaccess.ModSeq
	// own are flag changes through this view that the client knows of.
	own []mailaccess.Commit

	failures int         // of Update, one after another
	retry    *time.Timer // rings because of them
}

// ViewOptions say how to open a view.
type ViewOptions struct {
	// ReadOnly views change nothing and claim no \Recent.
	ReadOnly bool
	// Frozen views are never updated and listen to nothing, as a POP3
	// maildrop (RFC 1939, section 3).
	Frozen bool
}

// OpenView opens a mailbox. It is read only also where the identity has no right
// to change it, or the store no way to.
func (s *Session) OpenView(ctx context.Context, box mailaccess.MailboxID, o ViewOptions) (*View, error) {
	v := &View{s: s, readOnly: o.ReadOnly, frozen: o.Frozen}
	if !o.Frozen {
		// Listen, then look: what changes between is rung for.
		v.listener = s.Listen(box)
	}
	if err := v.open(ctx, box); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *View) open(ctx context.Context, box mailaccess.MailboxID) error {
	if hold := v.s.caps.Hold; hold != nil {
		release, err := hold.Hold(ctx, box)
		if err != nil {
			return err
		}
		v.release = release
	}
	st, err := v.s.acct.Status(ctx, box)
	if err != nil {
		return err
	}
	if !st.Rights.Has(mailaccess.RightRead) {
		return &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "open", Mailbox: st.Name}
	}
	const write = mailaccess.RightSeen | mailaccess.RightFlags | mailaccess.RightDeleted | mailaccess.RightExpunge
	if st.Rights&write == 0 || v.s.caps.Flags == nil && v.s.caps.Expunge == nil {
		v.readOnly = true
	}
	v.at = st
	snap, err := v.look(ctx, true)
	if err != nil {
		return err
	}
	v.at, v.uids, v.applied = snap.Status, snap.UIDs, snap.ModSeq
	if err := v.addRecent(ctx, &snap, snap.UIDs); err != nil {
		return err
	}
	v.claimed = 0
	return nil
}

// keepsRecent reports whether the store is told what this view claims.
func (v *View) keepsRecent() bool { return v.s.caps.Recent != nil && !v.readOnly && !v.frozen }

// look takes a snapshot. What arrived is claimed first, in a store that keeps
// \Recent: the other way round, what came between the two would have been claimed
// by nobody that knew. What is in doubt is \Recent (RFC 3501, section 2.3.2).
func (v *View) look(ctx context.Context, arrived bool) (mailaccess.Snapshot, error) {
	if arrived && v.keepsRecent() {
		from, err := v.s.caps.Recent.ClaimRecent(ctx, v.at.ID)
		if err != nil {
			return mailaccess.Snapshot{}, err
		}
		if v.claimed == 0 || from < v.claimed {
			v.claimed = from
		}
	}
	snap, err := v.s.acct.Snapshot(ctx, v.at.ID)
	if err == nil && !arrived && snap.UIDNext > v.at.UIDNext && v.keepsRecent() {
		return v.look(ctx, true)
	}
	return snap, err
}

// addRecent adds to recent those of arrived that no session was told of.
func (v *View) addRecent(ctx context.Context, snap *mailaccess.Snapshot, arrived mailaccess.UIDSet) error {
	if v.frozen {
		return nil
	}
	from := v.claimed
	if !v.keepsRecent() {
		var err error
		if from, err = v.s.recentFrom(ctx, snap, !v.readOnly); err != nil {
			return err
		}
	}
	if top := arrived.Max(); top >= from {
		v.recent = v.recent.Union(arrived.Intersect(mailaccess.UIDSetRange(from, top)))
	}
	return nil
}

// Close gives the view up.
func (v *View) Close() {
	v.stopRetry()
	if v.listener != nil {
		v.listener.Close()
	}
	if v.release != nil {
		v.release()
		v.release = nil
	}
}

// Status returns the mailbox as of the last update. Its counts may differ from
// what the client was told: see Len.
func (v *View) Status() mailaccess.Status { return v.at }

// ReadOnly reports whether the view changes nothing.
func (v *View) ReadOnly() bool { return v.readOnly }

// Len is how many messages the client was told of (EXISTS).
func (v *View) Len() int { return v.uids.Len() }

// UIDs returns the messages that the client was told of.
func (v *View) UIDs() mailaccess.UIDSet { return v.uids }

// Recent returns those of them that are \Recent in this session.
func (v *View) Recent() mailaccess.UIDSet { return v.recent }

// Number returns the message number of uid, or 0 when the client was not told of
// such a message.
func (v *View) Number(uid mailaccess.UID) int {
	if !v.uids.Contains(uid) {
		return 0
	}
	return v.uids.Rank(uid)
}

// UID returns the UID of message number n, or 0.
func (v *View) UID(n int) mailaccess.UID { return v.uids.Select(n) }

// Told is the change number up to which the client knows everything: what
// HIGHESTMODSEQ may say.
func (v *View) Told() mailaccess.ModSeq {
	if v.gone.IsEmpty() {
		return v.applied
	}
	return v.told
}

// AfterRing calls wake once when the mailbox may have changed; see
// [Listener.AfterRing]. A view whose last Update failed is woken after a while in any
// case, to try again: at first after a second, at last after a minute. A frozen view
// is never woken.
func (v *View) AfterRing(wake func()) (stop func() bool) {
	if v.listener == nil {
		return func() bool { return true }
	}
	v.stopRetry()
	if v.failures > 0 {
		v.retry = time.AfterFunc(retryAfter(v.failures), v.listener.Ring)
	}
	// From here on the view may be wake's.
	return v.listener.AfterRing(wake)
}

// TryAgain says that what hangs on the view could not be brought up to date: whoever
// waits for a ring is woken after a while, as after an Update that failed.
func (v *View) TryAgain() { v.failures++ }

func (v *View) stopRetry() {
	if v.retry != nil {
		v.retry.Stop()
		v.retry = nil
	}
}

// retryAfter returns how long to wait after so many failures in a row.
func retryAfter(failures int) time.Duration {
	return min(time.Second<<min(failures-1, 6), time.Minute)
}

// Numbered is a message with its number in a view.
type Numbered struct {
	Number int
	mailaccess.Message
}

// Messages lists those messages of uids that the client was told of and that are
// still there, ascending.
func (v *View) Messages(ctx context.Context, uids mailaccess.UIDSet) iter.Seq2[*Numbered, error] {
	return func(yield func(*Numbered, error) bool) {
		numbers := numberer{uids: v.uids}
		var n Numbered // one for the whole listing
		for m, err := range v.s.acct.Messages(ctx, v.at.ID, uids) {
			if err != nil {
				yield(nil, err)
				return
			}
			if n.Number = numbers.of(m.UID); n.Number == 0 {
				continue
			}
			n.Message = m
			if !yield(&n, nil) {
				return
			}
		}
	}
}

// numberer finds the numbers of ascending UIDs, fast within a run.
type numberer struct {
	uids mailaccess.UIDSet
	run  mailaccess.UIDRange // the run that was used last
	base int                 // the number of its first member
}

func (n *numberer) of(uid mailaccess.UID) int {
	if uid >= n.run.First && uid <= n.run.Last {
		return n.base + int(uid-n.run.First)
	}
	for run := range n.uids.RangesFrom(uid) {
		if run.First > uid {
			break
		}
		// RangesFrom may cut the first run to begin at uid.
		n.run = mailaccess.UIDRange{First: uid, Last: run.Last}
		n.base = n.uids.Rank(uid)
		return n.base
	}
	return 0
}

// SetFlags changes flags of messages. See [mailaccess.FlagSetter] for the result.
// The client is expected to be told of the outcome (or to have asked not to be):
// the next Update leaves it out, except where somebody else changed the message
// too (RFC 3501, section 6.4.6).
func (v *View) SetFlags(ctx context.Context, uids mailaccess.UIDSet, change mailaccess.FlagChange, unchangedSince mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	if v.s.caps.Flags == nil || v.readOnly {
		return mailaccess.FlagResult{}, v.refused("change flags", v.s.caps.Flags != nil)
	}
	change.Add, change.Remove = v.s.kept(change.Add), v.s.kept(change.Remove)
	// Messages that nobody else changed since the last update first: what we
	// do to them is all that there is to know. The others will be shown.
	known := min(unchangedSince, v.applied)
	defer v.s.resting()()
	res, err := v.s.caps.Flags.SetFlags(ctx, v.at.ID, uids.Intersect(v.uids), change, known)
	v.s.e.changed(v.s.id.Account, v.at.ID)
	if !v.frozen {
		v.own = append(v.own, res.Changed...)
	}
	if known == unchangedSince || res.Conflict.IsEmpty() {
		return res, err
	}
	if err != nil {
		// Those conflict with what the view knows, not with what was asked.
		res.Conflict = mailaccess.UIDSet{}
		return res, err
	}
	rest, err := v.s.caps.Flags.SetFlags(ctx, v.at.ID, res.Conflict, change, unchangedSince)
	v.s.e.changed(v.s.id.Account, v.at.ID)
	return mailaccess.FlagResult{Changed: append(slices.Clone(res.Changed), rest.Changed...), Conflict: rest.Conflict}, err
}

// Expunge removes messages that have all flags of need; the next Update shows
// that they went. On an error some may be gone all the same.
func (v *View) Expunge(ctx context.Context, uids mailaccess.UIDSet, need mailaccess.SystemFlags) error {
	if v.s.caps.Expunge == nil || v.readOnly {
		return v.refused("expunge", v.s.caps.Expunge != nil)
	}
	defer v.s.resting()()
	_, err := v.s.caps.Expunge.Expunge(ctx, v.at.ID, uids.Intersect(v.uids), need)
	v.s.e.changed(v.s.id.Account, v.at.ID)
	return err
}

// Copy copies messages to another mailbox: all or none. More than one needs
// Can().CopyMany.
func (v *View) Copy(ctx context.Context, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	return v.s.copyTo(ctx, v.at.ID, uids.Intersect(v.uids), dst)
}

// Move moves messages to another mailbox, each whole; on an error the result says
// what was done. The next Update shows that they went. progress, which may be nil, is told
// how far it is where messages are moved one by one.
func (v *View) Move(ctx context.Context, uids mailaccess.UIDSet, dst mailaccess.MailboxID, progress Progress) (mailaccess.Copied, error) {
	if v.readOnly {
		return mailaccess.Copied{}, v.refused("move", true)
	}
	return v.s.move(ctx, v.at.ID, uids.Intersect(v.uids), dst, progress)
}

func (v *View) refused(op string, able bool) error {
	kind := mailaccess.KindUnsupported
	if able {
		kind = mailaccess.KindForbidden
	}
	return &mailaccess.Error{Kind: kind, Op: op, Mailbox: v.at.Name}
}
