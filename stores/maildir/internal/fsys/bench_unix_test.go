//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// filled is a directory with n files of size octets.
func filled(b *testing.B, n, size int) fsys.Dir {
	d := open(b)
	b.Cleanup(func() { d.Close() })
	for i := range n {
		f, err := d.Create(fmt.Sprintf("1700000000.M%06dP1.host,S=4096:2,S", i))
		if err != nil {
			b.Fatal(err)
		}
		f.Write(make([]byte, size))
		f.Close()
	}
	b.ResetTimer()
	return d
}

func BenchmarkOpenReadClose(b *testing.B) {
	b.ReportAllocs()
	d := filled(b, 1, 4096)
	p := make([]byte, 4096)
	for b.Loop() {
		f, err := d.Open("1700000000.M000000P1.host,S=4096:2,S")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.ReadAt(p, 0); err != nil && err != io.EOF {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkRename(b *testing.B) {
	b.ReportAllocs()
	d := filled(b, 50_000, 0)
	from, to := "1700000000.M000000P1.host,S=4096:2,S", "1700000000.M000000P1.host,S=4096:2,FS"
	for b.Loop() {
		if err := d.Rename(from, d, to); err != nil {
			b.Fatal(err)
		}
		from, to = to, from
	}
}

func BenchmarkLinkRemove(b *testing.B) {
	b.ReportAllocs()
	d := filled(b, 1, 0)
	for b.Loop() {
		if err := d.Link("1700000000.M000000P1.host,S=4096:2,S", d, "link"); err != nil {
			b.Fatal(err)
		}
		if err := d.Remove("link"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLstat(b *testing.B) {
	b.ReportAllocs()
	d := filled(b, 1, 0)
	for b.Loop() {
		if _, err := d.Lstat("1700000000.M000000P1.host,S=4096:2,S"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList50000(b *testing.B) {
	b.ReportAllocs()
	d := filled(b, 50_000, 0)
	for b.Loop() {
		n := 0
		for _, err := range d.Names(0) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 50_000 {
			b.Fatal(n)
		}
	}
}
