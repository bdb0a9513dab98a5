package index

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

var rowValues = rapid.Custom(func(t *rapid.T) Row {
	modseq := mailaccess.ModSeq(rapid.Uint64Range(0, uint64(mailaccess.MaxModSeq)).Draw(t, "modseq"))
	r := Row{
		UID: mailaccess.UID(rapid.Uint32Range(1, math.MaxUint32-1).Draw(t, "uid")), ModSeq: modseq,
		Created: mailaccess.ModSeq(rapid.Uint64Range(0, uint64(mailaccess.MaxModSeq)).Draw(t, "created")),
		Flags:   flagSets.Draw(t, "flags"), Size: rapid.OneOf(sizes, rapid.Just(int64(math.MaxInt64))).Draw(t, "size"),
		Received: received.Draw(t, "received"), Email: rapid.Uint32().Draw(t, "email"), Thread: rapid.Uint32().Draw(t, "thread"),
	}
	r.Saved = unpackSaved(rapid.Uint32().Draw(t, "saved"))
	return r
})

// What is written is read, and nothing of what follows.
func TestLogRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rowValues.Draw(t, "row")
		name := FileName{
			Base: rapid.StringN(0, 80, -1).Draw(t, "base"), Suffix: rapid.StringN(0, 20, -1).Draw(t, "suffix"),
			Place: Place(rapid.Uint8Range(0, 2).Draw(t, "place")),
		}
		follows := rapid.SliceOf(rapid.Byte()).Draw(t, "follows")
		b := AppendRow([]byte("before"), row, name)
		gotRow, gotName, rest, err := ReadRow(append(b, follows...)[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if !sameRow(gotRow, row) || gotName != name || !bytes.Equal(rest, follows) {
			t.Fatalf("got %+v %+v %q, want %+v %+v %q", gotRow, gotName, rest, row, name, follows)
		}
		for n := range len(b) - len("before") {
			if _, _, _, err := ReadRow(b[len("before"):][:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%d of %d octets: %v", n, len(b), err)
			}
		}
	})
}

func FuzzReadRow(f *testing.F) {
	rows, names := sample(1, 6, 9)
	for i := range rows {
		f.Add(AppendRow(nil, rows[i], names[i]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		row, name, _, err := ReadRow(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, againName, rest, err := ReadRow(AppendRow(nil, row, name))
		if err != nil || !sameRow(again, row) || againName != name || len(rest) > 0 {
			t.Fatalf("%+v %+v is read as %+v %+v: %v", row, name, again, againName, err)
		}
	})
}

// What a row cannot hold is moved to what it can.
func TestTimes(t *testing.T) {
	for _, x := range []struct{ give, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(12, 999), time.Unix(12, 0)},
		{time.Unix(-1, 0).In(newZone(-90)), time.Unix(-1, 0).In(newZone(-90))},
		{time.Unix(5, 0).In(time.FixedZone("LMT", 3599)), time.Unix(5, 0).In(newZone(59))},
		{time.Unix(5, 0).In(time.FixedZone("", 1<<30)), time.Unix(5, 0).In(newZone(maxZone))},
		{time.Unix(1<<60, 0), time.Unix(maxUnix, 0)},
	} {
		var z zones
		p := packTime(x.give)
		z.add(p)
		got := z.time(p, new(zone))
		_, offset := got.Zone()
		if _, want := x.want.Zone(); !got.Equal(x.want) || offset != want {
			t.Errorf("%v becomes %v, want %v", x.give, got, x.want)
		}
	}
	for _, x := range []struct{ give, want int64 }{{-5, 1}, {0, 1}, {1 << 40, math.MaxUint32}, {77, 77}} {
		if got := unpackSaved(packSaved(time.Unix(x.give, 0))).Unix(); got != x.want {
			t.Errorf("saved at %d becomes %d, want %d", x.give, got, x.want)
		}
	}
	if !unpackSaved(packSaved(time.Time{})).IsZero() {
		t.Error("unknown becomes known")
	}
}
