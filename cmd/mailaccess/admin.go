package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/stores"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// Other commands ask a server that runs over a socket, the admin socket, in HTTP: what it
// can be asked is in the files of those commands. It is in the own directory of a Maildir
// store, or where --admin-socket says, and open to the server's own user and to root only.

const (
	adminSocket = "admin.sock"
	// maxRequest is the longest request over it, in octets.
	maxRequest = 1 << 20
	// maxSocketPath is the longest path that a socket's address holds on all systems, in
	// octets (sun_path in unix(7); 104 with the NUL on BSD and macOS).
	maxSocketPath = 103
)

const adminSocketUsage = "`path` of the socket on which a server answers other commands (default in the directory of a Maildir store)"

// adminPath is where the socket of a store's server is: at given, if anywhere, or in the
// own directory of a Maildir store.
func adminPath(given, storeURL string) (string, error) {
	if given != "" {
		return given, nil
	}
	path, err := stores.MaildirPath(storeURL)
	if err != nil {
		return "", fmt.Errorf("%w; where its server has an admin socket, --admin-socket names it", err)
	}
	dir, err := maildir.OwnDir(path)
	return filepath.Join(dir, adminSocket), err
}

// admin is the server's side of the socket.
type admin struct {
	store  *maildir.Store // nil: of another sort
	guard  *auth.Guarded
	path   string
	cancel context.CancelFunc
	http   http.Server
	ended  sync.WaitGroup
}

// openAdmin begins to answer on a socket at path. What is there was left by a server that is
// no more: see [vacant].
func openAdmin(path string, store *maildir.Store, guard *auth.Guarded, log *zap.Logger) (*admin, error) {
	a := &admin{store: store, guard: guard, path: path}
	l, err := listenPrivately(path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	mux := http.NewServeMux()
	if store != nil {
		mux.HandleFunc("POST /check", a.check)
	}
	mux.HandleFunc("GET /bans", a.bans)
	mux.HandleFunc("POST /bans/lift", a.lift)
	a.http = http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    zap.NewStdLog(log),
	}
	a.ended.Go(func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the admin socket fails", zap.Error(err))
		}
	})
	return a, nil
}

// listenPrivately makes the socket in a directory that nobody else enters, so that nobody
// connects before its mode is set, and moves it to path.
func listenPrivately(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".admin-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is empty, or there is an error to report
	made := filepath.Join(dir, adminSocket)
	address, release, err := socketAddress(made)
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by its path, whatever the address was
	if err := os.Chmod(made, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := os.Rename(made, path); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// vacant says why a socket cannot be made at path: something else is there, or a server
// that answers.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	c, err := dialAdmin(context.Background(), path)
	if err != nil {
		return nil
	}
	return errors.Join(fmt.Errorf("%s: another server answers there", path), c.Close())
}

// close ends what is asked for, and removes the socket.
func (a *admin) close() error {
	a.cancel()
	ctx, stop := context.WithTimeout(context.Background(), shutdownGrace)
	defer stop()
	err := a.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.http.Close())
	}
	a.ended.Wait()
	return errors.Join(err, os.Remove(a.path))
}

// readRequest reads a request of JSON, and answers where it is none.
func readRequest(w http.ResponseWriter, r *http.Request, request any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(request); err != nil {
		http.Error(w, "not a request", http.StatusBadRequest)
		return false
	}
	return true
}

// askAdmin sends a request to the server whose socket is at path; nil is a request without a
// body. The caller closes the body of the answer, whose status is 200.
func askAdmin(ctx context.Context, path, method, what string, request any) (*http.Response, error) {
	var body bytes.Buffer
	if request != nil {
		if err := json.NewEncoder(&body).Encode(request); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAdmin(ctx, path) },
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+adminSocket+what, &body)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	var asked *url.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nobody answers at %s, where a running server would", path)
	case errors.As(err, &asked): // whose address is none that anybody knows
		return nil, fmt.Errorf("the server cannot be asked: %w", asked.Err)
	case err != nil:
		return nil, fmt.Errorf("the server cannot be asked: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		text := make([]byte, 512)
		n, _ := answer.Body.Read(text)
		answer.Body.Close()
		return nil, &adminRefusal{answer.StatusCode, string(bytes.TrimSpace(text[:n]))}
	}
	return answer, nil
}

// adminRefusal is what a server says that does not do what it was asked for.
type adminRefusal struct {
	status int
	text   string
}

func (e *adminRefusal) Error() string {
	return fmt.Sprintf("the server answers %d: %s", e.status, e.text)
}

func dialAdmin(ctx context.Context, path string) (net.Conn, error) {
	address, release, err := socketAddress(path)
	if err != nil {
		return nil, err
	}
	defer release()
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// socketAddress returns the address of the socket at path, which is valid until release.
// An address is short; where the path is too long for it, Linux takes one by way of the open
// directory.
func socketAddress(path string) (address string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("%s is too long for a socket's address, %d octets", path, maxSocketPath)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	address = "/proc/self/fd/" + strconv.FormatUint(uint64(d.Fd()), 10) + "/" + filepath.Base(path)
	return address, func() { d.Close() }, nil
}
