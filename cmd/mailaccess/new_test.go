package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The skeleton of a store compiles, and fails for what is to be written and for nothing else;
// with that written it passes.
func TestNewStore(t *testing.T) {
	dir := writeSkeleton(t, "new-store", "box1")
	goIn(t, dir, "vet", ".")
	want := map[string]string{
		"TestStore":        "not written yet: Store.Open",
		"TestCapabilities": "not written yet: Store.Open",
		"TestWritten/deliver,_or_Capabilities.Append": "not written yet: deliver, or Capabilities.Append (store_test.go)",
	}
	for _, m := range []string{"Open", "Watch", "Close"} {
		want["TestWritten/Store."+m] = "not written yet: Store." + m + " (store.go)"
	}
	for _, m := range []string{"State", "Mailboxes", "Lookup", "Status", "Snapshot", "Messages", "MailboxChanges", "Changes", "Content", "Close"} {
		want["TestWritten/Account."+m] = "not written yet: Account." + m + " (account.go)"
	}
	first := failures(t, dir)
	compareFailures(t, first, want)
	shows(t, "write-a-store.md", first["TestWritten/Account.Snapshot"])

	// A store that can open accounts, and nothing else, is told by the suite what is missing.
	edit(t, filepath.Join(dir, "store.go"), `return nil, notYet("Store.Open")`, `return new(account), nil`)
	edit(t, filepath.Join(dir, "store.go"), `return notYet("Store.Close")`, `return nil`)
	edit(t, filepath.Join(dir, "account.go"), `return notYet("Account.Close")`, `return nil`)
	for _, name := range []string{"Store.Open", "Store.Close", "Account.Close"} {
		delete(want, "TestWritten/"+name)
	}
	delete(want, "TestStore")
	delete(want, "TestCapabilities")
	got := failures(t, dir)
	suite := 0
	for name, text := range got {
		if strings.HasPrefix(name, "TestStore/") {
			if suite++; !strings.Contains(text, "not written yet: ") {
				t.Errorf("%s fails with\n%s", name, text)
			}
			delete(got, name)
		}
	}
	if suite < 20 {
		t.Errorf("%d tests of the suite fail", suite)
	}
	compareFailures(t, got, want)

	// Capabilities that are left out by mistake are named.
	edit(t, filepath.Join(dir, "store_test.go"), "\t\"Append\",        // messages from clients: drafts, copies of what they have sent\n", "")
	want["TestCapabilities"] = "not written yet: Capabilities.Append (or name it in leftOut)"
	if got := failures(t, dir)["TestCapabilities"]; !strings.Contains(got, want["TestCapabilities"]) {
		t.Errorf("TestCapabilities fails with\n%s", got)
	}

	dir = writeSkeleton(t, "new-store", "box2")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("store.go", finishedStore)
	write("account.go", finishedAccount)
	edit(t, filepath.Join(dir, "store_test.go"), `return 0, notYet("deliver, or Capabilities.Append")`, `return s.deliver(ctx, box, content, f, received)`)
	goIn(t, dir, "vet", ".")
	failsWith(t, dir, nil)
}

const finishedStore = `package box2

import (
	"context"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

type Store struct{ *memory.Store }

type Options struct{}

func New(*Options) (*Store, error) { return &Store{memory.New(nil)}, nil }

func (s *Store) Open(ctx context.Context, name string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, name, who)
	if err != nil {
		return nil, err
	}
	return &account{a}, nil
}

func (s *Store) deliver(ctx context.Context, box mailaccess.MailboxID, content []byte, f mailaccess.Flags, received time.Time) (mailaccess.UID, error) {
	m, err := s.Deliver(ctx, "ann@example.org", mailaccess.Inbox, content, mailaccess.Flags{}, received)
	return m.UID, err
}
`

const finishedAccount = `package box2

import "github.com/hashmail/mailaccess/mailaccess"

type account struct{ mailaccess.Account }

func (a *account) Capabilities() mailaccess.Capabilities { return mailaccess.Capabilities{} }
`

