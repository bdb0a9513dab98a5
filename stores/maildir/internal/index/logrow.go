package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// AppendRow appends the encoding of a row and a name: some 30 octets and the strings.
func AppendRow(b []byte, row Row, name FileName) []byte {
	b = binary.AppendUvarint(b, uint64(row.UID))
	b = binary.AppendUvarint(b, uint64(row.ModSeq))
	b = binary.AppendVarint(b, int64(row.ModSeq)-int64(row.Created))
	b = append(b, byte(row.Flags.System), byte(name.Place))
	b = binary.AppendUvarint(b, uint64(max(row.Size, mailaccess.SizeUnknown))+1)
	b = binary.AppendVarint(b, packTime(row.Received))
	b = binary.AppendUvarint(b, uint64(packSaved(row.Saved)))
	b = binary.AppendUvarint(b, uint64(row.Email))
	b = binary.AppendUvarint(b, uint64(row.Thread))
	b = appendText(b, row.Flags.Keywords.String())
	b = appendText(b, name.Base)
	return appendText(b, name.Suffix)
}

// ReadRow reads what AppendRow wrote and returns what follows. Any other octets are
// ErrCorrupt, or a row that AppendRow could have written.
func ReadRow(b []byte) (row Row, name FileName, rest []byte, err error) {
	d := decoder{b: b}
	row.UID = mailaccess.UID(d.uint(math.MaxUint32 - 1)) // so that UIDNEXT is one too
	if row.UID == 0 {
		d.fail(errors.New("UID 0"))
	}
	row.ModSeq = mailaccess.ModSeq(d.uint(uint64(mailaccess.MaxModSeq)))
	created := int64(row.ModSeq) - d.int()
	if created < 0 {
		d.fail(errors.New("a negative number"))
	}
	row.Created = mailaccess.ModSeq(created)
	row.Flags.System, name.Place = mailaccess.SystemFlags(d.byte()), Place(d.byte())
	if !mailaccess.SystemFlagsAll.Has(row.Flags.System) || name.Place > PlaceCur {
		d.fail(errors.New("unknown flags or place"))
	}
	row.Size = int64(d.uint(1<<63) - 1)
	received := d.int()
	row.Saved = unpackSaved(uint32(d.uint(math.MaxUint32)))
	row.Email, row.Thread = uint32(d.uint(math.MaxUint32)), uint32(d.uint(math.MaxUint32))
	words := d.text(maxKeywords)
	name.Base = string(d.text(MaxName))
	name.Suffix = string(d.text(MaxName - len(name.Base)))
	sec, zone := unpackTime(received)
	row.Received = time.Unix(sec, 0).In(newZone(zone))
	if packTime(row.Received) != received {
		d.fail(errors.New("a date out of bounds"))
	}
	if d.err == nil {
		row.Flags.Keywords, d.err = parseKeywords(string(words))
	}
	if d.err != nil {
		return Row{}, FileName{}, nil, fmt.Errorf("row of a log record: %w: %w", ErrCorrupt, d.err)
	}
	return row, name, d.b, nil
}
