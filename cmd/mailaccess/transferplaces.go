package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/account"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/imapplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/maildirplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/mboxplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/tarplace"
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// access says how an IMAP server is reached and logged in to.
type access struct {
	passwordFile, tokenFile string
	ca                      string
	skipVerify, plaintext   bool
}

func (a *access) register(f *pflag.FlagSet, prefix, where string) {
	f.StringVar(&a.passwordFile, prefix+"password-file", "", "`file` whose first line is the password "+where)
	f.StringVar(&a.tokenFile, prefix+"token-file", "", "`file` whose first line is an OAuth 2.0 access token "+where)
	f.StringVar(&a.ca, prefix+"tls-ca", "", "`file` in PEM with the authorities that may have signed the certificate "+where+" (default those of the system)")
	f.BoolVar(&a.skipVerify, prefix+"insecure-skip-verify", false, "do not verify the certificate "+where+": anybody in between can read the mail and the password")
	f.BoolVar(&a.plaintext, prefix+"insecure-plaintext", false, "no TLS "+where+" with imap:// - everybody in between can read the mail and the password")
}

// placeOf is a place that was named on the command line.
type placeOf struct {
	name string // the same place always has the same
	open func(ctx context.Context, cmd *cobra.Command, write bool) (transfer.Destination, error)
	// exists reports whether there is something to open.
	exists func() bool
}

func parsePlace(text string, a *access) (*placeOf, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	scheme = strings.ToLower(scheme)
	switch {
	case !ok:
	case scheme == "imap", scheme == "imaps":
		return imapPlace(text, a)
	case scheme == "maildir", scheme == "mbox", scheme == "tar":
		if rest == "" {
			return nil, fmt.Errorf("%s: without a path", text)
		}
		path, err := filepath.Abs(rest)
		if err != nil {
			return nil, err
		}
		return &placeOf{
			name:   scheme + ":" + path,
			exists: func() bool { _, err := os.Stat(path); return err == nil },
			open: func(_ context.Context, _ *cobra.Command, write bool) (transfer.Destination, error) {
				switch scheme {
				case "maildir":
					return opened(maildirplace.Open(path, write))
				case "mbox":
					return opened(mboxplace.Open(path, write))
				}
				return opened(tarplace.Open(path, write))
			},
		}, nil
	}
	return nil, errors.New("no place of mail: there are imaps://USER@HOST, imap://USER@HOST, maildir:DIR, mbox:DIR and tar:FILE")
}

// opened keeps a nil place from becoming an interface that is not nil.
func opened[P transfer.Destination](p P, err error) (transfer.Destination, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// imapPlace reads imap[s]://USER@HOST[:PORT]. Errors do not repeat it: it may hold a password.
func imapPlace(text string, a *access) (*placeOf, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil, errors.New("not a URL of IMAP, as imaps://USER@HOST")
	}
	if _, has := u.User.Password(); has {
		return nil, errors.New("no password in the URL, which every user of the machine can see: --password-file FILE, or it is asked for")
	}
	if u.User.Username() == "" {
		return nil, errors.New("no user in the URL of IMAP: imaps://USER@HOST")
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("nothing comes after the host in the URL of IMAP: --include names mailboxes")
	}
	if a.passwordFile != "" && a.tokenFile != "" {
		return nil, errors.New("a password or a token, not both")
	}
	scheme := strings.ToLower(u.Scheme)
	c := &imapplace.Config{User: u.User.Username(), Security: imapplace.ImplicitTLS, Token: a.tokenFile != ""}
	port := "993"
	if scheme == "imap" {
		c.Security, port = imapplace.StartTLS, "143"
		if a.plaintext {
			c.Security = imapplace.Plaintext
		}
	}
	if u.Port() != "" {
		port = u.Port()
	}
	c.Address = net.JoinHostPort(u.Hostname(), port)
	c.TLS = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: a.skipVerify}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, err
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in PEM", a.ca)
		}
	}
	name := fmt.Sprintf("%s://%s@%s", scheme, url.PathEscape(c.User), c.Address)
	return &placeOf{
		name:   name,
		exists: func() bool { return true },
		open: func(_ context.Context, cmd *cobra.Command, _ bool) (transfer.Destination, error) {
			c.Password = a.secret(cmd, name)
			return imapplace.New(c), nil
		},
	}, nil
}

