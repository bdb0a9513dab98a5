package auth

import (
	"context"
	"errors"
	"net"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Logged returns an authenticator that asks a and tells log what was refused:
// with protocol, peer, what was offered (a password, a token, ...) and kind of error, for those who watch for attacks, and
// where the credentials are not to blame with the error itself. Of the
// credentials nothing is told, not even the name: people type passwords into
// the wrong field.
//
// A client that went away before there was an answer is not worth a line. Nil means
// silence.
//
// The line of a refusal is the same for all: its message is "login refused", its
// field address the peer's address without the port, for programs that ban.
func Logged(a mailaccess.Authenticator, log *zap.Logger) mailaccess.Authenticator {
	if log == nil {
		return a
	}
	return &logged{a, log}
}

type logged struct {
	inner mailaccess.Authenticator
	log   *zap.Logger
}

func (g *logged) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return g.decide(ctx, l, "password", func(ctx context.Context) (mailaccess.Identity, error) { return g.inner.Authenticate(ctx, l) })
}

// Abilities implements [Able]: all that the inner authenticator can.
func (g *logged) Abilities() Abilities { return AbilitiesOf(g.inner).around(g.decide) }

func (g *logged) around() mailaccess.Authenticator { return g.inner }

// decide writes the line of a login that is refused.
func (g *logged) decide(ctx context.Context, l mailaccess.Login, credentials string, decide decision) (mailaccess.Identity, error) {
	id, err := decide(ctx)
	kind := mailaccess.KindOf(err)
	if err == nil || ctx.Err() != nil && kind == mailaccess.KindUnavailable {
		return id, err
	}
	fields := []zap.Field{
		zap.String("protocol", l.Protocol), zap.String("remote", l.Remote), zap.String("address", hostOf(l.Remote)),
		zap.String("credentials", credentials), zap.String("kind", kind.Error()),
	}
	switch {
	case kind == mailaccess.KindAuthFailed, kind == mailaccess.KindAuthExpired, kind == mailaccess.KindForbidden, errors.Is(err, ErrBanned):
		g.log.Info("login refused", fields...)
	default:
		g.log.Error("login not possible", append(fields, zap.Error(err))...)
	}
	return id, err
}

// hostOf returns a peer's address without the port, as programs that ban
// addresses want it.
func hostOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}
