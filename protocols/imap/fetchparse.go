package imap

import (
	"math"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// fetchKind is a kind of data that FETCH asks for.
type fetchKind uint8

const (
	fetchUID fetchKind = iota
	fetchFlags
	fetchModSeq // RFC 7162
	fetchInternalDate
	fetchSize
	fetchEmailID  // RFC 8474
	fetchThreadID // RFC 8474
	fetchSaveDate // RFC 8514
	fetchEnvelope
	fetchBody // BODY without a section
	fetchBodyStructure
	fetchPreview // RFC 8970
	fetchSection
	fetchBinary     // RFC 3516
	fetchBinarySize // RFC 3516
)

// fetchItem is one thing that FETCH asks for.
type fetchItem struct {
	kind fetchKind
	// lazy: a preview is told if it is at hand (RFC 8970, section 4.1).
	lazy bool
	// The rest is for sections.
	section message.Section
	partial partial
	// listed: it is of header fields that are kept; see [engine.ListedField].
	listed bool
	label  string // how the answer names it, as "BODY[1.MIME]<0>"
	// alike is the place, from 1 on, of an item before of which the same must be known
	// of the part, decoded; 0: there is none.
	alike int
}

// partial is the part of a section that is asked for, in octets; n is 0 when all
// of it is.
type partial struct{ off, n int64 }

// fetchPlan is all that a FETCH asks for.
type fetchPlan struct {
	items []fetchItem
	// sections: there is a section among the items.
	sections bool
	// listed: there is one among them of header fields that are kept.
	listed bool
	// rendered: there is something among them that is made once and kept: an
	// envelope, a structure or a preview.
	rendered bool
	// sees: reading sets \Seen.
	sees  bool
	flags bool // the flags are asked for
	size  bool // the size is asked for
	// modSeq: the change number is asked for.
	modSeq bool
}

// maxFetchItems bounds what one FETCH asks for of each message.
const maxFetchItems = 256

// fetchNames are the items that are a name alone (RFC 3501, section 6.4.5).
var fetchNames = map[string]fetchKind{
	"UID":           fetchUID,
	"FLAGS":         fetchFlags,
	"MODSEQ":        fetchModSeq, // RFC 7162, section 3.1.4.2
	"INTERNALDATE":  fetchInternalDate,
	"RFC822.SIZE":   fetchSize,
	"ENVELOPE":      fetchEnvelope,
	"BODYSTRUCTURE": fetchBodyStructure,
	"EMAILID":       fetchEmailID,  // RFC 8474, section 5.3
	"THREADID":      fetchThreadID, // RFC 8474, section 5.3
	"SAVEDATE":      fetchSaveDate, // RFC 8514, section 4.2
}

// fetchMacros stand for several items, and alone (RFC 3501, section 6.4.5).
var fetchMacros = map[string][]fetchKind{
	"ALL":  {fetchFlags, fetchInternalDate, fetchSize, fetchEnvelope},
	"FAST": {fetchFlags, fetchInternalDate, fetchSize},
	"FULL": {fetchFlags, fetchInternalDate, fetchSize, fetchEnvelope, fetchBody},
}

// parseFetch is RFC 3501, section 6.4.5.
func parseFetch(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		if err := c.readSet(); err != nil {
			return nil, err
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		f := &fetch{how: how}
		if how == byUID && !c.has(enabledUIDOnly) {
			// RFC 3501, section 6.4.8: the UID is told whether asked for or not.
			// RFC 9586, section 3.3: UIDFETCH says it anyway.
			f.plan.add(fetchItem{kind: fetchUID})
		}
		if err := c.parseFetchItems(&f.plan); err != nil {
			return nil, err
		}
		if err := c.parseFetchModifiers(&f.modifiers, how); err != nil {
			return nil, err
		}
		if f.modifiers.changed {
			// RFC 7162, section 3.1.4.1: it implies MODSEQ.
			f.plan.add(fetchItem{kind: fetchModSeq})
		}
		return f.run, c.r.CRLF()
	}
}

func (c *conn) parseFetchItems(plan *fetchPlan) error {
	next, err := c.r.Peek()
	if err != nil {
		return err
	}
	if next != '(' {
		return c.parseFetchItem(plan, true)
	}
	n := 0
	err = c.r.ReadList(func() error {
		if n++; n > maxFetchItems {
			return bad("more items than are taken")
		}
		return c.parseFetchItem(plan, false)
	})
	if err == nil && n == 0 {
		err = bad("nothing to fetch")
	}
	return err
}

func (c *conn) parseFetchItem(plan *fetchPlan, alone bool) error {
	word, err := c.r.ReadItemName()
	if err != nil {
		return err
	}
	name := string(word)
	if kind, ok := fetchNames[name]; ok {
		plan.add(fetchItem{kind: kind})
		return nil
	}
	if macro, ok := fetchMacros[name]; ok && alone {
		for _, kind := range macro {
			plan.add(fetchItem{kind: kind})
		}
		return nil
	}
	switch name {
	case "BODY", "BODY.PEEK":
		next, err := c.r.Peek()
		if err != nil {
			return err
		}
		if next == '[' {
			return c.parseFetchSection(plan, name == "BODY")
		}
		if name == "BODY" {
			plan.add(fetchItem{kind: fetchBody})
			return nil
		}
	case "BINARY", "BINARY.PEEK", "BINARY.SIZE":
		return c.parseFetchBinary(plan, name)
	case "PREVIEW":
		return c.parsePreview(plan)
	case "RFC822":
		plan.addSection(fetchItem{label: name}, true)
		return nil
	case "RFC822.HEADER":
		plan.addSection(fetchItem{label: name, section: message.Section{Kind: message.SectionHeader}}, false)
		return nil
	case "RFC822.TEXT":
		plan.addSection(fetchItem{label: name, section: message.Section{Kind: message.SectionText}}, true)
		return nil
	}
	return bad("unknown item to fetch")
}

// sectionKinds are what the texts of sections are called below.
var sectionKinds = map[imapwire.SectionText]message.SectionKind{
	imapwire.TextAll:             message.SectionWhole,
	imapwire.TextHeader:          message.SectionHeader,
	imapwire.TextHeaderFields:    message.SectionHeaderFields,
	imapwire.TextHeaderFieldsNot: message.SectionHeaderFieldsNot,
	imapwire.TextBody:            message.SectionText,
	imapwire.TextMIME:            message.SectionMIME,
}

// messageSection is a section as package message knows it.
func messageSection(s *imapwire.Section) message.Section {
	out := message.Section{Kind: sectionKinds[s.Text], Fields: s.Fields}
	for _, p := range s.Part {
		out.Path = append(out.Path, int(min(p, math.MaxInt32)))
	}
	return out
}

// isListed reports whether a section is of fields of the message's header that are kept.
func isListed(s *message.Section) bool {
	if len(s.Path) > 0 || s.Kind != message.SectionHeaderFields {
		return false
	}
	for _, name := range s.Fields {
		if !engine.ListedField(name) {
			return false
		}
	}
	return true
}

// parseFetchSection parses BODY[section]<partial>.
func (c *conn) parseFetchSection(plan *fetchPlan, sees bool) error {
	var s imapwire.Section
	if err := c.r.ReadSection(&s); err != nil {
		return err
	}
	off, n, limited, err := c.r.ReadPartial()
	if err != nil {
		return err
	}
	label := imapwire.AppendSection([]byte("BODY"), &s)
	item := fetchItem{section: messageSection(&s)}
	item.listed = isListed(&item.section)
	if limited {
		item.partial = partial{int64(min(off, math.MaxInt64)), int64(min(n, math.MaxInt64))}
		label = append(imapwire.AppendNumber(append(label, '<'), off), '>')
	}
	item.label = string(label)
	plan.addSection(item, sees)
	return nil
}

// add adds an item, once: to ask twice for the same is to ask for it.
func (p *fetchPlan) add(item fetchItem) {
	for i := range p.items {
		have := &p.items[i]
		// Partials that begin alike have one label (RFC 3501, section 7.4.2).
		if item.kind == have.kind && item.label == have.label && item.partial == have.partial {
			have.lazy = have.lazy && item.lazy
			return
		}
	}
	p.items = append(p.items, item)
	p.listed = p.listed || item.listed
	switch item.kind {
	case fetchFlags:
		p.flags = true
	case fetchSize:
		p.size = true
	case fetchModSeq:
		p.modSeq = true
	case fetchEnvelope, fetchBody, fetchBodyStructure, fetchPreview:
		p.rendered = true
	case fetchSection, fetchBinary, fetchBinarySize:
		p.sections = true
	}
}

func (p *fetchPlan) addSection(item fetchItem, sees bool) {
	item.kind = fetchSection
	p.sees = p.sees || sees
	p.add(item)
}
