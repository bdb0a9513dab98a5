package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/stores"
)

// serve are the flags of "serve".
type serve struct {
	store     string
	users     string
	addresses addresses
	tlsCert   string
	tlsKey    string
	plaintext bool
	log       logging
}

func newServeCommand() *cobra.Command {
	o := serve{
		store:     "memory:",
		addresses: addresses{imap: ":143", imaps: ":993", pop3: ":110", pop3s: ":995"},
		log:       logging{level: "info", format: "json"},
	}
	cmd := &cobra.Command{
		Use:   "serve --users FILE",
		Short: "Serve the mail of a store",
		Long: `Serve the mail of a store to the users of a file (see mailaccess user add).

The variables IMAP_PORT, IMAPS_PORT, POP3_PORT and POP3S_PORT set the ports, on
all interfaces, where the flags do not.

Without a certificate there is no TLS, and the listeners that need it must be
turned off with --imaps "" --pop3s "". Passwords are then accepted only with
--allow-plaintext-auth: keep such a server behind something that does TLS.

An interrupt (Ctrl-C) or SIGTERM ends the server in order: commands that run may
take ten seconds to finish. A second one ends it at once.`,
		Example: `  mailaccess serve --users users --tls-cert cert.pem --tls-key key.pem
  IMAP_PORT=1143 mailaccess serve --users users --imaps "" --pop3 "" --pop3s "" --allow-plaintext-auth`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: "+storeUsages())
	f.StringVar(&o.users, "users", "", "users `file` (required)")
	o.addresses.register(f)
	f.StringVar(&o.tlsCert, "tls-cert", "", "`file` with the certificate chain in PEM")
	f.StringVar(&o.tlsKey, "tls-key", "", "`file` with the private key in PEM")
	f.BoolVar(&o.plaintext, "allow-plaintext-auth", false, "accept passwords without TLS")
	o.log.register(f)
	return cmd
}

func storeUsages() string {
	var s string
	for i, scheme := range stores.Schemes() {
		if i > 0 {
			s += ", "
		}
		s += scheme.Usage
	}
	return s
}

func (o *serve) run(cmd *cobra.Command) (err error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	if o.users == "" {
		return errors.New("no users file: give --users FILE (see mailaccess user add --help)")
	}
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if err := o.addresses.fromEnvironment(cmd.Flags(), os.Getenv); err != nil {
		return err
	}
	tlsConfig, err := o.tlsConfig()
	if err != nil {
		return err
	}
	users, err := o.authenticator(log, nil)
	if err != nil {
		return err
	}
	store, err := stores.Open(ctx, o.store, &stores.Options{Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	s, err := openServer(serverConfig{
		store:          store,
		authenticator:  users,
		addresses:      o.addresses,
		tls:            tlsConfig,
		allowPlaintext: o.plaintext,
		logger:         log,
	})
	if err != nil {
		return err
	}
	if tlsConfig == nil && !o.plaintext {
		log.Warn("nobody can log in: there is no certificate for TLS, and --allow-plaintext-auth was not given")
	}
	return s.serve(ctx, func() {
		stop()
		log.Info("shutting down")
	})
}

// authenticator opens the users file. Passwords are hashed in the pool; nil: one
// of its own. A client with many connections hashes once.
func (o *serve) authenticator(log *zap.Logger, pool *auth.Pool) (mailaccess.Authenticator, error) {
	users, err := auth.OpenUsersFile(o.users, &auth.UsersFileOptions{Logger: log, Pool: pool})
	if err != nil {
		return nil, err
	}
	return auth.Cache(users, nil), nil
}

// tlsConfig reads the certificate. It is nil when there is none and none is
// needed.
func (o *serve) tlsConfig() (*tls.Config, error) {
	switch {
	case o.tlsCert == "" && o.tlsKey == "":
		if o.addresses.imaps == "" && o.addresses.pop3s == "" {
			return nil, nil
		}
		return nil, errors.New(`no certificate: give --tls-cert and --tls-key, or turn off what needs them with --imaps "" --pop3s ""`)
	case o.tlsKey == "":
		return nil, errors.New("--tls-cert needs --tls-key")
	case o.tlsCert == "":
		return nil, errors.New("--tls-key needs --tls-cert")
	}
	cert, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", o.tlsCert, o.tlsKey, err)
	}
	return newTLSConfig(cert), nil
}

// newTLSConfig asks for what RFC 8314, section 4.1, does.
func newTLSConfig(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

// stopSignals returns a context that ends with the first signal to stop. From
// then on, once stop was called, a further signal ends the program at once.
func stopSignals(ctx context.Context) (_ context.Context, stop func()) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
