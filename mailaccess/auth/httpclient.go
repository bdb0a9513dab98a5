package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	// maxAnswer is the longest answer of another server that is read.
	maxAnswer = 1 << 20

	defaultHTTPTimeout = 5 * time.Second
	maxConnsPerHost    = 32
)

// asker asks another server over HTTP.
type asker struct {
	client  *http.Client
	timeout time.Duration
}

// newAsker returns one that uses client, or its own where that is nil. It follows
// no redirections: what is sent is for the one server that is configured.
func newAsker(client *http.Client, timeout time.Duration) asker {
	own := http.Client{}
	if client != nil {
		own = *client
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxConnsPerHost = maxConnsPerHost
		own.Transport = t
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return asker{&own, cmp.Or(timeout, defaultHTTPTimeout)}
}

// ask sends a request and returns status and body of the answer. The error repeats
// nothing of the request, not even the address, which may hold a secret.
func (a asker) ask(ctx context.Context, r *http.Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	answer, err := a.client.Do(r.WithContext(ctx))
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, err
	case len(body) > maxAnswer:
		return 0, nil, fmt.Errorf("an answer of more than %d octets", maxAnswer)
	}
	return answer.StatusCode, body, nil
}

// checkURL says why secrets cannot be sent to, or keys be taken from, an address:
// it is not one, or not HTTPS and not on this machine.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return errors.New("not a URL")
	}
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		host, _, err := net.SplitHostPort(u.Host)
		if err != nil {
			host = u.Host
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsLoopback() || host == "localhost" {
			return nil
		}
		return errors.New("not HTTPS, and not on this machine")
	}
	return errors.New("neither http nor https")
}
