//go:build unix

package peers

import (
	"os/exec"
	"syscall"
)

// runAs lets the command run as the owner, when that is another user.
func (o owner) runAs(cmd *exec.Cmd) {
	if o.change {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}}
	}
}
