package hooks_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// BenchmarkUnchanged compares 100,000 messages of which none has changed.
func BenchmarkUnchanged(b *testing.B) {
	f := &fixture{TB: b, h: manyItems(100_000).handlers()}
	f.open(b)
	f.sync()
	b.ReportAllocs()
	for b.Loop() {
		f.sync()
	}
}

// BenchmarkOneChanged compares 100,000 messages of which one has other flags.
func BenchmarkOneChanged(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		b.Run(where, func(b *testing.B) {
			app := manyItems(100_000)
			f := &fixture{TB: b, h: app.handlers()}
			if where == "file" {
				f.opts.SyncState = filepath.Join(b.TempDir(), "state")
			}
			f.open(b)
			f.sync()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				app.items[i%len(app.items)].Flags = []string{fmt.Sprint("flag", i%100)}
				f.sync()
			}
		})
	}
}

// BenchmarkFirst compares 100,000 messages that were never seen.
func BenchmarkFirst(b *testing.B) {
	for _, where := range []string{"memory", "file"} {
		b.Run(where, func(b *testing.B) {
			app := manyItems(100_000)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f := &fixture{TB: b, h: app.handlers()}
				if where == "file" {
					f.opts.SyncState = filepath.Join(b.TempDir(), fmt.Sprint("state", i))
				}
				f.open(b)
				f.sync()
				f.store.Close()
			}
		})
	}
}

// BenchmarkLoad reads 100,000 messages from the file.
func BenchmarkLoad(b *testing.B) {
	app := manyItems(100_000)
	app.version = "1"
	f := &fixture{TB: b, h: app.handlers(), opts: hooks.Options{SyncState: filepath.Join(b.TempDir(), "state")}}
	f.open(b)
	f.sync()
	b.ReportAllocs()
	for b.Loop() {
		f.restart()
		acc, err := f.store.Open(b.Context(), user, mailaccess.Identity{})
		if err != nil {
			b.Fatal(err)
		}
		acc.Close()
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(t testing.TB) storetest.Harness {
		return newFixture(t, hookstest.Style{Sizes: true}, nil, hooks.Options{}).harness()
	})
}
