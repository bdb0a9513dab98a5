package storetest

import (
	"context"
	"iter"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Wrapper proves a store that wraps another one. wrap puts the wrapper around a
// store; passes names the fields of [mailaccess.Capabilities] that it lets
// through, in whatever form. Wrapper checks that every other field stays hidden
// when the store underneath has all of them, that those named are there, and
// that what is there keeps the contract: [Run] over wrap of the store that
// newStore makes, which should be one that has as much as possible.
//
// When the wrapper hides Append, messages come in by way of the store
// underneath.
func Wrapper(t *testing.T, newStore func(t testing.TB) Harness, wrap func(mailaccess.Store) mailaccess.Store, passes ...string) {
	t.Run("Capabilities", func(t *testing.T) { checkWrapper(t, newStore(t), wrap, passes) })
	t.Run("Contract", func(t *testing.T) {
		Run(t, func(t testing.TB) Harness {
			h := newStore(t)
			if h.Deliver == nil {
				h.Deliver = deliverTo(h)
			}
			if reopen := h.Reopen; reopen != nil {
				h.Reopen = func(t testing.TB) mailaccess.Store { return wrap(reopen(t)) }
			}
			h.Store = wrap(h.Store)
			return h
		})
	})
}

// checkWrapper compares what the wrapper shows with what it says.
func checkWrapper(t testing.TB, h Harness, wrap func(mailaccess.Store) mailaccess.Store, passes []string) {
	h.Store = wrap(everything{h.Store})
	e := newEnv(t, h)
	caps := reflect.ValueOf(e.caps)
	for _, name := range passes {
		if !caps.FieldByName(name).IsValid() {
			t.Errorf("%s, which the wrapper lets pass, is no field of Capabilities", name)
		}
	}
	account := reflect.TypeOf(e.acct)
	for i := range caps.NumField() {
		f, v := caps.Type().Field(i), caps.Field(i)
		named := slices.Contains(passes, f.Name)
		if named && v.IsZero() {
			t.Errorf("%s should pass and is hidden", f.Name)
		}
		if !named && !v.IsZero() {
			t.Errorf("%s should be hidden and passes", f.Name)
		}
		if !named && f.Type.Kind() == reflect.Interface && account.Implements(f.Type) {
			t.Errorf("%s should be hidden, but the account %v has its methods", f.Name, account)
		}
	}
}

// deliverTo appends straight to the store of h.
func deliverTo(h Harness) func(context.Context, mailaccess.MailboxID, []byte, mailaccess.Flags, time.Time) (mailaccess.UID, error) {
	inner, name, who := h.Store, h.Account, h.Identity
	return func(ctx context.Context, box mailaccess.MailboxID, content []byte, f mailaccess.Flags, received time.Time) (mailaccess.UID, error) {
		if who.Account == "" {
			who.Account, who.User = name, name
		}
		a, err := inner.Open(ctx, name, who)
		if err != nil {
			return 0, err
		}
		defer a.Close()
		s, err := a.Capabilities().Append.Stage(ctx, int64(len(content)))
		if err != nil {
			return 0, err
		}
		defer s.Close()
		if _, err := s.Write(content); err != nil {
			return 0, err
		}
		res, err := a.Capabilities().Append.Append(ctx, box, []mailaccess.NewMessage{{Staged: s, Flags: f, Received: received}})
		if err != nil {
			return 0, err
		}
		return res.Messages[0].UID, nil
	}
}

// everything is a store whose accounts have every capability: those that the
// store underneath lacks are there and refuse.
type everything struct{ mailaccess.Store }

func (s everything) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return allCapable{a}, nil
}

type allCapable struct{ mailaccess.Account }

func (a allCapable) Capabilities() mailaccess.Capabilities {
	c := a.Account.Capabilities()
	all := reflect.ValueOf(&c).Elem()
	for i := range all.NumField() {
		v := all.Field(i)
		if !v.IsZero() {
			continue
		}
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int64:
			v.SetInt(1 << 30)
		case reflect.Uint8:
			v.SetUint(uint64(mailaccess.SystemFlagsAll))
		default:
			v.Set(reflect.ValueOf(refuser{}))
		}
	}
	return c
}

// refuser has every capability and does nothing.
type refuser struct{}

var errRefused = &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "stand in"}

func refused[T any](yield func(T, error) bool) {
	var zero T
	yield(zero, errRefused)
}

func (refuser) Stage(context.Context, int64) (mailaccess.Staged, error) { return nil, errRefused }

func (refuser) Append(context.Context, mailaccess.MailboxID, []mailaccess.NewMessage) (mailaccess.Appended, error) {
	return mailaccess.Appended{}, errRefused
}

func (refuser) SetFlags(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.FlagChange, mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	return mailaccess.FlagResult{}, errRefused
}

func (refuser) Expunge(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	return nil, errRefused
}

func (refuser) Copy(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.MailboxID) (mailaccess.Copied, error) {
	return mailaccess.Copied{}, errRefused
}

func (refuser) Move(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.MailboxID) (mailaccess.Copied, error) {
	return mailaccess.Copied{}, mailaccess.ErrSkip
}

func (refuser) Replace(context.Context, mailaccess.MailboxID, mailaccess.UID, mailaccess.MailboxID, mailaccess.NewMessage) (mailaccess.Appended, error) {
	return mailaccess.Appended{}, mailaccess.ErrSkip
}

func (refuser) CreateMailbox(context.Context, string, mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	return mailaccess.Mailbox{}, errRefused
}

func (refuser) RenameMailbox(context.Context, mailaccess.MailboxID, string) error { return errRefused }

func (refuser) DeleteMailbox(context.Context, mailaccess.MailboxID) error { return errRefused }

func (refuser) Subscriptions(context.Context) iter.Seq2[string, error] { return refused[string] }

func (refuser) Subscribe(context.Context, string, bool) error { return errRefused }

func (refuser) Search(context.Context, mailaccess.MailboxID, mailaccess.Expr) (mailaccess.Found, error) {
	return mailaccess.Found{}, mailaccess.ErrSkip
}

func (refuser) Derived(context.Context, mailaccess.DerivedKind, []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return refused[mailaccess.Derived]
}

func (refuser) PutDerived(context.Context, mailaccess.DerivedKind, []mailaccess.Derived) error {
	return errRefused
}

func (refuser) Lease(context.Context, string, time.Duration) (mailaccess.Lease, error) {
	return nil, errRefused
}

func (refuser) Recent(context.Context, mailaccess.MailboxID) (mailaccess.UID, error) {
	return 0, errRefused
}

func (refuser) ClaimRecent(context.Context, mailaccess.MailboxID) (mailaccess.UID, error) {
	return 0, errRefused
}

func (refuser) Locate(context.Context, []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	return refused[mailaccess.Location]
}

func (refuser) UniqueIDs(context.Context, mailaccess.MailboxID, mailaccess.UIDSet) iter.Seq2[mailaccess.UniqueID, error] {
	return refused[mailaccess.UniqueID]
}

func (refuser) Hold(context.Context, mailaccess.MailboxID) (func(), error) { return nil, errRefused }
