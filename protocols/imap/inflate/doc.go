// Package inflate decompresses a conversation: a raw DEFLATE stream (RFC 1951)
// that is flushed now and then and may rest for hours, as IMAP's COMPRESS has it
// (RFC 4978). For files there is compress/flate. What a conversation needs beyond:
//
//   - Every octet that can be known from what has come is given at once, whatever
//     kind of flush the peer uses. NeoMutt ends each command with zlib's partial
//     flush, which leaves the end of its empty block unsent: a decompressor that
//     looks ahead over the end of a block then waits for ever.
//   - A reader that waits can be parked at any bit of the stream: it keeps the
//     window that the peer may refer to, deflated, and nothing else.
//   - When the stream ends, what comes after it is not lost.
//
// Memory is bounded by the format: what one Read gives fits into its buffer, and
// between calls there is the window of 32 KiB and the tables of the present block.
package inflate
