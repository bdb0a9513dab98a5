package protocols

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// certificateCheck is how often the files of certificates are compared with what was
// loaded. Looking at them follows every way in which they are replaced: written in
// place, renamed, or by turning a symbolic link anywhere on their path, as certbot
// and Kubernetes do; on any file system, and where nothing can be watched.
const certificateCheck = 10 * time.Second

// A KeyPair names the files of a certificate, the chain below it in order, and of its
// private key, both in PEM; they may be one file.
type KeyPair struct{ Certificate, Key string }

// Certificates are a server's certificates, from files that may be replaced while the
// server runs: see [LoadCertificates].
type Certificates struct {
	log     *zap.Logger
	current atomic.Pointer[certificateIndex]

	mu    sync.Mutex // held while files are read
	pairs []*pair

	stop    chan struct{}
	once    sync.Once
	watcher sync.WaitGroup
}

// pair is a KeyPair and what was loaded from it.
type pair struct {
	files    KeyPair
	cert     *tls.Certificate
	seen     [2]os.FileInfo // when they were loaded last, or that was tried; nil: not there
	failures int            // to load what is there now
	told     string         // the failure that the log has
	expiry   string         // what the log has of it
	reminded time.Time
}

// LoadCertificates loads certificates for [Certificates.TLSConfig]. Each client gets
// the one for the name that it asks for (SNI, RFC 6066, section 3): the name itself,
// or else a wildcard for it; otherwise the first. Where several are for a name, as
// one with an ECDSA key and one with an RSA key, it is the first that the client
// supports.
//
// The files are looked at every few seconds, and read again when they have changed;
// handshakes from then on have the new certificates, and connections that exist go
// on. A pair that cannot be loaded leaves the old one in force, is tried again, as
// its two files may just be in replacement, and logged as an error if that does not
// help. A certificate that has less than a fifth of its time left is logged each day.
//
// A nil logger means silence. The caller calls Close.
func LoadCertificates(pairs []KeyPair, log *zap.Logger) (*Certificates, error) {
	if len(pairs) == 0 {
		return nil, errors.New("protocols: no certificate")
	}
	if log == nil {
		log = zap.NewNop()
	}
	c := &Certificates{log: log, stop: make(chan struct{})}
	for _, files := range pairs {
		p := &pair{files: files}
		if err := c.load(p); err != nil {
			return nil, err
		}
		c.pairs = append(c.pairs, p)
	}
	c.publish()
	c.watcher.Go(c.watch)
	return c, nil
}

// Close ends the look at the files. What was loaded goes on to work.
func (c *Certificates) Close() {
	c.once.Do(func() { close(c.stop) })
	c.watcher.Wait()
}

// Reload loads all files now. The error says what could not be loaded; the others
// are in force.
func (c *Certificates) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, p := range c.pairs {
		if err := c.load(p); err != nil {
			p.told = err.Error() // by the caller
			errs = append(errs, err)
		}
	}
	c.publish()
	return errors.Join(errs...)
}

// TLSConfig returns a configuration as [NewTLSConfig] does, with the certificates as
// they are at each handshake.
func (c *Certificates) TLSConfig() *tls.Config {
	config := NewTLSConfig()
	config.GetCertificate = c.GetCertificate
	return config
}

// GetCertificate chooses the certificate for a client. It is for
// [tls.Config.GetCertificate].
func (c *Certificates) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load().choose(hello), nil
}

func (c *Certificates) watch() {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.check()
		case <-c.stop:
			return
		}
	}
}

// check loads what has changed.
func (c *Certificates) check() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pairs {
		if p.failures == 0 && !p.changed() {
			continue
		}
		err := c.load(p)
		// What is half replaced is whole the next time.
		if err != nil && p.failures > 1 && p.told != err.Error() {
			p.told = err.Error()
			c.log.Error("certificate not loaded: the old one stays in force", zap.Error(err))
		}
	}
	c.publish()
}

