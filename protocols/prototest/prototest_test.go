package prototest_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// toy is a server of a small line protocol that does what it is told:
//
//	LOGIN user password    OK or NO
//	ECHO text              the text
//	COUNT mailbox          how many messages there are
//	GET mailbox n          * n {size}, the message, ) and OK
//	ALL mailbox            every message so, the last first
//	PUT mailbox {size}     + go, then the message, then a line end
//	BYTES n                that many bytes of x and no line end
//	RAW "go string"        exactly these bytes
//	CUT text               the text without a line end, and the end
//	TELL text              * text on every connection, and OK here
//	STARTTLS, QUIT
type toy struct {
	t   testing.TB
	fx  prototest.Fixture
	tcp net.Listener // nil: in memory

	mu    sync.Mutex
	boxes map[string][][]byte
	conns map[net.Conn]io.Writer
	wg    sync.WaitGroup
}

func newToy(t testing.TB, fx prototest.Fixture) *toy {
	s := &toy{t: t, fx: fx, boxes: make(map[string][][]byte), conns: make(map[net.Conn]io.Writer)}
	for _, m := range fx.Messages {
		s.boxes[m.Mailbox] = append(s.boxes[m.Mailbox], m.Content)
	}
	return s
}

func startToy(t testing.TB, fx prototest.Fixture) prototest.Server { return newToy(t, fx) }

func (s *toy) Dial() (net.Conn, error) {
	if s.fx.Options["dial"] == "refused" {
		return nil, fmt.Errorf("refused")
	}
	client, server := net.Pipe()
	if s.tcp != nil {
		var err error
		if client, err = net.Dial("tcp", s.tcp.Addr().String()); err != nil {
			return nil, err
		}
		if server, err = s.tcp.Accept(); err != nil {
			return nil, err
		}
	}
	s.wg.Go(func() {
		defer server.Close()
		s.serve(server)
	})
	return client, nil
}

func (s *toy) Close() error {
	s.wg.Wait()
	return nil
}

func (s *toy) Deliver(_ testing.TB, m prototest.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes[m.Mailbox] = append(s.boxes[m.Mailbox], m.Content)
	return nil
}

func (s *toy) Do(_ testing.TB, args []string) error {
	if args[0] != "empty" {
		return fmt.Errorf("not known")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boxes[args[1]] = nil
	return nil
}

func (s *toy) serve(c net.Conn) {
	key := c
	r, w := bufio.NewReader(c), io.Writer(c)
	say := func(format string, args ...any) { fmt.Fprintf(w, format+"\r\n", args...) }
	defer func() {
		s.mu.Lock()
		delete(s.conns, key)
		s.mu.Unlock()
	}()
	s.mu.Lock()
	s.conns[key] = w
	s.mu.Unlock()
	if s.fx.Options["tls"] == "first" {
		upgraded := tls.Server(c, serverTLS(s.t))
		r, w = bufio.NewReader(upgraded), upgraded
	}
	say("* hello")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		args := strings.Fields(rest)
		s.mu.Lock()
		var box [][]byte
		if len(args) > 0 {
			box = s.boxes[args[0]]
		}
		s.mu.Unlock()
		switch verb {
		case "LOGIN":
			answer := "NO"
			for _, u := range s.fx.Users {
				if len(args) == 2 && u.Name == args[0] && u.Password == args[1] && u.Name != s.fx.Options["refuse"] {
					answer = "OK " + u.Name
				}
			}
			say("%s", answer)
		case "ECHO":
			say("%s", rest)
		case "COUNT":
			say("%d", len(box))
		case "GET":
			n, _ := strconv.Atoi(args[1])
			say("* %d {%d}\r\n%s)", n, len(box[n-1]), box[n-1])
			say("OK")
		case "ALL":
			for i := len(box) - 1; i >= 0; i-- {
				say("* %d {%d}\r\n%s)", i+1, len(box[i]), box[i])
			}
			say("OK")
		case "PUT":
			n, _ := strconv.Atoi(strings.Trim(args[1], "{}"))
			say("+ go")
			data := make([]byte, n)
			if _, err := io.ReadFull(r, data); err != nil {
				return
			}
			if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
				say("NO %q", line)
				return
			}
			s.mu.Lock()
			s.boxes[args[0]] = append(box, data)
			s.mu.Unlock()
			say("OK %d", len(box)+1)
		case "BYTES":
			n, _ := strconv.Atoi(rest)
			fmt.Fprint(w, strings.Repeat("x", n))
		case "RAW":
			text, _ := strconv.Unquote(rest)
			fmt.Fprint(w, text)
		case "CUT":
			fmt.Fprint(w, rest)
			return
		case "TELL":
			s.mu.Lock()
			var others []io.Writer
			for _, other := range s.conns {
				others = append(others, other)
			}
			s.mu.Unlock()
			for _, other := range others {
				fmt.Fprintf(other, "* %s\r\n", rest)
			}
			say("OK")
		case "STARTTLS":
			say("OK go")
			upgraded := tls.Server(c, serverTLS(s.t))
			r, w = bufio.NewReader(upgraded), upgraded
			s.mu.Lock()
			s.conns[key] = w
			s.mu.Unlock()
		case "SECURE":
			_, secure := w.(*tls.Conn)
			say("%v", secure)
		case "QUIT":
			say("bye")
			if t, ok := w.(*tls.Conn); ok {
				t.CloseWrite()
			}
			return
		default:
			say("BAD %q", line)
		}
	}
}

var serverTLS = func() func(t testing.TB) *tls.Config {
	var once sync.Once
	var config *tls.Config
	return func(t testing.TB) *tls.Config {
		once.Do(func() {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
			der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
			if err != nil {
				t.Error(err)
				return
			}
			config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		})
		return config
	}
}()

// toyOptions are what a protocol's test gives.
func toyOptions() *prototest.Options {
	return &prototest.Options{
		Literals: true,
		Login: func(u prototest.User) string {
			return "S: * hello\nC: LOGIN " + u.Name + " " + u.Password + "\nS: OK " + u.Name
		},
		Bye:      "C: QUIT\nS: bye\nS: <eof>",
		Timeout:  30 * time.Second,
		Parallel: true,
	}
}

// The transcripts in testdata are right, and show every form of line.
func TestRun(t *testing.T) {
	prototest.Run(t, os.DirFS("testdata"), startToy, toyOptions())
}

// The same over TCP, where the kernel has buffers and cuts where it likes.
func TestRunTCP(t *testing.T) {
	prototest.Run(t, os.DirFS("testdata"), func(t testing.TB, fx prototest.Fixture) prototest.Server {
		s := newToy(t, fx)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		s.tcp = l
		return s
	}, toyOptions())
}

func TestRunSkipsWhatTheStoreLacks(t *testing.T) {
	opts := toyOptions()
	opts.Parallel = false
	var asked string
	opts.Has = func(need string) bool { asked = need; return false }
	fsys := fstest.MapFS{"needs.txt": {Data: []byte("# RFC 1, section 1\nneeds wings\nC: ECHO\nS: never")}}
	prototest.Run(t, fsys, func(t testing.TB, _ prototest.Fixture) prototest.Server {
		t.Error("started")
		return nil
	}, opts)
	if asked != "wings" {
		t.Errorf("asked for %q", asked)
	}
}
