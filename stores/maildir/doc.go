// Package maildir is a mail store of Maildir++ directories, into which other programs
// deliver and from which they read, with an index beside them.
//
// # On disk
//
// The path of a store names the directory of each account, with %u, %n and %d in it for the
// user, the local part and the domain; without them accounts are directories in it. What
// comes before the first of them is the store's root:
//
//	ROOT/.mailaccess/             the store's own: lock, log, spool
//	ROOT/ACCOUNT/                 a Maildir++; its cur, new and tmp are INBOX
//	    .Folder.Sub/              a mailbox: cur new tmp maildirfolder
//	    mailaccess-account        what survives the loss of the index, in text
//	    mailaccess-mailbox        the same of INBOX; one in each folder
//	    mailaccess-index/         the index
//	    mailaccess-expunged/      expunged messages, for some time
//	    subscriptions, dovecot-keywords     as Dovecot has them
//
// Names of accounts do not begin with a dot and hold no slash; others are not found. Symbolic
// links are followed on the way to the root and nowhere below it. Message files are served as
// they are: those with LF at the end of lines are read with CRLF. Nothing rewrites them.
//
// # Truth
//
// Content is what is in the files; everything else is what the index says. The flags in the
// name of a file are compared with those that it had when it was seen last, and the difference
// is a change like a client's. Our own renames follow the flags of the index, collected, once
// a mailbox has been quiet for two seconds and when it is put away. Whoever loses the index
// may lose flags whose renames were still to come, never a message.
//
// # Commits
//
// A change is planned in memory; one record goes to the commit log of the store, which one
// sync brings to the disk for everybody who waits, whatever their accounts; then it is done in
// memory, then its work on files, then listeners are rung, and then the call returns. What
// cannot be written has not happened. After a stop that was not clean the log is gone through
// again before anything else: records hold absolute values, and work on files that was done
// is found done.
//
//	full     (the default) a change that returned survives a loss of power
//	normal   it survives the end of the process, and a loss of power after about a second
//	off      it survives the end of the process
//
// In all of them a UID or change number that was shown is never given out again: they are
// reserved in blocks, on disk, before the first of a block is used. In normal and off an
// account whose last second may be lost takes a new epoch after a stop that was not clean:
// every message in it gets a new change number, and UIDs go on above what was reserved.
//
// Message files are written and synced in the spool by each writer for itself; the spool's
// directory is synced before the record is written, once for all who wait. They are linked
// into their folder after the commit; the link in the spool goes with the next checkpoint,
// after the folder was synced. So no file is ever without a durable name.
//
// # Directories
//
// A mailbox in use is watched; events for what we do ourselves are expected, in order, and
// passed over. Names are in the index before they are on disk, so that nothing takes them for
// another program's. Where the system cannot watch, or only by a descriptor for each file, the
// times of cur and new are compared every second. Of a mailbox that is put away the times are kept if
// everything was looked at and they are two seconds old; otherwise the next use lists the
// directories. A file that is not there when it is opened makes them be listed at once, and is
// found by the part of its name that does not change.
//
// A file whose content has become another's is another message: the one there was vanishes. It
// is noticed when the file is opened, by its size and time. Of two files of that same part the
// second one gets a new name, and is a message too. What is no regular file is left alone, and so
// is a file that cannot be read, until it can.
//
// # Expunged messages
//
// What clients expunge, and mailboxes that they delete, are kept for some time, and longer
// while an account is open that was so before: there the contents stay readable. What other
// programs removed is not kept, and what [Undelete] brought back is another message, which the
// old EmailID does not lead to.
package maildir
