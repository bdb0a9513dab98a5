package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// serve are the flags of "serve".
type serve struct {
	store     string
	auth      authentication
	guard     guarding
	addresses addresses
	channels  channels
	plaintext bool
	keep      span   // how long expunged messages are kept; 0: not at all
	memory    octets // of the store
	prefix    string // of the names of mailboxes, for clients
	separator string // between their levels
	maildrop  maildrop
	limits    limits

	adminSocket string

	log logging
}

func newServeCommand() *cobra.Command {
	o := serve{
		store:     defaultStore,
		auth:      newAuthentication(),
		guard:     newGuarding(),
		maildrop:  newMaildrop(),
		keep:      span(7 * 24 * time.Hour),
		memory:    256 << 20,
		separator: "/",
		addresses: addresses{imap: ":143", imaps: ":993", pop3: ":110", pop3s: ":995"},
		log:       logging{level: "info", format: "json"},
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the mail of a store",
		Long: `Serve the mail of a store to the users of a file (see mailaccess user add), or to
those whom another server knows: --auth-http asks about passwords, --auth-oauth2-keys
or --auth-oauth2-introspection about tokens, and --auth-certificate-user takes clients by
their certificates. Tokens and certificates can be taken beside passwords.

Each flag can be a line of the file that --config names (mailaccess config prints one
to start from), or a variable: MAILACCESS_TLS_CERT for --tls-cert. A flag counts before
the variable, the variable before the file. The variables IMAP_PORT, IMAPS_PORT,
POP3_PORT and POP3S_PORT set the ports, on all interfaces, where neither flag nor
MAILACCESS_IMAP and the like do.

Without a certificate there is no TLS, and the listeners that need it must be
turned off with --imaps "" --pop3s "". Passwords are then accepted only with
--allow-plaintext-auth: keep such a server behind something that does TLS.
Certificates that are replaced, as every renewal does, are in force a few seconds
later, at once with SIGHUP.

A Maildir store keeps expunged messages for a while, for mailaccess undelete, and
answers mailaccess check and mailaccess bans on a socket in its own directory. Of an account that Dovecot or
Courier kept before, IMAP clients see the names of mailboxes as that server shows them
unless it was configured otherwise; where it was, --name-separator and --name-prefix
say how, for all accounts. POP3 clients that leave mail on the server keep what they
have with --pop3-uidl.

An interrupt (Ctrl-C) or SIGTERM ends the server in order: commands that run may
take ten seconds to finish. A second one ends it at once.`,
		Example: `  mailaccess serve --users users --tls-cert cert.pem --tls-key key.pem
  mailaccess serve --users users --store maildir:/srv/mail/%d/%n --tls-cert cert.pem --tls-key key.pem
  IMAP_PORT=1143 mailaccess serve --users users --imaps "" --pop3 "" --pop3s "" --allow-plaintext-auth`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.String(configFlag, "", "`file` of settings, in TOML: the names of the flags")
	f.StringVar(&o.store, "store", o.store, "`URL` of the store: "+storeUsages())
	f.Var(&o.keep, "keep-expunged", "how long a Maildir store keeps what was expunged; 0: not at all")
	f.Var(&o.memory, "store-memory", "what a Maildir store may hold in memory before it puts away what nobody uses")
	f.StringVar(&o.prefix, "name-prefix", "", "`prefix` of the names of mailboxes but INBOX, as IMAP clients see them")
	f.StringVar(&o.separator, "name-separator", o.separator, "`character` between the levels of names, as IMAP clients see them")
	o.auth.register(f)
	o.guard.register(f)
	o.maildrop.register(f)
	o.limits.register(f)
	o.addresses.register(f)
	o.channels.register(f)
	f.BoolVar(&o.plaintext, "allow-plaintext-auth", false, "accept passwords without TLS")
	f.StringVar(&o.adminSocket, "admin-socket", "", adminSocketUsage)
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
	strangers, err := configure(cmd.Flags())
	if err != nil {
		return err
	}
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	for _, variable := range strangers {
		log.Warn("a variable that is no setting", zap.String("variable", variable))
	}
	if err := o.auth.check(); err != nil {
		return err
	}
	if err := o.channels.check(cmd.Flags(), o.addresses, o.auth.certificateUser != ""); err != nil {
		return err
	}
	certificates, tlsConfig, err := o.channels.config(log)
	if err != nil {
		return err
	}
	if certificates != nil {
		defer certificates.Close()
	}
	defer onHangup(certificates, log)()
	guard, err := o.guard.options()
	if err != nil {
		return err
	}
	namespace, err := o.namespace()
	if err != nil {
		return err
	}
	maildrop, err := o.maildrop.policy()
	if err != nil {
		return err
	}
	store, err := stores.Open(ctx, o.store, o.storeOptions(log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	secret, err := scramSecret(o.store)
	if err != nil {
		return err
	}
	authenticator, err := o.auth.authenticator(log, nil, secret)
	if err != nil {
		return err
	}
	s, err := openServer(serverConfig{
		store:          store,
		authenticator:  authenticator,
		guard:          guard,
		addresses:      o.addresses,
		tls:            tlsConfig,
		proxies:        o.channels.proxies,
		allowPlaintext: o.plaintext,
		namespace:      namespace,
		namespaceOf:    o.namespaceOf(cmd, store),
		pop3:           maildrop,
		limits:         &o.limits.Limits,
		logger:         log,
	})
	if err != nil {
		return err
	}
	admin, err := o.admin(store, s.mail.Guard, log)
	if err != nil {
		return errors.Join(err, s.close())
	}
	if admin != nil {
		defer func() { err = errors.Join(err, admin.close()) }()
	}
	if tlsConfig == nil && !o.plaintext {
		log.Warn("nobody can log in: there is no certificate for TLS, and --allow-plaintext-auth was not given")
	}
	return s.serve(ctx, func() {
		stop()
		log.Info("shutting down")
	})
}

func (o *serve) storeOptions(log *zap.Logger) *stores.Options {
	keep := time.Duration(o.keep)
	if keep == 0 {
		keep = -1
	}
	return &stores.Options{Logger: log, KeepExpunged: keep, Memory: int64(o.memory)}
}

// namespaceOf is how clients see the names of an account that another server kept before, in a
// store that knows; nil when flags say how.
func (o *serve) namespaceOf(cmd *cobra.Command, store mailaccess.Store) func(context.Context, string) (imap.Namespace, error) {
	mail, ok := store.(*maildir.Store)
	if !ok || cmd.Flags().Changed("name-prefix") || cmd.Flags().Changed("name-separator") {
		return nil
	}
	return func(ctx context.Context, account string) (imap.Namespace, error) {
		prefix, separator, err := mail.Namespace(ctx, account)
		return imap.Namespace{Prefix: prefix, Separator: separator}, err
	}
}

// namespace is how clients see the names of mailboxes.
func (o *serve) namespace() (n imap.Namespace, err error) {
	separator, size := utf8.DecodeRuneInString(o.separator)
	if size == 0 || size < len(o.separator) {
		return n, fmt.Errorf("--name-separator %q: not one character", o.separator)
	}
	n = imap.Namespace{Prefix: o.prefix, Separator: separator}
	if err := n.Check(); err != nil {
		return n, fmt.Errorf("--name-prefix %q, --name-separator %q: %w", o.prefix, o.separator, err)
	}
	return n, nil
}

// admin opens the admin socket, where there is to be one. Serving mail does not depend on
// the one that is there without being asked for; one that was is free.
func (o *serve) admin(store mailaccess.Store, guard *auth.Guarded, log *zap.Logger) (*admin, error) {
	m, ok := store.(*maildir.Store)
	if !ok && o.adminSocket == "" {
		return nil, nil
	}
	path, err := adminPath(o.adminSocket, o.store)
	if err == nil && o.adminSocket != "" {
		err = vacant(path)
	}
	var a *admin
	if err == nil {
		a, err = openAdmin(path, m, guard, log)
	}
	switch {
	case err != nil && o.adminSocket != "":
		return nil, fmt.Errorf("--admin-socket: %w", err)
	case err != nil:
		log.Warn("there is no admin socket: mailaccess check has to wait until the server ends, and mailaccess bans cannot ask", zap.Error(err))
	}
	return a, nil
}

// stopSignals returns a context that ends with the first signal to stop. From
// then on, once stop was called, a further signal ends the program at once.
func stopSignals(ctx context.Context) (_ context.Context, stop func()) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
