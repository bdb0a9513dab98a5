package authtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// judge checks that an answer is the one that is wanted: in, as the user, or a
// refusal of one of the kinds.
func (s *subject) judge(id mailaccess.Identity, err error, kinds ...mailaccess.Kind) error {
	switch {
	case len(kinds) > 0 && err == nil:
		return fmt.Errorf("they get in, as %q", id.User)
	case len(kinds) > 0 && !slices.Contains(kinds, mailaccess.KindOf(err)):
		return fmt.Errorf("the error is not of kind %v: %w", kinds, err)
	case len(kinds) > 0 && (id.User != "" || id.Account != ""):
		return errors.New("the identity beside an error is not empty")
	case len(kinds) > 0:
		return nil
	case err != nil:
		return fmt.Errorf("the right credentials are refused: %w", err)
	case id.User == "" || id.Account == "" || s.user.Account != "" && s.user.Account != id.Account:
		return fmt.Errorf("the identity is of user %q and account %q", id.User, id.Account)
	}
	return nil
}

// scramProof checks SCRAM, where the authenticator serves it: the user's password
// proves itself, others do not, and names that are not known look like others.
func scramProof(ctx context.Context, s *subject) error {
	able := auth.AbilitiesOf(s)
	if able.Scram == nil {
		if len(able.ScramHashes) > 0 {
			return errors.New("there are hashes for SCRAM, and no Scram")
		}
		return nil
	}
	if len(able.ScramHashes) == 0 {
		return errors.New("there is Scram, and no hash for it")
	}
	for _, hash := range able.ScramHashes {
		mech := map[crypto.Hash]string{crypto.SHA1: "SCRAM-SHA-1", crypto.SHA256: "SCRAM-SHA-256"}[hash]
		for what, tt := range map[string]struct {
			name, password, authzid string
			kinds                   []mailaccess.Kind
		}{
			"right":    {s.user.Name, s.user.Password, "", nil},
			"self":     {s.user.Name, s.user.Password, s.user.Name, nil},
			"wrong":    {s.user.Name, "wrong-" + reverse(s.user.Password), "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
			"stranger": {s.user.Stranger, s.user.Password, "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
			"authzid":  {s.user.Name, s.user.Password, s.user.Stranger, []mailaccess.Kind{mailaccess.KindForbidden, mailaccess.KindAuthFailed}},
		} {
			id, err := s.scram(ctx, mech, hash, tt.name, tt.password, tt.authzid)
			if err := s.judge(id, err, tt.kinds...); err != nil {
				return fmt.Errorf("%s, %s: %w", mech, what, err)
			}
		}
		var seen [3]*auth.ScramUser
		for i, name := range []string{s.user.Name, s.user.Stranger, s.user.Stranger} {
			l := s.login()
			l.Username, l.Password = name, ""
			var err error
			if seen[i], err = able.Scram(ctx, l, hash); err != nil {
				return fmt.Errorf("%s: looking up %q: %w", mech, name, err)
			}
		}
		if !bytes.Equal(seen[1].Salt, seen[2].Salt) {
			return fmt.Errorf("%s: a stranger's salt does not stay", mech)
		}
		if len(seen[0].Salt) != len(seen[1].Salt) || seen[0].Iterations != seen[1].Iterations {
			return fmt.Errorf("%s: a stranger can be told from the user", mech)
		}
	}
	return nil
}

// scram runs one exchange.
func (s *subject) scram(ctx context.Context, mech string, hash crypto.Hash, name, password, authzid string) (none mailaccess.Identity, err error) {
	base := s.login()
	base.Username, base.Password = "", ""
	server, err := auth.NewServer(ctx, mech, s, base, nil)
	if err != nil {
		return none, err
	}
	client, err := scram.HashGeneratorFcn(hash.New).NewClient(name, password, authzid)
	if err != nil {
		return none, err
	}
	conversation := client.NewConversation()
	response, err := conversation.Step("")
	for err == nil {
		challenge, done, refusal := server.Next([]byte(response))
		if refusal != nil {
			return none, refusal
		}
		if done {
			break
		}
		response, err = conversation.Step(string(challenge))
	}
	if err != nil {
		return none, err
	}
	id, _ := server.Identity()
	return id, nil
}

// bearer checks tokens, where the authenticator verifies them.
func bearer(ctx context.Context, s *subject) error {
	able := auth.AbilitiesOf(s)
	if able.Bearer == nil {
		if s.user.Token != "" {
			return errors.New("there is a token, and no Bearer")
		}
		return nil
	}
	right := s.user.Token
	if right == "" {
		return errors.New("there is Bearer, and User has no Token")
	}
	for what, tt := range map[string]struct {
		token, authzid string
		kinds          []mailaccess.Kind
	}{
		"right":           {right, "", nil},
		"self":            {right, s.user.Name, nil},
		"cut":             {right[:len(right)-1], "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
		"longer":          {right + "A", "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
		"another":         {"another.token", "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
		"in another case": {swapCase(right), "", []mailaccess.Kind{mailaccess.KindAuthFailed}},
		"authzid":         {right, s.user.Stranger, []mailaccess.Kind{mailaccess.KindForbidden, mailaccess.KindAuthFailed}},
	} {
		l := s.login()
		l.Username, l.Password, l.Authzid = "", "", tt.authzid
		id, err := able.Bearer(ctx, l, tt.token)
		if err := s.judge(id, err, tt.kinds...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// digest checks digests of recoverable passwords, where the authenticator serves
// them.
func digest(ctx context.Context, s *subject) error {
	if !auth.CanAPOP(s) {
		return nil
	}
	for what, tt := range map[string]struct {
		name, password string
		kinds          []mailaccess.Kind
	}{
		"right":    {s.user.Name, s.user.Password, nil},
		"wrong":    {s.user.Name, reverse(s.user.Password), []mailaccess.Kind{mailaccess.KindAuthFailed}},
		"stranger": {s.user.Stranger, s.user.Password, []mailaccess.Kind{mailaccess.KindAuthFailed}},
	} {
		l := s.login()
		l.Username, l.Password = tt.name, ""
		stamp := auth.Timestamp()
		sum := md5.Sum([]byte(stamp + tt.password))
		id, err := auth.VerifyAPOP(ctx, s, l, stamp, hex.EncodeToString(sum[:]))
		if err := s.judge(id, err, tt.kinds...); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// Abilities makes what is under test not hide what it can behind the suite.
func (s *subject) Abilities() auth.Abilities { return auth.AbilitiesOf(s.Authenticator) }
