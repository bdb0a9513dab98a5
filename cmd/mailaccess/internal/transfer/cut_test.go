package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// A file that ends anywhere, as one does whose writer died, has what was flushed, and takes
// more.
func TestCutFiles(t *testing.T) {
	for _, k := range kinds() {
		file := map[string]string{"tar": "there.tar", "tar.gz": "there.tar.gz", "mbox": "there/INBOX.mbox"}[k.name]
		if file == "" {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			p := k.open(t, filepath.Join(dir, "there"))
			box, err := p.Create(t.Context(), mailaccess.Inbox, 0)
			must(t, "create", err)
			var sizes []int64
			for i := range 4 {
				put(t, p, box, i)
				info, err := os.Stat(filepath.Join(dir, file))
				must(t, "look", err)
				sizes = append(sizes, info.Size())
			}
			k.abandon(p)
			whole, err := os.ReadFile(filepath.Join(dir, file))
			must(t, "read", err)
			for cut := int(sizes[0]); cut <= len(whole); cut += 5 {
				flushed := 0
				for _, size := range sizes {
					if size <= int64(cut) {
						flushed++
					}
				}
				cutAt(t, k, filepath.Join(t.TempDir(), file), whole[:cut], flushed)
			}
		})
	}
}

func put(t *testing.T, p transfer.Destination, box transfer.Mailbox, n int) {
	t.Helper()
	text := numbered(n)
	err := p.Append(context.Background(), box, transfer.Message{Received: time.Unix(1e9, 0)}, transfer.Body{Size: int64(len(text)), Reader: bytes.NewReader(text)})
	must(t, "append", err)
	became, err := p.Flush(context.Background(), box)
	must(t, "flush", err)
	if len(became) != 1 || became[0].Err != nil {
		t.Fatalf("flush: %+v", became)
	}
}

func numbered(n int) []byte {
	return fmt.Appendf(nil, "Subject: message %d\r\n\r\nFrom here, %d.\r\n\r\n\r\n", n, n)
}

func cutAt(t *testing.T, k kind, file string, text []byte, flushed int) {
	t.Helper()
	must(t, "make a directory", os.MkdirAll(filepath.Dir(file), 0o700))
	must(t, "write", os.WriteFile(file, text, 0o600))
	at := filepath.Join(filepath.Dir(file), "there")
	if k.name == "mbox" {
		at = filepath.Dir(file)
	}
	have := 0
	for round := range 3 {
		p := k.open(t, at)
		boxes, err := p.Mailboxes(t.Context())
		must(t, "list", err)
		if len(boxes) != 1 {
			t.Fatalf("cut at %d: %d mailboxes", len(text), len(boxes))
		}
		var msgs []transfer.Message
		for m, err := range p.Messages(t.Context(), boxes[0]) {
			must(t, "list messages", err)
			msgs = append(msgs, m)
		}
		if round == 0 {
			if have = len(msgs); have < flushed || have > flushed+1 {
				t.Fatalf("cut at %d: %d messages, %d were flushed", len(text), have, flushed)
			}
		} else if len(msgs) != have {
			t.Fatalf("cut at %d: %d messages, want %d", len(text), len(msgs), have)
		}
		for b, err := range p.Read(t.Context(), boxes[0], msgs) {
			must(t, "read", err)
			must(t, "read a message", b.Err)
			got, err := io.ReadAll(b.Reader)
			must(t, "read a message", err)
			if !bytes.Equal(got, numbered(b.N)) {
				t.Fatalf("cut at %d: message %d is %q", len(text), b.N, got)
			}
		}
		if round < 2 {
			put(t, p, boxes[0], have)
			have++
		}
		must(t, "close", p.Close())
	}
}