// load loads one pair, or leaves what it has.
func (c *Certificates) load(p *pair) error {
	p.seen = p.look()
	cert, err := tls.LoadX509KeyPair(p.files.Certificate, p.files.Key)
	if err == nil && cert.Leaf == nil { // GODEBUG=x509keypairleaf=0
		cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0])
	}
	if err != nil {
		p.failures++
		return fmt.Errorf("certificate %s with key %s: %w", p.files.Certificate, p.files.Key, err)
	}
	p.failures, p.told = 0, ""
	if p.cert == nil || !p.cert.Leaf.Equal(cert.Leaf) {
		p.expiry = ""
		c.log.Info("certificate loaded", p.fields(cert.Leaf)...)
	}
	p.cert = &cert
	return nil
}

// publish puts in force what is loaded, and warns of what will not be for long.
func (c *Certificates) publish() {
	certs := make([]*tls.Certificate, 0, len(c.pairs))
	now := time.Now()
	for _, p := range c.pairs {
		certs = append(certs, p.cert)
		c.remind(p, now)
	}
	if old := c.current.Load(); old == nil || !slices.Equal(old.all, certs) {
		c.current.Store(indexCertificates(certs))
	}
}

// remind logs that a certificate expires or has expired, when that begins and each
// day.
func (c *Certificates) remind(p *pair, now time.Time) {
	leaf := p.cert.Leaf
	state := ""
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		state = "certificate has expired"
	case now.Before(leaf.NotBefore):
		state = "certificate is not valid yet"
	case left < leaf.NotAfter.Sub(leaf.NotBefore)/5:
		state = "certificate expires soon"
	}
	if state == p.expiry && (state == "" || now.Sub(p.reminded) < 24*time.Hour) {
		return
	}
	p.expiry, p.reminded = state, now
	if state != "" {
		c.log.Warn(state, p.fields(leaf)...)
	}
}

func (p *pair) fields(leaf *x509.Certificate) []zap.Field {
	return []zap.Field{
		zap.String("file", p.files.Certificate), zap.Strings("names", leaf.DNSNames),
		zap.Time("notBefore", leaf.NotBefore), zap.Time("notAfter", leaf.NotAfter),
	}
}

// look returns what the files are at present.
func (p *pair) look() (seen [2]os.FileInfo) {
	for i, name := range []string{p.files.Certificate, p.files.Key} {
		seen[i], _ = os.Stat(name) // loading it says what is wrong
	}
	return seen
}

func (p *pair) changed() bool {
	for i, now := range p.look() {
		old := p.seen[i]
		if (now == nil) != (old == nil) {
			return true
		}
		if now != nil && (!os.SameFile(now, old) || now.Size() != old.Size() || !now.ModTime().Equal(old.ModTime())) {
			return true
		}
	}
	return false
}

// A certificateIndex finds certificates by name.
type certificateIndex struct {
	all      []*tls.Certificate
	exact    map[string][]*tls.Certificate
	wildcard map[string][]*tls.Certificate // by what follows "*."
	fallback []*tls.Certificate            // the first, and others for its names
}

func indexCertificates(certs []*tls.Certificate) *certificateIndex {
	x := &certificateIndex{all: certs, exact: make(map[string][]*tls.Certificate), wildcard: make(map[string][]*tls.Certificate)}
	for i, cert := range certs {
		shares := i == 0
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			if parent, ok := strings.CutPrefix(name, "*."); ok {
				x.wildcard[parent] = append(x.wildcard[parent], cert)
			} else {
				x.exact[name] = append(x.exact[name], cert)
			}
			shares = shares || slices.ContainsFunc(certs[0].Leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
		}
		if shares {
			x.fallback = append(x.fallback, cert)
		}
	}
	return x
}

func (x *certificateIndex) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	_, parent, _ := strings.Cut(name, ".")
	for _, certs := range [][]*tls.Certificate{x.exact[name], x.wildcard[parent]} {
		for _, cert := range certs {
			if hello.SupportsCertificate(cert) == nil {
				return cert
			}
		}
	}
	// A client that asks for a name of which nothing is known may still be content.
	nameless := *hello
	nameless.ServerName = ""
	for _, cert := range x.fallback {
		if nameless.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return x.fallback[0]
}
