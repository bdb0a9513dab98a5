package storetest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing/iotest"

	"github.com/hashmail/mailaccess/mailaccess"
)

func contentChecks() []check {
	return []check{
		{"ReadAt", "Messages", checkReadAt},
		{"ReadAtAtOnce", "Messages", checkReadAtAtOnce},
		{"WriteRange", "Messages", checkWriteRange},
		{"WriteRangeOutside", "Messages", checkWriteRangeOutside},
		{"WriterFails", "Messages", checkWriterFails},
		{"OpenedSurvives", "Messages Expunge", checkOpenedSurvives},
		{"Gone", "Messages Expunge", checkContentGone},
		{"Retained", "Messages Expunge RetainsExpunged", checkContentRetained},
		{"RetainedOfDeleted", "Mailboxes RetainsExpunged", checkContentRetainedOfDeleted},
		{"Unknown", "", checkContentUnknown},
		{"EmailIDNamesContent", "Messages", checkEmailIDs},
	}
}

// contentIs checks the bytes of a message.
func (e *env) contentIs(id mailaccess.EmailID, want []byte) {
	e.Helper()
	if got := e.read(id); !bytes.Equal(got, want) {
		e.Errorf("content of %s: %d octets that differ from the %d expected", id, len(got), len(want))
	}
}

// goneOrSame checks that the content of a message that is gone either is
// readable still or answers KindContentGone. want may be nil: not known.
func (e *env) goneOrSame(id mailaccess.EmailID, want []byte) {
	e.Helper()
	got, err := readContent(e, id)
	switch {
	case err != nil:
		e.wantKind("Content of an expunged message", err, mailaccess.KindContentGone)
	case want != nil && !bytes.Equal(got, want):
		e.Errorf("content of an expunged message: %d octets that differ", len(got))
	}
}

// opened appends body and opens it.
func (e *env) opened(body []byte) mailaccess.Content {
	e.Helper()
	m := e.appendNew(e.inbox().ID, body, mailaccess.Flags{}, someDay)
	c, err := e.acct.Content(e.ctx, m.EmailID)
	if err != nil {
		e.Fatalf("Content: %v", err)
	}
	e.Cleanup(func() {
		if err := c.Close(); err != nil {
			e.Errorf("Content.Close: %v", err)
		}
	})
	return c
}

func checkReadAt(e *env) {
	for name, body := range awkwardBodies() {
		if e.h.WholeLines && !bytes.HasSuffix(body, []byte("\r\n")) {
			continue
		}
		c := e.opened(body)
		if c.Size() != int64(len(body)) {
			e.Errorf("%s: size %d, want %d", name, c.Size(), len(body))
		}
		if len(body) < 10_000 {
			if err := iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), body); err != nil {
				e.Errorf("%s: %v", name, err)
			}
		}
		p := make([]byte, 7)
		for _, off := range []int{0, 1, len(body) / 2, len(body) - 1} {
			n, err := c.ReadAt(p, int64(off))
			want := min(len(p), len(body)-off)
			if n != want || !bytes.Equal(p[:n], body[off:off+n]) {
				e.Errorf("%s: ReadAt(7, %d) = %d, %q", name, off, n, p[:n])
			}
			if n < len(p) && err != io.EOF || n == len(p) && err != nil && err != io.EOF {
				e.Errorf("%s: ReadAt(7, %d): %d, %v", name, off, n, err)
			}
		}
		for _, off := range []int64{c.Size(), c.Size() + 1, math.MaxInt64} {
			if n, err := c.ReadAt(p, off); n != 0 || err != io.EOF {
				e.Errorf("%s: ReadAt(7, %d) = %d, %v; want 0, EOF", name, off, n, err)
			}
		}
		if n, err := c.ReadAt(p, -1); n != 0 || err == nil || err == io.EOF {
			e.Errorf("%s: ReadAt(7, -1) = %d, %v; want an error", name, n, err)
		}
	}
}

// Several may read at once.
func checkReadAtAtOnce(e *env) {
	body := awkwardBodies()["300 kB"]
	c := e.opened(body)
	e.parallel(8, func(i int) error {
		if i%2 == 0 {
			got, err := readAll(c)
			if err == nil && !bytes.Equal(got, body) {
				err = errors.New("WriteRange: wrong octets")
			}
			return err
		}
		got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err == nil && !bytes.Equal(got, body) {
			err = errors.New("ReadAt: wrong octets")
		}
		return err
	})
}

