package takeover

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// readKeywords returns the keywords by message.
func readKeywords(r io.Reader) (map[string]string, Report, error) {
	found := make(map[string]string)
	report, err := ReadCourierKeywords(r, func(base string, keywords mailaccess.Keywords) error {
		found[base] = keywords.String()
		return nil
	})
	return found, report, err
}

func TestReadCourierKeywords(t *testing.T) {
	got, report, err := readKeywords(open(t, "courierimapkeywords.list"))
	want := map[string]string{
		"1066128440.M364837P9451V0000000000000302I0001E2A4_0.mail,S=1355": "$Label1",
		"1066128441.M12P9452V0000000000000302I0001E2A5_0.mail,S=2048":     "$Forwarded Work",
		"1066128500.20017_0.mail": "$Forwarded $Label1 Work",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || report.Skipped != 0 {
		t.Errorf("%v, %v\n%s", report, err, diff)
	}

	manyNames, manyNumbers := new(strings.Builder), new(strings.Builder)
	for i := range maxCourierKeywords + 1 {
		manyNames.WriteString("k" + strconv.Itoa(i) + "\n")
	}
	for i := range mailaccess.MaxKeywords + 1 {
		manyNumbers.WriteString(" " + strconv.Itoa(i))
	}
	for _, tt := range []struct {
		title, file string
		want        map[string]string
		skipped     int
	}{
		{"nothing", "", nil, 0},
		{"no messages", "a\nb\n", nil, 0},
		{"no keywords", "\nx:0\n", map[string]string{"x": ""}, 1},
		{"no keyword, with its number", "a\ntwo words\nc\n\nx:0 1 2\n", map[string]string{"x": "a c"}, 2},
		{"too long, with its number", "a\n" + strings.Repeat("b", 5000) + "\nc\n\nx:2\ny:1\n", map[string]string{"x": "c", "y": ""}, 2},
		{"numbers", "a\nb\n\nx:1 7 -1 z 99999999999999999999\ny:\n", map[string]string{"x": "b", "y": ""}, 4},
		{"broken lines", "a\n\nx\n:0\n../x:0\n.x:0\n\nok:0\n", map[string]string{"ok": "a"}, 5},
		{"flags left in", "a\n\nx:2,S:0\n", map[string]string{"x": "a"}, 0},
		{"half a line", "a\nb\n\nx:0\ny:1", map[string]string{"x": "a"}, 1},
		{"too many", manyNames.String() + "\nx:999 1000\n", map[string]string{"x": "k999"}, 2},
	} {
		got, report, err := readKeywords(strings.NewReader(tt.file))
		if err != nil || !maps.Equal(got, tt.want) || report.Skipped != tt.skipped {
			t.Errorf("%s: %v, %v, %v; want %v, %d skipped", tt.title, got, report, err, tt.want, tt.skipped)
		}
	}
	got, report, err = readKeywords(strings.NewReader(manyNames.String() + "\nx:" + manyNumbers.String() + "\n"))
	if n := len(strings.Fields(got["x"])); err != nil || n != mailaccess.MaxKeywords || report.Skipped != 2 {
		t.Errorf("%d keywords, %v, %v", n, report, err)
	}
}

func TestReadCourierUpdate(t *testing.T) {
	for file, want := range map[string]struct {
		words   string
		skipped int
	}{
		"":                                  {"", 0},
		"Work\n$Label1\n":                   {"$Label1 Work", 0},
		"Work\nwork\n\nnot this\n":          {"Work", 0},
		"two words\nWork\nhal":              {"Work", 2},
		strings.Repeat("x", 5000) + "\na\n": {"a", 1},
	} {
		got, report, err := ReadCourierUpdate(strings.NewReader(file))
		if err != nil || got.String() != want.words || report.Skipped != want.skipped {
			t.Errorf("%.30q: %v, %v, %v; want %v", file, got, report, err, want)
		}
	}
}

func TestNewestCourierUpdates(t *testing.T) {
	got := NewestCourierUpdates(slices.Values([]string{
		":list", ".", "..", ".5.a", ".7.a", ".6.a", "b", ".99999999.b", ".tmp.1276528487.x", ".x.c", ".8.d", ".8.", ".-1.e", ".3",
		".18446744073709551615.f", ".9223372036854775807.g", "g", ".8.h:2,S",
	}))
	want := map[string]string{"a": ".7.a", "b": "b", "d": ".8.d", "g": "g", "h": ".8.h:2,S"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUIDLs(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{DovecotUIDL(25006, 1275660208, ""), "000061ae4c0907b0"},
		{DovecotUIDL(1<<32-2, 1, ""), "fffffffe00000001"},
		{DovecotUIDL(25006, 1275660208, "UID7-1063640400"), "UID7-1063640400"},
		{CourierUIDL(7, 1276528487), "UID7-1276528487"},
		{CourierUIDL(7, 0), "UID7"},
		{CourierFileUIDL("1066128440.M1P2_0.mail,S=1355"), "1066128440.M1P2_0.mail,S=1355"},
		{CourierFileUIDL("a+b c'd\"e\x7fé~!"), "a+2Bb+20c+27d+22e+7F+C3+A9~!"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// readPOP3 returns the list.
func readPOP3(r io.Reader) ([]POP3Entry, Report, error) {
	var entries []POP3Entry
	report, err := ReadCourierPOP3(r, func(e POP3Entry) error {
		entries = append(entries, e)
		return nil
	})
	return entries, report, err
}

func TestReadCourierPOP3(t *testing.T) {
	got, report, err := readPOP3(open(t, "courierpop3dsizelist"))
	want := []POP3Entry{
		{"1066128440.M364837P9451V0000000000000302I0001E2A4_0.mail,S=1355", "UID1-1063640400", 1394},
		{"1066128441.M12P9452V0000000000000302I0001E2A5_0.mail,S=2048", "UID2", 2100},
		{"1066128500.20017_0.mail", "1066128500.20017_0.mail", 500},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || report.Skipped != 0 {
		t.Errorf("%v, %v\n%s", report, err, diff)
	}
	for _, tt := range []struct {
		title, file string
		want        []POP3Entry
		skipped     int
	}{
		{"nothing", "", nil, 0},
		{"version 2", "/2 4 100\na 5 1:100\n", []POP3Entry{{"a", "UID1-100", 5}}, 0},
		{"version 1", "/1 4\na 5 1\n", []POP3Entry{{"a", "UID1", 5}}, 0},
		{"version 0", "a 5\nb:2,S 6\n", []POP3Entry{{"a", "a", 5}, {"b", "b", 6}}, 0},
		{"spaces", "/3 1 1\na b 5 1:1:0\n", []POP3Entry{{"a b", "UID1-1", 5}}, 0},
		{"broken", "/3 1 1\n\na\na 5\na 5 x:1:0\na 5 1:x:0\n 5 1:1:0\n../a 5 1:1:0\na x 1:1:0\n", []POP3Entry{{"a", "UID1-1", unknown}}, 7},
		{"half a line", "/3 1 1\na 5 1:1", nil, 1},
		{"header later", "a 5\n/3 1 1\n", []POP3Entry{{"a", "a", 5}}, 1},
	} {
		got, report, err := readPOP3(strings.NewReader(tt.file))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" || report.Skipped != tt.skipped {
			t.Errorf("%s: %v, %v\n%s", tt.title, report, err, diff)
		}
	}
	if _, _, err := readPOP3(strings.NewReader("/4 1 1\na 5 1:1:0\n")); !errors.Is(err, mailaccess.KindUnsupported) {
		t.Errorf("version 4: %v", err)
	}
}

func FuzzReadCourier(f *testing.F) {
	for _, name := range []string{"courierimapkeywords.list", "courierpop3dsizelist"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("a\nb\n\nx:0 1\n../y:0\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		message := func(base string) {
			if m, ok := maildirname.ParseMessage(base); !ok || m.Base != base || strings.Contains(base, "/") {
				t.Fatalf("%q is no message", base)
			}
		}
		if _, err := ReadCourierKeywords(bytes.NewReader(file), func(base string, _ mailaccess.Keywords) error {
			message(base)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		entries, report, err := readPOP3(bytes.NewReader(file))
		if err != nil && !errors.Is(err, mailaccess.KindUnsupported) {
			t.Fatal(err)
		}
		if n := bytes.Count(file, []byte("\n")) + 1; len(entries)+report.Skipped > n {
			t.Fatalf("%d messages and %d skipped of %d lines", len(entries), report.Skipped, n)
		}
		for _, e := range entries {
			message(e.Base)
			if e.UIDL == "" || e.Wire < unknown || strings.ContainsFunc(e.UIDL, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
				t.Fatalf("%+v", e)
			}
		}
		if _, _, err := ReadCourierUpdate(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		for message, name := range NewestCourierUpdates(slices.Values(strings.Split(string(file), "\n"))) {
			if message == "" || !strings.Contains(name, message) {
				t.Fatalf("%q is said to be of %q", name, message)
			}
		}
	})
}
