package imap

import (
	"strings"

	goimap "github.com/emersion/go-imap/v2"
	"go.uber.org/zap"
)

// An Adjustment withholds capabilities from a client that is known to misuse them. It
// is not told of them; the commands themselves go on working. None is built in: those
// of other servers, such as Dovecot's imap_client_workarounds, are for clients of long
// ago, or for ways to keep mail that do not show here.
type Adjustment struct {
	// Client is what the client calls itself in ID (RFC 2971), in any case; empty:
	// every client.
	Client string
	// Without are the capabilities, in any case.
	Without []string
}

// without reports whether a capability is withheld from this client.
func (c *conn) without(name goimap.Cap) bool {
	for i := range c.srv.opts.Adjustments {
		a := &c.srv.opts.Adjustments[i]
		if a.Client != "" && !strings.EqualFold(a.Client, c.client) {
			continue
		}
		for _, w := range a.Without {
			if strings.EqualFold(w, string(name)) {
				return true
			}
		}
	}
	return false
}

// clientID is what a client says of itself.
type clientID []idField

type idField struct{ name, value string }

// maxIDField is how much of each name and value is kept; RFC 2971, section 3.3 permits
// 30 and 1024 octets.
const maxIDField = 100

func bounded(b []byte) string { return string(b[:min(len(b), maxIDField)]) }

// heed keeps the name, and logs everything for whoever looks for a broken client; the
// logger escapes. Nothing else may come of it (RFC 2971, section 1).
func (id clientID) heed(c *conn) {
	var fields []zap.Field
	debug := c.log().Core().Enabled(zap.DebugLevel)
	for _, f := range id {
		if strings.EqualFold(f.name, "name") {
			c.client = f.value
		}
		if debug {
			fields = append(fields, zap.String("id-"+f.name, f.value))
		}
	}
	if debug {
		c.log().Debug("client says who it is", fields...)
	}
}
