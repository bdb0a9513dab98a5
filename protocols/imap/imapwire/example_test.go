package imapwire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

func Example() {
	client := strings.NewReader("a1 SELECT &ZeVnLIqe-\r\n" +
		"a2 SELECT (\r\n" +
		"a3 UID FETCH 1:*,7 (FLAGS UID)\r\n")
	var sent bytes.Buffer
	w := imapwire.NewWriter(&sent)
	r := imapwire.NewReader(client, &imapwire.ReaderOptions{
		Continue: func() error {
			_, _ = w.WriteString("+ OK\r\n")
			return w.Flush()
		},
	})

	execute := func(name []byte) error {
		switch string(name) {
		case "SELECT":
			if err := r.SP(); err != nil {
				return err
			}
			mailbox, err := r.ReadMailbox()
			if err != nil {
				return err
			}
			if err := r.CRLF(); err != nil {
				return err
			}
			fmt.Println("select", mailbox)
			return nil
		case "UID":
			if err := r.SP(); err != nil {
				return err
			}
			name, err := r.ReadKeyword()
			if err != nil {
				return err
			}
			fmt.Printf("uid %s ", name)
			if err := r.SP(); err != nil {
				return err
			}
			var uids imapwire.NumSet
			if err := r.ReadNumSet(&uids); err != nil {
				return err
			}
			if err := r.SP(); err != nil {
				return err
			}
			err = r.ReadList(func() error {
				item, err := r.ReadItemName()
				fmt.Printf("%s ", item)
				return err
			})
			if err != nil {
				return err
			}
			if err := r.CRLF(); err != nil {
				return err
			}
			fmt.Println(uids.Resolve(100))
			return nil
		}
		return errors.New("unknown command")
	}

	for {
		tag, name, err := r.Command()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = execute(name)
		}
		b := append(w.Begin(), tag...)
		if err != nil {
			b = append(b, " BAD "...)
			b = imapwire.AppendText(b, err.Error(), false)
		} else {
			b = append(b, " OK done"...)
		}
		_ = w.End(append(b, "\r\n"...))
		if err := r.Skip(); err != nil {
			fmt.Println(err)
			break
		}
	}
	_ = w.Flush()
	_, _ = strings.NewReplacer("\r", "").WriteString(os.Stdout, sent.String())

	// Output:
	// select 日本語
	// uid FETCH FLAGS UID [{1 100}]
	// a1 OK done
	// a2 BAD expected an astring (at octet 10)
	// a3 OK done
}
