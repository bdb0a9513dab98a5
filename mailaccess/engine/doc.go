// Package engine is what every protocol shares: it stands between the contract
// of package mailaccess and the wire.
//
// An [Engine] serves one store. A protocol authenticates a client and gets a
// [Session]: the account with everything that the store lacks made up for where
// that is possible. [Session.OpenView] opens a mailbox as a [View]: the same
// messages with the numbers that a client was told, brought up to date when the
// protocol allows it. [Session.NewUpload] takes messages in.
//
// # What is emulated
//
//	the store has no                  the engine
//	Move                              copies and expunges one message after another
//	Search                            evaluates the expression on each message
//	Subscriptions                     treats every mailbox as subscribed
//	Lease                             keeps leases within the process
//	Recent                            keeps the watermark while the mailbox is open
//	removals long ago                 compares the set of UIDs it knew with the present one
//	sizes                             opens the content and takes its size
//	a way to sort or to thread        takes keys of headers, which the store keeps
//	Watch                             rings for its own changes and asks at intervals
//
// Everything else that a store lacks is KindUnsupported.
//
// # Memory
//
// An Engine keeps the orders in which messages were sorted last, in up to 16 MiB.
//
// # Locks
//
// Three locks, never held together: that of the hub (who listens to what), that
// of the process's leases, and that of the orders in which messages were sorted
// last. None is held while a store, a sink or a listener's function runs. A [Session] is safe for concurrent use; a [View] and an [Upload]
// belong to one goroutine at a time.
package engine
