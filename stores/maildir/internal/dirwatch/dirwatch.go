// Package dirwatch tells which names come and go in directories. It is for directories in which
// much happens: events are read many at a time, by whoever asks and when they ask, and hold no
// path. Where the system cannot tell that for one descriptor a directory, however many files are
// in it, there is no [Watcher].
package dirwatch

// Event is something that happened in a directory.
type Event struct {
	ID   int // what Add returned; -1 with Lost
	Kind Kind
	Name []byte // of Came and Went; it holds until the next event
}

// Kind is what happened.
type Kind uint8

const (
	Came Kind = iota // a name is there
	Went             // a name is not there any more
	Gone             // the directory itself was removed, moved or unmounted
	Lost             // events of any directory were lost
)
