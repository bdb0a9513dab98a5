package index

import (
	"cmp"
	"errors"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// ErrCorrupt: what is on disk is no checkpoint of this mailbox, or damaged.
var ErrCorrupt = errors.New("index is corrupt")

// Place is where the file of a message is.
type Place uint8

// The places. The zero value is the spool: the name was given out, but the file is not
// known to be in the folder yet.
const (
	PlaceSpool Place = iota
	PlaceNew
	PlaceCur
)

// FileName is the name of a message's file. Base and Suffix together have at most
// [MaxName] octets.
type FileName struct {
	Base   string
	Suffix string // as last seen on disk, as ":2,S"; empty in new
	Place  Place
}

// MaxName is the longest name of a file, in octets. No file system has longer ones.
// A checkpoint with a longer one fails.
const MaxName = 1 << 12

// Row is what the index knows of a message.
type Row struct {
	UID             mailaccess.UID
	ModSeq, Created mailaccess.ModSeq
	Flags           mailaccess.Flags
	Size            int64     // in canonical form, or mailaccess.SizeUnknown
	Received        time.Time // whole seconds, zone offset in minutes; UTC where that is 0
	Saved           time.Time // whole seconds from 1970 to 2106, in UTC; zero: unknown
	Email, Thread   uint32    // 0: none
}

// Gone is a message that was removed.
type Gone struct {
	UID           mailaccess.UID
	Created       mailaccess.ModSeq // the number of its arrival
	ModSeq        mailaccess.ModSeq // the number of its removal
	Email, Thread uint32
}

// Entry is the file of a message.
type Entry struct {
	UID mailaccess.UID
	FileName
}

// Options are the settings of a mailbox. nil means defaults.
type Options struct {
	// HistoryLimit is how many removals are remembered; then the older half is
	// forgotten. 0 means 65,536.
	HistoryLimit int

	// For tests. 0 means the constant.
	chunkLen, keywordSets, minDead int
}

func (o *Options) limits() Options {
	l := Options{HistoryLimit: defaultHistory, chunkLen: chunkLen, keywordSets: keywordsLate - 1, minDead: minDead}
	if o != nil {
		l.HistoryLimit = cmp.Or(o.HistoryLimit, l.HistoryLimit)
		l.chunkLen = cmp.Or(o.chunkLen, l.chunkLen)
		l.keywordSets = cmp.Or(o.keywordSets, l.keywordSets)
		l.minDead = cmp.Or(o.minDead, l.minDead)
	}
	return l
}

const defaultHistory = 65536
