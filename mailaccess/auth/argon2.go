package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id are the costs of an argon2id hash (RFC 9106, section 3.1). The zero
// value of each field means the default.
type Argon2id struct {
	Memory  uint32 // in KiB; default 19456 (19 MiB)
	Time    uint32 // passes over the memory; default 2
	Threads uint8  // lanes; default 1
}

// The defaults are those that OWASP's Password Storage Cheat Sheet gives as the
// minimum for argon2id: some 20 ms on one core, which a login can bear and
// which leaves memory for many at once.
const (
	defaultMemory  = 19 * 1024
	defaultTime    = 2
	defaultThreads = 1
)

// Bounds on what a users file can make the server do. They leave room for four
// times what RFC 9106, section 4, recommends where memory is short, and for
// what "doveadm pw" and libsodium write.
const (
	maxMemory  = 256 * 1024 // KiB
	maxTime    = 16
	maxThreads = 16
	minSalt    = 8
	maxSalt    = 64
	minKey     = 16
	maxKey     = 64
)

const (
	saltLength = 16
	keyLength  = 32
	maxPHC     = 256 // octets of a hash in its text form
)

func (p Argon2id) withDefaults() Argon2id {
	if p.Memory == 0 {
		p.Memory = defaultMemory
	}
	if p.Time == 0 {
		p.Time = defaultTime
	}
	if p.Threads == 0 {
		p.Threads = defaultThreads
	}
	return p
}

func (p Argon2id) check() error {
	switch {
	case p.Time < 1 || p.Time > maxTime:
		return fmt.Errorf("argon2id: t must be from 1 to %d", maxTime)
	case p.Threads < 1 || p.Threads > maxThreads:
		return fmt.Errorf("argon2id: p must be from 1 to %d", maxThreads)
	// RFC 9106, section 3.1: at least 8 KiB for each lane.
	case p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory:
		return fmt.Errorf("argon2id: m must be from 8 for each lane to %d", maxMemory)
	}
	return nil
}

// argon2Hash is one stored password. Where it is of the variant argon2i, which
// this package does not write, the costs are those of argon2i.
type argon2Hash struct {
	Argon2id
	variant   string // argon2idPrefix or argon2iPrefix
	salt, key []byte
}

const (
	argon2idPrefix = "$argon2id$"
	argon2iPrefix  = "$argon2i$"
)

// newArgon2Hash hashes a password with a fresh salt. It takes p.Memory of
// memory: callers that serve many run it on a Pool.
func newArgon2Hash(password string, p Argon2id) (argon2Hash, error) {
	p = p.withDefaults()
	if err := p.check(); err != nil {
		return argon2Hash{}, err
	}
	h := argon2Hash{Argon2id: p, variant: argon2idPrefix, salt: make([]byte, saltLength), key: make([]byte, keyLength)}
	rand.Read(h.salt) // never fails
	h.key = h.derive(password)
	return h, nil
}

func (h argon2Hash) derive(password string) []byte {
	if h.variant == argon2iPrefix {
		return argon2.Key(preparePassword(password), h.salt, h.Time, h.Memory, h.Threads, uint32(len(h.key)))
	}
	return argon2.IDKey(preparePassword(password), h.salt, h.Time, h.Memory, h.Threads, uint32(len(h.key)))
}

// matches reports whether password is the one that was hashed.
func (h argon2Hash) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

var phcBase64 = base64.RawStdEncoding.Strict()

// String returns the hash in the PHC string format.
func (h argon2Hash) String() string {
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version, h.Memory, h.Time, h.Threads,
		phcBase64.EncodeToString(h.salt), phcBase64.EncodeToString(h.key))
}

// parseArgon2Hash reads a hash in the PHC string format, for argon2id or, as
// variant says, argon2i:
//
//	$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY
//
// with salt and key in base64 without padding. Costs beyond the bounds are
// errors, as verifying would take the memory and the time that they ask for.
// Errors say what is wrong without repeating any of it.
func parseArgon2Hash(variant, s string) (argon2Hash, error) {
	h := argon2Hash{variant: variant}
	if len(s) > maxPHC {
		return h, errors.New("argon2id: the hash is too long")
	}
	rest, ok := strings.CutPrefix(s, variant+"v=")
	if !ok {
		return h, fmt.Errorf("argon2id: the hash does not begin with %sv=", variant)
	}
	version, rest, _ := strings.Cut(rest, "$")
	if version != strconv.Itoa(argon2.Version) {
		return h, fmt.Errorf("argon2id: the version is not %d", argon2.Version)
	}
	costs, rest, _ := strings.Cut(rest, "$")
	salt, key, ok := strings.Cut(rest, "$")
	if !ok {
		return h, errors.New("argon2id: the hash has no salt or no key")
	}
	if err := h.parseCosts(costs); err != nil {
		return argon2Hash{}, err
	}
	var err error
	if h.salt, err = decodeBetween(salt, minSalt, maxSalt); err != nil {
		return argon2Hash{}, fmt.Errorf("argon2id: the salt %w", err)
	}
	if h.key, err = decodeBetween(key, minKey, maxKey); err != nil {
		return argon2Hash{}, fmt.Errorf("argon2id: the key %w", err)
	}
	return h, nil
}

func (p *Argon2id) parseCosts(s string) error {
	var costs [3]uint32
	for i, name := range [...]string{"m=", "t=", "p="} {
		field, rest, more := strings.Cut(s, ",")
		value, ok := strings.CutPrefix(field, name)
		if !ok || more != (i < 2) {
			return errors.New("argon2id: the costs are not m=...,t=...,p=...")
		}
		// The PHC string format: decimal, without leading zeros or a sign.
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || value[0] == '0' || value[0] == '+' {
			return errors.New("argon2id: a cost is not a number")
		}
		costs[i], s = uint32(n), rest
	}
	if costs[2] > maxThreads {
		return fmt.Errorf("argon2id: p must be from 1 to %d", maxThreads)
	}
	*p = Argon2id{Memory: costs[0], Time: costs[1], Threads: uint8(costs[2])}
	return p.check()
}

func decodeBetween(s string, low, high int) ([]byte, error) {
	// The decoder passes over line breaks; the format does not.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("is not base64 without padding")
	}
	b, err := phcBase64.DecodeString(s)
	if err != nil {
		return nil, errors.New("is not base64 without padding")
	}
	if len(b) < low || len(b) > high {
		return nil, fmt.Errorf("is not from %d to %d octets long", low, high)
	}
	return b, nil
}
