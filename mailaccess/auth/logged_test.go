package auth_test

import (
	"context"
	"errors"
	"fmt"
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
		{gone, mailaccess.KindUnavailable, ""},
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
			if fields["protocol"] != "pop3" || fields["remote"] != "192.0.2.1:110" || fields["kind"] != mailaccess.KindOf(tt.err).Error() {
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
