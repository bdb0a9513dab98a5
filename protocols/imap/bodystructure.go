package imap

import (
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// appendEnvelope appends an envelope (RFC 3501, section 7.4.2).
func appendEnvelope(b []byte, e message.Envelope) []byte {
	b = appendOptional(append(b, '('), e.Date)
	b = appendOptional(append(b, ' '), e.Subject)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		b = appendAddresses(append(b, ' '), list)
	}
	b = appendOptional(append(b, ' '), e.InReplyTo)
	b = appendOptional(append(b, ' '), e.MessageID)
	return append(b, ')')
}

func appendOptional(b []byte, o message.Optional) []byte {
	return imapwire.AppendNString(b, o.Value, o.Present, false)
}

// appendNonEmpty appends a string, or NIL when it is empty.
func appendNonEmpty(b []byte, s string) []byte {
	return imapwire.AppendNString(b, s, s != "", false)
}

func appendAddresses(b []byte, list []message.Address) []byte {
	if len(list) == 0 {
		return imapwire.AppendNil(b)
	}
	b = append(b, '(')
	for i := range list {
		a := &list[i]
		b = appendNonEmpty(append(b, '('), a.Name)
		b = appendNonEmpty(append(b, ' '), a.Route)
		// A group begins with a mailbox whose host is NIL, and ends with
		// one that has neither.
		b = imapwire.AppendNString(append(b, ' '), a.Mailbox, a.Kind != message.GroupEnd, false)
		b = imapwire.AppendNString(append(b, ' '), a.Host, a.Kind == message.Mailbox, false)
		b = append(b, ')')
	}
	return append(b, ')')
}

// structureForm is how a body structure is told.
type structureForm struct {
	extended bool // with the extension data
	rev2     bool // message/global is a message too
	// addresses is how many more are told of embedded messages: each may have many,
	// and a message may have many of them.
	addresses *int
}

func newStructureForm(extended, rev2 bool) structureForm {
	left := maxAddresses
	return structureForm{extended, rev2, &left}
}

// maxAddresses is how many addresses of all embedded messages together a body structure
// tells.
const maxAddresses = 10_000

// bound leaves out lists of addresses that would be too many.
func (f *structureForm) bound(e *message.Envelope) {
	for _, list := range [...]*[]message.Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc} {
		if *f.addresses -= len(*list); *f.addresses < 0 {
			*f.addresses, *list = 0, nil
		}
	}
}

// appendBodyStructure appends a body structure (RFC 3501, section 7.4.2). The headers of embedded messages are read from
// content. Recursion is as deep as the tree, which its parser bounds.
func appendBodyStructure(b []byte, p *message.Part, content mailaccess.Content, form structureForm) ([]byte, error) {
	var err error
	b = append(b, '(')
	if p.IsMultipart() {
		for _, child := range p.Children {
			if b, err = appendBodyStructure(b, child, content, form); err != nil {
				return nil, err
			}
		}
		b = imapwire.AppendString(append(b, ' '), p.Subtype, false)
		if form.extended {
			b = appendParams(append(b, ' '), p.Params)
			b = appendExtension(b, p)
		}
		return append(b, ')'), nil
	}
	if b, err = appendSinglePart(b, p, content, form); err != nil {
		return nil, err
	}
	if form.extended {
		b = appendNonEmpty(append(b, ' '), p.MD5)
		b = appendExtension(b, p)
	}
	return append(b, ')'), nil
}

// appendSinglePart appends body-type-basic, -msg or -text.
func appendSinglePart(b []byte, p *message.Part, content mailaccess.Content, form structureForm) ([]byte, error) {
	b = imapwire.AppendString(b, p.Type, false)
	b = imapwire.AppendString(append(b, ' '), p.Subtype, false)
	b = appendParams(append(b, ' '), p.Params)
	b = appendNonEmpty(append(b, ' '), p.ID)
	b = appendNonEmpty(append(b, ' '), p.Description)
	b = imapwire.AppendString(append(b, ' '), p.Encoding, false)
	b = imapwire.AppendNumber(append(b, ' '), uint64(p.Body.Len))
	switch {
	// In IMAP4rev1 only message/rfc822 is a body-type-msg (RFC 3501, section 9,
	// media-message): its clients would take the envelope of message/global for a
	// checksum. RFC 9051 has both.
	case p.IsMessage() && (p.Subtype == "rfc822" || form.rev2):
		h, err := p.Message.ReadHeader(content)
		if err != nil {
			return nil, err
		}
		e := h.Envelope()
		form.bound(&e)
		b = appendEnvelope(append(b, ' '), e)
		if b, err = appendBodyStructure(append(b, ' '), p.Message, content, form); err != nil {
			return nil, err
		}
		b = imapwire.AppendNumber(append(b, ' '), uint64(p.Lines))
	case p.Type == "text":
		b = imapwire.AppendNumber(append(b, ' '), uint64(p.Lines))
	}
	return b, nil
}

// appendExtension appends disposition, language and location.
func appendExtension(b []byte, p *message.Part) []byte {
	b = append(b, ' ')
	if p.Disposition == "" {
		b = imapwire.AppendNil(b)
	} else {
		b = imapwire.AppendString(append(b, '('), p.Disposition, false)
		b = append(appendParams(append(b, ' '), p.DispositionParams), ')')
	}
	b = append(b, ' ')
	switch len(p.Language) {
	case 0:
		b = imapwire.AppendNil(b)
	case 1:
		b = imapwire.AppendString(b, p.Language[0], false)
	default:
		b = append(b, '(')
		for i, l := range p.Language {
			if i > 0 {
				b = append(b, ' ')
			}
			b = imapwire.AppendString(b, l, false)
		}
		b = append(b, ')')
	}
	return appendNonEmpty(append(b, ' '), p.Location)
}

func appendParams(b []byte, params []message.Param) []byte {
	if len(params) == 0 {
		return imapwire.AppendNil(b)
	}
	b = append(b, '(')
	for i, p := range params {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imapwire.AppendString(b, p.Name, false)
		b = imapwire.AppendString(append(b, ' '), p.Value, false)
	}
	return append(b, ')')
}
