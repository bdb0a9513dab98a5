package maildir

import (
	"maps"
	"slices"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// FuzzScan puts files of any names and contents into cur and new. Each that has the name of a
// message is there once, with its content; it stays so when flags change, names follow, and the
// store is opened again.
func FuzzScan(f *testing.F) {
	file := func(place byte, name, text string) string {
		return string(append([]byte{place, byte(len(name))}, name...)) + string(append([]byte{byte(len(text))}, text...))
	}
	for i, name := range oddNames() {
		f.Add([]byte(file(byte(i), name, "Subject: x\n\ntext\r\n")))
	}
	f.Add([]byte(file(0, "a", "x") + file(1, "a:2,S", "y") + file(1, "a:2,FS", "z") + file(1, "b:2,S", "x")))
	f.Add([]byte(file(0, "a,S=1,W=9:2,S", "\n") + file(1, ".a", "x") + file(1, ":2,", "x") + file(1, "a:2,abcz", "")))
	f.Add([]byte(file(1, "a:2,", "In-Reply-To: <a@b>\n\n") + file(0, "b", "Message-ID: <a@b>\nReferences: <a@b> <")))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := memDisk(t)
		o := d.open(nil)
		var want []string
		others := 0
		for len(data) >= 2 && len(want) < 50 {
			var name, text []byte
			place := []string{"new", "cur"}[data[0]&1]
			name, data = cut(data[1:])
			text, data = cut(data)
			if fsys.CheckName(string(name)) != nil {
				continue
			}
			dir := d.in(place)
			file, err := dir.Create(string(name))
			if err != nil {
				continue // there is one of that name
			}
			if _, err := file.Write(text); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			if _, ok := maildirname.ParseMessage(string(name)); ok {
				want = append(want, canonical(string(text)))
			} else {
				others++
			}
		}
		slices.Sort(want)
		check := func(when string) map[mailaccess.UID]string {
			t.Helper()
			got := make(map[mailaccess.UID]string)
			for _, m := range o.list2("INBOX") {
				text, err := o.text(m)
				if err != nil {
					t.Fatalf("%s: message %d: %v", when, m.UID, err)
				}
				got[m.UID] = text
			}
			if texts := slices.Sorted(maps.Values(got)); !slices.Equal(texts, want) {
				t.Fatalf("%s: messages are %q, want %q", when, texts, want)
			}
			if n := len(d.files("cur")) + len(d.files("new")); n != len(want)+others {
				t.Fatalf("%s: there are %d files, want %d", when, n, len(want)+others)
			}
			return got
		}
		first := check("first")
		for uid := range first {
			o.setFlags("INBOX", uid, mailaccess.FlagChange{Add: flagsFor(t, mailaccess.FlagSeen, "word")})
		}
		if err := o.finishNames(); err != nil {
			t.Fatal(err)
		}
		if again := check("after names followed"); !maps.Equal(first, again) {
			t.Fatalf("UIDs are %q, were %q", again, first)
		}
		o.close()
		o = d.open(nil)
		if again := check("opened again"); !maps.Equal(first, again) {
			t.Fatalf("UIDs are %q, were %q", again, first)
		}
		for _, m := range o.list("INBOX") {
			if flags := flagText(m.Flags); !m.Flags.System.Has(mailaccess.FlagSeen) || m.Flags.Keywords.IsEmpty() {
				t.Errorf("flags of %d are %q", m.UID, flags)
			}
		}
		for _, name := range d.files() {
			if slices.Contains([]string{"cur", "new", "tmp", accountFile, mailboxFile, indexDir, keywordsFile}, name) {
				continue
			}
			t.Errorf("there is %q in the account", name)
		}
	})
}

// cut takes a string off, which its length precedes.
func cut(b []byte) (s, rest []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	n := min(int(b[0]), len(b)-1)
	return b[1 : n+1], b[n+1:]
}
