package pop3

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestUIDLFormats(t *testing.T) {
	long := strings.Repeat("b", 255)
	for _, test := range []struct{ form, first, other string }{
		{"default", "1276528487.7", "1276528487.7.box"},
		{"cyrus", "1276528487.7", "1276528487.7.box"},
		{"dovecot", "000000074c164767", "000000074c164767.box"},
		{"courier", "UID7-1276528487", "UID7-1276528487.box"},
		{"%u", "7", "7.box"},
		{"%b.%u", "box.7", "box.7"},
		{"%03u%%%Xv", "007%4c164767", "007%4c164767.box"},
		{"emailid", "mail", "mail"},
		{"x%h", "x" + strings.Repeat("00", 31) + "01", "x" + strings.Repeat("00", 31) + "01"},
	} {
		f, err := ParseUIDLFormat(test.form)
		if err != nil {
			t.Errorf("%s: %v", test.form, err)
			continue
		}
		m := uidlFields{box: "box", first: true, validity: 1276528487, uid: 7, email: "mail", hash: [32]byte{31: 1}}
		if got := string(f.append(nil, &m)); got != test.first {
			t.Errorf("%s: %q, want %q", test.form, got, test.first)
		}
		m.first = false
		if got := string(f.append(nil, &m)); got != test.other {
			t.Errorf("%s in another mailbox: %q, want %q", test.form, got, test.other)
		}
		m.box = mailaccess.MailboxID(long)
		if got := f.append([]byte("1 "), &m); len(got) > 2+maxUniqueID || string(got[:2]) != "1 " {
			t.Errorf("%s with a long id: %q", test.form, got)
		}
	}
	zero := UIDLFormat{}.orDefault()
	if got := string(zero.append(nil, &uidlFields{first: true, validity: 1, uid: 2})); got != "1.2" {
		t.Errorf("the zero value: %q", got)
	}
	for _, form := range []string{
		"", "constant", "%v", "%b", "%", "%u%", "%x", "%08", "%08b%u", "%Xe", "%17u", "%99999999999999999999u", "a b%u", "ä%u", "%u\n",
		"%5%%u", "%u" + strings.Repeat("x", 70),
	} {
		if _, err := ParseUIDLFormat(form); err == nil {
			t.Errorf("%q was taken", form)
		}
	}
}

// RFC 1939, section 7: unique-ids are 1 to 70 octets of printable ASCII, and differ
// where what they are made of does.
func TestUniqueIDs(t *testing.T) {
	id := rapid.StringMatching(`[A-Za-z0-9_-]{1,255}`)
	rapid.Check(t, func(t *rapid.T) {
		form := rapid.SampledFrom([]string{"default", "dovecot", "courier", "emailid", "sha256", "%e.%u", "%b-%u-%v", "%b%08Xu"}).Draw(t, "form")
		f, err := ParseUIDLFormat(form)
		if err != nil {
			t.Fatal(err)
		}
		draw := func() uidlFields {
			return uidlFields{
				box:   mailaccess.MailboxID(id.Draw(t, "box")),
				first: rapid.Bool().Draw(t, "first"), validity: rapid.Uint32().Draw(t, "validity"),
				uid: mailaccess.UID(rapid.Uint32().Draw(t, "uid")), email: mailaccess.EmailID(id.Draw(t, "email")),
				hash: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")),
			}
		}
		a, b := draw(), draw()
		ia, ib := string(f.append(nil, &a)), string(f.append(nil, &b))
		for _, s := range []string{ia, ib} {
			if len(s) < 1 || len(s) > 70 || strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
				t.Fatalf("%s: %q", form, s)
			}
		}
		differ := a.uid != b.uid
		switch form {
		case "emailid":
			differ = a.email != b.email
		case "sha256":
			differ = a.hash != b.hash
		}
		if differ && ia == ib {
			t.Fatalf("%s: two messages are %q", form, ia)
		}
	})
}

func FuzzParseUIDLFormat(f *testing.F) {
	for _, s := range []string{"dovecot", "%08Xu%08Xv", "%", "%%%u", "%16Xb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, err := ParseUIDLFormat(s)
		if err != nil {
			return
		}
		got := form.append(nil, &uidlFields{box: "box", validity: 1, uid: 2, email: "mail"})
		if len(got) < 1 || len(got) > 70 {
			t.Errorf("%q makes %q", s, got)
		}
	})
}
