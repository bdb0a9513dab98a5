package imap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// loggedIn is a client that has logged in, and how it hears the answer to a tag.
func loggedIn(t *testing.T, s *server) (client net.Conn, hear func(tag string) string) {
	t.Helper()
	client, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	converses(t, client, "", "LOGIN demo demo", "SELECT INBOX")
	r := bufio.NewReader(client)
	return client, func(tag string) string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Errorf("waiting for the answer to %s: %v", tag, err)
				return ""
			}
			if strings.HasPrefix(line, tag+" ") {
				return strings.TrimSuffix(line, "\r\n")
			}
		}
	}
}

// A command of more than usual length waits until there is memory for it, while others go
// on; after two minutes it is refused, and the conversation goes on behind it.
func TestLargeCommandsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fx := fuzzFixture()
		fx.Options = map[string]string{"memory": fmt.Sprint(2 << 20)} // for input: one command of a user
		store := inMemory(memory.New(nil))
		store.served = stuckStore{store.served, 30 * time.Minute}
		s := startServer(t, fx, store)
		large := "b ID (\"name\" {9000+}\r\n" + strings.Repeat("x", 9000) + ")\r\nc NOOP\r\n"
		one, hearOne := loggedIn(t, s)
		two, hearTwo := loggedIn(t, s)
		other, hearOther := loggedIn(t, s)
		defer other.Close()

		begin := func() { // to send a large command, and stop in the middle
			if _, err := io.WriteString(one, large[:len(large)-100]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		end := func() {
			if _, err := io.WriteString(one, large[len(large)-100:]); err != nil {
				t.Fatal(err)
			}
			if got := hearOne("b"); !strings.HasPrefix(got, "b OK ") {
				t.Errorf("got %q", got)
			}
			hearOne("c")
		}
		try := func(after time.Duration, want string) {
			t.Helper()
			start := time.Now()
			go io.WriteString(two, large)
			ended := make(chan struct{})
			if after < 2*time.Minute {
				time.AfterFunc(after, func() { end(); close(ended) })
			} else {
				close(ended)
			}
			synctest.Wait()
			fmt.Fprint(other, "o SEARCH ALL\r\n")
			if got := hearOther("o"); !strings.HasPrefix(got, "o OK ") || time.Since(start) != 0 {
				t.Errorf("others got %q after %v", got, time.Since(start))
			}
			if got := hearTwo("b"); !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := hearTwo("c"); !strings.HasPrefix(got, "c OK ") {
				t.Errorf("behind it got %q", got)
			}
			<-ended
			if d := time.Since(start); d != after {
				t.Errorf("it took %v, want %v", d, after)
			}
		}
		begin()
		try(time.Minute, "b OK ")
		// A search that takes half an hour.
		go fmt.Fprint(one, "d SEARCH BODY y SUBJECT {9000+}\r\n"+strings.Repeat("x", 9000)+"\r\n")
		go io.Copy(io.Discard, one)
		synctest.Wait()
		try(2*time.Minute, "b NO [UNAVAILABLE] no memory is free for this now")
		one.Close()
		two.Close()
		other.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What a command would take for its result has its limit by connection.
func TestResultsHaveALimit(t *testing.T) {
	fx := fuzzFixture()
	for i := range 1000 {
		fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: "INBOX", Content: prototest.Generated(i)})
	}
	for _, test := range []struct {
		most string // that a connection may have
		want []string
	}{
		{"1000000", []string{"\r\nb OK ", "\r\nc OK ", "\r\nd OK ", "\r\ne OK "}},
		{"90000", []string{"\r\nb OK ", "\r\nc NO [LIMIT] this takes more memory than one connection may have\r\n", "\r\nd NO [LIMIT] ", "\r\ne OK "}},
	} {
		fx.Options = map[string]string{"per-connection": test.most}
		s := startServer(t, fx, inMemory(memory.New(nil)))
		got := pipelined(t, s, "a LOGIN demo demo\r\na SELECT INBOX\r\nb SEARCH ALL\r\nc SORT (SUBJECT) UTF-8 ALL\r\n"+
			"d THREAD REFERENCES UTF-8 ALL\r\ne FETCH 1:* FLAGS\r\nf LOGOUT\r\n")
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("with %s there is no %q", test.most, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is held from one command to the next does not grow beyond what there is: searches
// are not followed (RFC 5267, section 4.3.1), results not saved (RFC 5182, section 2.1); and
// what was given up makes room.
func TestKeptHasALimit(t *testing.T) {
	s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
	s.srv.Limits.Memory = 128 << 10 // of which one user may have 32, and keep 16
	client, hear := loggedIn(t, s)
	said := func(tag, command string) string {
		fmt.Fprintf(client, "%s %s\r\n", tag, command)
		return hear(tag)
	}
	told := 0
	for i := range 8 {
		tag := fmt.Sprint("u", i)
		fmt.Fprintf(client, "%s SEARCH RETURN (UPDATE COUNT) ALL\r\nx NOOP\r\n", tag)
		if got := hear(tag); !strings.HasPrefix(got, tag+" OK ") {
			t.Errorf("got %q", got)
		}
		hear("x")
	}
	for i := range 8 { // BAD where there is no such search
		if tag := fmt.Sprint("c", i); strings.HasPrefix(said(tag, fmt.Sprintf("CANCELUPDATE \"u%d\"", i)), tag+" OK ") {
			told++
		}
	}
	if told != 3 {
		t.Errorf("%d searches are followed, want 3", told)
	}
	// All were given up.
	said("v", "SEARCH RETURN (UPDATE COUNT) ALL")
	if got := said("w", `CANCELUPDATE "v"`); !strings.HasPrefix(got, "w OK ") {
		t.Errorf("got %q", got)
	}
	client.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// RFC 5182, section 2.1: a result that there is no memory for is not saved, and $ is empty.
func TestSavedHasALimit(t *testing.T) {
	const n = 18_000 // of which each second one is 72,000 octets
	var odd []string
	for i := 1; i < n; i += 2 {
		odd = append(odd, fmt.Sprint(i))
	}
	for kept, want := range map[int64]string{0: "b OK ", 2 << 20: "b NO [NOTSAVED] "} { // elsewhere, of 2 MiB
		s := newBenchServer(t, n)
		s.server.Limits.Memory, s.server.Limits.PerConnection = 16<<20, 4<<20
		s.server.Limiter = protocols.NewLimiter(s.server.Limits)
		elsewhere, peer := net.Pipe()
		has := make(chan bool)
		go (&protocols.Server{Limits: s.server.Limits, Limiter: s.server.Limiter, Protocol: keeper{kept, has}}).ServeConn(peer)
		if !<-has {
			t.Error("nothing can be kept elsewhere")
		}
		s.server.Limits.MaxString, s.server.Limits.MaxCommand = 1000, 70_000
		client, server := net.Pipe()
		go s.server.ServeConn(server)
		converses(t, client, "", "LOGIN demo demo", "SELECT INBOX")
		r := bufio.NewReader(client)
		fmt.Fprint(client, "b SEARCH RETURN (SAVE) UID "+strings.Join(odd, ",")+"\r\n")
		if got, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("with %d: got %.200q, %v, want %q", kept, got, err, want)
		}
		saved := "* ESEARCH (TAG \"c\") COUNT 9000\r\n"
		if kept > 0 {
			saved = "* ESEARCH (TAG \"c\") COUNT 0\r\n"
		}
		fmt.Fprint(client, "c SEARCH RETURN (COUNT) $\r\n")
		if got, err := r.ReadString('\n'); err != nil || got != saved {
			t.Errorf("with %d: got %q, %v, want %q", kept, got, err, saved)
		}
		client.Close()
		elsewhere.Close()
	}
}

// What messages are threaded and sorted by counts as it is, not as it is as a rule: a few
// messages with many references, or with long texts, take what many others do.
func TestKeysHaveALimit(t *testing.T) {
	fx := fuzzFixture()
	for i := range 30 {
		var b strings.Builder
		fmt.Fprintf(&b, "Message-ID: <m%d@example.org>\r\nReferences:", i)
		for j := range 1000 {
			fmt.Fprintf(&b, " <%d.%d@example.org>\r\n", i, j)
		}
		long := strings.Repeat(fmt.Sprint(i), 500)
		fmt.Fprintf(&b, "Subject: %s\r\nFrom: %s <%[1]s@example.org>\r\nTo: %[1]s <%[1]s@example.org>\r\nCc: %[1]s@example.org\r\n\r\n", long, long)
		fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: "INBOX", Content: []byte(b.String())})
	}
	const commands = "b THREAD REFERENCES UTF-8 ALL\r\nc SORT (SUBJECT FROM TO CC DISPLAYFROM DISPLAYTO) UTF-8 ALL\r\nd SORT (SUBJECT) UTF-8 1\r\n"
	for most, want := range map[string][]string{
		"8000000": {"\r\nb OK ", "\r\nc OK ", "\r\nd OK "},
		"1200000": {"\r\nb NO [LIMIT] this takes more memory than one connection may have\r\n", "\r\nc OK ", "\r\nd OK "},
		"200000":  {"\r\nb NO [LIMIT] ", "\r\nc NO [LIMIT] ", "\r\nd OK "},
	} {
		fx.Options = map[string]string{"per-connection": most}
		s := startServer(t, fx, inMemory(memory.New(nil)))
		got := pipelined(t, s, "a LOGIN demo demo\r\na SELECT INBOX\r\n"+commands+"f LOGOUT\r\n")
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("with %s there is no %q", most, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	fx.Options = nil
	// When others have taken it, nothing is waited for in the middle.
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, fx, inMemory(memory.New(nil)))
		s.srv.Limits.Memory, s.srv.Limits.PerConnection = 8<<20, 6<<20 // 6 MiB are for work
		s.srv.Limiter = protocols.NewLimiter(s.srv.Limits)
		client, hear := loggedIn(t, s)
		defer client.Close()
		other := &protocols.Server{Limiter: s.srv.Limiter, Limits: s.srv.Limits, Protocol: holder{protocols.Work, 5 << 20, nil}}
		peer, end := net.Pipe()
		go other.ServeConn(end)
		synctest.Wait()
		start := time.Now()
		fmt.Fprint(client, "b THREAD REFERENCES UTF-8 ALL\r\n")
		if got := hear("b"); got != "b NO [UNAVAILABLE] no memory is free for this now" || time.Since(start) != 0 {
			t.Errorf("got %q after %v", got, time.Since(start))
		}
		peer.Close()
		synctest.Wait()
		fmt.Fprint(client, "c THREAD REFERENCES UTF-8 ALL\r\n")
		if got := hear("c"); !strings.HasPrefix(got, "c OK ") {
			t.Errorf("got %q", got)
		}
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// holder is a protocol that holds memory as long as its client is there.
type holder struct {
	use     protocols.Use
	octets  int64
	refused *error // why it holds none; nil: it must
}

func (holder) Name() string         { return "holder" }
func (holder) Refuse(string) []byte { return nil }

func (h holder) Serve(_ context.Context, c *protocols.Conn) error {
	if h.refused != nil && !c.TryReserve(h.use, h.octets) {
		*h.refused = protocols.ErrMemory
		return nil
	} else if h.refused == nil {
		if err := c.Reserve(h.use, h.octets); err != nil {
			return err
		}
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// What FETCH and SEARCH have in hand of a batch is counted while a client does not read, and
// when there is no memory for it they tell the same, message by message.
func TestBatchesHaveALimit(t *testing.T) {
	fx := fuzzFixture()
	for i := range 64 {
		subject := strings.Repeat(strings.Repeat(fmt.Sprint(i), 400)+"\r\n ", 20)
		fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: "INBOX", Content: []byte(
			"Subject: " + subject + "end\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" +
				strings.Repeat("--x\r\nContent-Type: text/plain; name="+strings.Repeat("n", 200)+"\r\n\r\ntext\r\n", 40) + "--x--\r\n")})
	}
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, fx, inMemory(memory.New(nil)))
		s.srv.Limits.Memory, s.srv.Limits.PerConnection = 64<<20, 48<<20 // all that is for work
		s.srv.Limiter = protocols.NewLimiter(s.srv.Limits)
		held := func(n int64) (end func() (refused bool)) {
			client, server := net.Pipe()
			var err error
			ended := make(chan struct{})
			other := &protocols.Server{Limiter: s.srv.Limiter, Limits: s.srv.Limits, Protocol: holder{protocols.Work, n, &err}}
			go func() { other.ServeConn(server); close(ended) }()
			synctest.Wait()
			return func() bool {
				client.Close()
				<-ended
				return err != nil
			}
		}
		pipelined(t, s, "a LOGIN demo demo\r\nb SELECT INBOX\r\nc LOGOUT\r\n") // from now on none is \Recent
		for _, command := range []string{
			"UID FETCH 1:* (ENVELOPE)", "UID FETCH 1:* (BODYSTRUCTURE)", "UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])",
			"UID FETCH 1:* (BODY.PEEK[3.MIME])", "UID SEARCH SUBJECT end", "UID SEARCH BODY text",
		} {
			ask := func() string {
				return pipelined(t, s, "a LOGIN demo demo\r\na SELECT INBOX\r\nb "+command+"\r\nc LOGOUT\r\n")
			}
			first := ask() // nothing is kept of it yet
			free := ask()
			end := held(48 << 20)
			if full := ask(); full != free || free != first || !strings.Contains(full, "\r\nb OK ") {
				t.Errorf("%s tells something else when there is no memory", command)
			}
			if end() {
				t.Error("the memory was not there")
			}
			if !strings.Contains(command, "FETCH") {
				continue
			}
			client, _ := loggedIn(t, s)
			fmt.Fprintf(client, "b %s\r\n", command)
			synctest.Wait() // it waits for the client to read
			if end := held(48 << 20); !end() {
				t.Errorf("%s counts nothing", command)
			}
			client.Close()
			synctest.Wait()
			if end := held(48 << 20); end() {
				t.Errorf("%s does not give back what it took", command)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Of an account with many names, what LIST makes and what NOTIFY remembers is counted.
func TestNamesHaveALimit(t *testing.T) {
	fx := fuzzFixture()
	create := "a LOGIN demo demo\r\n"
	for i := range 400 {
		create += fmt.Sprintf("a CREATE m%d\r\na SUBSCRIBE m%[1]d\r\n", i)
	}
	for most, want := range map[string][]string{
		"4000000": {"\r\nb OK ", "\r\nc OK ", "\r\nd OK ", "\r\ne OK ", "\r\nf OK "},
		"140000": {"\r\nb NO [LIMIT] this takes more memory than one connection may have\r\n", "\r\nc NO [LIMIT] ",
			"\r\nd NO [NOTIFICATIONOVERFLOW] no memory is free to watch the mailboxes\r\n", "\r\ne OK ", "\r\nf OK "},
	} {
		fx.Options = map[string]string{"per-connection": most}
		s := startServer(t, fx, inMemory(memory.New(nil)))
		got := pipelined(t, s, create+"b LIST \"\" *\r\nc LSUB \"\" *\r\nd NOTIFY SET (PERSONAL (MailboxName))\r\ne NOTIFY NONE\r\nf CREATE x\r\ng LOGOUT\r\n")
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("with %s there is no %q", most, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	// What is remembered no more is given back, and what comes afterwards is counted.
	fx.Options = nil
	s := startServer(t, fx, inMemory(memory.New(nil)))
	s.srv.Limits.Memory, s.srv.Limits.PerConnection = 16<<20, 1500<<10 // of which a user keeps half of 3 MiB
	got := pipelined(t, s, create+strings.Repeat("b NOTIFY SET (PERSONAL (MailboxName))\r\n", 3)+"c NOTIFY NONE\r\n"+
		"d NOTIFY SET (PERSONAL (MailboxName))\r\n"+
		strings.ReplaceAll(create, " m", " n")+strings.ReplaceAll(create, " m", " o")+"e NOOP\r\ng LOGOUT\r\n")
	if strings.Count(got, "\r\nb OK ") != 3 || !strings.Contains(got, "\r\nd OK ") || !strings.Contains(got, "[NOTIFICATIONOVERFLOW]") {
		t.Errorf("got %d times b OK, %v, %v", strings.Count(got, "\r\nb OK "), strings.Contains(got, "\r\nd OK "), strings.Contains(got, "[NOTIFICATIONOVERFLOW]"))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// keeper is a protocol in which the user demo keeps memory as long as the client is there.
type keeper struct {
	octets int64
	has    chan<- bool
}

func (keeper) Name() string         { return "keeper" }
func (keeper) Refuse(string) []byte { return nil }

func (k keeper) Serve(_ context.Context, c *protocols.Conn) error {
	err := c.SetUser("demo")
	k.has <- err == nil && c.Keep(k.octets)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	return err
}
