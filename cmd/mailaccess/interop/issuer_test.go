//go:build interop

package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// An issuer makes OAuth tokens for the user demo, serves its public keys (RFC 7517), and
// answers about tokens (RFC 7662). It signs with the standard library alone.
type issuer struct {
	url     string
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
	retired ed25519.PrivateKey // no longer among its keys
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	var err error
	i.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, "key", err)
	i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, "key", err)
	_, i.ed, err = ed25519.GenerateKey(rand.Reader)
	must(t, "key", err)
	_, i.retired, err = ed25519.GenerateKey(rand.Reader)
	must(t, "key", err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { w.Write(i.keys()) })
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "mail" || secret != "of-the-server" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer := map[string]any{"active": false}
		if r.PostFormValue("token") == "opaque-token" {
			answer = map[string]any{"active": true, "username": "demo", "aud": "mail", "scope": "mail other"}
		} else if r.PostFormValue("token") == "for-something-else" {
			answer = map[string]any{"active": true, "username": "demo", "aud": "web", "scope": "mail"}
		}
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the server notices
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	return i
}

var b64url = base64.RawURLEncoding.EncodeToString

func (i *issuer) keys() []byte {
	number := func(n *big.Int, size int) string { return b64url(n.FillBytes(make([]byte, size))) }
	point, err := i.ec.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err) // it is on the curve
	}
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "kid": "RS256", "use": "sig", "alg": "RS256", "n": number(i.rsa.N, 256), "e": "AQAB"},
		{"kty": "EC", "kid": "ES256", "crv": "P-256", "x": b64url(point[1:33]), "y": b64url(point[33:])},
		{"kty": "OKP", "kid": "EdDSA", "crv": "Ed25519", "x": b64url(i.ed.Public().(ed25519.PublicKey))},
	}})
	if err != nil {
		panic(err) // strings can be JSON
	}
	return set
}

// token makes a token that is right but for some claims, whose values take the place of the
// right ones.
func (i *issuer) token(t *testing.T, algorithm string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.url, "aud": "mail", "email": "demo", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	must(t, "claims", err)
	return i.sign(t, algorithm, algorithm, payload)
}

// sign makes a JWS in its compact form (RFC 7515, section 7.1).
func (i *issuer) sign(t *testing.T, algorithm, key string, payload []byte) string {
	t.Helper()
	header, err := json.Marshal(map[string]string{"alg": algorithm, "kid": key})
	must(t, "header", err)
	signed := b64url(header) + "." + b64url(payload)
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	switch key {
	case "none":
	case "HS256": // with what everybody knows for a secret
		m := hmac.New(sha256.New, i.keys())
		m.Write([]byte(signed))
		signature = m.Sum(nil)
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, digest[:])
	case "ES256":
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, i.ec, digest[:])
		must(t, "sign", err)
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		signature = ed25519.Sign(i.ed, []byte(signed))
	default:
		signature = ed25519.Sign(i.retired, []byte(signed))
	}
	must(t, "sign", err)
	return signed + "." + b64url(signature)
}
