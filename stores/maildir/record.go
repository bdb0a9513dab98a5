package maildir

import (
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// entry is one payload of the commit log: transactions of one account, all or none.
type entry struct {
	_       struct{} `cbor:",toarray"`
	Account string   // the path below the store's root
	Records []record
}

// record is one transaction. All values are absolute, so that it may be applied again.
type record struct {
	_ struct{} `cbor:",toarray"`
	// ModSeq is the number that the transaction took; 0 when it took none.
	ModSeq mailaccess.ModSeq
	// LastEmail and LastThread are the counters afterwards; 0: as before.
	LastEmail, LastThread uint32
	Boxes                 []boxRecord
	Created               []createdBox
	Renamed               []renamedBox
	Deleted               []deletedBox
	Subscribe             []subscription
}

// boxRecord is what a transaction does in one mailbox, in the order of the fields.
type boxRecord struct {
	_    struct{} `cbor:",toarray"`
	Box  mailaccess.MailboxID
	Rows []byte // of index.AppendRow, one after another
	// Sources say where the file of each row comes from; empty: they are there already.
	Sources []source
	// Threads are the keys by which later messages find the threads of these.
	Threads []threadKeys
	Flags   []flagGroup
	Removed []removal
	Names   []nameChange
	Sizes   []sizeChange
	Recent  mailaccess.UID // 0: as before
}

// source is where a file comes from.
type source struct {
	_ struct{} `cbor:",toarray"`
	// Spool is a name in the spool, whose file is linked.
	Spool string
	// Box is where else the message is, under the name that follows; the file is linked, or
	// renamed when Move is set.
	Box    mailaccess.MailboxID
	Base   string
	Suffix string
	Place  index.Place
	Move   bool
}

type threadKeys struct {
	_      struct{} `cbor:",toarray"`
	Thread uint32
	Keys   []uint64
}

type flagGroup struct {
	_        struct{} `cbor:",toarray"`
	UIDs     ranges
	System   mailaccess.SystemFlags
	Keywords string
}

// removal is of messages that leave. With Keep their files go to where expunged messages
// are kept; otherwise the files are gone or go elsewhere by another part of the record.
type removal struct {
	_    struct{} `cbor:",toarray"`
	UIDs ranges
	Keep bool
	Time int64 // Unix seconds
}

// nameChange says that the file of a message gets another name, by us.
type nameChange struct {
	_      struct{} `cbor:",toarray"`
	UID    mailaccess.UID
	Base   string
	Suffix string
	Place  index.Place
}

type sizeChange struct {
	_    struct{} `cbor:",toarray"`
	UID  mailaccess.UID
	Size int64
}

type createdBox struct {
	_           struct{} `cbor:",toarray"`
	Box         mailaccess.MailboxID
	Name        string
	Dir         string // the directory's name; "" is the account's own
	UIDValidity uint32
	UIDNext     mailaccess.UID
	Use         mailaccess.SpecialUse
}

type renamedBox struct {
	_    struct{} `cbor:",toarray"`
	Box  mailaccess.MailboxID
	Name string
	Dir  string
}

type deletedBox struct {
	_    struct{} `cbor:",toarray"`
	Box  mailaccess.MailboxID
	Time int64 // Unix seconds
	// Gone says that the directory is not there any more.
	Gone bool
}

type subscription struct {
	_    struct{} `cbor:",toarray"`
	Name string
	On   bool
}

// ranges are the first and last UIDs of the ranges of a set, in turn.
type ranges []mailaccess.UID

func rangesOf(s mailaccess.UIDSet) ranges {
	var r ranges
	for x := range s.Ranges() {
		r = append(r, x.First, x.Last)
	}
	return r
}

func (r ranges) set() (mailaccess.UIDSet, error) {
	var b mailaccess.UIDSetBuilder
	if len(r)%2 != 0 {
		return mailaccess.UIDSet{}, errRecord
	}
	for i := 0; i < len(r); i += 2 {
		if r[i] == 0 || r[i] > r[i+1] {
			return mailaccess.UIDSet{}, errRecord
		}
		b.AddRange(r[i], r[i+1])
	}
	return b.Set(), nil
}

// flagsOf returns the flags of a record.
func flagsOf(system mailaccess.SystemFlags, keywords string) mailaccess.Flags {
	flags := mailaccess.Flags{System: system}
	if keywords != "" {
		// They were a set before they were written.
		flags.Keywords, _ = mailaccess.NewKeywords(strings.Fields(keywords)...)
	}
	return flags
}

var errRecord = fmt.Errorf("a record that cannot be: %w", index.ErrCorrupt)

// codec reads and writes entries and the checkpoints of accounts. The limits are far above
// what is written.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

func newCodec() (codec, error) {
	enc, err := cbor.EncOptions{}.EncMode()
	if err != nil {
		return codec{}, err
	}
	dec, err := cbor.DecOptions{MaxArrayElements: 1 << 28, MaxMapPairs: 1 << 20}.DecMode()
	return codec{enc, dec}, err
}

// rows reads the rows of b.
func (b *boxRecord) rows() (rows []index.Row, names []index.FileName, err error) {
	for rest := b.Rows; len(rest) > 0; {
		var row index.Row
		var name index.FileName
		if row, name, rest, err = index.ReadRow(rest); err != nil {
			return nil, nil, err
		}
		rows, names = append(rows, row), append(names, name)
	}
	if len(b.Sources) != 0 && len(b.Sources) != len(rows) {
		return nil, nil, errRecord
	}
	return rows, names, nil
}
