package imap

import (
	"context"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// capabilities is everything that may be offered, in the order in which it is, and
// when: what the channel permits before the login, what the account can do after
// it. Nothing is offered that does not work.
var capabilities = []struct {
	name    goimap.Cap
	offered func(c *conn) bool
}{
	{goimap.CapIMAP4rev1, always},
	{goimap.CapIMAP4rev2, always}, // RFC 9051
	// RFC 7888, section 5: one of the two.
	{goimap.CapLiteralPlus, func(c *conn) bool { return !c.literalMinus() }},
	{goimap.CapLiteralMinus, (*conn).literalMinus},
	{goimap.CapID, always}, // RFC 2971

	{goimap.CapSASLIR, before}, // RFC 4959
	{goimap.CapStartTLS, func(c *conn) bool { return before(c) && c.nc.CanStartTLS() }},
	// RFC 3501, section 6.2.3.
	{goimap.CapLoginDisabled, func(c *conn) bool { return before(c) && !(c.plaintextAllowed() && c.takesPasswords()) }},

	{goimap.CapBinary, after},       // RFC 3516
	{goimap.CapEnable, after},       // RFC 5161
	{goimap.CapCondStore, after},    // RFC 7162
	{goimap.CapQResync, after},      // RFC 7162
	{goimap.CapUIDOnly, after},      // RFC 9586
	{goimap.CapIdle, after},         // RFC 2177
	{goimap.CapNamespace, after},    // RFC 2342
	{goimap.CapUnselect, after},     // RFC 3691
	{goimap.CapChildren, after},     // RFC 3348
	{goimap.CapListExtended, after}, // RFC 5258
	{goimap.CapListStatus, after},   // RFC 5819
	{goimap.CapStatusSize, after},   // RFC 8438
	{goimap.CapUTF8Accept, after},   // RFC 6855
	{goimap.CapSpecialUse, after},   // RFC 6154
	{goimap.CapCreateSpecialUse, func(c *conn) bool { return after(c) && c.sess.Can().Mailboxes }},
	{goimap.CapNotify, after},    // RFC 5465
	{goimap.CapESearch, after},   // RFC 4731
	{goimap.CapSearchRes, after}, // RFC 5182
	{goimap.CapWithin, after},    // RFC 5032
	{goimap.CapUnauthenticate, func(c *conn) bool { return after(c) && c.srv.opts.Unauthenticate }}, // RFC 8437
	{goimap.CapSort, after},          // RFC 5256
	{goimap.CapSortDisplay, after},   // RFC 5957
	{goimap.CapESort, after},         // RFC 5267
	{"THREAD=ORDEREDSUBJECT", after}, // RFC 5256
	{"THREAD=REFERENCES", after},     // RFC 5256
	{"THREAD=REFS", after},           // as Dovecot's
	{"I18NLEVEL=1", after},           // RFC 5255
	{goimap.CapInProgress, after},    // RFC 9585
	// RFC 4978: it is active once only.
	{capCompressDeflate, func(c *conn) bool { return after(c) && c.z == nil }},
	{"PARTIAL", after},             // RFC 9394
	{"CONTEXT=SEARCH", after},      // RFC 5267
	{"CONTEXT=SORT", after},        // RFC 5267
	{goimap.CapMultiSearch, after}, // RFC 7377
	// RFC 4315.
	{goimap.CapUIDPlus, func(c *conn) bool {
		return after(c) && c.sess.Can().Append && c.sess.Can().Copy && c.sess.Can().Expunge
	}},
	{goimap.CapMove, func(c *conn) bool { return after(c) && c.sess.Can().Move }},       // RFC 6851
	{goimap.CapReplace, func(c *conn) bool { return after(c) && c.sess.Can().Replace }}, // RFC 8508
	// RFC 4469.
	{goimap.CapCatenate, func(c *conn) bool { return after(c) && c.sess.Can().Append }},
	// RFC 3502.
	{goimap.CapMultiAppend, func(c *conn) bool { return after(c) && c.sess.Can().AppendMany }},
	{goimap.CapObjectID, after}, // RFC 8474
	{goimap.CapSaveDate, func(c *conn) bool { return after(c) && c.sess.Can().SavedDates }}, // RFC 8514
	{goimap.CapPreview, after}, // RFC 8970
}

func always(*conn) bool   { return true }
func before(c *conn) bool { return c.state == notAuthenticated }
func after(c *conn) bool  { return c.state != notAuthenticated }

// appendCapabilities appends CAPABILITY and what is offered now, without brackets
// (RFC 3501, section 7.2.1).
func (c *conn) appendCapabilities(b []byte) []byte {
	b = append(b, "CAPABILITY"...)
	for _, e := range capabilities {
		if e.offered(c) && !c.without(e.name) {
			b = append(append(b, ' '), e.name...)
		}
	}
	if after(c) {
		b = c.appendMessageLimit(c.appendAppendLimit(append(b, ' ')))
	}
	if before(c) {
		for _, mech := range auth.Mechanisms(c.srv.opts.Engine.Authenticator(), c.login0(), c.saslOptions()) {
			b = append(append(b, " AUTH="...), mech...)
		}
	}
	return b
}

// capability is RFC 3501, section 6.1.1.
func capability(_ context.Context, c *conn) error {
	b := c.appendCapabilities(append(c.w.Begin(), "* "...))
	return c.w.End(append(b, "\r\n"...))
}
