package imap_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// fuzzStates are what is said before the fuzzed bytes, by state of a connection
// (RFC 3501, section 3).
var fuzzStates = [...]string{
	"",
	"a LOGIN demo demo\r\n",
	"a LOGIN demo demo\r\nb SELECT INBOX\r\n",
}

// FuzzConnection sends a connection in each state whatever comes, over a store that
// works and one that does so now and then. The server must not panic, and stay in
// step: a NOOP after it is answered, once the literals that it waits for are full,
// unless it has said BYE. Nothing is left behind.
func FuzzConnection(f *testing.F) {
	for _, seed := range []string{
		"c CAPABILITY", "c NOOP\r\nd NOOP", "c LOGOUT", "c ID (\"name\" NIL)", "c STARTTLS\r\nd NOOP",
		"c AUTHENTICATE PLAIN\r\nAGRlbW8AZGVtbw==", "c AUTHENTICATE PLAIN\r\n*", "c AUTHENTICATE PLAIN =",
		"c AUTHENTICATE SCRAM-SHA-256 biwsbj1kZW1vLHI9YWJj\r\nYz1iaXdzLHI9YWJjLHA9AA==", "c AUTHENTICATE SCRAM-SHA-1-PLUS\r\nbix=\r\n*", "c AUTHENTICATE LOGIN\r\nZGVtbw==\r\nZGVtbw==", "c AUTHENTICATE LOGIN ZGVtbw==\r\n=",
		"c AUTHENTICATE OAUTHBEARER bixhPWRlbW8sAWF1dGg9QmVhcmVyIHgBAQ==\r\nAQ==", "c AUTHENTICATE XOAUTH2 =\r\n\r\nd AUTHENTICATE EXTERNAL =", "c AUTHENTICATE CRAM-MD5\r\nZGVtbyAw", "c COMPRESS DEFLATE\r\nd NOOP",
		"c LOGIN {4+}\r\ndemo {4}\r\ndemo", "c LOGIN demo wrong\r\nd LOGIN demo demo", "c X {3+}\r\nabc {4}",
		"c ENABLE X Y", "c ENABLE IMAP4rev2\r\nd SELECT inbox\r\ne SEARCH ALL\r\nf CREATE \"e\xcc\x81\"\r\ng DELETE \"e\xcc\x81\"", "c NAMESPACE", "c SELECT inbox\r\nd FETCH 1:* (FLAGS)", "c EXAMINE Box", "c SELECT &",
		"c CREATE a/b/\r\nd RENAME a c\r\ne DELETE c/b", "c RENAME INBOX x", "c DELETE Box", "c SUBSCRIBE x\r\nd LSUB \"\" *",
		"c LIST (SUBSCRIBED RECURSIVEMATCH REMOTE SPECIAL-USE) \"\" (% a/* {1+}\r\n*) RETURN (CHILDREN SUBSCRIBED SPECIAL-USE STATUS (SIZE MAILBOXID DELETED))",
		"c ENABLE UTF8=ACCEPT IMAP4rev2\r\nd SELECT \"\xc3\xa9\"\r\ne LIST \"\" \"\xff\"\r\nf APPEND INBOX UTF8 (~{5+}\r\na\xc3\xa9:b)",
		"c CREATE x (USE (\\Sent \\All))", "c LIST \"\" \"*%a\"", "c LIST \"\" \"\"", "c STATUS Box (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)",
		"c APPEND INBOX (\\Seen x) \" 1-Jan-2001 00:00:00 +0000\" {5+}\r\nhello", "c APPEND INBOX {50}\r\nhello",
		"c APPEND INBOX {999999}\r\nd APPEND INBOX {999999+}", "c IDLE\r\nDONE", "c IDLE\r\nd NOOP", "c IDLE",
		"c NOTIFY NONE", "c NOTIFY SET STATUS (selected (MessageNew (UID BODY[]) MessageExpunge)) (subtree (A B) (MailboxName))\r\nd APPEND INBOX {1+}\r\nx",
		"c CHECK\r\nd CLOSE", "c UNSELECT", "c STORE 1 +FLAGS (\\Deleted)\r\nd EXPUNGE",
		"c SEARCH OR (1:2 SUBJECT x) NOT {1+}\r\ny", "c SEARCH CHARSET UTF-8 TEXT \"\xc3\xa9\"",
		"c SEARCH RETURN (MIN MAX COUNT SAVE) YOUNGER 9\r\nd FETCH $ (UID)", "c UID SEARCH RETURN (PARTIAL -1:-2) OR $ UID $",
		"c SEARCH RETURN (UPDATE ALL) UNSEEN\r\nd UID STORE 1:* +FLAGS (\\Seen \\Deleted)\r\ne EXPUNGE\r\nf CANCELUPDATE \"c\"",
		"c SEARCH RETURN (UPDATE (UID BODY[HEADER.FIELDS (SUBJECT)]) COUNT) ALL\r\nd SORT RETURN (UPDATE(FLAGS MODSEQ)) (SIZE) UTF-8 SEEN\r\ne NOTIFY SET (selected (MessageNew (PREVIEW) MessageExpunge))\r\nf APPEND INBOX {1+}\r\nx",
		"c ESEARCH IN (mailboxes (Box inbox) subtree-one a personal) RETURN (MIN ALL) 1:9", "c ESEARCH RETURN (SAVE UPDATE) ALL",
		"c SORT RETURN (UPDATE) (REVERSE SUBJECT) UTF-8 UNSEEN\r\nd STORE 1:2 FLAGS \\Seen\r\ne STORE 2 FLAGS ()\r\nf MOVE 2 Box",
		"c FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE UID)", "c FETCH 1 FULL",
		"c FETCH 2,1 BODY.PEEK[1.MIME]<1.9>", "c FETCH * BODY[HEADER.FIELDS.NOT (TO)]", "c FETCH 2 RFC822",
		"c COPY 1 Box\r\nd MOVE 1:* Box", "c UID FETCH 1:* (FLAGS) (PARTIAL -1:-1 CHANGEDSINCE 1)", "c UID COPY 1:* Nowhere", "c UID STORE 1:2 -FLAGS.SILENT x", "c UID EXPUNGE 1",
		"c UID SEARCH UID 1:* SINCE 1-Jan-2001",
		"c FETCH 1:* (EMAILID THREADID SAVEDATE)", "c FETCH 1:* (PREVIEW (LAZY) PREVIEW)", "c FETCH 2 PREVIEW (LAZY X", "c SEARCH OR EMAILID a_b-1 NOT THREADID NIL SAVEDON 1-Jan-2001 SAVEDATESUPPORTED", "\r\n\r\n", "* X\r\n+ X", "c NOOP\n\x00\xff", "{5+}\r\n",
		"c APPEND Box {1+}\r\na (x) ~{3+}\r\nb\x00c {0+}\r\n", "c APPEND Box UTF8 (~{1+}\r\na)", "c APPEND Box ~{5}\r\na\x00b\nc",
		"c APPEND Box ~{64+}\r\nContent-Type: multipart/x; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\n",
		"c FETCH 1:2 (BINARY.PEEK[1]<0.3> BINARY[] BINARY.SIZE[1.2] BINARY.SIZE[2])", "c STATUS Box (APPENDLIMIT)",
		"c REPLACE 1 Box (\\Draft) {1+}\r\na", "c UID REPLACE * INBOX {5}\r\nhello", "c REPLACE 2 INBOX ~{0+}\r\n",
		"c APPEND Box CATENATE (TEXT {2+}\r\na\r URL /INBOX/;UID=1/;SECTION=HEADER/;PARTIAL=1.9 URL ;UID=2)", "c APPEND Box CATENATE (URL {5+}\r\n/a\r\n])",
		"c APPEND Box CATENATE (URL \"/INBOX/;UID=2/;SECTION=2.HEADER.FIELDS%20(SUBJECT)\" TEXT {5}\r\nhello) (x) CATENATE (UTF8 (~{0+}\r\n))",
		"c UID REPLACE 1 INBOX CATENATE (URL ;UID=1 TEXT {0+}\r\n)",
		"c SORT (REVERSE SUBJECT ARRIVAL DISPLAYTO) UTF-8 ALL\r\nd UID SORT RETURN (PARTIAL 1:2 SAVE) (CC) {5+}\r\nutf-8 1:*", "c SORT () X",
		"c THREAD REFERENCES us-ascii ALL\r\nd UID THREAD ORDEREDSUBJECT UTF-8 SUBJECT {1+}\r\nx", "c THREAD REFS \"UTF-8\" NOT 1",
		"c ENABLE QRESYNC\r\nd SELECT INBOX (QRESYNC (1 1 1:9,3 (1:2,4 1,3:4)))\r\ne UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)",
		"c SELECT INBOX (CONDSTORE)\r\nd STORE 1:* (UNCHANGEDSINCE 9223372036854775807) +FLAGS.SILENT (x)\r\ne FETCH 1 (MODSEQ BODY[])",
		"c SEARCH MODSEQ \"/flags/\\\\seen\" all 1\r\nd STATUS INBOX (HIGHESTMODSEQ)\r\ne FETCH 1 FLAGS (CHANGEDSINCE 0)",
		"c ENABLE UIDONLY\r\nd FETCH 1 FLAGS\r\ne UID FETCH 1 (FLAGS BODY[])\r\nf UID SEARCH 1\r\ng UID EXPUNGE 1:*",
		"c STATUS {65537}", "c LOGIN {5000+}\r\nd", "c FETCH 1 (((" + strings.Repeat("(", 300),
	} {
		for state := range fuzzStates {
			f.Add(byte(state), []byte(seed), uint64(0))
			f.Add(byte(state), []byte(seed), uint64(len(seed)))
		}
	}
	limited := byte(len(fuzzStates)) // states from here on are the same with MESSAGELIMIT, and so on
	f.Add(limited+2, []byte("c FETCH 1:* (FLAGS)\r\nd COPY 1:* Box\r\ne UID SEARCH RETURN (SAVE) UIDAFTER 1 UIDBEFORE 9\r\nf SEARCH ALL\r\n"+
		"g SORT (CC) UTF-8 ALL\r\nh UID FETCH 1:* UID (PARTIAL 1:2)\r\ni STORE 1:* FLAGS x\r\nj MOVE 1:* Box"), uint64(0))
	f.Add(2*limited+2, []byte("c LIST \"\" *\r\nd CREATE INBOX.a~2eb/c\r\ne RENAME INBOX.Box inbox.x~7e.\r\nf ESEARCH IN (subtree (INBOX INBOX. x)) ALL\r\ng LSUB inbox. %\r\nh SELECT INBOX.inbox"), uint64(0))
	f.Fuzz(func(t *testing.T, state byte, data []byte, failures uint64) {
		fx, store := fuzzFixture(), inMemory(memory.New(nil))
		switch state / limited {
		case 1:
			fx.Options["message-limit"] = "1"
		case 2: // and the namespace of Courier
			fx.Options["prefix"], fx.Options["separator"] = "INBOX.", "."
		}
		if failures != 0 {
			fx.Options["errors"] = "yes"
			store.served = storetest.Hostile(store.base, &storetest.HostileOptions{
				Seed: failures, Uncertain: 4, Unavailable: 6, Partial: 4,
			})
		}
		s := startServer(t, fx, store)
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		script := fuzzStates[int(state)%len(fuzzStates)] + string(data)
		converse(t, client, script)
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// fuzzLiteral is the largest literal that the fuzzed server takes.
const fuzzLiteral = 64 << 10

func fuzzFixture() prototest.Fixture {
	received := time.Date(1996, time.July, 17, 9, 44, 25, 0, time.UTC)
	return prototest.Fixture{
		Users:     []prototest.User{{Name: "demo", Password: "demo"}},
		Mailboxes: []prototest.Mailbox{{User: "demo", Name: "Box", Subscribed: true}},
		Messages: []prototest.Message{
			{User: "demo", Mailbox: "INBOX", Date: received, Content: prototest.Generated(1)},
			{User: "demo", Mailbox: "INBOX", Date: received, Flags: []string{`\Seen`, "word"}, Content: []byte(
				"Subject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
					"--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ntwo\r\n--b--\r\n")},
		},
		Options: map[string]string{"bad-commands": "-1", "max-literal": "65536", "max-upload": "65536"},
	}
}

// converse says script, and then NOOP until that is answered or BYE was said.
func converse(t *testing.T, client net.Conn, script string) {
	if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	const noop = "\r\nzz NOOP\r\n"
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, script+strings.Repeat(noop, 2*fuzzLiteral/len(noop)))
		said <- err
	}()
	defer func() {
		client.Close()
		if err := <-said; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the server does not read")
		}
	}()
	bye := false
	for r := bufio.NewReader(client); ; {
		line, err := r.ReadString('\n')
		bye = bye || strings.HasPrefix(line, "* BYE ")
		switch {
		case strings.HasPrefix(line, "zz OK "):
			return
		case err == nil:
		case !bye:
			t.Errorf("no answer and no BYE: %v", err)
			return
		default:
			return
		}
	}
}
