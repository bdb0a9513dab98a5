package mailaccess_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hashmail/mailaccess/"

// rooms are the packages of the module by their path below it, and what each may
// import (docs/design.md). A room that ends in /... holds for what is below it. The
// first that fits counts.
var rooms = []struct {
	room    string
	inside  []string // packages of this module
	outside []string // packages of other modules; the standard library is free
}{
	{"mailaccess", nil, nil},
	{"mailaccess/message", []string{"mailaccess"}, []string{"github.com/emersion/go-message", "golang.org/x/text"}},
	{"mailaccess/query", []string{"mailaccess", "mailaccess/message"}, []string{"golang.org/x/text"}},
	{"mailaccess/engine", []string{"mailaccess", "mailaccess/message", "mailaccess/query"}, []string{"go.uber.org/zap", "golang.org/x/text"}},
	{"mailaccess/auth", []string{"mailaccess"}, []string{"any"}},
	{"mailaccess/auth/authtest", []string{"mailaccess", "mailaccess/auth"}, []string{"any"}},
	{"mailaccess/storetest", []string{"mailaccess"}, []string{"github.com/google/go-cmp", "go.uber.org/goleak", "pgregory.net/rapid"}},
	{"mailaccess/mailaccesstest", []string{"..."}, []string{"go.uber.org/zap"}},
	{"mailaccess/utf7", nil, nil},
	{"protocols", nil, []string{"go.uber.org/zap", "github.com/pires/go-proxyproto", "golang.org/x/sync"}},
	{"protocols/imap/imapwire", []string{"mailaccess/utf7"}, []string{"github.com/emersion/go-imap/v2"}},
	{"protocols/imap/inflate", nil, []string{"github.com/klauspost/compress"}},
	{"protocols/prototest", []string{"mailaccess"}, []string{"any"}},
	{"protocols/tap", []string{"protocols/imap/inflate"}, nil},
	{"protocols/mailserver", []string{"protocols", "protocols/...", "mailaccess", "mailaccess/auth", "mailaccess/engine"}, []string{"go.uber.org/zap"}},
	{"protocols/...", []string{"protocols", "protocols/imap/imapwire", "protocols/imap/inflate", "mailaccess", "mailaccess/engine", "mailaccess/auth", "mailaccess/message", "mailaccess/query"}, []string{"go.uber.org/zap", "github.com/emersion/go-imap/v2", "github.com/klauspost/compress", "golang.org/x/text"}},
	{"stores", []string{"mailaccess", "stores/..."}, []string{"go.uber.org/zap"}},
	{"stores/hooks/hookstest", []string{"mailaccess", "stores/hooks"}, []string{"any"}},
	{"stores/internal/...", []string{"mailaccess"}, nil},
	{"stores/memory", []string{"mailaccess", "mailaccess/message", "mailaccess/query", "stores/internal/..."}, []string{"any"}},
	{"stores/maildir/maildirname", []string{"mailaccess", "mailaccess/utf7", "stores/maildir/internal/lines"}, []string{"golang.org/x/text"}},
	{"stores/maildir", []string{"mailaccess", "mailaccess/message", "mailaccess/query", "mailaccess/utf7", "stores/internal/...", "stores/maildir/..."}, []string{"any"}},
	{"stores/maildir/...", []string{"mailaccess", "mailaccess/message", "mailaccess/query", "mailaccess/utf7", "stores/internal/...", "stores/maildir/..."}, []string{"any"}},
	{"stores/...", []string{"mailaccess", "mailaccess/message", "mailaccess/query", "stores/internal/..."}, []string{"any"}},
	{"cmd/...", []string{"..."}, []string{"any"}},
	{"examples/...", []string{"..."}, []string{"any"}},
}

// Who may import whom. It reads what the go command says of the whole module.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Standard", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := standardLibrary(t)
	packages := 0
	for d := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(p.ImportPath, module)
		i := slices.IndexFunc(rooms, func(r struct {
			room            string
			inside, outside []string
		}) bool {
			return fits(r.room, room)
		})
		if i < 0 {
			t.Errorf("%s is in no room: say in this test what it may import", room)
			continue
		}
		for _, imp := range p.Imports {
			if err := allowed(rooms[i].inside, rooms[i].outside, std, imp); err != nil {
				t.Errorf("%s: %v", room, err)
			}
		}
	}
	if packages < len(rooms)/2 {
		t.Fatalf("only %d packages were listed", packages)
	}
}

func allowed(inside, outside []string, std map[string]bool, imp string) error {
	if std[imp] {
		return nil
	}
	if room, ours := strings.CutPrefix(imp, module); ours {
		if !slices.ContainsFunc(inside, func(r string) bool { return fits(r, room) }) {
			return fmt.Errorf("may not import %s", room)
		}
		return nil
	}
	if !slices.ContainsFunc(outside, func(m string) bool { return m == "any" || imp == m || strings.HasPrefix(imp, m+"/") }) {
		return fmt.Errorf("may not import %s", imp)
	}
	// cobra is the command line's alone.
	if strings.HasPrefix(imp, "github.com/spf13/") && !slices.Contains(inside, "...") {
		return fmt.Errorf("may not import %s", imp)
	}
	return nil
}

// fits reports whether path is room, or below it when room ends in "...".
func fits(room, path string) bool {
	prefix, below := strings.CutSuffix(room, "...")
	return room == path || below && strings.HasPrefix(path, prefix)
}

func standardLibrary(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.Command("go", "list", "std").Output()
	if err != nil {
		t.Fatal(err)
	}
	std := make(map[string]bool)
	for p := range strings.FieldsSeq(string(out)) {
		std[p] = true
	}
	return std
}
