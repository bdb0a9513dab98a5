package peers

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
	"github.com/hashmail/mailaccess/protocols"
)

// The names of our server in results.
const (
	Ours       = "mailaccess"
	OursMemory = "mailaccess-memory"
	OursUnkept = "mailaccess-unkept"
)

// Options say what is compared.
type Options struct {
	Bench   bench.Options
	Servers []string // names; the others are compared with the first
	Dir     string   // where mail and configurations go, on the disk that is measured; it must not be there or be empty
	CRLF    bool     // messages on disk end their lines with CRLF
	NoTLS   bool     // nothing is measured over TLS
	// NoPhysics says that it is not measured what the machine can do.
	NoPhysics bool
	Version   string // of ours
	Say       func(format string, args ...any)
}

// A kind is a server, ours or another.
type kind struct {
	name   string
	about  string
	ours   bool
	memory bool // store
	unkept bool // nothing expunged is kept
	sdbox  bool
	sync   bool
	cyrus  bool
}

// files says whether the server finds its mail as files, or has to be given it.
func (k kind) files() bool { return !k.memory && !k.sdbox && !k.cyrus }

func kinds() []kind {
	return []kind{
		{name: Ours, about: "Maildir, sync=full", ours: true},
		{name: OursMemory, about: "memory", ours: true, memory: true},
		{name: OursUnkept, about: "Maildir, sync=full, nothing expunged is kept", ours: true, unkept: true},
		{name: "dovecot", about: "Maildir, mail_fsync = optimized"},
		{name: "dovecot-always", about: "Maildir, mail_fsync = always", sync: true},
		{name: "dovecot-sdbox", about: "sdbox, mail_fsync = optimized", sdbox: true},
		{name: "cyrus", about: "its own format, in which messages are files", cyrus: true},
	}
}

// Names returns the names of the servers that there are.
func Names() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// A Result is what was measured of all servers, in the same run.
type Result struct {
	Physics Physics         `json:"physics"`
	After   Physics         `json:"physicsAfter"` // the same at the end, so that a drift shows
	Servers []Server        `json:"servers"`
	Reports []*bench.Report `json:"reports"` // of the servers, in their order
}

// A Server is one that was measured.
type Server struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	About   string `json:"about"`
}

// Run starts the servers, gives each of them the corpus, measures them in turns, and ends them.
func Run(ctx context.Context, o Options) (_ *Result, err error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	picked, err := pick(o.Servers)
	if err != nil {
		return nil, err
	}
	own, err := mailOwner()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	for parent := dir; parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if info, err := os.Stat(parent); err == nil && own.change && info.Mode()&1 == 0 {
			return nil, fmt.Errorf("%s: others cannot enter, and the servers run as %s", parent, own.name)
		}
	}
	shared, pool, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	if r.Physics, err = o.physics(ctx, dir); err != nil {
		return nil, err
	}
	lower, err := raiseWatches(o.Bench.Listeners)
	if err != nil {
		o.Say("the system's limit of watches cannot be raised: %v", err)
	}
	defer lower()
	var running []*server
	defer func() {
		for _, s := range running {
			err = errors.Join(err, s.stop())
		}
	}()
	var targets []*bench.Target
	for _, k := range picked {
		f := shared
		f.owner = own
		s, err := o.startWithMail(ctx, k, f, dir)
		if err != nil {
			return nil, err
		}
		running = append(running, s)
		r.Servers = append(r.Servers, Server{s.name, s.version, k.about})
		if err := o.firstOpen(ctx, s, k); err != nil {
			return nil, err
		}
		t := s.target()
		if !o.NoTLS {
			over := *t
			over.IMAP, over.POP3, over.TLS = at(s.ports.imaps), at(s.ports.pop3s), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
			t.Encrypted = &over
		}
		targets = append(targets, t)
	}
	if r.Reports, err = bench.Measure(ctx, targets, o.Bench); err != nil {
		return r, err
	}
	if !o.NoTLS {
		if err := o.overTLS(ctx, targets, r); err != nil {
			return r, err
		}
	}
	r.After, err = o.physics(ctx, dir)
	return r, err
}

// physics is what the machine can do, while no server does anything.
func (o *Options) physics(ctx context.Context, dir string) (p Physics, err error) {
	if o.NoPhysics {
		return p, nil
	}
	o.Say("measuring the machine")
	return MeasurePhysics(ctx, dir, o.Bench.Corpus, cmp.Or(o.Bench.Duration, physicsTime))
}

