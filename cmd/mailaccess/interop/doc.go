// Package interop drives "mailaccess demo", "mailaccess serve" over Maildirs, and a server
// over an application's functions (package hooks), with mail clients that others wrote:
// curl, mbsync, offlineimap, neomutt, fetchmail, mpop, getmail, gsasl, Python's imaplib and
// poplib, go-imap's imapclient, imapflow, node-pop3 and yapople. Each does its whole job
// against a server of its own, and what it stored and fetched is compared octet for octet,
// over IMAP and POP3.
//
// They log in with what they have: passwords, SCRAM with and without channel binding, OAuth
// tokens, certificates. Each is let in with the right secret by the mechanism that is meant,
// and kept out with a wrong one.
//
// Others use the Maildirs themselves while the server serves them: procmail and maildrop
// deliver, and mbsync keeps them like its own. Dovecot keeps a Maildir that is then taken
// over, and reads what we have made of it. Mail is imported from it and exported to it, by IMAP
// and by its files.
//
// The tests need these programs and are built with the tag "interop" only:
//
//	make interop
//
// Debian's packages are curl, isync, libsasl2-modules, fetchmail, mpop, gsasl, getmail6,
// neomutt, offlineimap3, python3, procmail, maildrop, dovecot-imapd, nodejs and npm, which
// fetches imapflow, node-pop3 and yapople. What is missing is a failure. Dovecot's server
// need not run: its program for IMAP is run for each client, as nobody if the tests are
// root's.
package interop
