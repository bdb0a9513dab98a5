package auth

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
)

// A Scheme says how a password is stored. Those that have a constant can be
// written, see [SetUserOptions].
type Scheme string

const (
	// SchemeArgon2id is argon2id (RFC 9106), the best for passwords that come
	// as they are, over TLS.
	SchemeArgon2id Scheme = "ARGON2ID"

	// SchemeScramSHA256 are the keys of SCRAM-SHA-256 (RFC 7677). It lets the
	// user log in by SCRAM and with the password.
	SchemeScramSHA256 Scheme = "SCRAM-SHA-256"

	// SchemeBcrypt is bcrypt, which other programs read; passwords have up to 72
	// octets.
	SchemeBcrypt Scheme = "BLF-CRYPT"

	// SchemePlain is the password itself. It serves every mechanism, and whoever
	// reads the file.
	SchemePlain Scheme = "PLAIN"
)

// Bounds on what a users file can make the server do.
const (
	defaultBcryptCost = 10
	maxBcryptCost     = 15
	maxBcryptPassword = 72
	minCryptRounds    = 1000
	maxCryptRounds    = 1_000_000
	maxCryptSalt      = 16
	maxCryptPassword  = 512 // as libxcrypt has it: the work grows with the length
)

// A passwordHash is a password as it is stored. Verifying takes time, and memory
// for some: it belongs on a [Pool].
type passwordHash interface {
	matches(password string) bool
}

var errScheme = errors.New("the scheme of the password is none of " +
	"ARGON2ID, ARGON2I, BLF-CRYPT, BCRYPT, CRYPT, SHA512-CRYPT, SHA256-CRYPT, SCRAM-SHA-256, SCRAM-SHA-1, SSHA512, SSHA256, SSHA, SHA512, SHA256, SHA, PLAIN")

// parsePasswordField reads the password field of a user: {SCHEME} in any case,
// which may be missing before a hash that names itself, and what the scheme
// stores. Errors repeat nothing of the field, which may be a password in braces.
func parsePasswordField(s string) (passwordHash, error) {
	scheme, hash := "CRYPT", s
	if strings.HasPrefix(s, "{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return nil, errScheme
		}
		scheme, hash = strings.ToUpper(s[1:end]), s[end+1:]
	}
	if hash == "" {
		return nil, errors.New("no password hash")
	}
	scheme, encoding, encoded := strings.Cut(scheme, ".")
	switch scheme {
	case "SSHA512", "SSHA256", "SSHA", "SHA512", "SHA256", "SHA1", "SHA":
		if !encoded {
			encoding = "B64"
		}
		octets, err := decodeHash(encoding, hash)
		if err != nil {
			return nil, err
		}
		return parseDigest(scheme, octets)
	}
	if encoded { // what the others store is text
		text, err := decodeHash(encoding, hash)
		if err != nil {
			return nil, err
		}
		hash = string(text)
	}
	switch Scheme(scheme) {
	case SchemeArgon2id:
		return parsed(parseArgon2Hash(argon2idPrefix, hash))
	case "ARGON2I":
		return parsed(parseArgon2Hash(argon2iPrefix, hash))
	case SchemeBcrypt, "BCRYPT":
		return parseBcrypt(hash)
	case "SHA512-CRYPT":
		return parseSHACrypt("$6$", hash)
	case "SHA256-CRYPT":
		return parseSHACrypt("$5$", hash)
	case SchemeScramSHA256:
		return parsed(parseScramHash(crypto.SHA256, hash))
	case "SCRAM-SHA-1":
		return parsed(parseScramHash(crypto.SHA1, hash))
	case SchemePlain, "CLEARTEXT", "CLEAR":
		if !usablePassword(hash) {
			return nil, errors.New("the password cannot be one")
		}
		return plainHash(hash), nil
	case "CRYPT":
		return parseCrypt(hash)
	}
	return nil, errScheme
}

// parseCrypt reads a hash that names itself, as crypt(3) writes them.
func parseCrypt(s string) (passwordHash, error) {
	for _, p := range []struct {
		prefix string
		parse  func(prefix, s string) (passwordHash, error)
	}{
		{argon2idPrefix, func(p, s string) (passwordHash, error) { return parsed(parseArgon2Hash(p, s)) }},
		{argon2iPrefix, func(p, s string) (passwordHash, error) { return parsed(parseArgon2Hash(p, s)) }},
		{"$2", func(_, s string) (passwordHash, error) { return parseBcrypt(s) }},
		{"$5$", parseSHACrypt}, {"$6$", parseSHACrypt},
	} {
		if strings.HasPrefix(s, p.prefix) {
			return p.parse(p.prefix, s)
		}
	}
	return nil, errScheme
}

// parsed keeps a hash that could not be parsed from being one.
func parsed[H passwordHash](h H, err error) (passwordHash, error) {
	if err != nil {
		return nil, err
	}
	return h, nil
}

// bcryptHash is a password hashed with bcrypt.
type bcryptHash string

