package takeover

import (
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/lines"
)

// maxCourierKeywords is how many keywords are taken from the head of Courier's list.
const maxCourierKeywords = 1000

// ReadCourierKeywords reads courierimapkeywords/:list and calls each for every message
// that has keywords, with what identifies its file. The list is the names of keywords,
// one in each line, an empty line, and a line for each message:
//
//	filename:0 2 5
//
// with numbers of keywords, the first being 0. Messages whose keywords changed of late
// have a file of their own: see [NewestCourierUpdates]. Names that are no keywords, and
// numbers that mean none, are left out; so are those over the limits, 1,000 keywords in
// the list and [mailaccess.MaxKeywords] for a message. An error of r or of each ends
// reading.
func ReadCourierKeywords(r io.Reader, each func(base string, keywords mailaccess.Keywords) error) (Report, error) {
	var report Report
	in := lines.NewReader(r, maxLine)
	var names []string // "" is no keyword
	for b, ok := in.Next(); ok && len(b) > 0; b, ok = in.Next() {
		// A line that was too long has its number all the same.
		for len(names) < min(in.Number()-1, maxCourierKeywords) {
			names = append(names, "")
		}
		name := string(b)
		switch err := mailaccess.CheckKeyword(name); {
		case len(names) == maxCourierKeywords:
			report.skip(in.Number(), "too many keywords")
			continue
		case err != nil:
			report.skip(in.Number(), "no keyword")
			name = ""
		}
		names = append(names, name)
	}
	for b, ok := in.Next(); ok; b, ok = in.Next() {
		line := string(b)
		colon := strings.LastIndexByte(line, ':')
		if colon < 0 || in.Partial() {
			report.skip(in.Number(), "no message and its keywords")
			continue
		}
		m, ok := parse(line[:colon])
		if !ok {
			report.skip(in.Number(), "no name of a message")
			continue
		}
		var words []string
		for number := range strings.FieldsSeq(line[colon+1:]) {
			n, err := strconv.ParseUint(number, 10, 32)
			if err != nil || n >= uint64(len(names)) || names[n] == "" || len(words) == mailaccess.MaxKeywords {
				report.skip(in.Number(), "number of no keyword")
				continue
			}
			words = append(words, names[n])
		}
		keywords, err := mailaccess.NewKeywords(words...)
		if err != nil {
			return report, err
		}
		if err := each(m.Base, keywords); err != nil {
			return report, err
		}
	}
	report.long(in.Long())
	return report, in.Err()
}

// ReadCourierUpdate reads a file of courierimapkeywords that is one message's: its
// keywords, one in each line, instead of those in the list. An empty one takes them all
// away.
func ReadCourierUpdate(r io.Reader) (mailaccess.Keywords, Report, error) {
	var report Report
	var words []string
	in := lines.NewReader(r, maxLine)
	for b, ok := in.Next(); ok && len(b) > 0; b, ok = in.Next() {
		word := string(b)
		if mailaccess.CheckKeyword(word) != nil || len(words) == mailaccess.MaxKeywords || in.Partial() {
			report.skip(in.Number(), "no keyword, or too many")
			continue
		}
		words = append(words, word)
	}
	report.long(in.Long())
	if err := in.Err(); err != nil {
		return mailaccess.Keywords{}, report, err
	}
	keywords, err := mailaccess.NewKeywords(words...)
	return keywords, report, err
}

// NewestCourierUpdates picks from the names in courierimapkeywords, for each message
// that has files of its own there, the one that counts, by what identifies the message:
// "filename" was written last, and of ".N.filename" the one with the highest N.
func NewestCourierUpdates(names iter.Seq[string]) map[string]string {
	const latest = 1<<64 - 1
	type update struct {
		file string
		n    uint64
	}
	newest := make(map[string]update)
	for name := range names {
		message, n := name, uint64(latest)
		if numbered, hidden := strings.CutPrefix(name, "."); hidden {
			var number string
			var err error
			number, message, _ = strings.Cut(numbered, ".")
			// ".tmp.…" is one being written.
			if n, err = strconv.ParseUint(number, 10, 63); err != nil {
				continue
			}
		}
		m, ok := parse(message)
		if have, found := newest[m.Base]; ok && name != CourierKeywordList && (!found || n > have.n) {
			newest[m.Base] = update{name, n}
		}
	}
	files := make(map[string]string, len(newest))
	for message, u := range newest {
		files[message] = u.file
	}
	return files
}
