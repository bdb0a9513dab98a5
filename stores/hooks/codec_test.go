package hooks

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

func newEntryDecoder() *entryDecoder {
	return &entryDecoder{make(map[mailaccess.EmailID]*content), make(map[string]mailaccess.Keywords), make(map[int64]*time.Location)}
}

// What is written is read again.
func TestCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 20, -1)
		number := rapid.Uint64()
		head := accountHead{
			epoch: text.Draw(t, "epoch"), tag: text.Draw(t, "tag"), modseq: mailaccess.ModSeq(number.Draw(t, "modseq")),
			uidValidity: rapid.Uint32().Draw(t, "validity"), lastBox: number.Draw(t, "box"), lastEmail: number.Draw(t, "email"),
			floor: mailaccess.ModSeq(number.Draw(t, "floor")), subscribedAt: mailaccess.ModSeq(number.Draw(t, "subscribed")),
		}
		if got, err := decodeHead(encodeHead(&head)); err != nil || got != head {
			t.Errorf("%+v, %v; want %+v", got, err, head)
		}
		box := boxHead{
			Mailbox: mailaccess.Mailbox{
				ID: "b1", Name: text.Draw(t, "name"), UIDValidity: rapid.Uint32().Draw(t, "box validity"),
				Use:     mailaccess.SpecialUse(rapid.Uint16().Draw(t, "use")),
				Created: mailaccess.ModSeq(number.Draw(t, "created")), Changed: mailaccess.ModSeq(number.Draw(t, "changed")),
			},
			appName: text.Draw(t, "app name"), appKey: text.Draw(t, "app key"), version: text.Draw(t, "version"),
			modseq: mailaccess.ModSeq(number.Draw(t, "box modseq")), uidNext: mailaccess.UID(rapid.Uint32().Draw(t, "next")),
			recent: mailaccess.UID(rapid.Uint32().Draw(t, "recent")), floor: mailaccess.ModSeq(number.Draw(t, "box floor")),
		}
		if got, err := decodeBox("b1", encodeBox(&box)); err != nil || got != box {
			t.Errorf("%+v, %v; want %+v", got, err, box)
		}

		words := rapid.SliceOf(rapid.StringMatching(`[$a-zA-Z0-9]{1,10}`)).Draw(t, "keywords")
		keywords, err := mailaccess.NewKeywords(words[:min(len(words), 10)]...)
		if err != nil {
			t.Fatal(err)
		}
		c := &content{id: mailaccess.EmailID(text.Draw(t, "id")), size: rapid.Int64Range(-1, 1<<40).Draw(t, "size")}
		if rapid.Bool().Draw(t, "measured") {
			c.measured = true
			copy(c.sum[:], rapid.SliceOfN(rapid.Byte(), len(c.sum), len(c.sum)).Draw(t, "sum"))
		}
		e := entry{
			content: c, key: text.Draw(t, "key"), revision: text.Draw(t, "revision"), claimed: rapid.Int64Range(0, 1<<40).Draw(t, "claimed"),
			uid: 7, modseq: mailaccess.ModSeq(number.Draw(t, "entry modseq")), created: mailaccess.ModSeq(number.Draw(t, "entry created")),
			flags:    mailaccess.Flags{System: mailaccess.SystemFlags(rapid.Uint8().Draw(t, "flags")), Keywords: keywords},
			received: time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(t, "received"), 0).In(time.FixedZone("", rapid.IntRange(-14*3600, 14*3600).Draw(t, "zone"))),
			saved:    time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "saved"), 0).UTC(),
		}
		got, err := newEntryDecoder().decode(7, encodeEntry(&e))
		if err != nil {
			t.Fatal(err)
		}
		_, want := e.received.Zone()
		_, zone := got.received.Zone()
		if !got.received.Equal(e.received) || zone != want || !got.saved.Equal(e.saved) {
			t.Errorf("dates %v and %v, want %v and %v", got.received, got.saved, e.received, e.saved)
		}
		if got.content.id != c.id || got.content.size != c.size || got.content.sum != c.sum || got.content.measured != c.measured {
			t.Errorf("content %+v, want %+v", got.content, c)
		}
		got.content, got.received, got.saved = e.content, e.received, e.saved
		if *got != e {
			t.Errorf("%+v, want %+v", got, e)
		}
	})
}

// Whatever a file has is taken or refused.
func FuzzDecode(f *testing.F) {
	f.Add(encodeHead(&accountHead{epoch: "epoch", tag: "tag", modseq: 1 << 50}))
	f.Add(encodeBox(&boxHead{Mailbox: mailaccess.Mailbox{Name: "INBOX"}, version: "7"}))
	f.Add(encodeEntry(&entry{key: "k", content: &content{id: "m1", size: 3, measured: true}, received: time.Unix(1, 0), saved: time.Unix(2, 0)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil {
			if again, err := decodeHead(encodeHead(&h)); err != nil || again != h {
				t.Errorf("head %+v, %v; want %+v", again, err, h)
			}
		}
		if h, err := decodeBox("b1", b); err == nil {
			if again, err := decodeBox("b1", encodeBox(&h)); err != nil || again != h {
				t.Errorf("mailbox %+v, %v; want %+v", again, err, h)
			}
		}
		if e, err := newEntryDecoder().decode(1, b); err == nil {
			again, err := newEntryDecoder().decode(1, encodeEntry(e))
			if err != nil || again.key != e.key || again.flags != e.flags || !again.received.Equal(e.received) || again.content.sum != e.content.sum {
				t.Errorf("entry %+v, %v; want %+v", again, err, e)
			}
		}
	})
}
