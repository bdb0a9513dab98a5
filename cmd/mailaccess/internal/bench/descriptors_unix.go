//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// spareDescriptors is what this process needs beside those of connections.
const spareDescriptors = 64

// descriptorsFor fails if this process may not have n connections. A server that it starts may
// have as many, and needs as many.
func descriptorsFor(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of descriptors: %w", err)
	}
	if may := uint64(limit.Cur); may < uint64(n)+spareDescriptors {
		return &notOffered{fmt.Sprintf("%d connections: a process may have %d descriptors here (ulimit -n)", n, may)}
	}
	return nil
}
