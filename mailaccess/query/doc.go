// Package query decides which messages a search expression matches, in which order
// they come, and which of them belong together.
//
// [Compile] makes a [Matcher] of an expression ([mailaccess.Expr]), which any
// number of goroutines then ask about one message after the other. A Matcher
// looks at the metadata first; only if they leave the answer open does it open
// the content, read the header, and at last the text, each no further than it
// must. Text is streamed: memory does not grow with the message.
//
// # Comparison
//
// Texts are compared by i;unicode-casemap (RFC 5051), whose preparation is
// [UnicodeCasemap]: without regard to case, and a letter stands for itself with
// any mark that follows it, so that "cafe" is found in "café" while "café" is
// not found in "cafe". A text that is not valid UTF-8 is found nowhere, since
// what is searched is always valid UTF-8. The empty text is found everywhere
// (RFC 3501, section 6.4.4, of HEADER: wherever there is such a field).
//
// # What is searched
//
// A Header test looks at the fields of that name in the header of the message
// itself: their unfolded, decoded values, each alone. FROM, TO, CC, BCC and
// SUBJECT of IMAP are Header tests on that field.
//
// A Body test looks at the decoded text (transfer encoding and charset undone)
// of each part of a type text/*, tags of HTML included, and message/*, and at
// the header of each embedded message, but not at the header of the message
// itself and not at the MIME headers of its parts. Parts of other types, such
// as images and archives, multipart preambles and epilogues are not looked at;
// RFC 3501, section 6.4.4, allows that.
//
// A FullText test looks at all that and at every header, those of parts
// included, so that the name of an attachment is found.
//
// A header is searched as its fields: name, colon, space, decoded value and line
// end. Nothing matches across two headers or parts.
//
// # Sent dates
//
// Tests of the sent date look at the first Date field. By day they compare the
// day as it is written there, whatever its time and zone. A message without a
// Date that can be read matches no test of the sent date, neither before nor
// since any day, and hence the negation of each, as with Dovecot's search of
// headers.
//
// # Order and threads
//
// A [Sorter] puts messages in order, a [Threader] into threads (RFC 5256). What they
// need of a message beyond its metadata is a key, made of its header alone by
// [AppendSortKey] or [AppendThreadKey], which whoever calls may keep. Both are bounded
// in memory, and neither takes time by the square of anything that a message says.
package query
