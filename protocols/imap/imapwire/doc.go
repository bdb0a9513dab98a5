// Package imapwire reads IMAP commands and writes IMAP responses: the grammar
// of RFC 3501 and RFC 9051, sections 4 and 9, with non-synchronizing literals
// (RFC 7888) and literal8 (RFC 3516). It knows tokens, not commands: which
// arguments a command takes is up to its user. It has no dependencies and can
// be used alone.
//
// # Reading
//
// A [Reader] reads one command after the other from a connection.
//
//	r := imapwire.NewReader(conn, &imapwire.ReaderOptions{Continue: sendPlus})
//	for {
//		if err := r.Wait(); err != nil { // parked: no buffer is held
//			return err
//		}
//		tag, name, err := r.Command() // name is in upper case: table[string(name)]
//		if err == nil {
//			err = execute(tag, name, r) // reads arguments, then r.CRLF()
//		}
//		if err != nil && !imapwire.InStep(err) {
//			return err // I/O error, or more to skip than we are willing to read
//		}
//		if err != nil {
//			answer BAD
//		}
//		if err := r.Skip(); err != nil { // nothing to do after r.CRLF()
//			return err
//		}
//	}
//
// Every method named Read or Accept consumes what it returns and nothing
// else; when it fails it leaves the reader where Skip finds the end of the
// command. They never allow more space than the grammar: SP is one space (RFC
// 3501, section 9, note 2). Errors are *[SyntaxError], *[LimitError],
// *[NameError], or come from the connection as they are; the end of the
// stream is io.EOF between commands and io.ErrUnexpectedEOF within one.
//
// Methods that return a []byte return a view into the reader's buffer that is
// valid until the next call of any method. Methods that return a string
// return one that can be kept.
//
// A line may end in CRLF or in a bare LF, as in Dovecot; a CR that no LF
// follows is an error. Octets above 127 are accepted in quoted strings, where
// RFC 3501 does not allow them but clients send them, and nowhere else except
// in literals.
//
// # Literals
//
// String arguments may come as literals; they are read into memory up to
// [Limits].Literal octets each. A message is read as a stream with
// [Reader.ReadLiteral]. The client waits for a continuation before it sends a
// synchronizing literal: the reader asks for it by calling
// ReaderOptions.Continue, only once the literal is accepted. A literal that is
// refused ends the command there, if it is synchronizing; otherwise
// [Reader.Skip] reads it and throws it away.
//
// # Writing
//
// Responses are built by appending to a []byte with the Append functions, and
// sent through a [Writer], which holds a pooled buffer only while something
// waits in it. Big literals go straight to the connection.
//
//	b := w.Begin()
//	b = append(b, "* LIST () \"/\" "...)
//	b = imapwire.AppendMailbox(b, name, utf8)
//	b = append(b, "\r\n"...)
//	err := w.End(b)
//
// NUL cannot be part of a string or literal, only of a literal8 (RFC 3501,
// section 9, note 3; RFC 3516, section 4.3). Wherever it would be sent, the
// octet 0x80 is sent in its place, as Dovecot does: sizes stay as they are.
package imapwire
