package mailaccesstest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"testing/fstest"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
)

// start is [mailaccesstest.New] where there is no test.
func start() *mailaccesstest.Server {
	srv, err := mailaccesstest.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	return srv
}

// connect logs in.
func connect(srv *mailaccesstest.Server) *imapclient.Client {
	c, err := imapclient.DialInsecure(srv.IMAP, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Login("ann", "secret").Wait(); err != nil {
		log.Fatal(err)
	}
	return c
}

func ExampleStart() {
	srv, err := mailaccesstest.Start(&mailaccesstest.Options{Users: map[string]string{"bob": "hunter2"}})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := imapclient.DialTLS(srv.IMAPS, &imapclient.Options{TLSConfig: srv.ClientTLS()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.Login("bob", "hunter2").Wait())
	// Output: <nil>
}

func ExampleServer_Deliver() {
	srv := start()
	defer srv.Close()
	uid := srv.Deliver("ann", "Lists/Go", "Subject: Hello\n\nHow are you?\n", `\Seen`, "$Forwarded")
	fmt.Println(uid, srv.Mailboxes("ann"), srv.Messages("ann", "Lists/Go")[0].Flags)
	// Output: 1 [INBOX Lists/Go] [\Seen $Forwarded]
}

func ExampleServer_Load() {
	srv := start()
	defer srv.Close()
	srv.Load("ann", mailaccesstest.FS(fstest.MapFS{ // or os.DirFS("testdata/mail")
		"welcome.eml":     {Data: []byte("Subject: Welcome\n\n")},
		"Sent/answer.eml": {Data: []byte("Subject: Re: Welcome\n\n")},
	}))
	srv.Load("ann", mailaccesstest.Mbox(strings.NewReader("From ann Tue Mar  4 05:06:07 2025\nSubject: Old\nStatus: R\n\n"), "Archive"))
	for _, name := range srv.Mailboxes("ann") {
		for _, m := range srv.Messages("ann", name) {
			fmt.Printf("%s %v %q\n", name, m.Flags, m.Raw)
		}
	}
	// Output:
	// Archive [\Seen] "Subject: Old\r\n\r\n"
	// INBOX [] "Subject: Welcome\r\n\r\n"
	// Sent [] "Subject: Re: Welcome\r\n\r\n"
}

func ExampleServer_Inject() {
	srv := start()
	defer srv.Close()
	srv.Inject(mailaccesstest.Fault{Command: "SELECT", Answer: "NO [UNAVAILABLE] Try again"})
	c := connect(srv)
	defer c.Close()
	for range 2 {
		_, err := c.Select("INBOX", nil).Wait()
		fmt.Println(err)
	}
	fmt.Println(len(srv.Commands("SELECT")), "attempts")
	// Output:
	// imap: NO [UNAVAILABLE] Try again
	// <nil>
	// 2 attempts
}

// An APPEND of which the client does not learn that it was done.
func ExampleServer_Inject_lostAnswer() {
	srv := start()
	defer srv.Close()
	srv.Inject(mailaccesstest.Fault{Command: "APPEND", Drop: mailaccesstest.DropAnswer})
	c := connect(srv)
	defer c.Close()
	upload := c.Append("INBOX", 14, nil)
	_, err := upload.Write([]byte("Subject: x\r\n\r\n"))
	err = errors.Join(err, upload.Close())
	_, werr := upload.Wait()
	fmt.Println(errors.Join(err, werr) != nil, len(srv.Messages("ann", "INBOX")))
	// Output: true 1
}

func ExampleServer_WaitFor() {
	srv := start()
	defer srv.Close()
	c := connect(srv)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		log.Fatal(err)
	}
	go c.Idle() // what is tested: it waits for mail
	err := srv.WaitFor(context.Background(), func() bool { return len(srv.Commands("IDLE")) > 0 })
	if err != nil {
		log.Fatal(err)
	}
	srv.Deliver("ann", "INBOX", "Subject: News\n\n")
	err = srv.WaitFor(context.Background(), func() bool { return strings.Contains(srv.Transcript(), "* 1 EXISTS") })
	fmt.Println(err)
	// Output: <nil>
}

func ExampleServer_Transcript() {
	srv := start()
	defer srv.Close()
	nc, err := net.Dial("tcp", srv.POP3)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	for _, line := range []string{"USER ann", "PASS secret", "STAT"} {
		if _, err := r.ReadString('\n'); err != nil {
			log.Fatal(err)
		}
		fmt.Fprintf(nc, "%s\r\n", line)
	}
	if _, err := r.ReadString('\n'); err != nil {
		log.Fatal(err)
	}
	fmt.Print(srv.Transcript())
	// Output:
	// S1: +OK mailaccess ready
	// C1: USER ann
	// S1: +OK send PASS
	// C1: PASS secret
	// S1: +OK maildrop locked and ready
	// C1: STAT
	// S1: +OK 0 0
}

func ExampleServer_SetFlags() {
	srv := start()
	defer srv.Close()
	one := srv.Deliver("ann", "INBOX", "Subject: 1\n\n")
	two := srv.Deliver("ann", "INBOX", "Subject: 2\n\n")
	c := connect(srv)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		log.Fatal(err)
	}
	srv.SetFlags("ann", "INBOX", one, `\Flagged`)
	srv.Expunge("ann", "INBOX", two)
	found, err := c.Search(&imap.SearchCriteria{Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
	fmt.Println(found.AllSeqNums(), err)
	// Output: [1] <nil>
}

func ExampleServer_Dial() {
	srv, err := mailaccesstest.Start(&mailaccesstest.Options{Pipes: true})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	nc, err := srv.Dial("imaps")
	if err != nil {
		log.Fatal(err)
	}
	c := imapclient.New(nc, nil)
	defer c.Close()
	fmt.Println(c.Login("ann", "secret").Wait())
	// Output: <nil>
}

// What a client in another process verifies the server's certificate with.
func ExampleServer_CAFile() {
	srv := start()
	defer srv.Close()
	pem, err := os.ReadFile(srv.CAFile())
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := tls.Dial("tcp", srv.IMAPS, &tls.Config{RootCAs: roots})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Close())
	// Output: <nil>
}

func ExampleServer_CreateMailbox() {
	srv := start()
	defer srv.Close()
	srv.CreateMailbox("ann", "Sent", `\Sent`)
	c := connect(srv)
	defer c.Close()
	list, err := c.List("", "*", &imap.ListOptions{SelectSpecialUse: true}).Collect()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list[0].Mailbox, list[0].Attrs)
	// Output: Sent [\HasNoChildren \Sent]
}

