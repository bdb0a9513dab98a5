package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
)

// callout returns one that asks a server of the test's.
func callout(t *testing.T, o CalloutOptions, h http.HandlerFunc) *Callout {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	o.Client = srv.Client()
	c, err := NewCallout(srv.URL, &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCalloutRequest(t *testing.T) {
	var method, body string
	var header http.Header
	c := callout(t, CalloutOptions{Tokens: true, Header: http.Header{"Authorization": {"Basic abc"}}}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		method, header, body = r.Method, r.Header, string(b)
		w.WriteHeader(http.StatusUnauthorized)
	})
	l := mailaccess.Login{Username: "Ann", Password: "s\"é", Authzid: "bob", Protocol: "imap", Remote: "192.0.2.1:1", Private: true}
	ask := func(want string) {
		t.Helper()
		var a, b any
		if err := errors.Join(json.Unmarshal([]byte(want), &a), json.Unmarshal([]byte(body), &b)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if method != "POST" || header.Get("Authorization") != "Basic abc" || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", method, header)
		}
	}
	if _, err := c.Authenticate(t.Context(), l); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
		t.Error(err)
	}
	ask(`{"username":"Ann","password":"s\"é","authzid":"bob","protocol":"imap","remote":"192.0.2.1:1","private":true}`)
	l.Authzid = "ANN"
	c.Authenticate(t.Context(), l)
	ask(`{"username":"Ann","password":"s\"é","protocol":"imap","remote":"192.0.2.1:1","private":true}`)
	l = mailaccess.Login{Authzid: "ann", Protocol: "pop3"}
	c.Abilities().Bearer(t.Context(), l, "to.ken")
	ask(`{"token":"to.ken","authzid":"ann","protocol":"pop3","remote":"","private":false}`)
	// What cannot be right is not asked.
	body = ""
	for _, l := range []mailaccess.Login{{Username: "ann"}, {Password: "x"}, {Username: "ann\xff", Password: "x"}, {Username: "ann", Password: "\xff"}, {Username: "ann", Password: "x", Authzid: "\xff"}} {
		if _, err := c.Authenticate(t.Context(), l); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if _, err := c.Abilities().Bearer(t.Context(), l, "to ken"); mailaccess.KindOf(err) != mailaccess.KindAuthFailed || body != "" {
		t.Errorf("%v, asked %q", err, body)
	}
}

func TestCalloutAnswer(t *testing.T) {
	none := mailaccess.Identity{}
	for _, tt := range []struct {
		status  int
		answer  string
		authzid string
		want    mailaccess.Identity
		kind    mailaccess.Kind
	}{
		{200, `{}`, "", mailaccess.Identity{User: "ann", Account: "ann"}, gotIn},
		{200, `{"user":"Ann@Example.org","more":1}`, "", mailaccess.Identity{User: "ann@example.org", Account: "ann@example.org"}, gotIn},
		{200, `{"account":"Shared","readonly":true,"attributes":{"a":"b"}}`, "", mailaccess.Identity{
			User: "ann", Account: "shared", Attributes: map[string]string{"a": "b"}, Without: mailaccess.RightsAll &^ mailaccess.RightsReadOnly,
		}, gotIn},
		{200, `{"account":"bob","authzid":"bob"}`, "Bob", mailaccess.Identity{User: "ann", Account: "bob"}, gotIn},
		{200, `{"account":"bob"}`, "bob", none, mailaccess.KindForbidden},
		{200, `{}`, "bob", none, mailaccess.KindForbidden},
		{200, `{"user":1}`, "", none, mailaccess.KindUnavailable},
		{200, ``, "", none, mailaccess.KindUnavailable},
		{200, `"` + strings.Repeat("x", maxAnswer) + `"`, "", none, mailaccess.KindUnavailable},
		{401, `{"user":"ann"}`, "", none, mailaccess.KindAuthFailed},
		{403, ``, "", none, mailaccess.KindForbidden},
		{404, `{}`, "", none, mailaccess.KindUnavailable},
		{500, `{}`, "", none, mailaccess.KindUnavailable},
		{302, `{}`, "", none, mailaccess.KindUnavailable},
	} {
		asked := 0
		c := callout(t, CalloutOptions{}, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.answer)
		})
		id, err := c.Authenticate(t.Context(), mailaccess.Login{Username: "Ann", Password: "hunter2", Authzid: tt.authzid})
		kind := gotIn
		if err != nil {
			kind = mailaccess.KindOf(err)
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the error tells too much: %v", err)
			}
		}
		if diff := cmp.Diff(tt.want, id); diff != "" || kind != tt.kind || asked != 1 {
			t.Errorf("%d %.80s: %v, asked %d times, identity (-want +got):\n%s", tt.status, tt.answer, err, asked, diff)
		}
	}
}

// TestCalloutWithoutAnswer: the time is limited, and nobody there is no wrong
// password.
func TestCalloutWithoutAnswer(t *testing.T) {
	release := make(chan struct{})
	c := callout(t, CalloutOptions{Timeout: 10 * time.Millisecond}, func(http.ResponseWriter, *http.Request) { <-release })
	_, err := c.Authenticate(t.Context(), mailaccess.Login{Username: "ann", Password: "x"})
	close(release)
	if mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Error(err)
	}
	srv := httptest.NewServer(nil)
	srv.Close()
	gone, err := NewCallout(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Authenticate(t.Context(), mailaccess.Login{Username: "ann", Password: "x"}); mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Error(err)
	}
	for url, ok := range map[string]bool{
		"https://example.org/auth": true, "http://127.0.0.1:1/x": true, "http://[::1]/x": true, "http://localhost/x": true, "http://localhost:8080": true,
		"http://example.org/": false, "http://localhost.example.org": false, "http://10.0.0.1/": false, "ldap://localhost": false, "": false, "/x": false, "https://": false,
	} {
		if _, err := NewCallout(url, nil); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// FuzzCalloutAnswer: whatever comes with 200, it names somebody, and permits to act as
// somebody else only where it says so.
func FuzzCalloutAnswer(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"user":"Bob"}`, `{"account":"bob","readonly":true}`, `{"authzid":"carol","account":"carol"}`, `[]`, `{"user":null}`,
		`{"attributes":{"a":"b"}}`, `{"user":"\ud800"}`, `{"USER":"x","user":"y"}`, "{\"user\":\"\u0000\"}", `{"user":{}}`,
	} {
		for _, username := range []string{"ann", ""} {
			f.Add(username, "", []byte(s))
			f.Add(username, "carol", []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, username, authzid string, answer []byte) {
		id, err := new(Callout).identity(mailaccess.Login{Username: username, Authzid: authzid}, answer)
		if err != nil {
			if kind := mailaccess.KindOf(err); kind != mailaccess.KindForbidden && kind != mailaccess.KindUnavailable || id.User != "" {
				t.Fatalf("%+v, %v", id, err)
			}
			return
		}
		var said struct{ User, Authzid string }
		if err := json.Unmarshal(answer, &said); err != nil {
			t.Fatalf("not JSON, and %+v gets in", id)
		}
		user := said.User
		if user == "" {
			user = username
		}
		if id.User == "" || id.Account == "" || id.User != canonicalUser(user) || id.Account != canonicalUser(id.Account) {
			t.Fatalf("%s is %+v", answer, id)
		}
		if other := canonicalUser(authzid); authzid != "" && other != id.User && canonicalUser(said.Authzid) != other {
			t.Fatalf("%+v may act as %q though the answer is %s", id, authzid, answer)
		}
	})
}
