package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// cyrusPrograms are where Cyrus's programs are: where Debian's packages have them, and where the script
// "install" puts those of the packages that cannot be installed beside Dovecot's.
var cyrusPrograms = []string{"/usr/lib/cyrus/bin", "/usr/local/lib/cyrus/bin"}

func cyrusProgram(name string) (string, error) {
	for _, dir := range cyrusPrograms {
		if file := filepath.Join(dir, name); executable(file) {
			return file, nil
		}
	}
	return "", fmt.Errorf("cyrus is not installed: there is no %s in %s (make bench-peers PEERS='--peers cyrus' installs it)", name, strings.Join(cyrusPrograms, " or "))
}

// cyrusConfig is its imapd.conf: Debian's settings, but for where things are and who may log in. Octets of
// mail stay as they are (munge8bit), POP3 may be asked at any time, and mailboxes are deleted at once: with the
// default one cannot be deleted in the second in which another of its name was.
const cyrusConfig = `configdirectory: %[1]s/conf
defaultpartition: default
partition-default: %[2]s
cyrus_user: %[3]s
servername: localhost
unixhierarchysep: no
hashimapspool: true
umask: 077
autocreate_quota: 0
delete_mode: immediate
munge8bit: no
popminpoll: 0
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: %[1]s/sasldb
tls_server_cert: %[4]s
tls_server_key: %[5]s
`

// cyrusServices is its cyrus.conf, with the names of imapd.conf and of the programs. Children that have said goodbye
// to one client take the next.
const cyrusServices = `START {
  recover cmd="%[2]s -C %[1]s -r"
}
DAEMON {
  idled cmd="%[3]s -C %[1]s"
}
SERVICES {
  imap cmd="%[4]s -C %[1]s" listen="127.0.0.1:%[6]d" prefork=%[10]d maxchild=-1
  imaps cmd="%[4]s -s -C %[1]s" listen="127.0.0.1:%[7]d" prefork=%[10]d maxchild=-1
  pop3 cmd="%[5]s -C %[1]s" listen="127.0.0.1:%[8]d" prefork=%[10]d maxchild=-1
  pop3s cmd="%[5]s -s -C %[1]s" listen="127.0.0.1:%[9]d" prefork=%[10]d maxchild=-1
}
EVENTS {
  checkpoint cmd="%[2]s -C %[1]s -c" period=30
}
`

func startCyrus(ctx context.Context, k kind, f files) (*server, error) {
	var master, recover, idled, imapd, pop3d string
	for _, one := range []struct {
		file *string
		name string
	}{{&master, "master"}, {&recover, "ctl_cyrusdb"}, {&idled, "idled"}, {&imapd, "imapd"}, {&pop3d, "pop3d"}} {
		var err error
		if *one.file, err = cyrusProgram(one.name); err != nil {
			return nil, err
		}
	}
	version, err := exec.CommandContext(ctx, master, "-V").Output()
	if err != nil {
		return nil, fmt.Errorf("%s -V: %w", master, err)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(string(version), "cyrus-imapd "), "-Debian")
	s := &server{name: k.name, version: "Cyrus " + strings.TrimSpace(number), end: syscall.SIGQUIT} // upon which it awaits its children
	if s.ports, err = freePorts(); err != nil {
		return nil, err
	}
	for _, sub := range []string{"backup", "db", "lock", "log", "msg", "proc", "ptclient", "quota", "socket", "user"} {
		if err := os.MkdirAll(filepath.Join(f.dir, "conf", sub), 0o755); err != nil {
			return nil, err
		}
	}
	config, services := filepath.Join(f.dir, "imapd.conf"), filepath.Join(f.dir, "cyrus.conf")
	for name, text := range map[string]string{
		config: fmt.Sprintf(cyrusConfig, f.dir, f.mail, f.owner.name, f.cert, f.key),
		services: fmt.Sprintf(cyrusServices, config, recover, idled, imapd, pop3d,
			s.ports.imap, s.ports.imaps, s.ports.pop3, s.ports.pop3s, runtime.GOMAXPROCS(0)),
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := addSASL(ctx, filepath.Join(f.dir, "sasldb")); err != nil {
		return nil, err
	}
	if err := f.owner.take(f.dir); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		cmd := exec.Command(master, "-D", "-C", config, "-M", services, "-p", filepath.Join(f.dir, "pid"))
		f.owner.runAs(cmd)
		apart(cmd) // it ends its group, in which we would be
		return cmd
	}
	return s, s.start(ctx)
}

// addSASL makes a database that has the account, whose password stands there as it is.
func addSASL(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, "saslpasswd2", "-p", "-c", "-f", name, "-u", "localhost", account)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("cyrus needs saslpasswd2 (Debian: sasl2-bin): %w", err)
	} else if err != nil {
		return fmt.Errorf("saslpasswd2: %w: %s", err, out)
	}
	return nil
}