// So with the skeleton of a protocol.
func TestNewProtocol(t *testing.T) {
	dir := writeSkeleton(t, "new-protocol", "proto")
	goIn(t, dir, "vet", ".")
	want := map[string]string{
		"TestTranscripts/login": "not written yet: conn.login",
		"TestTranscripts/list":  "not written yet: conn.login",
		"TestTranscripts/read":  "not written yet: conn.login",
	}
	for _, m := range []string{"conn.login", "conn.list", "conn.read"} {
		want["TestWritten/"+m] = "not written yet: " + m + " (commands.go)"
	}
	first := failures(t, dir)
	compareFailures(t, first, want)
	shows(t, "write-a-protocol.md", first["TestTranscripts/login"])

	commands := filepath.Join(dir, "commands.go")
	edit(t, commands, `return notYet("conn.login")`, finishedLogin)
	edit(t, commands, `"fmt"`, "\"errors\"\n\"fmt\"\n\"strings\"\n\n\"github.com/hashmail/mailaccess/mailaccess\"\n\"github.com/hashmail/mailaccess/mailaccess/engine\"")
	failsWith(t, dir, map[string]string{
		"TestTranscripts/list":  "not written yet: conn.list",
		"TestTranscripts/read":  "not written yet: conn.read",
		"TestWritten/conn.list": "not written yet: conn.list (commands.go)",
		"TestWritten/conn.read": "not written yet: conn.read (commands.go)",
	})
	edit(t, commands, `return notYet("conn.list")`, finishedList)
	edit(t, commands, `return notYet("conn.read")`, finishedRead)
	edit(t, commands, `"strings"`, "\"strconv\"\n\"strings\"")
	goIn(t, dir, "vet", ".")
	failsWith(t, dir, nil)
}

const finishedLogin = `
	if c.sess != nil || !c.Private() && !c.Loopback() {
		return errors.New("not twice, and not where others can listen")
	}
	name, password, _ := strings.Cut(arg, " ")
	s, err := c.engine.Login(ctx, mailaccess.Login{Username: name, Password: password, Protocol: "proto",
		Remote: c.RemoteAddr().String(), Private: c.Private()})
	if err != nil {
		return err
	}
	c.sess = s
	box, err := s.Lookup(ctx, mailaccess.Inbox)
	if err == nil {
		c.view, err = s.OpenView(ctx, box.ID, engine.ViewOptions{ReadOnly: true, Frozen: true})
	}
	if err == nil {
		err = c.SetUser(s.Identity().User)
	}
	if err != nil {
		c.logout()
		return err
	}
	return c.say("+OK welcome")`

const finishedList = `
	if err := c.say("+OK %d", c.view.Len()); err != nil {
		return err
	}
	for m, err := range c.view.Messages(ctx, c.view.UIDs()) {
		if err != nil {
			return err
		}
		size, err := c.sess.Size(ctx, &m.Message)
		if err != nil {
			return err
		}
		if err := c.say("%d %d", m.Number, size); err != nil {
			return err
		}
	}
	return nil`

const finishedRead = `
	n, err := strconv.Atoi(arg)
	if err != nil {
		return errors.New("that is no number")
	}
	for m, err := range c.view.Messages(ctx, mailaccess.UIDSetOf(c.view.UIDs().Select(n))) {
		if err != nil {
			return err
		}
		content, err := c.sess.Content(ctx, m.EmailID)
		if err != nil {
			return err
		}
		defer content.Close()
		if err := c.say("+OK %d", content.Size()); err != nil {
			return err
		}
		_, err = content.WriteRange(c.out, 0, content.Size())
		return err
	}
	return errors.New("no such message")`

// writeSkeleton writes a skeleton into a module of its own that is built with this checkout.
func writeSkeleton(t *testing.T, command, name string) (dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), name)
	says(t, command, dir, "--replace", root)
	// What go mod tidy would find out.
	sums, err := os.ReadFile("../../go.sum")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not as gofmt writes it: %v\n%s", err, out)
	}
	return dir
}

// says runs this program and returns what it says.
func says(t *testing.T, args ...string) string {
	t.Helper()
	var out, complaints bytes.Buffer
	if code := run(t.Context(), args, strings.NewReader(""), &out, &complaints); code != 0 {
		t.Fatalf("mailaccess %q: %d\n%s", args, code, complaints.String())
	}
	return out.String()
}

