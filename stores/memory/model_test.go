package memory

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// modelBox is a mailbox as simple as can be, with all that it ever was.
type modelBox struct {
	id   mailaccess.MailboxID
	next mailaccess.UID
	msgs map[mailaccess.UID]mailaccess.Message
	gone map[mailaccess.UID]mailaccess.Vanished
}

func (b *modelBox) in(uids mailaccess.UIDSet) []mailaccess.UID {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.msgs)), func(u mailaccess.UID) bool { return !uids.Contains(u) })
}

// TestModel does the same to a mailbox and to its model, with a history that is
// short enough to be cut.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t, &Options{HistoryLimit: 300})
		boxes := []*modelBox{{id: f.inbox}, {id: f.box("Other")}}
		for _, b := range boxes {
			b.next, b.msgs, b.gone = 1, map[mailaccess.UID]mailaccess.Message{}, map[mailaccess.UID]mailaccess.Vanished{}
		}
		pick := func(name string) *modelBox { return rapid.SampledFrom(boxes).Draw(rt, name) }
		someUIDs := func(b *modelBox) mailaccess.UIDSet {
			var set mailaccess.UIDSetBuilder
			for range rapid.IntRange(1, 8).Draw(rt, "ranges") {
				first := rapid.Uint32Range(1, uint32(b.next)).Draw(rt, "first")
				set.AddRange(mailaccess.UID(first), mailaccess.UID(first+rapid.Uint32Range(0, 40).Draw(rt, "more")))
			}
			return set.Set()
		}
		someFlags := rapid.Custom(func(rt *rapid.T) mailaccess.Flags {
			words := rapid.SliceOfN(rapid.SampledFrom([]string{"Work", "work", "later", "$Junk"}), 0, 2).Draw(rt, "keywords")
			k, err := mailaccess.NewKeywords(words...)
			f.must(err)
			return mailaccess.Flags{System: mailaccess.SystemFlags(rapid.IntRange(0, int(mailaccess.SystemFlagsAll)).Draw(rt, "system")), Keywords: k}
		})
		remove := func(b *modelBox, u mailaccess.UID, n mailaccess.ModSeq) {
			b.gone[u] = mailaccess.Vanished{UID: u, ModSeq: n, EmailID: b.msgs[u].EmailID}
			delete(b.msgs, u)
		}
		arrive := func(b *modelBox, m mailaccess.Message, n mailaccess.ModSeq) {
			m.UID, m.ModSeq, m.Created = b.next, n, n
			b.msgs[m.UID] = m
			b.next++
		}
		sameFlags := func(a, b mailaccess.Flags) bool {
			return a.System == b.System && a.Keywords.Len() == b.Keywords.Len() && a.Keywords.Minus(b.Keywords).IsEmpty()
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				b := pick("box")
				msgs := make([]mailaccess.NewMessage, rapid.IntRange(1, 150).Draw(rt, "messages"))
				for i := range msgs {
					msgs[i] = mailaccess.NewMessage{Staged: f.stage(fmt.Sprint("message ", b.next, i)), Flags: someFlags.Draw(rt, "flags")}
				}
				done, err := f.Append(ctx, b.id, msgs)
				f.must(err)
				for i, m := range done.Messages {
					if m.UID != b.next || !sameFlags(m.Flags, msgs[i].Flags) {
						rt.Fatalf("appended %+v, want UID %d with %v", m, b.next, msgs[i].Flags)
					}
					arrive(b, m, m.ModSeq)
				}
			},
			"flags": func(rt *rapid.T) {
				b, uids := pick("box"), mailaccess.UIDSet{}
				uids = someUIDs(b)
				change := mailaccess.FlagChange{Replace: rapid.Bool().Draw(rt, "replace"), Add: someFlags.Draw(rt, "add")}
				if !change.Replace {
					change.Remove = someFlags.Draw(rt, "remove")
				}
				since := mailaccess.AnyModSeq
				if rapid.Bool().Draw(rt, "conditional") {
					since = f.modseq - mailaccess.ModSeq(rapid.IntRange(0, 5).Draw(rt, "back"))
				}
				res, err := f.SetFlags(ctx, b.id, uids, change, since)
				f.must(err)
				var changed, conflict mailaccess.UIDSetBuilder
				for _, u := range b.in(uids) {
					m := b.msgs[u]
					to := change.Apply(m.Flags)
					switch {
					case m.ModSeq > since:
						conflict.AddUID(u)
					case !sameFlags(to, m.Flags):
						changed.AddUID(u)
						m.Flags, m.ModSeq = to, f.modseq
						b.msgs[u] = m
					}
				}
				var got mailaccess.UIDSet
				for _, c := range res.Changed {
					got = got.Union(c.UIDs)
				}
				if !got.Equal(changed.Set()) || !res.Conflict.Equal(conflict.Set()) {
					rt.Fatalf("changed %v, conflict %v; want %v, %v", got, res.Conflict, changed.Set(), conflict.Set())
				}
			},
			"expunge": func(rt *rapid.T) {
				b, uids := pick("box"), mailaccess.UIDSet{}
				uids = someUIDs(b)
				need := rapid.SampledFrom([]mailaccess.SystemFlags{0, mailaccess.FlagDeleted, mailaccess.FlagSeen | mailaccess.FlagDeleted}).Draw(rt, "need")
				_, err := f.Expunge(ctx, b.id, uids, need)
				f.must(err)
				for _, u := range b.in(uids) {
					if b.msgs[u].Flags.System.Has(need) {
						remove(b, u, f.modseq)
					}
				}
			},
			"copy": func(rt *rapid.T) {
				src, dst := pick("source"), pick("destination")
				uids := someUIDs(src)
				from := src.in(uids)
				done, err := f.Copy(ctx, src.id, uids, dst.id)
				f.must(err)
				if !done.Source.Equal(mailaccess.UIDSetOf(from...)) || done.Dest.Len() != len(from) {
					rt.Fatalf("copied %v to %v, want %v", done.Source, done.Dest, from)
				}
				for _, u := range from {
					arrive(dst, src.msgs[u], f.modseq)
				}
			},
			"move": func(rt *rapid.T) {
				src := pick("source")
				dst := boxes[0]
				if src == dst {
					dst = boxes[1]
				}
				uids := someUIDs(src)
				from := src.in(uids)
				done, err := f.Move(ctx, src.id, uids, dst.id)
				f.must(err)
				if !done.Source.Equal(mailaccess.UIDSetOf(from...)) || done.Dest.Len() != len(from) {
					rt.Fatalf("moved %v to %v, want %v", done.Source, done.Dest, from)
				}
				for _, u := range from {
					arrive(dst, src.msgs[u], f.modseq)
					remove(src, u, f.modseq)
				}
			},
			"": func(rt *rapid.T) {
				for _, b := range boxes {
					f.check(b.id)
					compare(rt, f, b, someUIDs(b))
					since := f.modseq - mailaccess.ModSeq(rapid.IntRange(0, 20).Draw(rt, "back"))
					compareChanges(rt, f, b, since)
				}
			},
		})
	})
}

