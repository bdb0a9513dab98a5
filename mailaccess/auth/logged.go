package auth

import (
	"context"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Logged returns an authenticator that asks a and tells log what was refused:
// with protocol, peer and kind of error, for those who watch for attacks, and
// where the credentials are not to blame with the error itself. Of the
// credentials nothing is told, not even the name: people type passwords into
// the wrong field.
//
// A client that went away before the answer is not worth a line. Nil means
// silence.
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
	id, err := g.inner.Authenticate(ctx, l)
	if err == nil || ctx.Err() != nil {
		return id, err
	}
	kind := mailaccess.KindOf(err)
	fields := []zap.Field{zap.String("protocol", l.Protocol), zap.String("remote", l.Remote), zap.String("kind", kind.Error())}
	switch kind {
	case mailaccess.KindAuthFailed, mailaccess.KindAuthExpired, mailaccess.KindForbidden:
		g.log.Info("login refused", fields...)
	default:
		g.log.Error("login not possible", append(fields, zap.Error(err))...)
	}
	return id, err
}
