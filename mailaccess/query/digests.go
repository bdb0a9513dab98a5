package query

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

// digestNumbers gives each digest a number, from 1 on. It takes some 24 octets for each.
type digestNumbers struct {
	// Nobody can choose digests that stand in each other's way without knowing seed.
	seed  [2]uint64
	all   []digest // by number
	table []uint32 // numbers, each at the first free place from that of its digest on
	used  int      // of table
}

const digestSize = int64(len(digest{}))

func newDigestNumbers(n int, memory *counted) (*digestNumbers, error) {
	d := &digestNumbers{seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
	var err error
	if d.all, err = grown(memory, d.all, digestSize, n+1); err != nil {
		return nil, err
	}
	d.all = append(d.all, digest{}) // that of no number
	return d, d.resize(n, memory)
}

// of returns the number of a digest, and whether it is new.
func (d *digestNumbers) of(x digest, memory *counted) (n int32, fresh bool, err error) {
	at := d.place(x)
	if n := d.table[at]; n != 0 {
		return int32(n), false, nil
	}
	if (d.used+1)*4 > len(d.table)*3 {
		if err := d.resize(d.used+1, memory); err != nil {
			return 0, false, err
		}
		at = d.place(x)
	}
	if n, err = d.next(x, memory); err == nil {
		d.table[at] = uint32(n)
		d.used++
	}
	return n, true, err
}

// next gives out a number, which the digest is not found by.
func (d *digestNumbers) next(x digest, memory *counted) (n int32, err error) {
	if d.all, err = grown(memory, d.all, digestSize, 1); err != nil {
		return 0, err
	}
	d.all = append(d.all, x)
	return int32(len(d.all) - 1), nil
}

// place returns where in the table a digest is, or would be.
func (d *digestNumbers) place(x digest) int {
	mask := len(d.table) - 1
	for at := d.hash(x) & mask; ; at = (at + 1) & mask {
		if n := d.table[at]; n == 0 || d.all[n] == x {
			return at
		}
	}
}

func (d *digestNumbers) hash(x digest) int {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(x[:])^d.seed[0], binary.LittleEndian.Uint64(x[8:])^d.seed[1])
	return int(hi ^ lo)
}

// resize makes a table for n digests of the one there is.
func (d *digestNumbers) resize(n int, memory *counted) error {
	table, err := grown(memory, []uint32(nil), 4, 1<<bits.Len(uint(max(n, 16)*4/3)))
	if err != nil {
		return err
	}
	old := d.table
	d.table = table[:cap(table)]
	for _, n := range old {
		if n != 0 {
			d.table[d.place(d.all[n])] = n
		}
	}
	memory.held -= 4 * int64(cap(old))
	return nil
}
