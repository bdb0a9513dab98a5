package auth

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	// MaxUserName is the longest user name in octets, before and after
	// normalisation. RFC 4616, section 2, asks for 255 at least.
	MaxUserName = 255

	// MaxPassword is the longest password in octets. RFC 4616, section 2, asks
	// for 255 at least; more is for sites whose passwords are tokens.
	MaxPassword = 4096
)

// NormalizeUser returns the one spelling under which a user is known, or says
// why the name cannot be a user's. Every place that compares, stores or looks
// up user names goes through it.
//
// The spelling is that of the profile UsernameCaseMapped (RFC 8265, section
// 3.3): lower case, normalisation form C, full-width letters narrowed; letters
// and digits of any script, and printable ASCII, no white space and no control
// characters. As names end up in files, paths, mailbox names and log lines,
// these are refused as well:
//
//   - the colon, which ends the name in a users file;
//   - slash, backslash and double quote;
//   - percent sign and asterisk, the wildcards of mailbox patterns (RFC 3501,
//     section 6.3.8);
//   - a leading dot, dash, tilde or number sign, which mean something else at
//     the start of a file name, an argument, a path or a line.
//
// The normalised form of a normalised name is the name itself. The error does
// not repeat the name.
func NormalizeUser(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the name is empty")
	case len(name) > MaxUserName:
		return "", fmt.Errorf("the name is longer than %d octets", MaxUserName)
	case !utf8.ValidString(name):
		return "", errors.New("the name is not valid UTF-8")
	}
	n := name
	if !plainName(name) {
		var err error
		// RFC 8264, section 7: some strings settle only when the rules are
		// applied repeatedly; what has not settled after three rounds is refused.
		for round := 0; ; round++ {
			was := n
			if n, err = precis.UsernameCaseMapped.String(was); err != nil {
				return "", errors.New("the name has a character that is not a letter, a digit or printable ASCII")
			}
			if n == was {
				break
			}
			if round == 3 {
				return "", errors.New("the name has no stable normalised form")
			}
		}
	}
	if len(n) > MaxUserName {
		return "", fmt.Errorf("the name is longer than %d octets", MaxUserName)
	}
	if i := strings.IndexAny(n, `:/\"%*`); i >= 0 {
		return "", fmt.Errorf("the name has the character %q", n[i])
	}
	if strings.IndexByte(".-~#", n[0]) >= 0 {
		return "", fmt.Errorf("the name begins with the character %q", n[0])
	}
	return n, nil
}

// plainName reports whether name is lower-case printable ASCII, which
// normalisation leaves alone.
func plainName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// canonicalUser is NormalizeUser for names which another authenticator may
// permit though NormalizeUser does not: these stand for themselves.
func canonicalUser(name string) string {
	if n, err := NormalizeUser(name); err == nil {
		return n
	}
	return name
}

// preparePassword returns the octets that are hashed for a password. RFC 4616,
// section 2, asks for preparation before hashing; the profile is OpaqueString
// (RFC 8265, section 4.2), which maps the ways to type the same characters onto
// one. A password that the profile refuses is taken as it came, since files
// written by others may hold its hash.
func preparePassword(password string) []byte {
	// What is not UTF-8 would be made so, and different passwords the same.
	if utf8.ValidString(password) {
		if p, err := precis.OpaqueString.Bytes([]byte(password)); err == nil {
			return p
		}
	}
	return []byte(password)
}

// usablePassword reports whether a password can be right at all, so that what
// cannot be is refused before it costs anything that grows with its length.
// RFC 4616, section 2: never empty and without NUL.
func usablePassword(password string) bool {
	return password != "" && len(password) <= MaxPassword && strings.IndexByte(password, 0) < 0
}

// checkNewPassword says why a password cannot be given to a user: it could not
// be sent by every client and in every protocol.
func checkNewPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty")
	case len(password) > MaxPassword:
		return fmt.Errorf("the password is longer than %d octets", MaxPassword)
	case !utf8.ValidString(password):
		return errors.New("the password is not valid UTF-8")
	case strings.ContainsAny(password, "\x00\r\n"):
		return errors.New("the password has a line break or a NUL")
	}
	return nil
}
