// Package message reads Internet messages as byte offsets.
//
// One pass over a message gives a tree of [Part] values: where each header
// and each body begins, how long it is and how many lines it has, and what
// the MIME fields say about it. Whatever else a protocol wants is cut out of
// the original by means of that tree and never put together anew: the
// sections of an IMAP FETCH ([Part.Section]), the header fields
// ([Part.ReadHeader], [Header]), the envelope ([Header.Envelope]), the text
// for a search ([Part.Text]).
//
// # Canonical form
//
// All offsets, sizes and line counts are in canonical space, where every line
// ends in CRLF while a bare CR and NUL are bytes like any other. Bytes of
// unknown origin go through a [CanonicalWriter] or a [CanonicalReader] first.
// Bytes that did not are parsed all the same: a line then ends at its LF.
//
// # Any bytes at all
//
// No message is malformed. Parsing has no error of its own, and for any input
// these hold:
//
//   - the header and the body of a part lie next to each other, and a part
//     lies inside the body of the part that contains it;
//   - a part whose [Part.IsMultipart] is true has at least one child, and a
//     part whose [Part.IsMessage] is true has its Message. What cannot be
//     taken apart (a multipart without a usable boundary) has one text/plain
//     child that spans it; what is nested beyond the limits is told to be
//     application/octet-stream;
//   - memory is bounded by [Limits], however long the message, a header or a
//     line;
//   - text in the tree and in an [Envelope] is unfolded and never contains
//     CR, LF or NUL. It may contain 8-bit bytes in any charset.
//
// # Sources
//
// RFC 2045, 2046 and 2049 (MIME), 2047 and 2231 (encoded words and
// parameters), 2183 (Content-Disposition), 3282 (Content-Language), 5322 with
// its obsolete forms, 6532 (raw UTF-8), and RFC 3501 and RFC 9051, sections
// 6.4.5 and 7.4.2 / 7.5.2, for the numbers of parts and the envelope.
package message
