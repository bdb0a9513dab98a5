package commitlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// files are the contents of a directory.
type files map[string][]byte

func (f files) disk(t fataler) *memfs.FS {
	t.Helper()
	disk := memfs.New(nil)
	for name, b := range f {
		file, err := disk.Root().Create(name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if _, err = file.WriteAt(b, 0); err == nil {
			err = errors.Join(file.Sync(), file.Close(), disk.Root().Sync())
		}
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	return disk
}

func (f files) clone() files {
	c := make(files)
	for name, b := range f {
		c[name] = bytes.Clone(b)
	}
	return c
}

func filesOf(t fataler, disk *memfs.FS) files {
	t.Helper()
	f := make(files)
	for e, err := range disk.Root().Names(0) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		file, err := disk.Root().Open(e.Name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		size, _ := file.Size()
		f[e.Name] = make([]byte, size)
		file.ReadAt(f[e.Name], 0)
		file.Close()
	}
	return f
}

// sample is a log of three segments with five records each, all of them synced one by
// one but for the last, which is not.
func sample(t fataler) (files, []record) {
	t.Helper()
	disk := memfs.New(nil)
	l, _ := open(t, disk.Root(), commitlog.Options{SegmentSize: 300})
	var all []record
	for i := range 15 {
		all = append(all, commit(t, l, fmt.Sprintf("this is record %15d", i)))
	}
	f := filesOf(t, disk)
	closeLog(t, l)
	if len(f) != 3 || all[10].pos.String() != "3:64" {
		t.Fatalf("%d segments, record 10 at %v", len(f), all[10].pos)
	}
	return f, all
}

const (
	first  = "0000000001.log"
	second = "0000000002.log"
	third  = "0000000003.log"
)

func openDamaged(t fataler, f files) (got []record, damage []*commitlog.Damage) {
	t.Helper()
	disk := f.disk(t)
	replay := func(pos commitlog.Pos, payload []byte) error {
		got = append(got, record{pos, string(payload)})
		return nil
	}
	l, err := commitlog.Open(disk.Root(), commitlog.Options{OnDamage: func(d *commitlog.Damage) { damage = append(damage, d) }}, replay)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	// The log goes on behind what it found, and by then nothing has changed.
	before := got
	next := commit(t, l, "next")
	closeLog(t, l)
	got = nil
	l, err = commitlog.Open(disk.Root(), commitlog.Options{OnDamage: func(*commitlog.Damage) {}}, replay)
	if err != nil {
		t.Fatalf("Open again: %v", err)
	}
	closeLog(t, l)
	same(t, got, append(before, next))
	return before, damage
}

// Each kind of damage is reported, once and by its place, and the rest is replayed.
func TestDamage(t *testing.T) {
	f, all := sample(t)
	const size = 16 + 30 // of a record
	version := bytes.Clone(f[third])
	version[8] = 2
	tests := []struct {
		name   string
		change func(files)
		lost   []int // records
		damage string
	}{
		{"none", func(files) {}, nil, ""},
		{"payload", func(f files) { f[first][64+size+20]++ }, []int{1}, "1:110: records damaged: 46 octets lost"},
		{"length", func(f files) { f[first][64+size]++ }, []int{1}, "1:110: records damaged: 46 octets lost"},
		{"two records", func(f files) { f[second][64+size]++; f[second][64+2*size+40]++ }, []int{6, 7}, "2:110: records damaged: 92 octets lost"},
		{"last of a segment", func(f files) { f[second][64+5*size-1]++ }, []int{9}, "2:248: records damaged: 46 octets lost"},
		{"segment cut short", func(f files) { f[second] = f[second][:64+3*size] }, []int{8, 9}, "2:202: segment cut short: 92 octets lost"},
		{"segment missing", func(f files) { delete(f, second) }, []int{5, 6, 7, 8, 9}, "2:64: 1 segments are missing"},
		{"first segment trimmed", func(f files) { delete(f, first) }, []int{0, 1, 2, 3, 4}, ""},
		{"synced record in the last segment", func(f files) { f[third][64+size]++ }, []int{11}, "3:110: records damaged: 46 octets lost"},
		{"record before the last", func(f files) { f[third][64+3*size]++ }, []int{13}, "3:202: records damaged: 46 octets lost"},
		{"last record torn", func(f files) { f[third][64+4*size+30]++ }, []int{14}, ""},
		{"last record cut", func(f files) { f[third] = f[third][:64+5*size-1] }, []int{14}, ""},
		{"zeros behind the last record", func(f files) { f[third] = append(f[third], make([]byte, 5000)...) }, nil, ""},
		{"another segment's records behind the last", func(f files) { f[third] = append(f[third], f[second][64:]...) }, nil, ""},
		{"own records again behind the last", func(f files) { f[third] = append(f[third], f[third][64:]...) }, nil, ""},
		{"magic", func(f files) { f[second][0]++ }, nil, "2:0: no header of a segment: 64 octets lost"},
		{"header", func(f files) { f[second][20]++ }, nil, "2:0: header damaged: 64 octets lost"},
		{"renamed segment", func(f files) { f["0000000004.log"] = f[third]; delete(f, third) },
			[]int{10, 11, 12, 13, 14}, "3:64: 1 segments are missing; 4:0: header is that of segment 3: 64 octets lost"},
		{"segment being begun", func(f files) { f["0000000004.log"] = make([]byte, 64) }, nil, ""},
		{"other files", func(f files) { f["4.log"] = f[first]; f["0000000004.lo"] = f[first]; f["0000000000.log"] = f[first] }, nil, ""},
		{"all headers", func(f files) { f[first][0]++; f[second][0]++; f[third][0]++ }, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
			"1:0: no header of a segment: 64 octets lost; 2:0: no header of a segment: 64 octets lost; 3:0: no header of a segment: 64 octets lost"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := f.clone()
			test.change(f)
			got, damage := openDamaged(t, f)
			var want []record
			lost := test.lost
			for i, r := range all {
				if len(lost) > 0 && lost[0] == i {
					lost = lost[1:]
					continue
				}
				want = append(want, r)
			}
			same(t, got, want)
			var texts []string
			for _, d := range damage {
				texts = append(texts, strings.TrimPrefix(d.Error(), "commit log: at "))
			}
			if text := strings.Join(texts, "; "); text != test.damage {
				t.Errorf("damage %q, want %q", text, test.damage)
			}
			_, err := commitlog.Open(f.disk(t).Root(), commitlog.Options{}, func(commitlog.Pos, []byte) error { return nil })
			var d *commitlog.Damage
			if errors.As(err, &d) != (test.damage != "") {
				t.Errorf("Open without OnDamage: %v", err)
			}
		})
	}
}

// A segment of another log is not replayed.
func TestForeignSegment(t *testing.T) {
	f, _ := sample(t)
	other, all := sample(t)
	other[first] = f[first]
	got, damage := openDamaged(t, other)
	same(t, got, all[5:])
	if len(damage) != 1 || damage[0].Pos>>32 != 1 {
		t.Errorf("damage: %v", damage)
	}
}

// A log of a newer version is refused: nothing of it may be forgotten.
func TestNewerVersion(t *testing.T) {
	f, _ := sample(t)
	f[second][8]++
	crc := crc32.Checksum(f[second][:60], crc32.MakeTable(crc32.Castagnoli))
	copy(f[second][60:], []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)})
	_, err := commitlog.Open(f.disk(t).Root(), commitlog.Options{OnDamage: func(*commitlog.Damage) {}}, func(commitlog.Pos, []byte) error { return nil })
	if !errors.Is(err, commitlog.ErrVersion) {
		t.Errorf("Open: %v", err)
	}
}

