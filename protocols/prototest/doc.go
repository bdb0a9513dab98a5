// Package prototest runs conversations written as C: and S: lines against a
// server of any line protocol (IMAP, POP3, ...), over a store that the caller
// gives.
//
// A transcript is one file, named after the section of the RFC that it proves,
// such as rfc3501-6.3.1-select-unknown.txt. It is a txtar archive: the script
// comes first, and the files of the archive are messages or other bytes that
// the script refers to.
//
//	# RFC 3501, section 6.3.11: APPEND answers OK and the message is there.
//	# RFC 4315, section 3: the answer tells UIDVALIDITY and the new UID.
//	mailbox Sent \Sent
//	message Sent flags=(\Seen) date="17-Jul-1996 02:44:25 -0700" file=old.eml
//	login
//
//	C: a1 APPEND Sent (\Flagged) {{{len new.eml}}}
//	S: + {{.*}}
//	C+: file=new.eml
//	C:
//	S: a1 OK [APPENDUID {{validity=[1-9][0-9]*}} {{uid=[0-9]+}}] {{.*}}
//
//	C: a2 SELECT Sent
//	S!: * {{[0-9]+}} EXPUNGE
//	S...: * OK [UIDVALIDITY {{$validity}}]{{.*}}
//	S...: a2 OK [READ-WRITE] {{.*}}
//	C: a3 UID FETCH {{$uid}} (BODY.PEEK[])
//	S: * 2 FETCH (UID {{$uid}} BODY[] {{{len new.eml}}}
//	S| file=new.eml
//	S: )
//	S: a3 OK {{.*}}
//	-- old.eml --
//	Subject: an old one
//
//	Hello.
//	-- new.eml --
//	Subject: a new one
//
//	Hello again.
//
// The package knows no protocol and no store. What the header of a script asks
// for reaches the caller as a [Fixture], plain data; the caller's [Start] builds
// a store from it and answers with a [Server] that hands out connections.
// [Run] runs every transcript of a directory as a subtest, [RunScript] runs one
// and returns its failure as an error, and [Index] lists transcripts with the
// sections they cite.
//
// Expectations are written by people, from the RFC. A transcript that was recorded
// ("mailaccess demo --record") says so with the line "recorded": it shows what a client
// did, and that a server still answers in the same way, but proves no section.
//
// # Lines
//
// A script is read line by line. Empty lines and lines that begin with # are
// passed over. The first comment is the title. A comment cites a section as in
// "RFC 3501, section 6.3.1", "RFC 9051, sections 6.3.1 and 7.1" or
// "RFC 3501, appendix B"; every transcript cites at least one, and one named
// rfcNNNN-SECTION-... must cite the section in its name.
//
// # Header
//
// The header stands before the first line of the conversation. Words are
// separated by spaces; a word with spaces in it is written as a Go string, as in
// mailbox "Sent Items" or date="17-Jul-1996 02:44:25 -0700".
//
//	user NAME PASSWORD
//		A user who can log in. Without any such line there is one: demo, with
//		password demo.
//	mailbox NAME [\Attribute ...] [subscribed] [user=NAME]
//		A mailbox, with its special use. INBOX is always there and need not be
//		named. NAME has / between levels.
//	message MAILBOX [flags=(...)] [date="..."] [file=FILE] [count=N] [user=NAME]
//		A message, or N alike. The date is written as in IMAP and is 17-Jul-1996
//		02:44:25 -0700 unless given. Without a file the content is that of
//		[Generated]: a small text message whose subject is "message 1" for the
//		first message line of the script, "message 2" for the next, and so on.
//	file FILE escaped
//		In this file of the archive \r \n \t \\ and \xNN stand for bytes, and a
//		backslash at the end of a line joins it to the next. So are messages
//		written that have bare CR, bare LF or NUL in them, or no last line end.
//	option NAME=VALUE ...
//		Free settings for the caller: limits, what to switch on or off.
//	needs NAME ...
//		Capabilities of the store without which the transcript is skipped
//		([Options].Has).
//	login [NAME]
//		Every connection logs in as this user (the first, unless named) when it
//		opens, with the lines of [Options].Login. The greeting is part of these.
//		A connection whose first line is C: <starttls> or C: <login NAME> does not.
//	recorded
//		The transcript was recorded. It need not cite a section, and [Index] leaves
//		it out.
//	ignore rest
//		What a connection still says after the last line does not matter.
//
// mailbox and message belong to the first user unless user=NAME says otherwise.
//
// # What the client says
//
//	C: text         a line; CRLF is added
//	C.: text        the same without CRLF
//	C": "text"      exactly the bytes of a Go string: "a\x00b\r\n"
//	C+: file=FILE [dotted]
//	                the bytes of a file; dotted doubles a dot that begins a line
//	                (RFC 5321, section 4.5.2)
//	C: <starttls>   starts TLS on the connection, without verifying the certificate
//	C: <deflate>    compresses both directions from now on (RFC 4978)
//	C: <dial NAME>  opens the connection to a service of that name ([Dialer]), as its
//	                first line
//	C: <login NAME> logs in on this connection, as the header's login does
//	C: <close>      closes the connection; what was not read yet is forgotten
//
// C2: is another connection, C3: a third, and S2: and S3: are what is heard on
// them; C1: is C:. A connection opens when it is first used, by either side's
// line, and cannot be used after <close> or <eof>: take another number.
//
// # What the server must say
//
//	S: pattern      the next line is this one
//	S~: pattern     together with the S~: lines beside it: these lines, in any
//	                order. An empty line ends the group
//	S...: pattern   passes over lines until one is this (at most 10,000)
//	S!: pattern     no line up to and including what is expected next on this
//	                connection is this one
//	S": "text"      exactly these bytes come next, without a line end
//	S+: file=FILE [dotted]
//	                exactly the bytes of the file come next
//	S: <eof>        the server closes the connection, with nothing before that;
//	                S...: <eof> passes over lines first
//
// A line of the server ends in CRLF; one that ends in a bare LF is a failure.
//
// # Patterns
//
// A line is compared byte by byte, except for what stands between {{ and }}:
//
//	{{regexp}}        anything that the Go regular expression matches
//	{{name=regexp}}   the same, and keeps it under this name (letters and digits)
//	{{$name}}         what was kept
//	{{len FILE}}      the size of a file, in decimal
//	{{"text"}}        the bytes of a Go string
//	{{repeat N "x"}}  the string N times, at most 64 MiB in all
//	{{base64 "x"}}    the string in base64, as SASL wants it
//	{{md5 $name "x"}} the MD5 digest of what was kept and the string after it, in
//	                  hexadecimal, as POP3's APOP wants it
//
// Lines of the client take all of these but the first two. Braces beside a
// pattern are ordinary: {{{len FILE}}} is a number in braces, an IMAP literal's.
// A regular expression that begins like one of the other forms, or like name=,
// goes into (?:...).
//
// # Files
//
// A file is one of the archive. Every line in it ends in CRLF on the wire,
// although it ends in LF in the archive. Of a file, or of its length, one can
// take a part: FILE:header is up to the empty line and with it, FILE:text is what
// comes after, FILE:10.20 is 20 bytes from byte 10 on (less when the file ends
// before that).
//
// # Literals
//
// With [Options].Literals, a line of the server that ends in {N} announces N
// bytes that belong to it, after which the line goes on. A transcript must say
// what they are, with S| lines, and then how the line goes on, with S:
//
//	S: * 1 FETCH (BODY[TEXT] {{{[0-9]+}}} UID 7)        wrong: never matches
//	S: * 1 FETCH (BODY[TEXT] {{{[0-9]+}}}
//	S| Hello, {{.*}}
//	S|. no line end here
//	S:  UID 7)
//
//	S| text         a line of the literal (a pattern; CRLF is added)
//	S|. text        the same without CRLF: what is left of the literal; the last
//	S|" "text"      exactly these bytes
//	S| file=FILE    the bytes of a file
//
// The size announced is thereby compared with what comes. Such a line, with its
// literals, counts as one for S~:, S...: and S!: (S!: looks at what stands
// before the first literal).
//
// # Out of band
//
//	deliver MAILBOX [flags=(...)] [date="..."] [file=FILE] [count=N] [user=NAME]
//		Another program delivers a message: [Deliverer].
//	do NAME ARG ...
//		Anything else that the caller knows to do: [Doer]. Patterns of the
//		client's kind are replaced in the arguments.
//
// # Time and the end
//
// Nothing waits for time to pass. Each expectation has a generous deadline
// ([Options].Timeout); when it passes, the transcript fails with the line and all
// that was said. After the last line every connection that is still open says
// goodbye with the lines of [Options].Bye, and nothing may be left unread, unless
// the script says "ignore rest". A script that ends inside a command (IDLE, say)
// finishes it or closes the connection.
package prototest
