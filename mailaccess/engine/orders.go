package engine

import (
	"container/list"
	"context"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// What a message is sorted by never changes: nor does the order of those that were sorted
// once. So the orders that clients asked for last are kept, and what arrives since is
// brought into its place.

const (
	// maxOrders is how many octets they take in all, 4 for a message as a rule.
	maxOrders = 16 << 20
	// minOrder is how many messages an order has at least to be kept.
	minOrder = 256
	// orderWalk is how many messages of an order are passed over in the time that it takes
	// to sort one.
	orderWalk = 100
)

// An order are the messages of a mailbox as some criteria sort them. It is immutable.
type order struct {
	uids   mailaccess.UIDSet
	sorted []mailaccess.UID
}

func newOrder(sorted []mailaccess.UID) order {
	return order{mailaccess.UIDSetOf(sorted...), sorted}
}

// of returns those in uids, which all are in the order.
func (o order) of(uids mailaccess.UIDSet) []mailaccess.UID {
	sorted := make([]mailaccess.UID, 0, uids.Len())
	in := newMembers(uids)
	for _, uid := range o.sorted {
		if in.has(uid) {
			sorted = append(sorted, uid)
		}
	}
	return sorted
}

// members are a set of UIDs that is asked for each of many.
type members struct {
	uids  mailaccess.UIDSet
	first mailaccess.UID
	bits  []uint64 // nil: the set is too scattered for them
}

func newMembers(uids mailaccess.UIDSet) members {
	m := members{uids: uids, first: uids.Min()}
	if span := int64(uids.Max()-uids.Min())/64 + 1; !uids.IsEmpty() && span <= int64(uids.Len()) {
		m.bits = make([]uint64, span)
		for r := range uids.Ranges() {
			for i := uint64(r.First - m.first); i <= uint64(r.Last-m.first); i++ {
				m.bits[i/64] |= 1 << (i % 64)
			}
		}
	}
	return m
}

func (m *members) has(uid mailaccess.UID) bool {
	if m.bits == nil {
		return m.uids.Contains(uid)
	}
	i := uint64(uid) - uint64(m.first) // what is below wraps around
	return i/64 < uint64(len(m.bits)) && m.bits[i/64]>>(i%64)&1 == 1
}

// orderKey names an order: UIDs keep their meaning as long as the UIDVALIDITY stays.
type orderKey struct {
	account  string
	box      mailaccess.MailboxID
	validity uint32
	criteria string
}

// orders are those that were used last.
type orders struct {
	mu     sync.Mutex
	octets int
	byKey  map[orderKey]*list.Element // of keptOrder
	recent list.List                  // the one used last is first
}

type keptOrder struct {
	key    orderKey
	order  order
	octets int
}

func (s *orders) get(key orderKey) (order, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[key]
	if e == nil {
		return order{}, false
	}
	s.recent.MoveToFront(e)
	return e.Value.(keptOrder).order, true
}

// put keeps an order in place of the one before.
func (s *orders) put(key orderKey, o order) {
	ranges := 0
	for range o.uids.Ranges() {
		ranges++
	}
	kept := keptOrder{key, o, 256 + 4*cap(o.sorted) + 8*ranges}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropLocked(s.byKey[key])
	if kept.octets > maxOrders {
		return
	}
	for s.octets+kept.octets > maxOrders {
		s.dropLocked(s.recent.Back())
	}
	if s.byKey == nil {
		s.byKey = make(map[orderKey]*list.Element)
	}
	s.byKey[key] = s.recent.PushFront(kept)
	s.octets += kept.octets
}

func (s *orders) dropLocked(e *list.Element) {
	if e != nil {
		kept := s.recent.Remove(e).(keptOrder)
		delete(s.byKey, kept.key)
		s.octets -= kept.octets
	}
}

// sortKept is sortNow by way of an order that is kept, or is to be; ok is false when it is
// none of these.
func (v *View) sortKept(ctx context.Context, uids mailaccess.UIDSet, criteria []query.SortCriterion, o SortOptions) (sorted []mailaccess.UID, ok bool, err error) {
	if uids.Len() < minOrder {
		return nil, false, nil
	}
	key := orderKey{account: v.s.id.Account, box: v.at.ID, validity: v.at.UIDValidity, criteria: criteriaKey(criteria)}
	kept, found := v.s.e.orders.get(key)
	missing := uids.Minus(kept.uids)
	switch {
	case found && missing.IsEmpty():
		if len(kept.sorted) > orderWalk*uids.Len() {
			return nil, false, nil
		}
	case uids.Len() < len(kept.sorted)/2 || uids.Len() < v.uids.Len()/2:
		return nil, false, nil
	default:
		if found {
			sorted, err = v.SortMore(ctx, kept.of(v.uids.Intersect(kept.uids)), missing, criteria, SortOptions{Memory: o.Memory})
		} else {
			sorted, err = v.sortNow(ctx, uids, criteria, o)
		}
		if err != nil {
			return nil, false, err
		}
		kept = newOrder(sorted)
		v.s.e.orders.put(key, kept)
	}
	// What went from the mailbox since is not there any more, whoever was told.
	now, err := v.s.acct.Snapshot(ctx, v.at.ID)
	if err != nil {
		return nil, false, err
	}
	if err := o.Progress.tell(uids.Len(), uids.Len()); err != nil {
		return nil, false, err
	}
	return kept.of(uids.Intersect(now.UIDs).Intersect(kept.uids)), true, nil
}

func criteriaKey(criteria []query.SortCriterion) string {
	b := make([]byte, 0, 2*len(criteria))
	for _, c := range criteria {
		reverse := byte(0)
		if c.Reverse {
			reverse = 1
		}
		b = append(b, byte(c.Key), reverse)
	}
	return string(b)
}