// A wrong octet anywhere loses at most its record, and is reported unless it is in
// what was last written, which looks like what a power loss leaves.
func TestEachOctet(t *testing.T) {
	f, all := sample(t)
	for name, b := range f {
		for i := range b {
			g := f.clone()
			g[name][i] ^= 0x10
			got, damage := openDamaged(t, g)
			tail := name == third && i >= int(all[14].pos&0xffffffff)
			if len(damage) != 1 && !tail || len(damage) != 0 && tail {
				t.Errorf("octet %d of %s: damage %v", i, name, damage)
			}
			if len(got) < len(all)-1 {
				t.Errorf("octet %d of %s: %d records replayed", i, name, len(got))
			}
		}
	}
}

// Directories, links and pipes in the place of segments do not hang or mislead.
func TestNotFiles(t *testing.T) {
	disk := memfs.New(nil)
	if err := disk.Root().Mkdir(second); err != nil {
		t.Fatal(err)
	}
	_, err := commitlog.Open(disk.Root(), commitlog.Options{}, func(commitlog.Pos, []byte) error { return nil })
	if !errors.Is(err, fsys.ErrNotRegular) {
		t.Errorf("Open: %v", err)
	}
}

// No octets make Open fail or invent something, and the log goes on behind them.
func FuzzOpen(f *testing.F) {
	sampled, all := sample(f)
	known := make(map[record]bool)
	for _, r := range all {
		known[r] = true
	}
	f.Add(sampled[second], sampled[third])
	f.Add(sampled[second][:200], append(bytes.Clone(sampled[third]), sampled[third][100:]...))
	f.Add([]byte{}, []byte("mclog"))
	f.Fuzz(func(t *testing.T, b2, b3 []byte) {
		got, _ := openDamaged(t, files{first: sampled[first], second: b2, third: b3})
		for _, r := range got {
			if !known[r] {
				t.Errorf("replayed %v, which nobody wrote", r)
			}
		}
	})
}
