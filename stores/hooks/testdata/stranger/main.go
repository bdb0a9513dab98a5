// A program of somebody else: it keeps mail in its own way and serves it over IMAP and
// POP3. Each line on its standard input is a message that comes in.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/hooks"
)

const address = "kim@example.net"

// office is the application: a table of letters.
type office struct {
	mu      sync.Mutex
	letters []letter
	last    int
}

type letter struct {
	id      int
	folder  string
	marks   []string
	arrived time.Time
	text    string
}

func (o *office) add(folder, text string, arrived time.Time, marks []string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	o.letters = append(o.letters, letter{o.last, folder, marks, arrived, text})
	return o.last
}

// with runs f on a letter. Letters are never changed in place: they are listed without
// the lock.
func (o *office) with(ref hooks.Ref, f func(i int)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.letters, func(l letter) bool { return fmt.Sprint(l.id) == ref.Key && l.folder == ref.Mailbox })
	if i < 0 {
		return mailaccess.KindNotFound
	}
	o.letters = slices.Clone(o.letters)
	f(i)
	return nil
}

func (o *office) handlers() hooks.Handlers {
	return hooks.Handlers{
		Authenticate: func(_ context.Context, username, password string) (string, error) {
			if username == "kim" && password == "sesame" {
				return address, nil
			}
			return "", nil
		},
		MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) {
			return []hooks.Box{
				{Name: "INBOX"},
				{Name: "Sent", Use: mailaccess.UseSent},
				{Name: "Letters/2026"},
			}, nil
		},
		MailItems: func(_ context.Context, _ string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			o.mu.Lock()
			letters := o.letters
			o.mu.Unlock()
			return func(yield func(hooks.Item, error) bool) {
				for _, l := range letters {
					if l.folder != q.Mailbox {
						continue
					}
					if !yield(hooks.Item{Key: fmt.Sprint(l.id), Flags: l.marks, Received: l.arrived, Body: []byte(l.text)}, nil) {
						return
					}
				}
			}
		},
		AddMailItem: func(_ context.Context, _ string, n hooks.NewItem) (string, error) {
			text, err := io.ReadAll(n.Body)
			if err != nil {
				return "", err
			}
			return fmt.Sprint(o.add(n.Mailbox, string(text), n.Received, n.Flags)), nil
		},
		UpdateMailItem: func(_ context.Context, _ string, c hooks.Change) error {
			return o.with(c.Ref, func(i int) {
				kept := slices.DeleteFunc(slices.Clone(o.letters[i].marks), func(m string) bool { return slices.Contains(c.Remove, m) })
				o.letters[i].marks = append(kept, c.Add...)
			})
		},
		RemoveMailItem: func(_ context.Context, _ string, ref hooks.Ref) error {
			err := o.with(ref, func(i int) { o.letters = slices.Delete(o.letters, i, i+1) })
			if err == mailaccess.KindNotFound {
				return nil
			}
			return err
		},
	}
}

func main() {
	o := new(office)
	o.add("INBOX", "Subject: first\n\nGood morning.\n", time.Now(), nil)
	o.add("INBOX", "Subject: second\n\n.Dots.\n", time.Now(), []string{hooks.Flagged, "urgent"})
	o.add("Letters/2026", "Subject: old\n\nOnce upon a time.\n", time.Now(), []string{hooks.Seen})
	if err := serve(o); err != nil {
		log.Fatal(err)
	}
}

// serve ends with the standard input.
func serve(o *office) error {
	store, err := hooks.New(o.handlers(), nil)
	if err != nil {
		return err
	}
	defer store.Close()
	cert, err := protocols.SelfSigned()
	if err != nil {
		return err
	}
	server, err := mailserver.New(store, store, &mailserver.Options{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}})
	if err != nil {
		return err
	}
	for name, serve := range map[string]func(net.Listener) error{"imaps": server.IMAP.ServeTLS, "pop3s": server.POP3.ServeTLS} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(name, l.Addr())
		go serve(l)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		o.add("INBOX", "Subject: "+in.Text()+"\n\nIt came.\n", time.Now(), nil)
		store.Push(address, "INBOX")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}
