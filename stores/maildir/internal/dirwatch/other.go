//go:build !linux

package dirwatch

import "errors"

// Watcher is there on Linux only. Others tell of a directory by a descriptor for each file in it,
// or not at all.
type Watcher struct{}

// New fails with errors.ErrUnsupported.
func New() (*Watcher, error) { return nil, errors.ErrUnsupported }

func (*Watcher) Add(string) (int, error) { return 0, errors.ErrUnsupported }
func (*Watcher) Remove(int) error        { return errors.ErrUnsupported }
func (*Watcher) Wait() error             { return errors.ErrUnsupported }
func (*Watcher) Drain(func(Event)) error { return errors.ErrUnsupported }
func (*Watcher) Close() error            { return errors.ErrUnsupported }