func parseBcrypt(s string) (passwordHash, error) {
	cost, err := bcrypt.Cost([]byte(s))
	// The library looks at no more of it than the cost.
	if err != nil || len(s) != 60 || strings.Trim(s[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, errors.New("bcrypt: not a hash")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("bcrypt: the cost is above %d", maxBcryptCost)
	}
	return bcryptHash(s), nil
}

func (h bcryptHash) matches(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), preparePassword(password)) == nil
}

// shaCryptHash is a password hashed with SHA-crypt, $5$ or $6$, as most systems'
// shadow files have it.
type shaCryptHash struct {
	digest interface{ MatchBytes([]byte) bool }
}

func parseSHACrypt(prefix, s string) (passwordHash, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if rounds, more, has := strings.Cut(rest, "$"); has && strings.HasPrefix(rounds, "rounds=") {
		n, err := strconv.ParseUint(rounds[len("rounds="):], 10, 32)
		if err != nil || n < minCryptRounds || n > maxCryptRounds {
			return nil, fmt.Errorf("sha-crypt: the rounds are not from %d to %d", minCryptRounds, maxCryptRounds)
		}
		rest = more
	}
	salt, key, hasKey := strings.Cut(rest, "$")
	length := map[string]int{"$5$": 43, "$6$": 86}[prefix]
	if !ok || !hasKey || len(salt) > maxCryptSalt || len(key) != length || strings.Contains(key, "$") {
		return nil, errors.New("sha-crypt: not a hash")
	}
	digest, err := shacrypt.Decode(s)
	if err != nil {
		return nil, errors.New("sha-crypt: not a hash")
	}
	return shaCryptHash{digest}, nil
}

func (h shaCryptHash) matches(password string) bool {
	return len(password) <= maxCryptPassword && h.digest.MatchBytes(preparePassword(password))
}

// decodeHash decodes what the end of a scheme's name says.
func decodeHash(encoding, s string) (octets []byte, err error) {
	switch encoding {
	case "B64", "BASE64":
		octets, err = base64.StdEncoding.DecodeString(s)
	case "HEX":
		octets, err = hex.DecodeString(s)
	default:
		return nil, errScheme
	}
	if err != nil {
		return nil, errors.New("the hash is not encoded as its scheme says")
	}
	return octets, nil
}

// saltedHash is a password hashed once with a salt, as directories store it (SSHA
// and its likes), or without (SHA). It is quickly guessed by whoever reads it; it is here
// for the users who have nothing else yet.
type saltedHash struct {
	hash      crypto.Hash
	sum, salt []byte
}

func parseDigest(scheme string, octets []byte) (passwordHash, error) {
	unsalted := scheme
	most := 0 // octets of salt
	if strings.HasPrefix(scheme, "SS") {
		unsalted, most = scheme[1:], maxSalt
	}
	h := saltedHash{hash: map[string]crypto.Hash{"SHA": crypto.SHA1, "SHA1": crypto.SHA1, "SHA256": crypto.SHA256, "SHA512": crypto.SHA512}[unsalted]}
	n := h.hash.Size()
	if len(octets) < n || len(octets) > n+most {
		return nil, fmt.Errorf("%s: not a hash of this length", strings.ToLower(scheme))
	}
	h.sum, h.salt = octets[:n], octets[n:]
	return h, nil
}

func (h saltedHash) matches(password string) bool {
	sum := h.hash.New()
	sum.Write(preparePassword(password))
	sum.Write(h.salt)
	return subtle.ConstantTimeCompare(sum.Sum(nil), h.sum) == 1
}

// plainHash is a password stored as it is.
type plainHash string

func (h plainHash) matches(password string) bool {
	// Of equal length, whatever they are.
	a, b := sha256.Sum256(preparePassword(string(h))), sha256.Sum256(preparePassword(password))
	return hmac.Equal(a[:], b[:])
}

// newPasswordField returns the field of a users file in which a password is stored
// with a scheme. It takes the time of a hash.
func newPasswordField(scheme Scheme, password string, costs Argon2id) (string, error) {
	var stored string
	switch scheme {
	case "", SchemeArgon2id:
		h, err := newArgon2Hash(password, costs)
		if err != nil {
			return "", err
		}
		scheme, stored = SchemeArgon2id, h.String()
	case SchemeScramSHA256:
		keys, err := NewScramKeys(crypto.SHA256, password, randomOctets(scramSalt), defaultScramIterations)
		if err != nil {
			return "", err
		}
		stored = scramHash{keys, crypto.SHA256}.String()
	case SchemeBcrypt:
		if len(preparePassword(password)) > maxBcryptPassword {
			return "", fmt.Errorf("bcrypt: the password is longer than %d octets", maxBcryptPassword)
		}
		h, err := bcrypt.GenerateFromPassword(preparePassword(password), defaultBcryptCost)
		if err != nil {
			return "", errors.New("bcrypt: the password cannot be hashed")
		}
		stored = string(h)
	case SchemePlain:
		if strings.Contains(password, ":") {
			return "", errors.New("the password has a colon, which ends the field of the users file")
		}
		stored = password
	default:
		return "", fmt.Errorf("passwords cannot be stored with a scheme other than %s, %s, %s and %s",
			SchemeArgon2id, SchemeScramSHA256, SchemeBcrypt, SchemePlain)
	}
	return "{" + string(scheme) + "}" + stored, nil
}
