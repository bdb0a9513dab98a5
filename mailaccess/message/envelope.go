package message

// Envelope is what RFC 3501, section 7.4.2, and RFC 9051, section 7.5.2,
// make of a header. Everything is as in the header, unfolded: encoded words
// are for the client to decode.
type Envelope struct {
	Date, Subject                      Optional
	From, Sender, ReplyTo, To, Cc, Bcc []Address
	InReplyTo, MessageID               Optional
}

// Optional is the value of a field that a header may lack: IMAP tells one that
// is absent (NIL) from one that is empty.
type Optional struct {
	Value   string
	Present bool
}

// Envelope computes the envelope of the header.
//
// Of a field that should be there once and is there more often, the first
// counts; To, Cc and Bcc are taken together (RFC 5322, section 4.5.3). Sender
// and Reply-To are those of From if they name nobody.
func (h Header) Envelope() Envelope {
	var e Envelope
	once := func(o *Optional, f Field) {
		if !o.Present {
			*o = Optional{f.Value(), true}
		}
	}
	first := func(list *[]Address, f Field) {
		if *list == nil {
			*list = ParseAddresses(f.Value())
		}
	}
	join := func(list *[]Address, f Field) {
		*list = append(*list, parseAddresses(f.Value(), maxAddresses-len(*list))...)
	}
	for f := range h.Fields() {
		switch {
		case f.Is("date"):
			once(&e.Date, f)
		case f.Is("subject"):
			once(&e.Subject, f)
		case f.Is("from"):
			first(&e.From, f)
		case f.Is("sender"):
			first(&e.Sender, f)
		case f.Is("reply-to"):
			first(&e.ReplyTo, f)
		case f.Is("to"):
			join(&e.To, f)
		case f.Is("cc"):
			join(&e.Cc, f)
		case f.Is("bcc"):
			join(&e.Bcc, f)
		case f.Is("in-reply-to"):
			once(&e.InReplyTo, f)
		case f.Is("message-id"):
			once(&e.MessageID, f)
		}
	}
	if e.Sender == nil {
		e.Sender = e.From
	}
	if e.ReplyTo == nil {
		e.ReplyTo = e.From
	}
	return e
}
