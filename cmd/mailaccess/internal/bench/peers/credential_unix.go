//go:build unix

package peers

import (
	"os/exec"
	"syscall"
)

// runAs lets the command run as the owner, when that is another user.
func (o owner) runAs(cmd *exec.Cmd) {
	if o.change {
		system(cmd).Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
}

// apart gives the command a process group of its own, for one that signals its group.
func apart(cmd *exec.Cmd) { system(cmd).Setpgid = true }

func system(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}
