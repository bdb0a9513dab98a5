//go:build !unix

package peers

import "os/exec"

// runAs does nothing: there is no root.
func (o owner) runAs(*exec.Cmd) {}

// apart does nothing: there are no process groups.
func apart(*exec.Cmd) {}