func compare(rt *rapid.T, f *fixture, b *modelBox, some mailaccess.UIDSet) {
	for _, uids := range []mailaccess.UIDSet{mailaccess.UIDSetRange(1, 1<<32-1), some} {
		want := b.in(uids)
		got := f.list(b.id, uids)
		if len(got) != len(want) {
			rt.Fatalf("listed %d messages of %v, want %d", len(got), uids, len(want))
		}
		for i, m := range got {
			w := b.msgs[want[i]]
			if m.UID != w.UID || m.ModSeq != w.ModSeq || m.Created != w.Created || m.EmailID != w.EmailID ||
				m.Flags.System != w.Flags.System || m.Flags.Keywords.Len() != w.Flags.Keywords.Len() {
				rt.Fatalf("got %+v, want %+v", m, w)
			}
		}
	}
}

func compareChanges(rt *rapid.T, f *fixture, b *modelBox, since mailaccess.ModSeq) {
	f.mu.Lock()
	floor := f.boxes[b.id].floor
	f.mu.Unlock()
	if since < floor {
		if c, err := f.MailboxChanges(ctx, b.id, since); err != nil || c.Floor != floor {
			rt.Fatalf("changes since %d, below the floor %d: %d, %v", since, floor, c.Floor, err)
		}
		return
	}
	changed, vanished := f.changesSince(b.id, since)
	var wantChanged, wantVanished mailaccess.UIDSetBuilder
	for u, m := range b.msgs {
		add(&wantChanged, m.ModSeq > since, u)
	}
	for u, v := range b.gone {
		add(&wantVanished, v.ModSeq > since, u)
	}
	if !changed.Equal(wantChanged.Set()) || !vanished.Equal(wantVanished.Set()) {
		rt.Fatalf("since %d changed %v, vanished %v; want %v, %v", since, changed, vanished, wantChanged.Set(), wantVanished.Set())
	}
}
