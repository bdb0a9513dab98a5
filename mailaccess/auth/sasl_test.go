package auth

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
)

// recorder lets everybody in and keeps what it was asked.
type recorder struct {
	logins []mailaccess.Login
	err    error
}

func (r *recorder) Authenticate(_ context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	r.logins = append(r.logins, l)
	return mailaccess.Identity{User: l.Username, Account: "account"}, r.err
}

var private = mailaccess.Login{Protocol: "imap", Remote: "192.0.2.1:1", Private: true}

func newServer(t testing.TB, mech string, a mailaccess.Authenticator) *Server {
	t.Helper()
	s, err := NewServer(context.Background(), mech, a, private, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMechanisms(t *testing.T) {
	a := &recorder{}
	for _, tt := range []struct {
		private bool
		opts    *ServerOptions
		want    []string
	}{
		{true, nil, []string{"PLAIN", "LOGIN"}},
		{false, nil, nil},
		{false, &ServerOptions{}, nil},
		{false, &ServerOptions{AllowPlaintext: true}, []string{"PLAIN", "LOGIN"}},
	} {
		base := mailaccess.Login{Private: tt.private}
		got := Mechanisms(a, base, tt.opts)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("private %v, %+v (-want +got):\n%s", tt.private, tt.opts, diff)
		}
		// What is offered can be begun, and what is not cannot.
		for _, m := range mechanisms() {
			_, err := NewServer(t.Context(), strings.ToLower(m.name), a, base, tt.opts)
			if offered := slices.Contains(got, m.name); offered != (err == nil) || !offered && !errors.Is(err, ErrPrivacyRequired) && !errors.Is(err, ErrMechanism) {
				t.Errorf("private %v, %+v: offered %v, begun with %v", tt.private, tt.opts, offered, err)
			}
		}
	}
	for _, mech := range []string{"", "PLAIN ", "PLAI", "X-UNKNOWN", "\x00"} {
		if _, err := NewServer(t.Context(), mech, a, private, nil); !errors.Is(err, ErrMechanism) || mailaccess.KindOf(err) != mailaccess.KindUnsupported {
			t.Errorf("%q: %v", mech, err)
		}
	}
}

// RFC 4616, section 4: the examples, and what the grammar of section 2 permits.
func TestPlain(t *testing.T) {
	long := strings.Repeat("ö", 255/2)
	for _, tt := range []struct {
		response string
		want     mailaccess.Login
	}{
		{"\x00tim\x00tanstaaftanstaaf", mailaccess.Login{Username: "tim", Password: "tanstaaftanstaaf"}},
		{"Ursel\x00Kurt\x00xipj3plmq", mailaccess.Login{Authzid: "Ursel", Username: "Kurt", Password: "xipj3plmq"}},
		{"kurt\x00Kurt\x00xipj3plmq", mailaccess.Login{Username: "Kurt", Password: "xipj3plmq"}},
		{"\x00a b\x00 ", mailaccess.Login{Username: "a b", Password: " "}},
		{long + "x\x00" + long + "\x00" + long, mailaccess.Login{Authzid: long + "x", Username: long, Password: long}},
		{"\x00tim\x00" + strings.Repeat("p", MaxPassword), mailaccess.Login{Username: "tim", Password: strings.Repeat("p", MaxPassword)}},
	} {
		tt.want.Protocol, tt.want.Remote, tt.want.Private = private.Protocol, private.Remote, private.Private
		for _, initial := range []bool{true, false} {
			a := &recorder{}
			s := newServer(t, "PLAIN", a)
			if _, ok := s.Identity(); ok || s.Name() != "PLAIN" {
				t.Errorf("%q: an identity before the end", tt.response)
			}
			if !initial {
				if challenge, done, err := s.Next(nil); len(challenge) != 0 || challenge == nil || done || err != nil {
					t.Errorf("%q: without an initial response %q, %v, %v", tt.response, challenge, done, err)
				}
			}
			challenge, done, err := s.Next([]byte(tt.response))
			if len(challenge) != 0 || !done || err != nil {
				t.Errorf("%q: %q, %v, %v", tt.response, challenge, done, err)
			}
			if diff := cmp.Diff([]mailaccess.Login{tt.want}, a.logins); diff != "" {
				t.Errorf("%q: login (-want +got):\n%s", tt.response, diff)
			}
			if id, ok := s.Identity(); !ok || id.User != tt.want.Username || id.Account != "account" {
				t.Errorf("%q: identity %v, %v", tt.response, id, ok)
			}
			// Nothing comes after the end, and the identity stays.
			if _, done, err := s.Next([]byte("\x00mallory\x00x")); !done || !errors.Is(err, ErrMalformed) || len(a.logins) != 1 {
				t.Errorf("%q: after the end %v, %v, and %d logins", tt.response, done, err, len(a.logins))
			}
			if id, ok := s.Identity(); !ok || id.User != tt.want.Username {
				t.Errorf("%q: identity afterwards %v, %v", tt.response, id, ok)
			}
		}
	}
}

func TestPlainRefuses(t *testing.T) {
	for what, tt := range map[string]struct {
		response string
		want     error
	}{
		"nothing":              {"", ErrMalformed},
		"no NUL":               {"tim", ErrMalformed},
		"one NUL":              {"tim\x00secret", ErrMalformed},
		"three NULs":           {"\x00tim\x00secret\x00", ErrMalformed},
		"no user":              {"\x00\x00secret", ErrMalformed},
		"no user but authzid":  {"tim\x00\x00secret", ErrMalformed},
		"authzid not UTF-8":    {"\xff\x00tim\x00secret", ErrMalformed},
		"user not UTF-8":       {"\x00\xff\x00secret", ErrMalformed},
		"password not UTF-8":   {"\x00tim\x00\xff", ErrMalformed},
		"a long user":          {"\x00" + strings.Repeat("a", maxLoginName+1) + "\x00secret", ErrMalformed},
		"a long authzid":       {strings.Repeat("a", maxLoginName+1) + "\x00tim\x00secret", ErrMalformed},
		"too long":             {strings.Repeat("a", 2*maxLoginName+MaxPassword+3), ErrMalformed},
		"no password":          {"\x00tim\x00", mailaccess.KindAuthFailed},
		"a long password":      {"\x00tim\x00" + strings.Repeat("a", MaxPassword+1), mailaccess.KindAuthFailed},
		"no password, authzid": {"ursel\x00tim\x00", mailaccess.KindAuthFailed},
	} {
		a := &recorder{}
		s := newServer(t, "PLAIN", a)
		_, done, err := s.Next([]byte(tt.response))
		if !done || !errors.Is(err, tt.want) || len(a.logins) != 0 {
			t.Errorf("%s: %v, %v, and %d logins", what, done, err, len(a.logins))
		}
		if _, ok := s.Identity(); ok {
			t.Errorf("%s: there is an identity", what)
		}
		if _, _, err := s.Next([]byte("\x00tim\x00secret")); !errors.Is(err, ErrMalformed) || len(a.logins) != 0 {
			t.Errorf("%s: the exchange goes on: %v", what, err)
		}
	}
}

// TestPlainRefusal: what the authenticator says comes out as it is, whatever its
// type.
func TestPlainRefusal(t *testing.T) {
	for _, want := range []error{errors.New("down"), errAuthFailed(), errForbidden()} {
		s := newServer(t, "PLAIN", &recorder{err: want})
		if _, done, err := s.Next([]byte("\x00tim\x00secret")); !done || err != want {
			t.Errorf("%v becomes %v, %v", want, done, err)
		}
		if id, ok := s.Identity(); ok || id.User != "" {
			t.Errorf("%v: there is an identity, %v", want, id)
		}
	}
}

func TestPlainAuthzid(t *testing.T) {
	users := map[string]mailaccess.Authenticator{
		"static":     Static(map[string]string{"kurt": "xipj3plmq"}),
		"users file": openUsersFile(t, usersFile(t, "kurt:"+hashed(t, "xipj3plmq")), nil),
	}
	for what, a := range users {
		for response, want := range map[string]error{
			"\x00kurt\x00xipj3plmq":      nil,
			"kurt\x00kurt\x00xipj3plmq":  nil,
			"KURT\x00kurt\x00xipj3plmq":  nil,
			"ursel\x00kurt\x00xipj3plmq": mailaccess.KindForbidden,
			// Who does not know the password learns nothing of permissions.
			"ursel\x00kurt\x00wrong": mailaccess.KindAuthFailed,
			"kurt\x00kurt\x00wrong":  mailaccess.KindAuthFailed,
			"kurt\x00ursel\x00xipj":  mailaccess.KindAuthFailed,
		} {
			_, _, err := newServer(t, "PLAIN", a).Next([]byte(response))
			if !errors.Is(err, want) {
				t.Errorf("%s, %q: %v, want %v", what, response, err, want)
			}
		}
	}
}

// TestPlainClient: the library's client gets in.
func TestPlainClient(t *testing.T) {
	mech, initial, err := sasl.NewPlainClient("", "alice", "secret").Start()
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, mech, Static(map[string]string{"alice": "secret"}))
	if _, done, err := s.Next(initial); !done || err != nil {
		t.Fatalf("%v, %v", done, err)
	}
}

