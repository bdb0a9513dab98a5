package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/stores/memory"
)

// demoUser is the user of the demonstration, and the password too.
const demoUser = "demo"

// demo are the flags of "demo".
type demo struct {
	addresses addresses
	arrivals  time.Duration
	certOut   string
	record    string
	log       logging
}

func newDemoCommand() *cobra.Command {
	o := demo{
		addresses: addresses{imap: "127.0.0.1:1143", imaps: "127.0.0.1:1993", pop3: "127.0.0.1:1110", pop3s: "127.0.0.1:1995"},
		log:       logging{level: "warn", format: "console"},
	}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve example mail on this machine",
		Long: `Serve example mail to the user demo, password demo, on this machine. The mail is
kept in memory: whatever clients do to it is gone when this ends.

The certificate is made for this run and signed by itself; --cert-out writes it
to a file, for clients that are to verify it. Port 0 picks a free port: the
lines that say where to connect name the real one.

--record writes down what clients and the demonstration say, within TLS too, as a
transcript that package prototest plays against a fresh demonstration: of IMAP
into the file, of POP3 into one beside it (session.txt, session.pop3.txt). Commands
of one connection are then handed on one by one. All is in it: passwords that
somebody types, though only demo is one, and messages that are uploaded.`,
		Example: `  mailaccess demo
  mailaccess demo --arrivals 10s
  mailaccess demo --record session.txt
  mailaccess demo --imap 127.0.0.1:0 --imaps "" --pop3 "" --pop3s ""`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	o.addresses.register(f)
	f.DurationVar(&o.arrivals, "arrivals", 0, "deliver a new message each time this `interval` has passed, such as 10s; 0: none")
	f.StringVar(&o.certOut, "cert-out", "", "write the certificate in PEM to this `file`")
	f.StringVar(&o.record, "record", "", "write what is said to this `file`, passwords and mail too")
	o.log.register(f)
	return cmd
}

func (o *demo) run(cmd *cobra.Command) (err error) {
	ctx, stop := stopSignals(cmd.Context())
	defer stop()
	log, err := o.log.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.arrivals < 0 {
		return fmt.Errorf("--arrivals %v: less than nothing", o.arrivals)
	}
	if o.arrivals > 0 && o.record != "" {
		return errors.New("--arrivals and --record: what arrives by itself cannot be played again")
	}
	cert, err := protocols.SelfSigned()
	if err != nil {
		return err
	}
	store := memory.New(nil)
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := fillDemo(ctx, store); err != nil {
		return err
	}
	config := protocols.NewTLSConfig(cert)
	s, err := openServer(serverConfig{
		store:               store,
		authenticator:       auth.Static(map[string]string{demoUser: demoUser}),
		addresses:           o.addresses,
		tls:                 config,
		logger:              log,
		plaintextOnLoopback: true,
	})
	if err != nil {
		return err
	}
	if o.certOut != "" {
		if err := writeCertificate(o.certOut, cert.Certificate[0]); err != nil {
			return errors.Join(err, s.close())
		}
	}
	stopping := func() {
		stop()
		fmt.Fprintln(cmd.ErrOrStderr(), "Shutting down. Interrupt again to end at once.")
	}
	if o.record != "" {
		r, rerr := record(o.record, s, config)
		if rerr != nil {
			return errors.Join(rerr, s.close())
		}
		defer r.cut()
		also := stopping
		stopping = func() {
			also()
			// What clients are told now belongs to this run alone.
			rerr = r.close()
		}
		defer func() { err = errors.Join(err, rerr) }()
	}
	o.explain(cmd.OutOrStdout(), s)
	return o.serve(ctx, s, store, stopping)
}

// serve serves, with messages arriving if that was asked for. When it returns,
// none is on its way into the store any more.
func (o *demo) serve(ctx context.Context, s *server, to deliverer, stopping func()) error {
	var delivering sync.WaitGroup
	defer delivering.Wait()
	if o.arrivals > 0 {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		delivering.Go(func() {
			if err := deliverArrivals(ctx, to, o.arrivals); err != nil {
				s.log.Error("no more messages arrive", zap.Error(err))
			}
		})
	}
	return s.serve(ctx, stopping)
}

// explain prints how to connect. Each line with a name and an address, and
// nothing else, is meant for scripts as well.
func (o *demo) explain(w io.Writer, s *server) {
	var b strings.Builder
	fmt.Fprintf(&b, "Example mail, kept in memory. User %[1]s, password %[1]s.\n\n", demoUser)
	for _, p := range s.endpoints {
		fmt.Fprintf(&b, "%-6s %s\n", p.name, s.addr(p.name))
	}
	b.WriteString("\nA first look:\n\n")
	trust := "--insecure"
	if o.certOut != "" {
		trust = "--cacert " + shellWord(o.certOut)
	}
	for _, p := range s.endpoints {
		options, path := "--user demo:demo", "/1" // POP3: the first message
		switch p.name {
		case "imap", "imaps":
			path = "/INBOX;MAILINDEX=1"
		}
		if p.tls {
			options += " " + trust
		}
		fmt.Fprintf(&b, "  curl %s \"%s://%s%s\"\n", options, p.name, s.addr(p.name), path)
	}
	if o.arrivals > 0 {
		fmt.Fprintf(&b, "\nA message arrives every %v.\n", o.arrivals)
	}
	if o.record != "" {
		fmt.Fprintf(&b, "\nWhat is said is recorded in %s, passwords and mail too.\n", o.record)
	}
	b.WriteString("\nCtrl-C ends it.\n")
	io.WriteString(w, b.String()) //nolint:errcheck // who does not read it can be served all the same
}

// shellWord is s as one word of a shell's command line.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./\\:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func writeCertificate(file string, der []byte) error {
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return fmt.Errorf("--cert-out: %w", err)
	}
	return nil
}
