package mailaccesstest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"testing/fstest"

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
