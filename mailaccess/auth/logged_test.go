package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// answers is an authenticator with one answer.
type answers struct{ err error }

func (a answers) Authenticate(context.Context, mailaccess.Login) (mailaccess.Identity, error) {
	return mailaccess.Identity{User: "alice"}, a.err
}

func TestLogged(t *testing.T) {
	login := mailaccess.Login{Username: "Alice-name", Password: "Alice-password", Authzid: "Alice-other", Protocol: "pop3", Remote: "192.0.2.1:110"}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want string // level and message; empty: nothing is logged
	}{
		{t.Context(), nil, ""},
		{t.Context(), mailaccess.KindAuthFailed, "info login refused"},
		{t.Context(), mailaccess.KindAuthExpired, "info login refused"},
		{t.Context(), mailaccess.KindForbidden, "info login refused"},
		{t.Context(), fmt.Errorf("directory: %w", mailaccess.KindUnavailable), "error login not possible"},
		{t.Context(), errors.New("directory"), "error login not possible"},
		{t.Context(), auth.ErrBanned, "info login refused"},
		{gone, mailaccess.KindUnavailable, ""},
		{gone, mailaccess.KindAuthFailed, "info login refused"},
	} {
		core, logs := observer.New(zapcore.DebugLevel)
		id, err := auth.Logged(answers{tt.err}, zap.New(core)).Authenticate(tt.ctx, login)
		if id.User != "alice" || err != tt.err {
			t.Errorf("%v: the answer became %v, %v", tt.err, id, err)
		}
		got := ""
		for _, e := range logs.All() {
			got += e.Level.String() + " " + e.Message
			fields := e.ContextMap()
			if fields["address"] != "192.0.2.1" || fields["credentials"] != "password" || fields["protocol"] != "pop3" || fields["remote"] != "192.0.2.1:110" || fields["kind"] != mailaccess.KindOf(tt.err).Error() {
				t.Errorf("%v: fields %v", tt.err, fields)
			}
			if strings.Contains(fmt.Sprint(fields), "Alice") {
				t.Errorf("%v: credentials in %v", tt.err, fields)
			}
		}
		if got != tt.want {
			t.Errorf("%v: logged %q, want %q", tt.err, got, tt.want)
		}
	}
	if _, err := auth.Logged(answers{mailaccess.KindAuthFailed}, nil).Authenticate(t.Context(), login); err == nil {
		t.Error("without a logger: no error")
	}
}

// TestFail2ban: the expressions that docs/security.md gives find the address in
// what is logged, in both formats.
func TestFail2ban(t *testing.T) {
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^failregex = (.*)$`).FindAllStringSubmatch(string(doc), -1)
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.ISO8601TimeEncoder
	encoders := []zapcore.Encoder{zapcore.NewJSONEncoder(config), zapcore.NewConsoleEncoder(config)}
	if len(found) != len(encoders) {
		t.Fatalf("%d expressions", len(found))
	}
	for i, encoder := range encoders {
		expression := regexp.MustCompile(strings.Replace(found[i][1], "<HOST>", `([0-9a-f:.]+)`, 1))
		for remote, want := range map[string]string{"192.0.2.1:49152": "192.0.2.1", "[2001:db8::1]:49152": "2001:db8::1", "@": ""} {
			for _, kind := range []mailaccess.Kind{mailaccess.KindAuthFailed, mailaccess.KindForbidden} {
				var line bytes.Buffer
				log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&line), zapcore.InfoLevel))
				auth.Logged(answers{kind}, log).Authenticate(t.Context(), mailaccess.Login{
					Username: `x" "address": "203.0.113.1`, Protocol: "imap", Remote: remote,
				})
				got := ""
				if m := expression.FindStringSubmatch(line.String()); m != nil {
					got = m[1]
				}
				if kind != mailaccess.KindAuthFailed {
					want = "" // nobody guessed
				}
				if got != want || strings.Count(line.String(), "\n") != 1 {
					t.Errorf("%s: found %q in %s", remote, got, line.String())
				}
			}
		}
	}
}
