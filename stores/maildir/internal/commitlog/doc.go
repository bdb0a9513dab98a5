// Package commitlog is the commit log of a Maildir store: one sequence of records for
// all its accounts, so that one sync makes the changes of everybody durable who waits
// for it. A record is on disk before what it says is applied; what the log holds is
// needed only until it has been written elsewhere, and trimmed then.
//
// # On disk
//
// The log is a directory of segments, files named by number. Each begins with a header
// of 64 octets: magic, version, the log's random id, the position of the first record,
// and where the segment before it ends. Records follow without gaps:
//
//	length  synced  head CRC  CRC     payload
//	uint32  uint32  uint32    uint32  length octets         little-endian
//
// Both checks are CRC-32C over the log's id, the record's position, length and synced,
// the second over the payload too; so what is left of another segment or another log
// is never taken for a record. The field synced says how much of the segment was known
// to be on disk when the record was written. It tells damage from the tail that a
// power loss tears: what was never synced may be gone in any order and ends the segment
// silently; a gap before something that was synced is reported as [Damage].
//
// # Failures
//
// A write that fails or is cut short is cut off again. If that fails too, the segment
// takes no more records, and the header of the next says where it ends. Only the
// caller whose record it was is told, [ErrNotWritten]; the log goes on as soon as the
// disk does.
//
// A sync that fails leaves what was written since the last one on disk or not, and
// asking again proves nothing: the kernel may count the pages as clean (fsync(2)). All
// who wait for that sync fail, and all who wrote behind it. Before another record is
// taken a new segment is begun, whose header, synced, says that the one before it ends
// where it was last synced; so replay never sees what failed. If that works at once,
// they are told ErrNotWritten, else [ErrUncertain]; and as long as it does not work
// each later record tries it again and is told ErrNotWritten. A BeforeSync that fails
// counts as such a sync.
//
// Records whose writers have already been told success (those of Append, and all in
// the weaker modes) may be discarded by a failed sync like the others. OnDiscard says
// so before another record is taken: what they said has to be made durable in another
// way, or to be written again. Until that is done the end of the process loses them
// too.
//
// A segment's entry in the directory is synced before the first record in it counts as
// written. Old segments are removed in order, each removal synced before the next, so
// that a gap in the numbers is always damage.
//
// In Normal and Off nobody waits for a sync. The error of one that fails in the
// background is kept, and fails the next record with ErrNotWritten.
//
// What Open replays was in the files, but a sync that failed in an earlier life of the
// process may have left it in memory alone. Before the next segment is begun, what is
// not known to be on disk is therefore written again and synced.
package commitlog
