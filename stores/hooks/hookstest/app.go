// Package hookstest has an application that keeps mail, for tests of package hooks
// and of what stands on it. It knows nothing of protocols: its messages have keys,
// flags and bytes, and whatever is not served through its [hooks.Handlers] is done
// to it directly, as the rest of an application does.
package hookstest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Style says how much the application does for whoever asks it.
type Style struct {
	// Versions gives each mailbox a version, and Changes answers a query with
	// Since with what has changed since.
	Versions, Changes bool
	// BoxKeys gives each mailbox a key that outlives its name.
	BoxKeys bool
	// Revisions gives each message a revision.
	Revisions bool
	// Sizes tells the size of each message.
	Sizes bool
	// Whole ignores all that queries say and yields everything.
	Whole bool
}

// App is the application: users, and the mailboxes of each. Its methods may be
// called by several goroutines at once.
type App struct {
	style Style

	mu      sync.Mutex
	users   map[string]*user
	counter uint64 // of changes; a version is its value
	lastKey uint64
}

// Message is a message as the application has it.
type Message struct {
	Key      string
	Flags    []string // sorted
	Received time.Time
	Body     []byte // never changed in place
}

type user struct {
	password string
	boxes    map[string]*box
}

type box struct {
	key     string
	use     mailaccess.SpecialUse
	born    uint64
	version uint64
	items   []*item           // in the order of arrival
	gone    map[string]uint64 // when keys that were there left
}

type item struct {
	Message
	revision uint64
	changed  uint64
}

// New returns an application without users.
func New(style Style) *App {
	return &App{style: style, users: make(map[string]*user)}
}

// AddUser makes an account that has an INBOX and nothing in it.
func (a *App) AddUser(email, password string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := &user{password: password, boxes: make(map[string]*box)}
	a.users[email] = u
	u.boxes[mailaccess.Inbox] = a.newBox(0)
}

// Methods whose names begin in lower case are called with the lock held.

func (a *App) newBox(use mailaccess.SpecialUse) *box {
	a.counter++
	return &box{
		key:  fmt.Sprint("box", a.counter),
		use:  use,
		born: a.counter, version: a.counter,
		gone: make(map[string]uint64),
	}
}

func (a *App) box(email, name string) (*user, *box, error) {
	u := a.users[email]
	if u == nil {
		return nil, nil, fmt.Errorf("account %s: %w", email, mailaccess.KindNotFound)
	}
	b := u.boxes[name]
	if b == nil {
		return u, nil, fmt.Errorf("mailbox %s: %w", name, mailaccess.KindNotFound)
	}
	return u, b, nil
}

func (b *box) find(key string) (int, error) {
	i := slices.IndexFunc(b.items, func(it *item) bool { return it.Key == key })
	if i < 0 {
		return 0, fmt.Errorf("message %s: %w", key, mailaccess.KindNotFound)
	}
	return i, nil
}

// touch notes a change in b and returns its number.
func (a *App) touch(b *box) uint64 {
	a.counter++
	b.version = a.counter
	return a.counter
}

func (a *App) put(b *box, m Message) string {
	if m.Key == "" {
		a.lastKey++
		m.Key = fmt.Sprint("key", a.lastKey)
	}
	m.Flags = sorted(m.Flags)
	n := a.touch(b)
	delete(b.gone, m.Key)
	b.items = append(b.items, &item{Message: m, revision: n, changed: n})
	return m.Key
}

func (a *App) remove(b *box, i int) *item {
	it := b.items[i]
	b.items = slices.Delete(b.items, i, i+1)
	b.gone[it.Key] = a.touch(b)
	return it
}

func (a *App) alter(b *box, i int, change func(it *item)) {
	it := b.items[i]
	it.changed = a.touch(b)
	change(it)
}

// sorted returns flags in order, without those that differ only in case from an
// earlier one.
func sorted(flags []string) []string {
	flags = slices.Clone(flags)
	slices.Sort(flags)
	return slices.CompactFunc(flags, strings.EqualFold)
}

// do runs f on a mailbox with the lock held.
func (a *App) do(email, name string, f func(b *box) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, b, err := a.box(email, name)
	if err != nil {
		return err
	}
	return f(b)
}

// Put adds a message and returns its key, which is a new one unless m has one.
func (a *App) Put(email, mailbox string, m Message) (key string, err error) {
	err = a.do(email, mailbox, func(b *box) error {
		if _, err := b.find(m.Key); err == nil {
			return fmt.Errorf("message %s: %w", m.Key, mailaccess.KindExists)
		}
		key = a.put(b, m)
		return nil
	})
	return key, err
}

// Remove removes a message.
func (a *App) Remove(email, mailbox, key string) error {
	return a.do(email, mailbox, func(b *box) error {
		i, err := b.find(key)
		if err == nil {
			a.remove(b, i)
		}
		return err
	})
}

// SetFlags gives a message these flags and no others.
func (a *App) SetFlags(email, mailbox, key string, flags ...string) error {
	return a.do(email, mailbox, func(b *box) error {
		i, err := b.find(key)
		if err == nil {
			a.alter(b, i, func(it *item) { it.Flags = sorted(flags) })
		}
		return err
	})
}

// SetBody gives a message other bytes under its key.
func (a *App) SetBody(email, mailbox, key string, body []byte) error {
	return a.do(email, mailbox, func(b *box) error {
		i, err := b.find(key)
		if err == nil {
			a.alter(b, i, func(it *item) { it.Body, it.revision = body, it.changed })
		}
		return err
	})
}

// Create makes an empty mailbox.
func (a *App) Create(email, name string, use mailaccess.SpecialUse) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[email]
	if u == nil {
		return mailaccess.KindNotFound
	}
	if u.boxes[name] != nil {
		return fmt.Errorf("mailbox %s: %w", name, mailaccess.KindExists)
	}
	u.boxes[name] = a.newBox(use)
	return nil
}

// Rename gives a mailbox another name, and those below it with it.
func (a *App) Rename(email, from, to string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, _, err := a.box(email, from)
	if err != nil {
		return err
	}
	renamed := make(map[string]*box)
	for name, b := range u.boxes {
		if below, ok := strings.CutPrefix(name, from); ok && (below == "" || below[0] == '/') {
			name = to + below
		}
		if renamed[name] != nil {
			return fmt.Errorf("mailbox %s: %w", name, mailaccess.KindExists)
		}
		renamed[name] = b
	}
	u.boxes = renamed
	return nil
}

// Delete removes a mailbox with what is in it.
func (a *App) Delete(email, name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, _, err := a.box(email, name)
	if err == nil {
		delete(u.boxes, name)
	}
	return err
}

// Mailboxes returns the names of an account's mailboxes, sorted.
func (a *App) Mailboxes(email string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[email] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(a.users[email].boxes))
}

// Messages returns what is in a mailbox, in the order of arrival.
func (a *App) Messages(email, mailbox string) []Message {
	var all []Message
	_ = a.do(email, mailbox, func(b *box) error {
		for _, it := range b.items {
			all = append(all, it.Message)
		}
		return nil
	})
	return all
}