// secret returns what asks for the password: from a file each time, from the terminal once.
func (a *access) secret(cmd *cobra.Command, name string) func(context.Context) (string, error) {
	typed := ""
	return func(ctx context.Context) (string, error) {
		if file := a.passwordFile + a.tokenFile; file != "" {
			f, err := os.Open(file)
			if err != nil {
				return "", err
			}
			defer f.Close() //nolint:errcheck // it was only read
			text, err := io.ReadAll(io.LimitReader(f, 64<<10))
			if err != nil {
				return "", err
			}
			line, _, _ := strings.Cut(string(text), "\n")
			if line = strings.TrimSuffix(line, "\r"); line == "" {
				return "", fmt.Errorf("%s: its first line is empty", file)
			}
			return line, nil
		}
		if typed != "" {
			return typed, nil
		}
		in, ok := cmd.InOrStdin().(*os.File)
		if !ok || !term.IsTerminal(int(in.Fd())) {
			return "", errors.New("no terminal to ask for the password: --password-file FILE, or --token-file FILE")
		}
		var err error
		typed, err = askPassword(ctx, in, cmd.ErrOrStderr(), "Password of "+name+": ")
		if err == nil && typed == "" {
			err = errors.New("no password was typed")
		}
		return typed, err
	}
}

// homePlace is the account of the store.
func (o *transferring) homePlace() (*placeOf, error) {
	scheme, _, _ := strings.Cut(strings.ToLower(o.store), ":")
	if scheme == "imap" || scheme == "imaps" {
		if o.user != "" {
			return nil, errors.New("--user is for a maildir: store; the URL of IMAP says whose account it is")
		}
		p, err := imapPlace(o.store, &o.home)
		if err != nil {
			err = fmt.Errorf("--store: %w", err)
		}
		return p, err
	}
	path, err := stores.MaildirPath(o.store)
	if err != nil {
		return nil, err
	}
	if o.user == "" {
		return nil, errors.New("whose mail? --user NAME")
	}
	name, err := accountOf(o.user)
	if err != nil {
		return nil, err
	}
	dir, err := maildir.AccountDir(path, name)
	if err != nil {
		return nil, err
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return &placeOf{
		name:   "store:" + whole + " " + name,
		exists: func() bool { _, err := os.Stat(dir); return err == nil },
		open: func(ctx context.Context, _ *cobra.Command, write bool) (transfer.Destination, error) {
			// Opening a store makes it, and an account.
			if !write {
				if _, err := os.Stat(dir); err != nil {
					return nil, err
				}
			}
			return o.openStore(ctx, name)
		},
	}, nil
}

// openStore opens the account in a Maildir store, which is closed with it.
func (o *transferring) openStore(ctx context.Context, name string) (transfer.Destination, error) {
	store, err := stores.Open(ctx, o.store, nil)
	if errors.Is(err, mailaccess.KindInUse) {
		return nil, fmt.Errorf("%w: a server that has the store open takes mail in, and gives it out, through IMAP: --store imaps://NAME@HOST; or stop it first", err)
	}
	if err != nil {
		return nil, err
	}
	a, err := store.Open(ctx, name, mailaccess.Identity{User: name, Account: name})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &storePlace{account.New(a), store}, nil
}

type storePlace struct {
	*account.Place
	store mailaccess.Store
}

func (s *storePlace) Close() error { return errors.Join(s.Place.Close(), s.store.Close()) }

// defaultState is the state of a transfer of which nobody said where it is kept: below
// XDG_STATE_HOME (XDG Base Directory Specification).
func defaultState(from, to string) (string, error) {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("there is no directory for the state, give --state FILE: %w", err)
		}
		dir = filepath.Join(home, ".local", "state")
	}
	sum := sha256.Sum256([]byte(from + "\x00" + to))
	return filepath.Join(dir, "mailaccess", fmt.Sprintf("transfer-%x.db", sum[:8])), nil
}

// nowhere is a place that is not there yet, to which nothing is brought: a dry run.
type nowhere struct{ transfer.Destination }

func (nowhere) Name(name string) string { return name }

func (nowhere) Mailboxes(context.Context) ([]transfer.Mailbox, error) { return nil, nil }

func (nowhere) Subscriptions(context.Context) ([]string, error) { return nil, nil }

func (nowhere) Messages(context.Context, transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	return func(func(transfer.Message, error) bool) {}
}
