// Package attack drives "mailaccess serve", as a process of its own, with clients that mean
// harm: they send slowly, or do not read; announce literals of four gigabytes; nest
// parentheses a million deep; add messages that are all header; and so on, over IMAP and
// POP3, plain, over TLS and compressed.
//
// Under each attack the process must stay up, its memory may grow by no more than follows
// from the limits in force, and it must let go of every connection afterwards. What is
// asserted is that. Beside each attack somebody else uses the server as people do: how long
// their commands take is told, next to how long they take on a quiet server, and not
// asserted, since it depends on the machine:
//
//	make attack
//
// There is one file for each kind of attack. The others are: server_test.go, which runs
// the server and asks the system about its process; client_test.go, the hostile clients'
// end of a conversation; probe_test.go, the good client; and attack_test.go, which puts
// them together. The processes are asked about by way of /proc: the tests run on Linux
// only.
//
// What single packages make of hostile input is tested there.
package attack
