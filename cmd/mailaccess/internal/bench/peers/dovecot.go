package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// dovecotConfig is what Dovecot is told: what makes it fast, and as many processes as it likes.
const dovecotConfig = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[2]s
ssl_key = <%[3]s
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10M
mail_location = %[4]s
mail_fsync = %[5]s
mail_max_userip_connections = 0
first_valid_uid = 1
first_valid_gid = 1
default_process_limit = 20000
default_client_limit = 50000
default_vsz_limit = 0
passdb {
  driver = passwd-file
  args = %[6]s
}
userdb {
  driver = static
  args = uid=%[7]d gid=%[8]d home=%[9]s/%%u
}
service imap-login {
  service_count = 0
  process_min_avail = %[10]d
  inet_listener imap {
    port = %[11]d
  }
  inet_listener imaps {
    port = %[12]d
    ssl = yes
  }
}
service pop3-login {
  service_count = 0
  process_min_avail = %[10]d
  inet_listener pop3 {
    port = %[13]d
  }
  inet_listener pop3s {
    port = %[14]d
    ssl = yes
  }
}
`

// dovecotUnprivileged is what it is told besides when root does not run it.
const dovecotUnprivileged = `default_internal_user = %[1]s
default_internal_group = %[2]s
default_login_user = %[1]s
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
service pop3-login {
  chroot =
}
`

func startDovecot(ctx context.Context, k kind, f files) (*server, error) {
	file, err := exec.LookPath("dovecot")
	if err != nil {
		if file = "/usr/sbin/dovecot"; !executable(file) {
			return nil, fmt.Errorf("dovecot is not installed (Debian: dovecot-imapd, dovecot-pop3d): %w", err)
		}
	}
	version, err := exec.CommandContext(ctx, file, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("dovecot --version: %w", err)
	}
	s := &server{name: k.name, version: "Dovecot " + strings.Fields(string(version) + " ?")[0]}
	if s.ports, err = freePorts(); err != nil {
		return nil, err
	}
	location, sync := "maildir:"+f.mail+"/%u", "optimized"
	if k.sdbox {
		location = "sdbox:" + f.mail + "/%u"
	}
	if k.sync {
		sync = "always"
	}
	text := fmt.Sprintf(dovecotConfig, f.dir, f.cert, f.key, location, sync, f.users, f.owner.uid, f.owner.gid, f.mail,
		runtime.GOMAXPROCS(0), s.ports.imap, s.ports.imaps, s.ports.pop3, s.ports.pop3s)
	if !f.owner.change {
		group := "users"
		if out, err := exec.CommandContext(ctx, "id", "-gn").Output(); err == nil {
			group = strings.TrimSpace(string(out))
		}
		text += fmt.Sprintf(dovecotUnprivileged, f.owner.name, group)
	}
	config := filepath.Join(f.dir, "dovecot.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd { return exec.Command(file, "-F", "-c", config) }
	return s, s.start(ctx)
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode()&0o111 != 0
}
