package imap_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// vast is a store whose INBOX has many messages, or long ones, which are nowhere: each is
// made up when it is asked for.
type vast struct {
	mailaccess.Store
	messages int
	octets   int64 // of each
}

func (s vast) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return vastAccount{a, s}, err
}

type vastAccount struct {
	mailaccess.Account
	s vast
}

// Capabilities: nothing is kept, so that everything is made anew.
func (a vastAccount) Capabilities() mailaccess.Capabilities {
	return mailaccess.Capabilities{SavedDates: true, Threads: true}
}

func (a vastAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	s, err := a.Account.Status(ctx, box)
	s.UIDNext, s.Messages, s.Size = mailaccess.UID(a.s.messages+1), a.s.messages, mailaccess.SizeUnknown
	return s, err
}

func (a vastAccount) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	s, err := a.Status(ctx, box)
	return mailaccess.Snapshot{Status: s, UIDs: mailaccess.UIDSetRange(1, mailaccess.UID(a.s.messages))}, err
}

func (a vastAccount) Messages(_ context.Context, _ mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	day := time.Unix(1e9, 0).UTC()
	return func(yield func(mailaccess.Message, error) bool) {
		for uid := range uids.All() {
			if !yield(mailaccess.Message{UID: uid, ModSeq: 1, Created: 1, Size: a.s.octets, Received: day, Saved: day, EmailID: "m", ThreadID: "T"}, nil) {
				return
			}
		}
	}
}

func (a vastAccount) Content(context.Context, mailaccess.EmailID) (mailaccess.Content, error) {
	return vastContent(a.s.octets), nil
}

// vastContent is a message of so many octets.
type vastContent int64

const vastHeader = "Subject: a long one\r\nFrom: a@example.org\r\n\r\n"

var vastLines = []byte(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1000))

func (c vastContent) Size() int64 { return int64(c) }
func (vastContent) Close() error  { return nil }

func (c vastContent) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < int64(c) {
		from := vastLines[off%int64(len(vastLines)):]
		if off < int64(len(vastHeader)) {
			from = []byte(vastHeader)[off:]
		}
		k := copy(p[n:], from[:min(int64(len(from)), int64(c)-off)])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (c vastContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(c, off, n), make([]byte, min(n, 32<<10)))
}

// However much there is to fetch, it costs the server no more memory than little does: a
// message goes through it in pieces, and messages one by one.
func TestFetchInConstantMemory(t *testing.T) {
	const most = 24 << 20 // what is not collected yet included, beyond as much as other tests left
	for _, test := range []struct {
		messages int
		octets   int64
		items    string
	}{
		{1, 1 << 30, "BODY.PEEK[]"},
		{1, 1 << 30, "BODY.PEEK[TEXT]"},
		{1, 1 << 30, "(ENVELOPE PREVIEW BODY.PEEK[1]<1000000000.1000>)"},
		{1_000_000, 500, "(UID FLAGS INTERNALDATE RFC822.SIZE EMAILID THREADID SAVEDATE)"},
		{20_000, 500, "(ENVELOPE BODYSTRUCTURE PREVIEW)"},
		{20_000, 500, "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			base := memory.New(nil)
			s := started(t, testStore{base: base, served: vast{base, test.messages, test.octets}})
			nc, server := net.Pipe() // nobody keeps what is said
			s.wg.Go(func() { s.srv.ServeConn(server) })
			selectInbox(t, nc)
			if _, err := io.WriteString(nc, "c FETCH 1:* "+test.items+"\r\n"); err != nil {
				t.Fatal(err)
			}
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			before := stats.HeapAlloc
			buf := make([]byte, 256<<10)
			var octets, looked int64
			for tail := []byte(nil); !bytes.HasPrefix(tail, []byte("c OK")); {
				n, err := nc.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				octets += int64(n)
				tail = buf[bytes.LastIndexByte(buf[:max(n-2, 0)], '\n')+1 : n]
				if octets-looked < 4<<20 {
					continue
				}
				looked = octets
				if runtime.ReadMemStats(&stats); stats.HeapAlloc > 2*before+most {
					t.Fatalf("after %d octets %d are in use, %d were before", octets, stats.HeapAlloc, before)
				}
			}
			if least := int64(test.messages) * 50; octets < least {
				t.Errorf("%d octets came, want at least %d", octets, least)
			}
		})
	}
}