func ExampleServer_Commands() {
	srv := start()
	defer srv.Close()
	c := connect(srv)
	defer c.Close()
	if err := c.Noop().Wait(); err != nil {
		log.Fatal(err)
	}
	for _, cmd := range srv.Commands(mailaccesstest.Login, "NOOP") {
		fmt.Printf("%d %s %s: %.2s\n", cmd.Conn, cmd.Service, cmd.Name, cmd.Answer)
	}
	// Output:
	// 1 imap LOGIN: OK
	// 1 imap NOOP: OK
}

func ExampleInjection_Hits() {
	srv := start()
	defer srv.Close()
	down := srv.Inject(mailaccesstest.Fault{Command: "NOOP", Answer: "NO [UNAVAILABLE] Down", Times: -1})
	c := connect(srv)
	defer c.Close()
	for range 3 {
		fmt.Println(c.Noop().Wait())
		if down.Hits() == 2 {
			down.Remove()
		}
	}
	// Output:
	// imap: NO [UNAVAILABLE] Down
	// imap: NO [UNAVAILABLE] Down
	// <nil>
}

func ExampleMaildir() {
	fsys := fstest.MapFS{ // or os.DirFS("testdata/Maildir")
		"cur/1741064767.M1P2.host:2,FS":       {Data: []byte("Subject: Read\n\n")},
		"new/1741064768.M1P2.host":            {Data: []byte("Subject: New\n\n")},
		".Sent.2025/cur/1741064769.M1P2.host": {Data: []byte("Subject: Sent\n\n")},
	}
	for m, err := range mailaccesstest.Maildir(fsys) {
		fmt.Println(m.Mailbox, m.Flags, err)
	}
	// Output:
	// INBOX [\Flagged \Seen] <nil>
	// INBOX [] <nil>
	// Sent/2025 [] <nil>
}

func ExampleMessages() {
	srv := start()
	defer srv.Close()
	srv.Load("ann", mailaccesstest.Messages(
		mailaccesstest.Message{Mailbox: "Archive", Received: time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC), Raw: "Subject: Old\n\n"},
		mailaccesstest.Message{Flags: []string{`\Seen`}, Raw: "Subject: New\n\n"},
	))
	fmt.Println(srv.Messages("ann", "Archive")[0].Received.UTC(), srv.Messages("ann", "INBOX")[0].Flags)
	// Output: 2025-03-04 05:06:07 +0000 UTC [\Seen]
}
