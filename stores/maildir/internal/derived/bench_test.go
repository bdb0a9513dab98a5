package derived_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
)

const benchValues, benchSize, benchBatch = 100_000, 400, 1000

func filled(b testing.TB) *derived.Cache {
	dir, _ := onDisk(b)
	c := open(b, dir, nil)
	var items []derived.Item
	for e := range uint32(benchValues) {
		if items = append(items, derived.Item{Email: e, Value: value(uint64(e), benchSize)}); len(items) == benchBatch {
			put(b, c, "mime/1", items...)
			items = items[:0]
		}
	}
	return c
}

func BenchmarkPut(b *testing.B) {
	dir, _ := onDisk(b)
	c := open(b, dir, nil)
	items := make([]derived.Item, benchBatch)
	for i := range items {
		items[i].Value = value(uint64(i), benchSize)
	}
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		for i := range items {
			items[i].Email = (n + uint32(i)) % benchValues
		}
		n += benchBatch
		put(b, c, "mime/1", items...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchBatch), "ns/value")
}

func benchGet(b *testing.B, emails []uint32) {
	c := filled(b)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := c.Get(context.Background(), "mime/1", emails, func(int, []byte) bool { n++; return true }); err != nil || n != len(emails) {
			b.Fatalf("%d values, %v", n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(emails)), "ns/value")
}

func BenchmarkGetInOrder(b *testing.B) { benchGet(b, upTo(benchValues)) }

func BenchmarkGetAtRandom(b *testing.B) {
	emails := upTo(benchValues)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(emails), func(i, j int) { emails[i], emails[j] = emails[j], emails[i] })
	benchGet(b, emails)
}

// Every other content, as when two mailboxes were filled in turn.
func BenchmarkGetEverySecond(b *testing.B) {
	var emails []uint32
	for e := uint32(0); e < benchValues; e += 2 {
		emails = append(emails, e)
	}
	benchGet(b, emails)
}

// Nothing is allocated for a value.
func TestAllocations(t *testing.T) {
	dir, _ := onDisk(t)
	c := open(t, dir, nil)
	var items []derived.Item
	for e := range uint32(5000) {
		items = append(items, derived.Item{Email: e, Value: make([]byte, 100)})
	}
	put(t, c, "mime/1", items...)
	emails := upTo(5000)
	for name, most := range map[string]float64{"in order": 20, "put": 100} {
		n := testing.AllocsPerRun(20, func() {
			if name == "put" {
				c.Put("mime/1", items)
				return
			}
			c.Get(context.Background(), "mime/1", emails, func(int, []byte) bool { return true })
		})
		if n > most {
			t.Errorf("%s: %v allocations for 5000 values", name, n)
		}
	}
}