// overTLS measures some workloads once more, over TLS.
func (o *Options) overTLS(ctx context.Context, targets []*bench.Target, r *Result) error {
	again := o.Bench
	again.Workloads = nil
	for _, name := range []string{"login", "fetch-flags", "fetch-bodies"} {
		if r.Reports[0].Has(name) {
			again.Workloads = append(again.Workloads, name)
		}
	}
	if len(again.Workloads) == 0 {
		return nil
	}
	encrypted := make([]*bench.Target, len(targets))
	for i, t := range targets {
		encrypted[i] = t.Encrypted
	}
	reports, err := bench.Measure(ctx, encrypted, again)
	for i, report := range reports {
		for _, result := range report.Results {
			result.Workload += "-tls"
			result.About += ", over TLS"
			r.Reports[i].Results = append(r.Reports[i].Results, result)
		}
	}
	return err
}

// pick returns the kinds of these names.
func pick(names []string) ([]kind, error) {
	all := kinds()
	var picked []kind
	for _, name := range names {
		found := false
		for _, k := range all {
			if k.name == name {
				picked, found = append(picked, k), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no server %q: there are %s", name, strings.Join(Names(), ", "))
		}
	}
	return picked, nil
}

// prepare makes what all servers share: the users file and a certificate.
func prepare(dir string) (f files, pool *x509.CertPool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return f, nil, err
	}
	if entries, err := os.ReadDir(dir); err != nil {
		return f, nil, err
	} else if len(entries) > 0 {
		return f, nil, fmt.Errorf("%s is not empty", dir)
	}
	cert, err := protocols.SelfSigned()
	if err != nil {
		return f, nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return f, nil, err
	}
	f = files{users: filepath.Join(dir, "users"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	for name, data := range map[string][]byte{
		f.users: []byte(account + ":{PLAIN}" + password + "\n"),
		f.cert:  certPEM,
		f.key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return f, nil, err
		}
	}
	pool = x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certPEM) {
		return f, nil, errors.New("the certificate cannot be read back")
	}
	return f, pool, nil
}

// startWithMail starts a server that has the corpus: as files of a Maildir that it takes in, or
// appended to it.
func (o *Options) startWithMail(ctx context.Context, k kind, f files, dir string) (*server, error) {
	f.dir = filepath.Join(dir, k.name)
	f.mail = filepath.Join(f.dir, "mail")
	home := filepath.Join(f.mail, account)
	if err := os.MkdirAll(f.mail, 0o755); err != nil {
		return nil, err
	}
	if k.files() {
		o.Say("%s: writing %d messages", k.name, o.Bench.Corpus.Messages)
		if err := o.Bench.Corpus.WriteMaildir(ctx, home, o.CRLF, nil); err != nil {
			return nil, err
		}
	}
	if err := f.owner.take(f.dir); err != nil {
		return nil, err
	}
	switch {
	case k.ours:
		return startOurs(ctx, k, o.Version, f)
	case k.cyrus:
		return startCyrus(ctx, k, f)
	}
	return startDovecot(ctx, k, f)
}

// firstOpen lets a server take in the mail, or gives it the mail. Then it is started anew, and has the
// mailbox open once: what taking in left in its memory would hide what connections take.
func (o *Options) firstOpen(ctx context.Context, s *server, k kind) error {
	if !k.files() {
		o.Say("%s: appending %d messages", k.name, o.Bench.Corpus.Messages)
		if err := bench.Seed(ctx, s.target(), o.Bench.Corpus, nil); err != nil || k.memory {
			return err
		}
	} else {
		o.Say("%s: taking in %d messages", k.name, o.Bench.Corpus.Messages)
		if err := o.openOnce(ctx, s, k); err != nil {
			return err
		}
	}
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	return o.openOnce(ctx, s, k)
}

func (o *Options) openOnce(ctx context.Context, s *server, k kind) error {
	c, err := wire.DialIMAP(ctx, at(s.ports.imap), nil)
	if err != nil {
		return err
	}
	if err := c.Login(account, password); err != nil {
		return errors.Join(err, c.Close())
	}
	a, err := c.Do("SELECT INBOX")
	if err == nil && a.Exists != o.Bench.Corpus.Messages {
		err = fmt.Errorf("%s: %d messages in INBOX, want %d", k.name, a.Exists, o.Bench.Corpus.Messages)
	}
	if err != nil {
		return errors.Join(err, c.Close())
	}
	return c.Logout()
}
