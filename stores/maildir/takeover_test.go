package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// layout makes files, with the directories above them; a name that ends in a slash is a
// directory. All of it is on the disk, and each call of the result is another copy.
func layout(t *testing.T, files map[string]string) func() *memfs.FS {
	t.Helper()
	fsm := memfs.New(nil)
	var enter func(d fsys.Dir, parts []string, text string)
	enter = func(d fsys.Dir, parts []string, text string) {
		defer d.Close()
		if len(parts) == 1 {
			if parts[0] == "" {
				return
			}
			f, err := d.Create(parts[0])
			if err == nil {
				_, err = f.Write([]byte(text))
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := d.Mkdir(parts[0]); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		sub, err := d.Sub(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		enter(sub, parts[1:], text)
	}
	for name, text := range files {
		enter(fsm.Root(), strings.Split(name, "/"), text)
	}
	return func() *memfs.FS { return fsm.Crash(nil, memfs.All) }
}

const (
	shortMail = "Subject: a\n\nb\n"  // 14 octets, 17 in canonical form
	otherMail = "Subject: c\r\n\r\n" // no name tells its size
)

func dovecotLayout() map[string]string {
	return map[string]string{
		"ann/cur/1000.M1P1.host,S=14,W=17:2,S": shortMail,
		"ann/cur/1001.M1P1.host:2,FSac":        otherMail,
		"ann/cur/1002.unlisted:2,":             otherMail,
		"ann/new/1003.fresh":                   otherMail,
		"ann/tmp/":                             "",
		"ann/dovecot-uidlist": "3 V1275660208 N15 G3085f01b7f11094c501100008c4a11c1\n" +
			"7 S14 :1000.M1P1.host,S=14,W=17:2,\n9 P42 :1001.M1P1.host\n10 :0999.gone:2,S\n12 :1003.fresh\n",
		"ann/dovecot-keywords":                       "0 Work\n2 $Label1\n",
		"ann/subscriptions":                          "Arch&AOk-.2024\nINBOX\n",
		"ann/.Arch&AOk-.2024/cur/2000.z:2,T":         shortMail,
		"ann/.Arch&AOk-.2024/new/":                   "",
		"ann/.Arch&AOk-.2024/dovecot-uidlist":        "1 1275660300 4\n2 2000.z:2,\n",
		"ann/.Plain/cur/3000.p:2,":                   shortMail,
		"ann/.Plain/new/":                            "",
		"ann/.Broken/cur/4000.b:2,":                  shortMail,
		"ann/.Broken/new/":                           "",
		"ann/.Broken/dovecot-uidlist":                "gibberish\n",
		"ann/dovecot-uidvalidity":                    "4c0f5a50",
		"ann/.Arch&AOk-.2024/maildirfolder":          "",
		"ann/mailboxes that are none/cur/1.ignored:": "",
	}
}

func courierLayout() map[string]string {
	return map[string]string{
		"ann/cur/1000.M1P1.host,S=14,W=17:2,S":  shortMail,
		"ann/cur/1001.M1P1.host:2,FS":           otherMail,
		"ann/cur/1002.unlisted:2,":              otherMail,
		"ann/new/1003.fresh":                    otherMail,
		"ann/tmp/":                              "",
		"ann/courierimapuiddb":                  "1 1275660208 15\n7 1000.M1P1.host,S=14,W=17\n9 1001.M1P1.host\n10 0999.gone\n12 1003.fresh\n",
		"ann/courierimapkeywords/:list":         "Work\n$Label1\nother\n\n1001.M1P1.host:0 1\n1002.unlisted:2\n",
		"ann/courierimapkeywords/1002.unlisted": "",
		"ann/courierpop3dsizelist":              "/3 2 1275660208\n1000.M1P1.host,S=14,W=17 17 1:1275660208:0\n",
		"ann/courierimapsubscribed":             "INBOX.Arch&AOk-.2024\nINBOX\n",
		"ann/.Arch&AOk-.2024/cur/2000.z:2,T":    shortMail,
		"ann/.Arch&AOk-.2024/new/":              "",
		"ann/.Arch&AOk-.2024/courierimapuiddb":  "1 1275660300 4\n2 2000.z\n",
		"ann/.Plain/cur/3000.p:2,":              shortMail,
		"ann/.Plain/new/":                       "",
	}
}

// wantTakenOver checks that clients find what they know.
func (r *rig) wantTakenOver(origin string) {
	r.Helper()
	boxes := r.boxes()
	inbox := r.snapshot(boxes[mailaccess.Inbox].ID)
	if got := fmt.Sprint(inbox.UIDs); got != "7,9,12,15" || inbox.UIDNext != 16 || inbox.UIDValidity != 1275660208 {
		r.Errorf("INBOX has UIDs %s, UIDNEXT %d, UIDVALIDITY %d", got, inbox.UIDNext, inbox.UIDValidity)
	}
	var lines []string
	for m, err := range r.h.Messages(r.Context(), inbox.ID, inbox.UIDs) {
		r.must(err)
		lines = append(lines, fmt.Sprintf("%d %v %s", m.UID, m.Flags.System, m.Flags.Keywords))
		if m.EmailID == "" || m.ThreadID == "" {
			r.Errorf("message %d has the ids %q and %q", m.UID, m.EmailID, m.ThreadID)
		}
		if m.UID == 7 && m.Size != 17 {
			r.Errorf("the size of message 7 is %d, want 17", m.Size)
		}
	}
	want := []string{
		fmt.Sprintf("7 %v ", mailaccess.FlagSeen),
		fmt.Sprintf("9 %v $Label1 Work", mailaccess.FlagSeen|mailaccess.FlagFlagged),
		fmt.Sprintf("12 %v ", mailaccess.SystemFlags(0)),
		fmt.Sprintf("15 %v ", mailaccess.SystemFlags(0)),
	}
	if !slices.Equal(lines, want) {
		r.Errorf("INBOX has %q, want %q", lines, want)
	}
	archive := r.snapshot(boxes["Arché/2024"].ID)
	if got := fmt.Sprint(archive.UIDs); got != "2" || archive.UIDNext != 4 || archive.UIDValidity != 1275660300 || archive.Deleted != 1 {
		r.Errorf("Arché/2024 has UIDs %s, %+v", got, archive.Status)
	}
	if texts := r.texts(archive.ID); !slices.Equal(texts, []string{"Subject: a\r\n\r\nb\r\n"}) {
		r.Errorf("its messages are %q", texts)
	}
	plain := r.snapshot(boxes["Plain"].ID)
	if plain.Messages != 1 || plain.UIDValidity <= 1275660300 {
		r.Errorf("Plain is %+v", plain.Status)
	}
	if got := r.picture()["#subscribed"]; got != "[Arché/2024 INBOX]" {
		r.Errorf("subscribed: %s", got)
	}
	if got, err := r.store.Origin(r.Context(), "ann"); err != nil || got != origin {
		r.Errorf("the origin is %q, %v, want %q", got, err, origin)
	}
}

// wantUniqueIDs checks which messages of INBOX POP3 clients know by ids of the server before.
func (r *rig) wantUniqueIDs(want string) {
	r.Helper()
	inbox := r.snapshot(r.boxes()[mailaccess.Inbox].ID)
	ids := []mailaccess.UniqueID{}
	for id, err := range r.h.Capabilities().UniqueIDs.UniqueIDs(r.Context(), inbox.ID, inbox.UIDs) {
		r.must(err)
		ids = append(ids, id)
	}
	if got := fmt.Sprint(ids); got != want {
		r.Errorf("the unique-ids of the server before are %s, want %s", got, want)
	}
	for id, err := range r.h.Capabilities().UniqueIDs.UniqueIDs(r.Context(), inbox.ID, mailaccess.UIDSetOf(12)) {
		r.Errorf("message 12 has one: %v, %v", id, err)
	}
}

func (r *rig) snapshot(box mailaccess.MailboxID) mailaccess.Snapshot {
	r.Helper()
	s, err := r.h.Snapshot(r.Context(), box)
	r.must(err)
	return s
}

// tree lists all files whose base name is in names, or all there are when it is empty.
func tree(t *testing.T, d fsys.Dir, at string, names ...string) (found []string) {
	t.Helper()
	for e, err := range d.Names(0) {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(names, e.Name) || len(names) == 0 && !e.Type.IsDir() {
			found = append(found, path.Join(at, e.Name))
		} else if e.Type.IsDir() {
			sub, err := d.Sub(e.Name)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, tree(t, sub, path.Join(at, e.Name), names...)...)
			sub.Close()
		}
	}
	return found
}

var otherLists = []string{"dovecot-uidlist", "courierimapuiddb", "courierimapkeywords", "courierimapsubscribed"}

func TestTakeOver(t *testing.T) {
	for origin, files := range map[string]map[string]string{"dovecot": dovecotLayout(), "courier": courierLayout()} {
		t.Run(origin, func(t *testing.T) {
			disk := layout(t, files)
			fsm := disk()
			core, logs := observer.New(zap.WarnLevel)
			r := newRig(t, fsm.Root(), &Options{Logger: zap.New(core)})
			r.wantTakenOver(origin)
			if left := tree(t, fsm.Root(), "", otherLists...); len(left) != 0 {
				t.Errorf("lists were left: %q", left)
			}
			// What comes next is above what was.
			r.append(r.boxes()["Arché/2024"].ID, letter("next"))
			if got := fmt.Sprint(r.snapshot(r.boxes()["Arché/2024"].ID).UIDs); got != "2,4" {
				t.Errorf("after an append the UIDs are %s", got)
			}
			if m := r.create("new"); m.UIDValidity <= 1275660300 {
				t.Errorf("a new mailbox has the UIDVALIDITY %d", m.UIDValidity)
			}
			r.wantUniqueIDs(map[string]string{"dovecot": "[{9 42}]", "courier": "[{7 UID1-1275660208}]"}[origin])
			if n := logged(logs, "another server uses"); n != 0 {
				t.Errorf("%d warnings of lists that were taken over", n)
			}
			r.close()

			// A list that comes later is not merged.
			ann, err := fsm.Root().Sub("ann")
			r.must(err)
			r.must(r.store.writeSmall(ann, "dovecot-uidlist", []byte("1 99 50\n40 1000.M1P1.host,S=14,W=17\n")))
			r = newRig(t, fsm.Root(), &Options{Logger: zap.New(core)})
			defer r.close()
			r.wantUniqueIDs(map[string]string{"dovecot": "[{9 42}]", "courier": "[{7 UID1-1275660208}]"}[origin])
			for range 3 {
				if got := fmt.Sprint(r.snapshot(r.boxes()[mailaccess.Inbox].ID).UIDs); got != "7,9,12,15" {
					t.Errorf("with a later list the UIDs are %s", got)
				}
			}
			if n := logged(logs, "another server uses"); n != 1 {
				t.Errorf("%d warnings of a list that came later, want 1", n)
			}
			if left := tree(t, fsm.Root(), "", "dovecot-uidlist"); len(left) != 1 {
				t.Errorf("the later list is now %q", left)
			}
		})
	}
}

// Whenever it is broken off, the next open does it.
func TestTakeOverBrokenOff(t *testing.T) {
	for origin, files := range map[string]map[string]string{"dovecot": dovecotLayout(), "courier": courierLayout()} {
		disk := layout(t, files)
		for _, mode := range []memfs.Mode{memfs.Nothing, memfs.All, memfs.Some} {
			t.Run(fmt.Sprintf("%s/%d", origin, mode), func(t *testing.T) {
				for k := 1; ; k++ {
					fsm := disk()
					rng := rand.New(rand.NewPCG(uint64(k), uint64(mode)))
					var crashed *memfs.FS
					n := 0
					fsm.Observe(func(op fsys.Op) {
						if op.Kind.Mutates() {
							if n++; n == k {
								crashed = fsm.Crash(rng, mode)
							}
						}
					})
					r, err := tryRig(t, fsm.Root(), nil, nil)
					fsm.Observe(nil)
					if r != nil {
						if crashed == nil {
							r.close()
							break
						}
						t.Fatalf("crash at operation %d, and it opened", k)
					}
					if crashed == nil {
						t.Fatal(err)
					}
					r = newRig(t, crashed.Root(), nil)
					r.wantTakenOver(origin)
					if left := tree(t, crashed.Root(), "", otherLists...); len(left) != 0 {
						t.Errorf("lists were left: %q", left)
					}
					r.close()
					if t.Failed() {
						t.Fatalf("after a crash at operation %d", k)
					}
				}
			})
		}
	}
}
