package query

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// metadataOnly is a search as clients send it that leaves nothing open.
func metadataOnly(tb testing.TB) (mailaccess.Expr, *mailaccess.Message) {
	received := time.Date(2024, 2, 29, 12, 0, 0, 0, time.FixedZone("", 3600))
	e := mailaccess.And{
		mailaccess.Body{Text: "never read"},
		mailaccess.OnDay{Date: mailaccess.DateReceived, Op: mailaccess.DaySince, Day: mailaccess.Day{Year: 2024, Month: 1, Day: 1}},
		mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(1, 1000)},
		mailaccess.Not{X: mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagDeleted}}},
		mailaccess.Not{X: mailaccess.HasFlags{Flags: mailaccess.Flags{Keywords: keywords(tb, "$junk")}}},
		mailaccess.Or{mailaccess.Larger{Than: 5000}, mailaccess.Smaller{Than: 10}},
	}
	return e, &mailaccess.Message{UID: 500, Size: 100, Received: received, Flags: mailaccess.Flags{Keywords: keywords(tb, "a", "b", "$junkies")}}
}

func TestMetadataDoNotAllocate(t *testing.T) {
	e, msg := metadataOnly(t)
	m := mustCompile(t, e, nil)
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		if got, err := m.Match(ctx, msg, nil); got || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// tree is a source that keeps the structure.
type tree struct {
	*source
	root *message.Part
}

func newTree(tb testing.TB, raw string) tree {
	root, err := message.Parse(strings.NewReader(raw), int64(len(raw)), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return tree{newSource(raw), root}
}

func (s tree) Structure(context.Context, mailaccess.Content) (*message.Part, error) {
	return s.root, nil
}

// Plain text is read into memory that is used again, however much there is.
func TestPlainTextAllocatesLittle(t *testing.T) {
	src := newTree(t, "Subject: x\r\n\r\n"+strings.Repeat("nothing to be found here\r\n", 100_000))
	m := mustCompile(t, mailaccess.Body{Text: "needle"}, nil)
	ctx, msg := t.Context(), &mailaccess.Message{}
	n := testing.AllocsPerRun(5, func() {
		if got, err := m.Match(ctx, msg, src); got || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	if n > 10 {
		t.Errorf("%v allocations", n)
	}
}

// One Matcher serves many goroutines.
func TestConcurrent(t *testing.T) {
	m := mustCompile(t, mailaccess.And{mailaccess.FullText{Text: "secret.bin"}, mailaccess.Body{Text: "grüße"}}, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				raw := letter
				if i%2 == 1 {
					raw = strings.ReplaceAll(letter, "secret", "public")
				}
				got, err := m.Match(t.Context(), &mailaccess.Message{}, newSource(raw))
				if want := i%2 == 0; got != want || err != nil {
					t.Errorf("got %v, %v, want %v", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkMetadata(b *testing.B) {
	e, msg := metadataOnly(b)
	m := mustCompile(b, e, nil)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := m.Match(b.Context(), msg, nil); got || err != nil {
			b.Fatal(got, err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	english := strings.Repeat("The quick brown fox jumps over the lazy dog, and so on.\r\n", 20_000)
	russian := strings.Repeat("Съешь ещё этих мягких французских булок, да выпей чаю.\r\n", 10_000)
	var ten mailaccess.Or
	for _, w := range strings.Fields("one two three four five six seven eight nine absent") {
		ten = append(ten, mailaccess.Body{Text: w + " needle"})
	}
	one := ten[9]
	for _, bb := range []struct {
		name, raw string
		e         mailaccess.Expr
	}{
		{"ASCII", "\r\n" + english, one},
		{"ASCII, ten needles", "\r\n" + english, ten},
		{"ASCII, base64", "Content-Transfer-Encoding: base64\r\n\r\n" + wrap(english), one},
		{"UTF-8", "Content-Type: text/plain; charset=utf-8\r\n\r\n" + russian, mailaccess.Body{Text: "нет"}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			src := newTree(b, bb.raw)
			m := mustCompile(b, bb.e, nil)
			b.SetBytes(int64(len(bb.raw)))
			b.ReportAllocs()
			for b.Loop() {
				if got, err := m.Match(b.Context(), &mailaccess.Message{}, src); got || err != nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}

func BenchmarkHeader(b *testing.B) {
	src := newTree(b, letter)
	m := mustCompile(b, mailaccess.Header{Name: "From", Text: "nobody"}, nil)
	b.ReportAllocs()
	for b.Loop() {
		if got, err := m.Match(b.Context(), &mailaccess.Message{}, src); got || err != nil {
			b.Fatal(got, err)
		}
	}
}
