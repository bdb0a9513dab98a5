package imap_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// TestManyHeaderSubsets: the fields of a hostile header are not kept for each of many
// subsets until they are sent; what is sent is the same.
func TestManyHeaderSubsets(t *testing.T) {
	c := dialRaw(t, started(t, inMemory(memory.New(nil)), strings.Repeat("A: x\r\nB: y\r\n", 18_000)+"\r\nText\r\n"))
	items := make([]string, 250)
	for i := range items {
		items[i] = fmt.Sprintf("BODY.PEEK[HEADER.FIELDS (A X%d)]", i)
	}
	items[2] = "BODY.PEEK[HEADER.FIELDS (B)]<7.11>"
	few, status := c.do("FETCH 1 (" + strings.Join(items[:3], " ") + ")")
	if len(few) != 1 || !strings.HasPrefix(status, "OK") {
		t.Fatal(status)
	}
	want := few[0][:len(few[0])-len(")")]
	for i := range 3 {
		one, status := c.do("FETCH 1 (" + items[i] + ")")
		if len(one) != 1 || !strings.HasPrefix(status, "OK") {
			t.Fatal(status)
		}
		text := strings.TrimSuffix(strings.TrimPrefix(one[0], "* 1 FETCH ("), ")")
		if rest, same := strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(want, "* 1 FETCH ("), " "), text); same {
			want = rest
		} else {
			t.Fatalf("%s is another one beside others", items[i])
		}
	}
	before := heap()
	if _, err := c.nc.Write([]byte("u FETCH 1 (" + strings.Join(items, " ") + ")\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.r.Peek(1); err != nil { // the response has begun, and does not go on
		t.Fatal(err)
	}
	if grown := heap() - before; grown > 4<<20 { // one subset takes 288 KB
		t.Errorf("%d octets more while it is sent", grown)
	}
	runtime.KeepAlive(c)
}

// readCounter is a store that counts the octets that are read of contents.
type readCounter struct {
	mailaccess.Store
	octets *atomic.Int64
}

func (s readCounter) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return readCounterAccount{a, s.octets}, err
}

type readCounterAccount struct {
	mailaccess.Account
	octets *atomic.Int64
}

func (a readCounterAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	c, err := a.Account.Content(ctx, id)
	return readCounterContent{c, a.octets}, err
}

type readCounterContent struct {
	mailaccess.Content
	octets *atomic.Int64
}

func (c readCounterContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	c.octets.Add(int64(n))
	return n, err
}

// TestBinaryIsBounded: whatever a client wants of a part, decoded, it is decoded a few
// times, and no item twice for its size.
func TestBinaryIsBounded(t *testing.T) {
	store := inMemory(memory.New(nil))
	octets := new(atomic.Int64)
	store.served = readCounter{store.base, octets}
	body := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("0123456789abcdef", 1<<14)))
	c := dialRaw(t, started(t, store, "Content-Transfer-Encoding: base64\r\n\r\n"+body+"\r\n"))
	windows := make([]string, 8)
	for i := range windows {
		windows[i] = fmt.Sprintf("BINARY.PEEK[1]<%d.1>", 1<<18-10+i)
	}
	c.ok("FETCH 1 (BODYSTRUCTURE BINARY.SIZE[1])") // the structure is kept from now on
	for _, test := range []struct {
		items string
		reads int // of the whole part
	}{
		{"BINARY.SIZE[1]", 1},
		{"BINARY.SIZE[1] BINARY.PEEK[1]", 2},
		{"BINARY.PEEK[1] BINARY.SIZE[1]", 2},
		{strings.Join(windows, " "), 16},
	} {
		octets.Store(0)
		c.ok("FETCH 1 (" + test.items + ")")
		most := int64(test.reads*len(body)) + 64<<10
		if got := octets.Load(); got > most || got < int64(len(body)) {
			t.Errorf("%s: %d octets were read, want %d at most", test.items, got, most)
		}
	}
	for _, more := range []string{"BINARY.SIZE[1]", "BINARY.PEEK[1]"} {
		if _, status := c.do("FETCH 1 (" + strings.Join(windows, " ") + " BINARY.PEEK[2] " + more + ")"); !strings.HasPrefix(status, "NO [LIMIT]") {
			t.Errorf("%s beside all windows: %s", more, status)
		}
	}
	c.ok("FETCH 1 (" + strings.Join(windows, " ") + " BINARY.PEEK[2])")
}
