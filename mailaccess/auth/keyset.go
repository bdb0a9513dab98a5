package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How long keys are used, see [JWTOptions].
const (
	keysFresh    = time.Hour
	keysStale    = 24 * time.Hour
	keysInterval = 10 * time.Second
)

// A keySet are the public keys of an issuer, and where they come from.
type keySet struct {
	load    func(context.Context) ([]byte, error)
	current atomic.Pointer[keySnapshot] // nil: never loaded

	turn  chan struct{} // of capacity one: held by who loads
	tried time.Time     // when that was last, held by turn
	err   error         // of the last time, held by turn
}

type keySnapshot struct {
	keys []jose.JSONWebKey
	at   time.Time
}

func newKeySet(source string, a asker) (*keySet, error) {
	k := &keySet{turn: make(chan struct{}, 1)}
	if !strings.Contains(source, "://") {
		k.load = func(context.Context) ([]byte, error) { return readAnswer(source) }
		// A file is there now or nobody thought of it.
		if k.reload(context.Background()); k.err != nil {
			return nil, fmt.Errorf("the keys in %s: %w", source, withoutPath(k.err))
		}
		if len(k.current.Load().keys) == 0 {
			return nil, fmt.Errorf("the keys in %s: none to verify signatures with", source)
		}
		return k, nil
	}
	if err := checkURL(source); err != nil {
		return nil, fmt.Errorf("the URL of the keys: %w", err)
	}
	k.load = func(ctx context.Context) ([]byte, error) {
		r, err := http.NewRequest(http.MethodGet, source, nil)
		if err != nil {
			return nil, err
		}
		status, body, err := a.ask(ctx, r)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the answer has status %d", status)
		}
		return body, err
	}
	return k, nil
}

// withoutPath returns what is wrong with a file whose name the caller tells.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readAnswer reads a file as if another server had sent it.
func readAnswer(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("more than %d octets", maxAnswer)
	}
	return b, err
}

// find returns the keys of that name, or all for a token that names none. It loads
// them first when there are none of that name, or they are old.
func (k *keySet) find(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	s := k.current.Load()
	if keys := s.named(id); len(keys) > 0 && time.Since(s.at) < keysFresh {
		return keys, nil
	}
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// Whoever can send tokens could have the issuer asked for each.
	if now := time.Now(); k.tried.IsZero() || now.Sub(k.tried) >= keysInterval {
		k.tried = now
		k.reload(ctx)
	}
	if s = k.current.Load(); s == nil || time.Since(s.at) >= keysStale {
		return nil, k.err
	}
	return s.named(id), nil
}

// reload is called by who has the turn.
func (k *keySet) reload(ctx context.Context) {
	// Others wait for it, whatever becomes of this client.
	body, err := k.load(context.WithoutCancel(ctx))
	var set jose.JSONWebKeySet
	if err == nil && json.Unmarshal(body, &set) != nil {
		err = errors.New("not a JWK set")
	}
	if k.err = err; err != nil {
		return
	}
	s := &keySnapshot{at: time.Now()}
	for _, key := range set.Keys {
		if key.Valid() && key.IsPublic() && key.Use != "enc" {
			s.keys = append(s.keys, key)
		}
	}
	k.current.Store(s)
}

func (s *keySnapshot) named(id string) []jose.JSONWebKey {
	if s == nil || id == "" {
		if s == nil {
			return nil
		}
		return s.keys
	}
	var keys []jose.JSONWebKey
	for _, key := range s.keys {
		if key.KeyID == id {
			keys = append(keys, key)
		}
	}
	return keys
}
