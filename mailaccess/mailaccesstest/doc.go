// Package mailaccesstest is a mail server for the tests of whatever talks to one, as
// net/http/httptest is for HTTP.
//
//	func TestUnread(t *testing.T) {
//		srv := mailaccesstest.New(t, nil)
//		srv.Deliver("ann", "INBOX", "Subject: Hello\n\nHow are you?\n")
//		n, err := unread(srv.IMAP, "ann", "secret") // what is tested
//		if err != nil || n != 1 {
//			t.Errorf("%d unread messages, %v", n, err)
//		}
//	}
//
// The server is the whole of it: IMAP and POP3, plain with STARTTLS and over TLS, over a
// store in memory, on free ports of this machine. It ends with the test, which fails if
// the server has logged an error.
//
//   - A client trusts it by [Server.ClientTLS] or [Server.CertPool]; one in another
//     process by the file [Server.CAFile].
//   - Mail comes in by [Server.Deliver] or, from files, by [Server.Load]; what others do
//     to it meanwhile, by [Server.SetFlags], [Server.Expunge], [Server.CreateMailbox].
//   - What the client has made of it say [Server.Messages] and [Server.Mailboxes]; what
//     it said, [Server.Commands] and [Server.Transcript]. [Server.WaitFor] waits for
//     either.
//   - [Server.Inject] makes the server fail: it refuses, waits, hangs up, breaks off.
//
// With [Options].Pipes connections are in memory, so that a test can run in a bubble of
// testing/synctest, where an hour of waiting takes no time.
//
// Outside a test, [Start] starts the same server. Methods that fail then panic.
package mailaccesstest
