package maildirname

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// What Dovecot 2.3 with its listescape plugin makes of the same names.
func TestEncode(t *testing.T) {
	for _, tt := range []struct{ name, utf7, utf8 string }{
		{"INBOX", "", ""},
		{"A/B", ".A.B", ".A.B"},
		{"INBOX/Sub", ".INBOX.Sub", ".INBOX.Sub"},
		{"Archive/INBOX", ".Archive.INBOX", ".Archive.INBOX"},
		{"v1.2", `.v1\2e2`, `.v1\2e2`},
		{`back\slash`, `.back\5cslash`, `.back\5cslash`},
		{`x\2ey`, `.x\5c2ey`, `.x\5c2ey`},
		{"~tilde", `.\7etilde`, `.\7etilde`},
		{"a/~tilde", `.a.\7etilde`, `.a.\7etilde`},
		{"a~", ".a~", ".a~"},
		{".lead", `.\2elead`, `.\2elead`},
		{"trail.", `.trail\2e`, `.trail\2e`},
		{".", `.\2e`, `.\2e`},
		{"..", `.\2e\2e`, `.\2e\2e`},
		{"a/..", `.a.\2e\2e`, `.a.\2e\2e`},
		{"cur", ".cur", ".cur"},
		{"nl/new", ".nl.new", ".nl.new"},
		{"it's %41 *", ".it's %41 *", ".it's %41 *"},
		{"日本語", ".&ZeVnLIqe-", ".日本語"},
		{"日.本", `.&ZeU-\2e&Zyw-`, `.日\2e本`},
		{"a & b", ".a &- b", ".a & b"},
		{"Entwürfe/Alt", ".Entw&APw-rfe.Alt", ".Entwürfe.Alt"},
	} {
		for e, want := range map[Encoding]string{UTF7: tt.utf7, UTF8: tt.utf8} {
			if got, err := e.Encode(tt.name); got != want || err != nil {
				t.Errorf("%v: %q is %q, %v; want %q", e, tt.name, got, err, want)
			}
			if got, err := e.Decode(want); got != (Folder{tt.name, want, true}) || err != nil {
				t.Errorf("%v: %q decodes to %+v, %v; want %q, exactly", e, want, got, err, tt.name)
			}
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for why, name := range map[string]string{
		"empty":                         "",
		"empty level":                   "a//b",
		"not UTF-8":                     "a\xff",
		"NUL":                           "a\x00b",
		"newline":                       "a\nb",
		"INBOX in another case":         "Inbox/a",
		"not in NFC":                    "Entwu\u0308rfe",
		"256 octets as directory":       strings.Repeat("x", 255),
		"256 octets in escapes":         strings.Repeat(".", 85),
		"deep, and so long in one name": strings.Repeat("a/", 127) + "bb",
	} {
		if got, err := UTF7.Encode(name); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%s: %q, %v", why, got, err)
		}
	}
	for _, name := range []string{strings.Repeat("x", 254), strings.Repeat("a/", 126) + "bb", strings.Repeat(".", 84)} {
		if dir, err := UTF7.Encode(name); err != nil {
			t.Errorf("a directory of %d octets: %v", len(dir), err)
		}
	}
	// 100 times é are 200 octets in UTF-8 and 270 in modified UTF-7.
	long := strings.Repeat("é", 100)
	if _, err := UTF7.Encode(long); !errors.Is(err, mailaccess.KindInvalid) {
		t.Errorf("in modified UTF-7: %v", err)
	}
	if _, err := UTF8.Encode(long); err != nil {
		t.Errorf("in UTF-8: %v", err)
	}
}

// What others left and means one thing only.
func TestDecodeInexact(t *testing.T) {
	for _, tt := range []struct {
		e         Encoding
		dir, name string
	}{
		{UTF8, ".Entwu\u0308rfe", "Entwürfe"},   // macOS
		{UTF7, ".Entwu&Awg-rfe", "Entwürfe"},    // the same, brought here
		{UTF7, ".Entwürfe.Alt", "Entwürfe/Alt"}, // UTF-8 in an account in modified UTF-7
		{UTF7, ".Entwürfe.&ZeU-", "Entwürfe/日"}, // and both in one
		{UTF7, ".~tilde", "~tilde"},             // Courier
		{UTF7, `.back\slash`, `back\slash`},     // Dovecot without listescape
		{UTF7, `.a\2Eb`, "a.b"},                 // upper case
		{UTF7, `.a\41`, "aA"},                   // no need
		{UTF8, `.\c3\a9`, "é"},                  // octets
		{UTF8, `.end\`, `end\`},                 // nothing follows
		{UTF8, `.end\2`, `end\2`},               // too little follows
		{UTF8, ".\u0958", "\u0915\u093c"},       // NFC decomposes some
		{UTF8, "." + strings.Repeat("\u0958", 84), strings.Repeat("\u0915\u093c", 84)}, // to what is too long then
	} {
		got, err := tt.e.Decode(tt.dir)
		if got != (Folder{tt.name, tt.dir, false}) || err != nil {
			t.Errorf("%v: %q decodes to %+v, %v; want %q, not exactly", tt.e, tt.dir, got, err, tt.name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		e   Encoding
		dir string
		why string
	}{
		{UTF7, ".A..B", "empty level"},
		{UTF7, ".A.", "empty level"},
		{UTF7, "..", ErrNoFolder.Error()},
		{UTF7, ".", ErrNoFolder.Error()},
		{UTF7, "...", "empty level"},
		{UTF7, "..A", "empty level"},
		{UTF7, "cur", ErrNoFolder.Error()},
		{UTF7, "dovecot-uidlist", ErrNoFolder.Error()},
		{UTF7, ".INBOX", "INBOX is the root"},
		{UTF7, ".&AEkATgBCAE8AWA-", "UTF-7"},
		{UTF7, ".Inbox", "another case"},
		{UTF7, ".inbox.a", "another case"},
		{UTF7, ".a&b", "UTF-7"},
		{UTF7, ".é&AOk-", "UTF-7"},
		{UTF7, ".\xff", "UTF-7"},
		{UTF8, ".a\xff", "UTF-8"},
		{UTF8, `.a\ff`, "UTF-8"},
		{UTF8, ".a\nb", "control"},
		{UTF8, ".a\x7f", "control"},
		{UTF7, ".a\tb", "UTF-7"},
		{UTF8, `.a\00b`, "control"},
		{UTF8, `.a\2fb`, "holds /"},
		{UTF8, ".a/b", "holds /"},
		{UTF8, ".a\u2028b", "control"},
		{UTF8, ".\x00", "control"},
		{UTF8, "." + strings.Repeat("a", 1025), "longer"},
	} {
		got, err := tt.e.Decode(tt.dir)
		if err == nil || got != (Folder{}) || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%v: %q decodes to %+v, %v; want an error with %q", tt.e, tt.dir, got, err, tt.why)
		}
	}
}

func TestFolders(t *testing.T) {
	dirs := []string{"cur", "new", "tmp", ".", "..", ".Zoo", ".Entwu\u0308rfe", ".Entwürfe", `.\7ea`, ".~a", ".a..b", `.b\slash`, `.b\5Cslash`, ".A.B"}
	folders, refused := UTF8.Folders(slices.Values(dirs))
	want := []Folder{
		{"A/B", ".A.B", true},
		{"Entwürfe", ".Entwürfe", true},
		{"Zoo", ".Zoo", true},
		{`b\slash`, `.b\5Cslash`, false},
		{"~a", `.\7ea`, true},
	}
	if !slices.Equal(folders, want) {
		t.Errorf("folders:\n got %+v\nwant %+v", folders, want)
	}
	if len(refused) != 4 {
		t.Errorf("refused: %v", refused)
	}
	for _, dir := range []string{".a..b", ".Entwu\u0308rfe", ".~a", `.b\\slash`} {
		if !slices.ContainsFunc(refused, func(err error) bool { return strings.Contains(err.Error(), `"`+dir+`" is no mailbox`) }) {
			t.Errorf("nothing says that %s was refused: %v", dir, refused)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		dirs  string
		want  Detection
		mixed bool
	}{
		{"", Detection{}, false},
		{"cur new tmp é .Sent .A.B", Detection{}, false},
		{".Entw&APw-rfe .Sent", Detection{UTF7, 1, 0}, false},
		{".Entwürfe .Sent", Detection{UTF8, 0, 1}, false},
		{".R&D", Detection{UTF8, 0, 1}, false},
		{".R&-D", Detection{UTF7, 1, 0}, false},
		{".Entw&APw-rfe .日 .本", Detection{UTF8, 1, 2}, true},
		{".Entw&APw-rfe .日", Detection{UTF7, 1, 1}, true},
		{".\xff .\xff&", Detection{}, false},
	} {
		got := Detect(slices.Values(strings.Fields(tt.dirs)))
		if got != tt.want || got.Mixed() != tt.mixed {
			t.Errorf("%q: %+v, mixed: %v", tt.dirs, got, got.Mixed())
		}
	}
}

// mailboxName draws a name that the contract allows.
func mailboxName() *rapid.Generator[string] {
	level := rapid.OneOf(
		rapid.StringN(1, 8, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune(`.\~&-27e5ca,+é日😀`+"\u0301\u0308\u093c")), 1, 12, -1),
		rapid.SampledFrom([]string{"INBOX", "cur", "new", "tmp", ".", "..", "~", `\2e`, "&ZeU-"}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return norm.NFC.String(strings.Join(rapid.SliceOfN(level, 1, 4).Draw(t, "levels"), "/"))
	}).Filter(func(name string) bool { return mailaccess.CheckMailboxName(name) == nil })
}

func checkComponent(t interface {
	Helper()
	Fatalf(string, ...any)
}, dir string) {
	t.Helper()
	if dir == "" {
		return // INBOX, which is the root
	}
	if dir[0] != '.' || strings.HasPrefix(dir, "..") || dir == "." || strings.ContainsAny(dir, "/\x00") || len(dir) > MaxDir {
		t.Fatalf("%q leaves the root, or can be no directory of a mailbox", dir)
	}
}

func TestFolderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Encoding{UTF7, UTF8}).Draw(t, "encoding")
		name := mailboxName().Draw(t, "name")
		dir, err := e.Encode(name)
		if err != nil {
			if long := "." + e.encodeLevels(name); len(long) <= MaxDir {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		checkComponent(t, dir)
		if got, err := e.Decode(dir); err != nil || got != (Folder{name, dir, true}) {
			t.Fatalf("%q is %q, which is %+v, %v", name, dir, got, err)
		}
	})
}

// Whatever directories there are, each name comes once, and each directory that
// begins with a dot is a mailbox or refused.
func TestFoldersOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Encoding{UTF7, UTF8}).Draw(t, "encoding")
		dir := rapid.Map(rapid.StringOfN(rapid.RuneFrom([]rune(`.\~&27eE5cAOk-ée`+"\u0301")), 1, 6, -1), func(s string) string { return "." + s })
		dirs := rapid.SliceOfDistinct(dir, rapid.ID[string]).Draw(t, "dirs")
		folders, refused := e.Folders(slices.Values(dirs))
		names := make(map[string]bool)
		for _, f := range folders {
			if names[f.Name] {
				t.Fatalf("%q is there twice", f.Name)
			}
			names[f.Name] = true
		}
		silent := 0
		for _, d := range dirs {
			if d == ".." {
				silent++
			}
		}
		if len(folders)+len(refused)+silent != len(dirs) {
			t.Fatalf("of %q %d are mailboxes and %d refused", dirs, len(folders), len(refused))
		}
		for _, d := range dirs {
			if f, err := e.Decode(d); err == nil && f.Exact && !slices.Contains(folders, f) {
				t.Fatalf("%q is exact and was not taken", d)
			}
		}
	})
}

// Any octets: no panic, and what is understood is a name that the contract allows.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "cur", "..", ".A..B", `.v1\2e2`, ".&ZeVnLIqe-.B", ".é", ".~x", ".\xff", `.a\`, ".INBOX"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range []Encoding{UTF7, UTF8} {
			dir := string(b)
			got, err := e.Decode(dir)
			if err != nil {
				if got != (Folder{}) {
					t.Fatalf("%v: %+v and an error", e, got)
				}
				continue
			}
			if got.Dir != dir || checkName(got.Name) != nil || !utf8.ValidString(got.Name) {
				t.Fatalf("%v: %q decodes to %+v", e, dir, got)
			}
			again, err := e.Encode(got.Name)
			if exact := err == nil && again == dir; exact != got.Exact {
				t.Fatalf("%v: %q decodes to %+v, which is %q, %v", e, dir, got, again, err)
			}
			if err == nil {
				checkComponent(t, again)
			}
			if (got.Name == mailaccess.Inbox) != (dir == "") {
				t.Fatalf("%v: %q is INBOX", e, dir)
			}
		}
	})
}

// Any octets as a name: an error, or a single component below the root.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"INBOX", "A/B", "..", "../..", "a/..", "~root", "a\x00", "日本", "v1.2", `\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range []Encoding{UTF7, UTF8} {
			dir, err := e.Encode(string(b))
			if err != nil {
				if !errors.Is(err, mailaccess.KindInvalid) || dir != "" {
					t.Fatalf("%v: %q, %v", e, dir, err)
				}
				continue
			}
			checkComponent(t, dir)
			if got, err := e.Decode(dir); err != nil || got.Name != string(b) || !got.Exact {
				t.Fatalf("%v: %q is %q, which is %+v, %v", e, b, dir, got, err)
			}
		}
	})
}
