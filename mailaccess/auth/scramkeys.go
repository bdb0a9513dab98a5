package auth

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	_ "crypto/sha1" // for crypto.SHA1
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess"
)

// ScramKeys are what a server stores of a password for SCRAM (RFC 5802, section
// 3): enough to verify whoever knows it and to prove itself to them, not enough
// to log in with.
type ScramKeys struct {
	Salt                 []byte
	Iterations           int
	StoredKey, ServerKey []byte
}

// Bounds of the iterations. RFC 7677, section 4, asks for 4096 at least.
const (
	minScramIterations     = 4096
	maxScramIterations     = 2_000_000
	defaultScramIterations = 15_000 // what RFC 7677, section 4, takes as an example
	scramSalt              = 16
)

func (k *ScramKeys) stored() scram.StoredCredentials {
	return scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
		StoredKey:  k.StoredKey, ServerKey: k.ServerKey,
	}
}

// NewScramKeys derives the keys of a password; hash is [crypto.SHA256] or
// [crypto.SHA1]. It takes the time of that many iterations.
//
// The password is prepared with SASLprep (RFC 5802, section 2.2), as clients do
// it; one that the profile refuses is taken as it is.
func NewScramKeys(hash crypto.Hash, password string, salt []byte, iterations int) (ScramKeys, error) {
	generate := scram.HashGeneratorFcn(hash.New)
	client, err := generate.NewClient("", password, "")
	if err != nil {
		client, err = generate.NewClientUnprepped("", password, "")
	}
	if err != nil {
		return ScramKeys{}, errors.New("scram: the keys cannot be derived")
	}
	c, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return ScramKeys{}, fmt.Errorf("scram: %w", err)
	}
	return ScramKeys{Salt: salt, Iterations: iterations, StoredKey: c.StoredKey, ServerKey: c.ServerKey}, nil
}

// FakeScramUser returns a user whom nobody can be, to answer for names that are
// not known with, as the salt would tell who is: it follows from secret, hash and the normalised name, and from nothing else,
// so that asking twice tells nothing. The secret should outlive the process.
// Iterations and the length of the salt in octets are as with real users; zero:
// 4096, and 16.
func FakeScramUser(secret []byte, hash crypto.Hash, username string, iterations, saltLength int) *ScramUser {
	if iterations == 0 {
		iterations = minScramIterations
	}
	if saltLength == 0 {
		saltLength = scramSalt
	}
	name := canonicalUser(username)
	keys := ScramKeys{Iterations: iterations}
	// Twice 32 octets are as much as any salt that is taken.
	keys.Salt = append(fakeOctets(secret, hash, "salt", name), fakeOctets(secret, hash, "more salt", name)...)
	keys.Salt = keys.Salt[:min(saltLength, len(keys.Salt))]
	keys.StoredKey = fakeOctets(secret, hash, "stored key", name)[:hash.Size()]
	keys.ServerKey = fakeOctets(secret, hash, "server key", name)[:hash.Size()]
	return &ScramUser{ScramKeys: keys, Decide: func(context.Context, bool) (mailaccess.Identity, error) {
		return mailaccess.Identity{}, errAuthFailed()
	}}
}

func fakeOctets(secret []byte, hash crypto.Hash, what, name string) []byte {
	m := hmac.New(sha256.New, secret)
	fmt.Fprintf(m, "mailaccess %s %v %s", what, hash, name)
	return m.Sum(nil)
}

// scramHash is a password stored as SCRAM keys. It verifies passwords too.
type scramHash struct {
	ScramKeys
	hash crypto.Hash
}

func (h scramHash) matches(password string) bool {
	k, err := NewScramKeys(h.hash, password, h.Salt, h.Iterations)
	return err == nil && subtle.ConstantTimeCompare(k.StoredKey, h.StoredKey) == 1
}

// String returns the keys as "doveadm pw" writes them.
func (h scramHash) String() string {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%d,%s,%s,%s", h.Iterations, b64(h.Salt), b64(h.StoredKey), b64(h.ServerKey))
}

// parseScramHash reads "iterations,salt,StoredKey,ServerKey", the last three in
// base64.
func parseScramHash(hash crypto.Hash, s string) (h scramHash, err error) {
	h.hash = hash
	fields := strings.Split(s, ",")
	if len(fields) != 4 {
		return h, errors.New("scram: the keys are not iterations,salt,StoredKey,ServerKey")
	}
	n, err := strconv.ParseUint(fields[0], 10, 31)
	if err != nil || n < minScramIterations || n > maxScramIterations {
		return h, fmt.Errorf("scram: the iterations are not from %d to %d", minScramIterations, maxScramIterations)
	}
	h.Iterations = int(n)
	var octets [3][]byte
	for i, f := range fields[1:] {
		if octets[i], err = base64.StdEncoding.Strict().DecodeString(f); err != nil || strings.ContainsAny(f, "\r\n") {
			return h, errors.New("scram: a key is not base64")
		}
	}
	h.Salt, h.StoredKey, h.ServerKey = octets[0], octets[1], octets[2]
	if len(h.Salt) == 0 || len(h.Salt) > maxSalt || len(h.StoredKey) != hash.Size() || len(h.ServerKey) != hash.Size() {
		return h, errors.New("scram: the salt or a key has the wrong length")
	}
	return h, nil
}

func randomOctets(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
