package pop3_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// RFC 1939, section 7: unique-ids persist. Clients of a Maildir that another server kept find
// those that it had noted for single messages, and those of the configured form for others.
func TestUniqueIDsOfAServerBefore(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cur/1000.a:2,S":  "Subject: a\n\n",
		"cur/1001.b:2,":   "Subject: b\n\n",
		"cur/1002.c:2,":   "Subject: c\n\n",
		"new/.keep":       "",
		"tmp/.keep":       "",
		"dovecot-uidlist": "3 V1275660208 N15 G3085f01b7f11094c501100008c4a11c1\n7 PUID7-99 :1000.a\n9 :1001.b\n12 Pold12 :1002.c\n",
	} {
		path := filepath.Join(dir, "demo", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store, err := maildir.New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	fx := prototest.Fixture{Users: []prototest.User{{Name: "demo", Password: "demo"}}, Options: map[string]string{"uidl": "dovecot", "plaintext": "yes"}}
	h := newWorldOver(t, fx, nil, store, nil)
	c := dialIn(t, h)
	c.say("UIDL")
	c.want("+OK")
	c.want("1 UID7-99\r\n")
	c.want("2 000000094c0907b0\r\n")
	c.want("3 old12\r\n")
	c.want(".")
	c.say("UIDL 3")
	c.want("+OK 3 old12\r\n")
	c.say("QUIT")
	c.want("+OK")
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
