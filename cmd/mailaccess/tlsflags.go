package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/protocols"
)

// channels are the flags for TLS, and for proxies.
type channels struct {
	certs, keys []string // files, in pairs
	clientCA    string   // a file

	proxyFrom networks
	proxied   []string // names of listeners
}

func (c *channels) register(f *pflag.FlagSet) {
	f.StringSliceVar(&c.certs, "tls-cert", nil, "`file` with a certificate and its chain, in PEM; several, each with its key: clients get the one for the name that they ask for, otherwise the first")
	f.StringSliceVar(&c.keys, "tls-key", nil, "`file` with the private key in PEM; several in the order of the certificates")
	f.StringVar(&c.clientCA, "tls-client-ca", "", "`file` with the authorities, in PEM, by whose certificates clients may log in: see --auth-certificate-user")
	f.Var(&c.proxyFrom, "proxy-from", "networks of proxies, as 192.0.2.8 or 10.0.0.0/8,fd00::/8, which tell the client's address by the PROXY protocol; they alone may connect then to the listeners of --proxy-listeners")
	f.StringSliceVar(&c.proxied, "proxy-listeners", listenerNames(), "`listeners` that are behind these proxies")
}

// listenerNames are what listeners are called.
func listenerNames() []string { return []string{"imap", "imaps", "pop3", "pop3s"} }

// check says what is wrong with the flags. certificates says whether clients can log in by
// certificates.
func (c *channels) check(f *pflag.FlagSet, a addresses, certificates bool) error {
	switch {
	case len(c.certs) == 0 && len(c.keys) == 0:
		if a.imaps != "" || a.pop3s != "" {
			return errors.New(`no certificate: give --tls-cert and --tls-key, or turn off what needs them with --imaps "" --pop3s ""`)
		}
		if c.clientCA != "" {
			return errors.New("--tls-client-ca needs --tls-cert and --tls-key")
		}
	case len(c.keys) == 0:
		return errors.New("--tls-cert needs --tls-key")
	case len(c.certs) == 0:
		return errors.New("--tls-key needs --tls-cert")
	case len(c.certs) != len(c.keys):
		return fmt.Errorf("--tls-cert is given %d times, and --tls-key %d times: each certificate needs its key", len(c.certs), len(c.keys))
	}
	switch {
	case c.clientCA != "" && !certificates:
		return errors.New("--tls-client-ca needs --auth-certificate-user")
	case c.clientCA == "" && certificates:
		return errors.New("--auth-certificate-user needs --tls-client-ca")
	case len(c.proxyFrom) == 0 && f.Changed("proxy-listeners"):
		return errors.New("--proxy-listeners needs --proxy-from")
	}
	for _, name := range c.proxied {
		if !slices.Contains(listenerNames(), name) {
			return fmt.Errorf("--proxy-listeners %q: not imap, imaps, pop3 or pop3s", name)
		}
	}
	return nil
}

// config loads the certificates, which the caller closes. Both are nil when there are none.
func (c *channels) config(log *zap.Logger) (*protocols.Certificates, *tls.Config, error) {
	if len(c.certs) == 0 {
		return nil, nil, nil
	}
	var pairs []protocols.KeyPair
	for i := range c.certs {
		pairs = append(pairs, protocols.KeyPair{Certificate: c.certs[i], Key: c.keys[i]})
	}
	authorities, err := c.authorities()
	if err != nil {
		return nil, nil, err
	}
	certificates, err := protocols.LoadCertificates(pairs, log)
	if err != nil {
		return nil, nil, err
	}
	config := certificates.TLSConfig()
	if authorities != nil {
		// Who has no certificate may still have a password.
		config.ClientCAs, config.ClientAuth = authorities, tls.VerifyClientCertIfGiven
	}
	return certificates, config, nil
}

func (c *channels) authorities() (*x509.CertPool, error) {
	if c.clientCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--tls-client-ca %s: no certificate in PEM", c.clientCA)
	}
	return pool, nil
}

// proxies returns from where proxies connect to a listener; nil: it has none.
func (c *channels) proxies(listener string) []netip.Prefix {
	if !slices.Contains(c.proxied, listener) {
		return nil
	}
	return c.proxyFrom
}

// onHangup reloads the certificates with each SIGHUP, until stop.
func onHangup(certificates *protocols.Certificates, log *zap.Logger) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			if certificates == nil {
				log.Info("SIGHUP: there are no certificates to load again")
				continue
			}
			if err := certificates.Reload(); err != nil {
				log.Error("SIGHUP: not all certificates could be loaded again", zap.String("error", strings.ReplaceAll(err.Error(), "\n", "; ")))
				continue
			}
			log.Info("SIGHUP: certificates loaded again")
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
