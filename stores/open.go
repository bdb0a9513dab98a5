// Package stores opens a mail store from a URL, such as one from a configuration
// file or a command line.
package stores

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir"
	"github.com/hashmail/mailaccess/stores/memory"
)

// Options are what every kind of store is opened with.
type Options struct {
	// Logger is for stores that have something to tell; nil: silence.
	Logger *zap.Logger
	// KeepExpunged is how long a store that can bring back expunged messages keeps them;
	// 0: its default, negative: not at all.
	KeepExpunged time.Duration
	// Memory is how many octets a store that keeps mail elsewhere may hold of it; 0: its
	// default.
	Memory int64
}

// Scheme is a kind of store.
type Scheme struct {
	// Name stands before the colon of the URL, in lower case.
	Name string
	// Usage shows the whole URL, as "maildir:PATH".
	Usage string
	// Open opens the store. rest is what follows the colon. opts is not nil,
	// and neither is its Logger.
	Open func(ctx context.Context, rest string, opts *Options) (mailaccess.Store, error)
}

// Schemes returns the kinds of stores that there are, ascending by name.
func Schemes() []Scheme {
	return []Scheme{
		{Name: "maildir", Usage: "maildir:PATH[?sync=full|normal|off]", Open: openMaildir},
		{Name: "memory", Usage: "memory:", Open: openMemory},
	}
}

// Open opens the store that url names, which is one of [Schemes]. opts may be
// nil. A URL that no store understands is KindInvalid.
func Open(ctx context.Context, url string, opts *Options) (mailaccess.Store, error) {
	return OpenWith(ctx, url, opts, Schemes())
}

// OpenWith is [Open] with schemes of the caller's choice.
func OpenWith(ctx context.Context, url string, opts *Options, schemes []Scheme) (mailaccess.Store, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	name, rest, ok := strings.Cut(url, ":")
	if ok {
		// RFC 3986, section 3.1: schemes have no case.
		name = strings.ToLower(name)
		if i := slices.IndexFunc(schemes, func(s Scheme) bool { return s.Name == name }); i >= 0 {
			return schemes[i].Open(ctx, rest, &o)
		}
	}
	usages := make([]string, len(schemes))
	for i, s := range schemes {
		usages[i] = s.Usage
	}
	// The URL itself may hold a password.
	what := "no scheme"
	if ok {
		what = fmt.Sprintf("unknown scheme %q", name)
	}
	return nil, invalid(fmt.Errorf("%s in the store's URL; there are %s", what, strings.Join(usages, ", ")))
}

// openMaildir opens PATH?sync=MODE; see package maildir for both. A path may not hold a question
// mark; %% stands for a percent sign.
func openMaildir(_ context.Context, rest string, opts *Options) (mailaccess.Store, error) {
	path, sync, err := parseMaildir(rest)
	if err != nil {
		return nil, err
	}
	return maildir.New(path, &maildir.Options{Sync: sync, Logger: opts.Logger, KeepExpunged: opts.KeepExpunged, Memory: opts.Memory})
}

// MaildirPath returns the path in the URL of a Maildir store, for who works on the store
// beside the process that serves it, as [maildir.Deliver] does. Any other URL is KindInvalid.
func MaildirPath(url string) (string, error) {
	name, rest, ok := strings.Cut(url, ":")
	if !ok || !strings.EqualFold(name, "maildir") {
		return "", invalid(errors.New("not the URL of a Maildir store, maildir:PATH"))
	}
	path, _, err := parseMaildir(rest)
	return path, err
}

func parseMaildir(rest string) (path string, sync maildir.Sync, err error) {
	path, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", sync, invalid(errors.New("maildir: what follows the question mark is no query"))
	}
	for key, v := range values {
		if key != "sync" || len(v) != 1 {
			return "", sync, invalid(fmt.Errorf("maildir: %q after the question mark; there is sync=full, normal or off, once", key))
		}
		switch v[0] {
		case "full":
			sync = maildir.SyncFull
		case "normal":
			sync = maildir.SyncNormal
		case "off":
			sync = maildir.SyncOff
		default:
			return "", sync, invalid(fmt.Errorf("maildir: sync=%s; there are full, normal and off", v[0]))
		}
	}
	return path, sync, nil
}

func openMemory(_ context.Context, rest string, _ *Options) (mailaccess.Store, error) {
	if rest != "" {
		return nil, invalid(errors.New("memory: takes nothing after the colon"))
	}
	return memory.New(nil), nil
}

func invalid(err error) error {
	return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "open store", Err: err}
}