// FuzzPlain: an authenticator is asked only for what the grammar of RFC 4616,
// section 2, permits, at most once, and nobody is authenticated without.
func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "\x00tim\x00tanstaaftanstaaf", "Ursel\x00Kurt\x00xipj3plmq", "\x00\x00", "\xff\x00a\x00b", "a\x00b\x00c\x00"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, response []byte, initial bool) {
		a := &recorder{}
		s := newServer(t, "PLAIN", a)
		if !initial {
			if _, done, err := s.Next(nil); done || err != nil {
				t.Fatal(done, err)
			}
		}
		if response == nil {
			response = []byte{}
		}
		_, done, err := s.Next(response)
		if !done {
			t.Fatal("PLAIN has a second message")
		}
		parts := bytes.Split(response, []byte{0})
		valid := len(parts) == 3 && utf8.Valid(response) && len(parts[1]) > 0 && len(parts[2]) > 0 &&
			len(parts[0]) <= maxLoginName && len(parts[1]) <= maxLoginName && len(parts[2]) <= MaxPassword
		id, ok := s.Identity()
		if valid != (err == nil) || valid != ok || valid != (len(a.logins) == 1) {
			t.Fatalf("%q: valid %v, error %v, identity %v, %d logins", response, valid, err, ok, len(a.logins))
		}
		if valid && (id.User != string(parts[1]) || a.logins[0].Password != string(parts[2])) {
			t.Fatalf("%q becomes %+v", response, a.logins[0])
		}
		s.Next(response)
		if len(a.logins) > 1 {
			t.Fatal("the exchange has two ends")
		}
	})
}
