// Package interop drives "mailaccess demo", and a server over an application's
// functions (package hooks), with mail clients that others wrote: curl, mbsync,
// offlineimap, neomutt, getmail, Python's imaplib and poplib, go-imap's imapclient, and
// imapflow. Each does its whole
// job against a server of its own, and what it stored and fetched is compared octet
// for octet, over IMAP and POP3.
//
// The tests need these programs and are built with the tag "interop" only:
//
//	make interop
//
// Debian's packages are curl, isync, getmail6, neomutt, offlineimap3, python3, nodejs and
// npm, which fetches imapflow. A client that is missing is a failure.
package interop
