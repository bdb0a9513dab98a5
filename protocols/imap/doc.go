// Package imap is the IMAP front-end: it serves RFC 3501 over the engine.
//
// # The way of a command
//
//	conn.go       the loop of a connection: wait, read a command, answer
//	commands.go   the table of commands: the states in which each is valid
//	*.go          one file per family: parse completely, then execute
//	updates.go    what the client is told without having asked
//	respond.go    the tagged answers, and which one is for which kind of error
//
// A command is parsed to its end before anything is done. A command that does
// not parse is BAD, and the connection goes on in step.
//
// # Names
//
// Mailbox names are UTF-8 with / between levels inside, modified UTF-7 on the
// wire (RFC 3501, section 5.1.3). The hierarchy separator is /.
package imap
