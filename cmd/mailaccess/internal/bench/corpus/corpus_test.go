package corpus

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/charset"
)

// The same messages come out each time, on each machine: figures are compared across both.
func TestSameEachTime(t *testing.T) {
	h := sha256.New()
	c := Corpus{Seed: 7, Messages: 300}
	for i := range c.Messages {
		h.Write(c.AppendMessage(nil, i))
		fmt.Fprint(h, c.Flags(i), c.Date(i))
	}
	const sum = "82beb013a607bf24820e53b5e8a7a0d185fa1cb0c5b79d642c502f592d76ad8d"
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != sum {
		t.Errorf("the sum of all messages is %s", got)
	}
	// Each can be made alone, and another seed makes others.
	if !bytes.Equal(c.AppendMessage(nil, 123), c.AppendMessage([]byte("x"), 123)[1:]) {
		t.Error("message 123 differs the second time")
	}
	if bytes.Equal(c.AppendMessage(nil, 123), Corpus{Seed: 8}.AppendMessage(nil, 123)) {
		t.Error("message 123 is the same with another seed")
	}
}

// What is promised of subjects and words is so for somebody who reads the messages.
func TestWordsAreWhereTheyAreSaidToBe(t *testing.T) {
	c := Corpus{Seed: 1, Messages: 1500}
	subjects, bodies, shapes, charsets := 0, 0, make(map[string]int), make(map[string]int)
	for i := range c.Messages {
		data := c.AppendMessage(nil, i)
		e, err := message.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		subject, err := (&mime.WordDecoder{CharsetReader: charset.Reader}).DecodeHeader(e.Header.Get("Subject"))
		if err != nil {
			t.Fatalf("message %d: subject: %v", i, err)
		}
		said, has := c.Subject(i)
		if e.Header.Get("Subject") != said || strings.Contains(subject, SubjectWord) != has {
			t.Errorf("message %d: subject %q, said to be %q with the word: %v", i, subject, said, has)
		}
		if has {
			subjects++
		}
		mediaType, _, _ := e.Header.ContentType()
		shapes[mediaType]++
		found := false
		err = e.Walk(func(_ []int, part *message.Entity, err error) error {
			if err != nil {
				return err
			}
			mediaType, params, err := part.Header.ContentType()
			if err != nil || !strings.HasPrefix(mediaType, "text/") {
				return err
			}
			charsets[params["charset"]]++
			text, err := io.ReadAll(part.Body)
			found = found || bytes.Contains(text, []byte(BodyWord))
			return err
		})
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if found != c.HasWord(i) {
			t.Errorf("message %d: the word is in its text: %v", i, found)
		}
		if found {
			bodies++
		}
	}
	if subjects < c.Messages/40 || bodies < c.Messages/200 {
		t.Errorf("the words are in %d subjects and %d texts", subjects, bodies)
	}
	for _, shape := range []string{"text/plain", "text/html", "multipart/alternative", "multipart/mixed", "multipart/related"} {
		if shapes[shape] == 0 {
			t.Errorf("no message is %s", shape)
		}
	}
	for _, name := range []string{"us-ascii", "utf-8", "iso-8859-1", "koi8-r", "iso-2022-jp"} {
		if charsets[name] == 0 {
			t.Errorf("no text is in %s", name)
		}
	}
}

// Lines, sizes and threads are those of mail.
func TestLikeMail(t *testing.T) {
	c := Corpus{Seed: 3, Messages: 2000}
	var sizes []int
	total, answers, longest := 0, 0, 0
	for i := range c.Messages {
		data := c.AppendMessage(nil, i)
		sizes, total = append(sizes, len(data)), total+len(data)
		if !bytes.HasSuffix(data, []byte("\r\n")) || bytes.Count(data, []byte("\n")) != bytes.Count(data, []byte("\r\n")) || bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\n")) {
			t.Errorf("message %d has lines that do not end in CRLF", i)
		}
		for line := range bytes.Lines(data) {
			if len(line) > 1000 {
				t.Errorf("message %d has a line of %d octets", i, len(line))
			}
			if line[0] == '.' {
				t.Errorf("message %d has a line that begins with a dot", i) // the count of octets of RETR relies on it
			}
		}
		up := c.ancestors(i)
		if len(up) > 0 {
			answers++
			if !strings.Contains(string(data), "In-Reply-To: <"+c.id(up[len(up)-1])+">") {
				t.Errorf("message %d does not say what it answers", i)
			}
		}
		longest = max(longest, len(up))
		if i > 0 && !c.Date(i).After(c.Date(i-1)) {
			t.Errorf("message %d is not later than the one before", i)
		}
	}
	slices.Sort(sizes)
	median, mean := sizes[len(sizes)/2], total/len(sizes)
	if median < 4<<10 || median > 16<<10 || mean < 2*median || mean > 64<<10 {
		t.Errorf("sizes: %d in the middle, %d on average", median, mean)
	}
	if answers < c.Messages/3 || longest < 4 {
		t.Errorf("%d messages answer another, the deepest of them %d", answers, longest)
	}
}

// Small messages have the same subjects, threads and words as others.
func TestSmall(t *testing.T) {
	c, small := Corpus{Seed: 1, Messages: 400}, Corpus{Seed: 1, Messages: 400, Small: true}
	words := 0
	for i := range c.Messages {
		data := small.AppendMessage(nil, i)
		head, body, _ := strings.Cut(string(data), "\r\n\r\n")
		subject, _ := c.Subject(i)
		if len(data) > 1000 || !strings.Contains(head, "\r\nSubject: "+subject) || strings.Contains(body, BodyWord) != c.HasWord(i) {
			t.Errorf("message %d: %s", i, data)
		}
		if up := c.ancestors(i); len(up) > 0 && !strings.Contains(head, "In-Reply-To: <"+c.id(up[len(up)-1])+">") {
			t.Errorf("message %d does not say what it answers", i)
		}
		if c.HasWord(i) {
			words++
		}
	}
	if words == 0 {
		t.Error("no message has the word")
	}
}

func TestWriteMaildir(t *testing.T) {
	c := Corpus{Seed: 1, Messages: 40}
	for _, crlf := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "box")
		if err := c.WriteMaildir(t.Context(), dir, crlf, nil); err != nil {
			t.Fatal(err)
		}
		for _, sub := range []string{"new", "tmp"} {
			if _, err := os.Stat(filepath.Join(dir, sub)); err != nil {
				t.Error(err)
			}
		}
		entries, err := os.ReadDir(filepath.Join(dir, "cur"))
		if err != nil || len(entries) != c.Messages {
			t.Fatalf("%d files, %v", len(entries), err)
		}
		for i, e := range entries { // sorted by name
			name := filepath.Join(dir, "cur", e.Name())
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := c.AppendMessage(nil, i)
			if !crlf {
				want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
			}
			if !bytes.Equal(data, want) {
				t.Errorf("%s is not message %d", e.Name(), i)
			}
			f := c.Flags(i)
			if _, flags, _ := strings.Cut(e.Name(), ":2,"); strings.Contains(flags, "S") != f.Seen || strings.Contains(flags, "R") != f.Answered || strings.Contains(flags, "F") != f.Flagged {
				t.Errorf("%s: flags %q", e.Name(), f)
			}
			info, err := e.Info()
			if err != nil || !info.ModTime().Equal(c.Date(i).Truncate(time.Second)) {
				t.Errorf("%s: time %v, %v", e.Name(), info.ModTime(), err)
			}
		}
		if err := c.WriteMaildir(t.Context(), dir, crlf, nil); err == nil {
			t.Error("a Maildir that has mail is written over")
		}
	}
}
