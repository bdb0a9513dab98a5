package maildirname

import (
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/lines"
)

const (
	// KeywordsFile is the file of a folder that says what the letters mean.
	KeywordsFile = "dovecot-keywords"

	// MaxLetters is how many keywords a folder can keep in the names of its files.
	MaxLetters = 26

	// forwarded is the keyword that has a capital letter of its own, P.
	forwarded = "$Forwarded"
)

// Keywords are the keywords of a folder that have letters. The zero value has none.
// Values are comparable.
//
// They are kept in Dovecot's file and in its format, "number keyword" in each line
// with 0 for a: a Maildir that goes back to Dovecot, or came from there, keeps its
// keywords, and programs that know this file show the right ones. Dovecot itself
// may not use the Maildir at the same time.
//
// There are 26 letters. A keyword that comes when none is left is kept in the index
// only: Letters returns it apart, and it is lost with the index, unless it is $Forwarded.
type Keywords struct {
	// names are as in the file: one that is no keyword keeps its letter all the
	// same, since there are files that have it.
	names [MaxLetters]string
}

// ReadKeywords reads the file. Lines that are not as they should be are left out, and
// counted: broken numbers, letters above z, a letter that another line had before. The
// error is that of r.
func ReadKeywords(r io.Reader) (k Keywords, skipped int, err error) {
	in := lines.NewReader(r, 1024)
	for line, ok := in.Next(); ok; line, ok = in.Next() {
		number, name, _ := strings.Cut(string(line), " ")
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil || n >= MaxLetters || name == "" || k.names[n] != "" {
			skipped++
			continue
		}
		k.names[n] = name
	}
	return k, skipped + in.Long(), in.Err()
}

// Append appends the file.
func (k Keywords) Append(dst []byte) []byte {
	for n, name := range k.names {
		if name != "" {
			dst = strconv.AppendInt(dst, int64(n), 10)
			dst = append(append(append(dst, ' '), name...), '\n')
		}
	}
	return dst
}

// Keyword returns the keyword of a letter, 0 for a; false when the letter has none,
// or what the file says can be none (see [mailaccess.CheckKeyword]).
func (k Keywords) Keyword(n int) (string, bool) {
	if n < 0 || n >= MaxLetters || mailaccess.CheckKeyword(k.names[n]) != nil {
		return "", false
	}
	return k.names[n], true
}

// letter returns the letter of a keyword, without regard to case, or -1.
func (k Keywords) letter(word string) int {
	for n := range k.names {
		if name, ok := k.Keyword(n); ok && strings.EqualFold(name, word) {
			return n
		}
	}
	return -1
}

// Add gives a keyword a letter, unless it has one, and reports whether it has one
// afterwards; false means that no letter is left. Letters in taken, a bit
// mask like [Letters.Keywords], are not given: those that files have and the folder
// does not know, which would turn into the keyword.
func (k *Keywords) Add(word string, taken uint32) bool {
	if k.letter(word) >= 0 {
		return true
	}
	if mailaccess.CheckKeyword(word) != nil {
		return false
	}
	for n, name := range k.names {
		if name == "" && taken&(1<<n) == 0 {
			k.names[n] = word
			return true
		}
	}
	return false
}

// Flags returns what the letters of a file mean, and those letters that mean nothing
// in this folder. P is $Forwarded, and so is a letter that was given that name, as
// Dovecot does. It allocates when there are keywords: files with the same letters have
// the same flags.
func (k Keywords) Flags(l Letters) (flags mailaccess.Flags, unknown uint32) {
	flags.System = l.System
	if l.Keywords == 0 && !l.Passed {
		return flags, 0
	}
	words := make([]string, 0, MaxLetters+1)
	if l.Passed {
		words = append(words, forwarded)
	}
	for rest := l.Keywords; rest != 0; rest &= rest - 1 {
		n := bits.TrailingZeros32(rest)
		if word, ok := k.Keyword(n); ok {
			words = append(words, word)
		} else {
			unknown |= 1 << n
		}
	}
	// It cannot fail: they are keywords, and few.
	flags.Keywords, _ = mailaccess.NewKeywords(words...)
	return flags, unknown
}

// Letters returns the letters of flags, and the keywords to which a letter could be
// given. $Forwarded is P, and its letter too where it has one: Dovecot knows no P.
func (k Keywords) Letters(flags mailaccess.Flags) (l Letters, without mailaccess.Keywords) {
	l.System = flags.System
	var left []string
	for word := range flags.Keywords.All() {
		n := k.letter(word)
		if n >= 0 {
			l.Keywords |= 1 << n
		}
		if strings.EqualFold(word, forwarded) {
			l.Passed = true
		}
		if n < 0 {
			left = append(left, word)
		}
	}
	without, _ = mailaccess.NewKeywords(left...)
	return l, without
}