func checkWriteRange(e *env) {
	body := awkwardBodies()["300 kB"]
	c := e.opened(body)
	n := len(body)
	for _, r := range [][2]int{{0, n}, {0, 1}, {1, 2}, {0, 0}, {n - 1, 1}, {100, 64 << 10}, {12345, n - 12345}, {n / 2, 0}} {
		var buf bytes.Buffer
		wrote, err := c.WriteRange(&buf, int64(r[0]), int64(r[1]))
		if err != nil || wrote != int64(r[1]) || !bytes.Equal(buf.Bytes(), body[r[0]:r[0]+r[1]]) {
			e.Errorf("WriteRange(%d, %d) = %d, %v; wrote %d octets", r[0], r[1], wrote, err, buf.Len())
		}
	}
}

func checkWriteRangeOutside(e *env) {
	body := e.letter()
	c := e.opened(body)
	size := c.Size()
	for _, r := range [][2]int64{
		{-1, 1}, {0, -1}, {0, size + 1}, {size, 1}, {size + 1, 1}, {1, size}, {math.MaxInt64, 1}, {1, math.MaxInt64}, {math.MinInt64, 1},
	} {
		var buf bytes.Buffer
		n, err := c.WriteRange(&buf, r[0], r[1])
		e.wantKind("WriteRange outside", err, mailaccess.KindInvalid)
		if n != 0 || buf.Len() != 0 {
			e.Errorf("WriteRange(%d, %d) wrote %d octets", r[0], r[1], buf.Len())
		}
	}
}

// An error of the writer comes back as it is, with what was written before.
func checkWriterFails(e *env) {
	body := awkwardBodies()["300 kB"]
	c := e.opened(body)
	for _, room := range []int{0, 1, 1000, 200_000} {
		w := &failingWriter{left: room, err: errors.New("the line is cut")}
		n, err := c.WriteRange(w, 0, c.Size())
		if err != w.err {
			e.Errorf("WriteRange: %v, want the writer's error", err)
		}
		if n != int64(w.got) {
			e.Errorf("WriteRange returned %d, the writer took %d", n, w.got)
		}
	}
}

// What was opened stays readable, whatever happens to the message.
func checkOpenedSurvives(e *env) {
	box := e.inbox().ID
	body := awkwardBodies()["300 kB"]
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	c, err := e.acct.Content(e.ctx, m.EmailID)
	if err != nil {
		e.Fatalf("Content: %v", err)
	}
	e.expunge(box, m.UID)
	e.fill(box, 2)
	if got, err := readAll(c); err != nil || !bytes.Equal(got, body) {
		e.Errorf("after the expunge: %d octets, %v", len(got), err)
	}
	if err := c.Close(); err != nil {
		e.Errorf("Content.Close: %v", err)
	}
}

func checkContentGone(e *env) {
	box := e.inbox().ID
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	other := e.fill(box, 1)[0]
	e.expunge(box, m.UID)
	e.goneOrSame(m.EmailID, body)
	e.read(other.EmailID)
}

// Whoever had the account open can still read what was expunged.
func checkContentRetained(e *env) {
	box := e.inbox().ID
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	before := e.openAgain()
	e.expunge(box, m.UID)
	e.contentIs(m.EmailID, body)
	c, err := before.Content(e.ctx, m.EmailID)
	if err != nil {
		e.Fatalf("Content in another account opened before the expunge: %v", err)
	}
	defer c.Close()
	if got, err := readAll(c); err != nil || !bytes.Equal(got, body) {
		e.Errorf("content in another account: %d octets, %v", len(got), err)
	}
}

// A mailbox that is deleted takes its messages along, and their contents stay all the same.
func checkContentRetainedOfDeleted(e *env) {
	box := e.create("Going").ID
	var ids []mailaccess.EmailID
	for i := range 3 {
		ids = append(ids, e.appendNew(box, letter(i), mailaccess.Flags{}, someDay).EmailID)
	}
	before := e.openAgain()
	e.remove(box)
	for i, id := range ids {
		e.contentIs(id, letter(i))
		c, err := before.Content(e.ctx, id)
		if err != nil {
			e.Fatalf("Content in another account opened before the mailbox went: %v", err)
		}
		if got, err := readAll(c); err != nil || !bytes.Equal(got, letter(i)) {
			e.Errorf("content in another account: %d octets, %v", len(got), err)
		}
		if err := c.Close(); err != nil {
			e.Error(err)
		}
	}
}

func checkContentUnknown(e *env) {
	_, err := e.acct.Content(e.ctx, "no-such-id")
	e.wantKind("Content of what never was", err, mailaccess.KindContentGone)
}

// Equal ids mean equal contents.
func checkEmailIDs(e *env) {
	box := e.inbox().ID
	seen := map[mailaccess.EmailID][]byte{}
	for i := range 12 {
		body := letter(i / 2) // each twice
		m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
		if before, ok := seen[m.EmailID]; ok && !bytes.Equal(before, body) {
			e.Errorf("id %s names two contents", m.EmailID)
		}
		seen[m.EmailID] = body
		if e.caps.Expunge != nil && i%3 == 0 {
			e.expunge(box, m.UID)
		}
	}
}
