package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/stores/maildir"
)

// While a server has a Maildir store open, other commands ask it over a socket in the
// store's own directory: HTTP, where POST /check takes a checkRequest and answers with
// lines of JSON, each a checkLine, of which the last one is the end.

const (
	adminSocket = "admin.sock"
	// maxRequest is the longest request over it, in octets.
	maxRequest = 1 << 20
	// maxSocketPath is the longest path that a socket's address holds on all systems, in
	// octets (sun_path in unix(7); 104 with the NUL on BSD and macOS).
	maxSocketPath = 103
)

type checkRequest struct {
	Accounts []string `json:"accounts"`
	Repair   bool     `json:"repair"`
}

type checkLine struct {
	Finding *maildir.Finding `json:"finding,omitempty"`
	Error   string           `json:"error,omitempty"`
	Done    bool             `json:"done,omitempty"`
}

// admin is the server's side of the socket.
type admin struct {
	store  *maildir.Store
	log    *zap.Logger
	path   string
	cancel context.CancelFunc
	http   http.Server
	ended  sync.WaitGroup
}

// openAdmin begins to answer on the socket in dir. The store is locked: a socket that is
// there was left by a server that is no more.
func openAdmin(store *maildir.Store, dir string, log *zap.Logger) (*admin, error) {
	a := &admin{store: store, log: log, path: filepath.Join(dir, adminSocket)}
	address, release, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := os.Remove(a.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	// Nobody else enters the directory, so that nobody connects before the mode is set.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // by a.path, whatever the address was
	if err := os.Chmod(a.path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(a.path))
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	mux := http.NewServeMux()
	mux.HandleFunc("POST /check", a.check)
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

func (a *admin) check(w http.ResponseWriter, r *http.Request) {
	var request checkRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&request); err != nil {
		http.Error(w, "not a request", http.StatusBadRequest)
		return
	}
	// When the client is gone so is the reason to go on.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	tell := func(l checkLine) {
		if ctx.Err() == nil && errors.Join(lines.Encode(l), flush.Flush()) != nil {
			cancel()
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	err := a.store.Check(ctx, request.Accounts, request.Repair, func(f maildir.Finding) { tell(checkLine{Finding: &f}) })
	if err != nil {
		tell(checkLine{Error: err.Error()})
		return
	}
	tell(checkLine{Done: true})
}

// askCheck has the server that has the store open check it.
func askCheck(ctx context.Context, dir string, request checkRequest, report func(maildir.Finding)) error {
	address, release, err := socketAddress(dir)
	if err != nil {
		return err
	}
	defer release()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", address)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+adminSocket+"/check", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return fmt.Errorf("a server has the store open, and cannot be asked: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("a server has the store open, and answers %s", answer.Status)
	}
	for lines := json.NewDecoder(answer.Body); ; {
		var l checkLine
		if err := lines.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("the server did not finish: %w", err)
		}
		switch {
		case l.Error != "":
			return errors.New(l.Error)
		case l.Done:
			return nil
		case l.Finding != nil:
			report(*l.Finding)
		}
	}
}

// socketAddress returns the address of the socket in dir, which is valid until release.
// An address is short; where the path is too long for it, Linux takes one by way of the open
// directory.
func socketAddress(dir string) (address string, release func(), err error) {
	path := filepath.Join(dir, adminSocket)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("%s is too long for a socket's address, %d octets", path, maxSocketPath)
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	address = "/proc/self/fd/" + strconv.FormatUint(uint64(d.Fd()), 10) + "/" + adminSocket
	return address, func() { d.Close() }, nil
}
