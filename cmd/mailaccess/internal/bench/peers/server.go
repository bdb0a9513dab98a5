// Package peers starts other mail servers beside ours, on this machine and with the same mail, and
// measures them in turns.
package peers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// The one account. Its password is kept as it is in the users file of all servers, so that hashing
// is not what is measured: it takes the same time everywhere, and far more than all the rest.
const (
	account  = "bench"
	password = "sesame"
)

// files are what a server works with.
type files struct {
	dir   string // its own
	mail  string // below dir: an account is a directory in it
	users string
	cert  string
	key   string
	owner owner
}

// An owner is who the mail belongs to: root serves no mail, so that root gives it to nobody.
type owner struct {
	uid, gid int
	change   bool
	name     string
}

func mailOwner() (owner, error) {
	if os.Getuid() != 0 {
		u, err := user.Current()
		if err != nil {
			return owner{}, err
		}
		return owner{uid: os.Getuid(), gid: os.Getgid(), name: u.Username}, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return owner{}, err
	}
	o := owner{change: true, name: u.Username}
	o.uid, err = strconv.Atoi(u.Uid)
	if err == nil {
		o.gid, err = strconv.Atoi(u.Gid)
	}
	return o, err
}

// take gives what is below dir to the owner.
func (o owner) take(dir string) error {
	if !o.change {
		return nil
	}
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, o.uid, o.gid)
	})
}

// A server runs.
type server struct {
	name    string
	version string
	command func() *exec.Cmd
	cmd     *exec.Cmd // that runs
	out     bytes.Buffer
	ended   chan struct{} // closed when it has ended
	err     error         // why, once it has
	ports   ports
	end     syscall.Signal // that ends it in order; 0: SIGTERM
}

// ports are where a server listens, on 127.0.0.1.
type ports struct{ imap, imaps, pop3, pop3s int }

// freePorts finds ports that nobody listens on.
func freePorts() (p ports, err error) {
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for _, port := range []*int{&p.imap, &p.imaps, &p.pop3, &p.pop3s} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		listeners = append(listeners, l)
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// start starts the command, and waits until clients are served.
func (s *server) start(ctx context.Context) error {
	s.out.Reset()
	s.cmd = s.command()
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.ended = make(chan struct{})
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := wire.DialIMAP(ctx, at(s.ports.imap), nil)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.ended:
			return fmt.Errorf("start %s: it has ended: %w: %s", s.name, s.err, s.out.String())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start %s: %w: %w", s.name, ctx.Err(), err), s.stop())
		case <-tick.C:
		}
	}
}

// stop ends the server in order, or after a while at once.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(cmp.Or(s.end, syscall.SIGTERM)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(30 * time.Second):
	}
	err := s.cmd.Process.Kill()
	<-s.ended
	return err
}

// target returns the server as it is measured.
func (s *server) target() *bench.Target {
	return &bench.Target{
		Name: s.name, IMAP: at(s.ports.imap), POP3: at(s.ports.pop3),
		User: account, Password: password, PID: s.cmd.Process.Pid,
	}
}
