package imap

import "github.com/hashmail/mailaccess/mailaccess/engine"

// returnOptions are what RETURN (...) asks of a SEARCH or SORT (RFC 4466, section
// 2.6.1).
type returnOptions struct {
	// given: there was a RETURN, so that the answer is an ESEARCH response.
	given   bool
	bits    returnBits
	partial partialRange // with returnPartial
	// fetch is what to tell of new messages in the result; nil: nothing (RFC 5465,
	// section 7).
	fetch *fetchPlan
}

// returnBits is a set of options.
type returnBits uint16

const (
	returnMin     returnBits = 1 << iota // RFC 4731, section 3.1
	returnMax                            // RFC 4731, section 3.1
	returnAll                            // RFC 4731, section 3.1
	returnCount                          // RFC 4731, section 3.1
	returnSave                           // RFC 5182, section 2.1
	returnPartial                        // RFC 9394, section 3.1
	returnUpdate                         // RFC 5267, section 4.3

	// returnData are the options that say what the response holds.
	returnData = returnMin | returnMax | returnAll | returnCount | returnPartial
)

// returnNames are the options by name. Some have an argument.
var returnNames = map[string]struct {
	bit  returnBits
	read func(c *conn, o *returnOptions) error
}{
	"MIN":   {bit: returnMin},
	"MAX":   {bit: returnMax},
	"ALL":   {bit: returnAll},
	"COUNT": {bit: returnCount},
	"SAVE":  {bit: returnSave},
	"PARTIAL": {bit: returnPartial, read: func(c *conn, o *returnOptions) (err error) {
		o.partial, err = c.readPartialRange()
		return err
	}},
	"UPDATE": {bit: returnUpdate, read: (*conn).readUpdate},
	// RFC 5267, section 4.2: a hint, which may be ignored.
	"CONTEXT": {},
}

func (o *returnOptions) has(any returnBits) bool { return o.bits&any != 0 }

// readReturn reads the options that follow the word RETURN.
func (c *conn) readReturn() (returnOptions, error) {
	o := returnOptions{given: true}
	if err := c.r.SP(); err != nil {
		return o, err
	}
	err := c.r.ReadList(func() error {
		name, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		option, known := returnNames[string(name)]
		if !known {
			// RFC 9051, section 6.4.4: "MUST be rejected with a BAD response".
			return bad("unknown return option")
		}
		// RFC 9394, section 3.1: one PARTIAL or one ALL. To ask twice for
		// anything else is to ask for it.
		const oneOf = returnPartial | returnAll
		if option.bit&oneOf != 0 && o.has(oneOf) {
			return bad("more than one PARTIAL or ALL")
		}
		o.bits |= option.bit
		if option.read != nil {
			return option.read(c, &o)
		}
		return nil
	})
	if o.bits == 0 {
		o.bits = returnAll // RFC 4731, section 3.1
	}
	return o, err
}

// readUpdate reads what to fetch of new messages, if that follows. The space before is
// in the RFC's example, and not in its grammar (RFC 5465, sections 7 and 8): both are
// taken.
func (c *conn) readUpdate(o *returnOptions) error {
	list, err := c.r.NextIsList()
	if err == nil && !list {
		var next byte
		next, err = c.r.Peek()
		list = next == '('
	}
	if err != nil || !list {
		return err
	}
	o.fetch = new(fetchPlan)
	return c.parseFetchItems(o.fetch)
}

// needed says how much of a search the answer needs. RFC 4731, section 1: "when a
// single MIN or a single MAX result option is specified, servers can optimize"; so
// with a PARTIAL (RFC 9394, section 1).
func (o *returnOptions) needed() engine.SearchOptions {
	first, last := 0, 0
	switch {
	case o.bits&^(returnMin|returnMax|returnPartial|returnSave) != 0 || !o.has(returnData):
		return engine.SearchOptions{}
	case !o.has(returnPartial):
	case o.partial.fromEnd:
		last = int(max(o.partial.first, o.partial.last))
	default:
		first = int(max(o.partial.first, o.partial.last))
	}
	if o.has(returnMin) {
		first = max(first, 1)
	}
	if o.has(returnMax) {
		last = max(last, 1)
	}
	if first != 0 && last != 0 {
		return engine.SearchOptions{}
	}
	return engine.SearchOptions{Limit: max(first, last), FromEnd: last != 0}
}