// goCommand is a go command in a module elsewhere. It may not look for anything on the network.
func goCommand(t *testing.T, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	return cmd
}

func goIn(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := goCommand(t, dir, args...).CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, out)
	}
}

// failures runs the tests in dir and returns what those say that fail, but for tests that fail
// only because one below them does.
func failures(t *testing.T, dir string) map[string]string {
	t.Helper()
	cmd := goCommand(t, dir, "test", "-count=1", "-json", ".")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	said, failed, ran := make(map[string]string), make(map[string]string), 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var e struct{ Action, Test, Output string }
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s%s", err, out, complaints.String())
		}
		switch e.Action {
		case "output":
			said[e.Test] += e.Output
		case "run":
			ran++
		case "fail":
			if e.Test != "" {
				failed[e.Test] = said[e.Test]
			}
		}
	}
	if ran == 0 {
		t.Fatalf("no test ran\n%s%s", out, complaints.String())
	}
	maps.DeleteFunc(failed, func(name, _ string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(failed)), func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
	return failed
}

// failsWith runs the tests in dir: those in want fail, and say so, and no others do.
func failsWith(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	compareFailures(t, failures(t, dir), want)
}

func compareFailures(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range got {
		if want[name] == "" || !strings.Contains(text, want[name]) {
			t.Errorf("%s fails with\n%s\nwant %q", name, text, want[name])
		}
	}
	for name := range want {
		if got[name] == "" {
			t.Errorf("%s does not fail", name)
		}
	}
}

// shows checks that a page shows what a test says when it fails: one of its blocks is of lines that
// are said, in this order.
func shows(t *testing.T, page, said string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "\n    --- FAIL: ")
	block, _, ok := strings.Cut(block, "\n\n")
	if !ok {
		t.Fatalf("%s shows no test that fails", page)
	}
	lines := strings.Split(block, "\n")[1:] // what a test says comes before that it fails
	for _, line := range lines {
		line = strings.TrimSpace(line)
		_, rest, found := strings.Cut(said, line)
		if !found {
			t.Errorf("%s shows %q; the test says\n%s", page, line, said)
			return
		}
		said = rest
	}
}

// What README and tutorials say to write can be written.
func TestNewInDocs(t *testing.T) {
	command := regexp.MustCompile(`go run \./cmd/mailaccess (new-\w+) \./(\w+)`)
	n := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllSubmatch(text, -1) {
			n++
			says(t, string(m[1]), filepath.Join(t.TempDir(), string(m[2])))
		}
	}
	if n < 4 {
		t.Errorf("%d commands", n)
	}
}

// edit replaces a piece of a file, which is in it once.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte(old)); n != 1 {
		t.Fatalf("%s has %q %d times", file, old, n)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// In a module that there is, the package becomes part of it.
func TestNewInModule(t *testing.T) {
	module := t.TempDir()
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module example.org/m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := says(t, "new-store", filepath.Join(module, "box"))
	if !strings.Contains(out, "go mod edit -replace "+modulePath+"=") {
		t.Errorf("where this module is stands not in\n%s", out)
	}
	if _, err := os.Stat(filepath.Join(module, "box", "go.mod")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a module of its own: %v", err)
	}

	// This module needs none of that.
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module "+modulePath+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := says(t, "new-protocol", filepath.Join(module, "proto")); strings.Contains(out, "-replace") {
		t.Errorf("it says\n%s", out)
	}
}

// A module of its own needs the version of Go that this one needs, and says where to find it.
func TestNewModule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "box")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root)
	out := says(t, "new-protocol", dir, "--module", "example.org/box")
	if want := fmt.Sprintf("go mod edit -replace %s=%s\n", modulePath, quoted(root)); !strings.Contains(out, want) {
		t.Errorf("it says\n%s\nwithout\n%s", out, want)
	}
	got, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go .*$`)
	if !bytes.HasPrefix(got, []byte("module example.org/box\n")) || !bytes.Equal(version.Find(got), version.Find(ours)) {
		t.Errorf("go.mod is\n%s", got)
	}
}
