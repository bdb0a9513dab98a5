package imap

// enabled is a set of extensions that the client has enabled, by ENABLE (RFC 5161)
// or by a command that does so too. They stay so until the connection ends.
type enabled uint16

const (
	// enabledCondstore: FETCH responses tell change numbers (RFC 7162, section 3.1).
	enabledCondstore enabled = 1 << iota
	// enabledQResync: VANISHED stands for EXPUNGE (RFC 7162, section 3.2.3).
	enabledQResync
	// enabledUIDOnly: there are no message numbers (RFC 9586, section 3).
	enabledUIDOnly
)

// enableable are the extensions that ENABLE switches on.
var enableable = []struct {
	name string
	bit  enabled
}{}

// has reports whether all of bits are enabled.
func (c *conn) has(bits enabled) bool { return c.enabled&bits == bits }

// enable switches extensions on. It is called while a command is executed, before
// anything that depends on it is written.
func (c *conn) enable(bits enabled) error {
	c.enabled |= bits
	return nil
}
