// A round through imapflow: round.js starttls|tls PORT CERTIFICATE MAIL...
//
// Each MAIL is a file with a message in canonical form, 12 of them. At the end they
// are in INBOX after what was there, in this order, but the second; the third to
// the last are in the mailbox Łódź/Żagle; the first is in Archive, where the second
// was moved, after what was there.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { ImapFlow } from 'imapflow';

const [security, port, certificate, ...files] = process.argv.slice(2);
const mails = files.map((f) => readFileSync(f));
assert.equal(mails.length, 12);

async function connect(options) {
  const client = new ImapFlow({
    host: 'localhost',
    port: Number(port),
    secure: security === 'tls',
    doSTARTTLS: security === 'starttls' ? true : undefined,
    tls: { ca: readFileSync(certificate), checkServerIdentity: () => undefined },
    auth: { user: 'demo', pass: 'demo' },
    clientInfo: { name: 'round' },
    logger: false,
    ...options,
  });
  // An error that nobody waits for is a failure too.
  client.on('error', (err) => { throw err; });
  await client.connect();
  return client;
}

async function whole(client, range, options) {
  const found = [];
  for await (const m of client.fetch(range, { uid: true, source: true, size: true, flags: true }, options)) {
    assert.equal(m.source.length, m.size, `size of UID ${m.uid}`);
    found.push(m);
  }
  return found;
}

// What the server says of itself, and what it lets be switched on.
const a = await connect({ qresync: true });
assert.equal(a.secureConnection, true);
for (const c of ['IDLE', 'NAMESPACE', 'ID', 'ENABLE', 'UNSELECT', 'UIDPLUS', 'MOVE', 'CHILDREN', 'LIST-EXTENDED',
  'LIST-STATUS', 'SPECIAL-USE', 'STATUS=SIZE', 'BINARY', 'ESEARCH', 'CONDSTORE', 'QRESYNC', 'OBJECTID',
  'COMPRESS=DEFLATE', 'UTF8=ACCEPT', 'IMAP4rev2']) {
  assert(a.capabilities.has(c), `${c} is not offered`);
}
for (const e of ['CONDSTORE', 'QRESYNC', 'UTF8=ACCEPT', 'IMAP4REV2']) {
  assert(a.enabled.has(e), `${e} is not enabled: ${[...a.enabled]}`);
}
assert.equal(a.serverInfo.name, 'mailaccess');
assert.equal(a._inflate !== undefined && a._inflate !== false, true, 'COMPRESS is not on');
assert.equal(a.namespaces.personal[0].delimiter, '/');

// Mailboxes: special uses, subscriptions, names beyond ASCII, renaming.
const uses = new Map((await a.list()).filter((m) => m.specialUse).map((m) => [m.path, m.specialUse]));
for (const [path, use] of [['Drafts', '\\Drafts'], ['Sent', '\\Sent'], ['Junk', '\\Junk'], ['Trash', '\\Trash'], ['Archive', '\\Archive']]) {
  assert.equal(uses.get(path), use, path);
}
const created = await a.mailboxCreate('Łódź/Boje');
assert.equal(created.created, true);
assert(created.mailboxId, 'no MAILBOXID');
assert.equal((await a.mailboxCreate('Łódź/Boje')).created, false);
await a.mailboxRename('Łódź/Boje', 'Łódź/Żagle');
await a.mailboxSubscribe('Łódź/Żagle');
let listed = (await a.list({ statusQuery: { messages: true, uidNext: true, highestModseq: true } })).find((m) => m.path === 'Łódź/Żagle');
assert.equal(listed.subscribed, true);
assert.deepEqual([listed.status.messages, listed.status.uidNext], [0, 1]);
assert(listed.status.highestModseq > 0n);
await a.mailboxUnsubscribe('Łódź/Żagle');
listed = (await a.list()).find((m) => m.path === 'Łódź/Żagle');
assert(!listed.subscribed);

// Appending, with flags and dates; the bytes come back as they were.
const inbox = await a.mailboxOpen('INBOX');
const before = inbox.exists;
assert(inbox.mailboxId, 'no MAILBOXID');
const uids = [];
for (const [i, mail] of mails.entries()) {
  const put = await a.append('INBOX', mail, i % 2 ? ['\\Seen', 'Round'] : [], new Date(Date.UTC(2026, 1, 3, 4, 5, i)));
  assert.equal(put.uidValidity, inbox.uidValidity);
  uids.push(put.uid);
}
assert.equal(a.mailbox.exists, before + 12);
const back = await whole(a, uids.join(','), { uid: true });
assert.deepEqual(back.map((m) => m.uid), uids);
back.forEach((m, i) => {
  assert(m.source.equals(mails[i]), `message ${i + 1} came back otherwise`);
  assert.equal(m.flags.has('Round'), i % 2 === 1);
});

// What clients list.
const row = await a.fetchOne(uids[1], {
  envelope: true, bodyStructure: true, flags: true, internalDate: true, threadId: true, headers: ['subject', 'message-id'],
}, { uid: true });
assert.match(row.envelope.subject, /\.2\.$/);
assert.equal(row.envelope.from[0].address, 'sender@example.org');
assert.equal(row.bodyStructure.type, 'text/plain');
assert.equal(row.internalDate.toISOString(), '2026-02-03T04:05:01.000Z');
assert.match(row.headers.toString(), /^message-id: /im);
assert(row.emailId, 'no EMAILID');
assert(row.modseq > 0n, 'no MODSEQ');

// A part, decoded by the client, in pieces.
const attached = (await a.search({ header: { subject: 'attachment' } }, { uid: true })).at(-1);
const part = (await a.fetchOne(attached, { bodyStructure: true }, { uid: true })).bodyStructure.childNodes[1].part;
const { content } = await a.download(attached, part, { uid: true, chunkSize: 10_000 });
let octets = 0;
for await (const chunk of content) octets += chunk.length;
assert.equal(octets, 200_000);

// Searching.
assert.deepEqual(await a.search({ keyword: 'Round', uid: `${uids[0]}:*` }, { uid: true }), uids.filter((_, i) => i % 2 === 1));
assert.deepEqual(await a.search({ or: [{ header: { 'message-id': uids.length ? 'nobody' : '' } }, { subject: '.1.' }], since: new Date('2026-02-02'), before: new Date('2026-02-04') }, { uid: true }), [uids[0]]);
assert.deepEqual(await a.search({ emailId: row.emailId }, { uid: true }), [uids[1]]);
const counted = await a.search({ uid: uids.join(',') }, { uid: true, returnOptions: ['COUNT', 'MIN', 'MAX'] });
assert.deepEqual([counted.count, counted.min, counted.max], [12, uids[0], uids[11]]);

// Flags; a change that came in between is a conflict and not a loss.
const point = (await a.status('INBOX', { highestModseq: true })).highestModseq;
const b = await connect();
await b.mailboxOpen('INBOX');
await b.messageFlagsAdd(uids[3], ['\\Flagged'], { uid: true });
await a.messageFlagsSet(uids[3], ['\\Answered'], { uid: true, unchangedSince: point });
assert.deepEqual([...(await a.fetchOne(uids[3], { flags: true }, { uid: true })).flags].sort(), ['Round', '\\Flagged', '\\Seen']);
await a.messageFlagsRemove(uids[3], ['\\Flagged'], { uid: true });

// Copies, moves and removals, with the new places.
let done = await a.messageCopy(uids.slice(2).join(','), 'Łódź/Żagle', { uid: true });
assert.deepEqual([...done.uidMap.keys()], uids.slice(2));
done = await a.messageCopy(uids[0], 'Archive', { uid: true });
assert.equal(done.uidMap.size, 1);
const gone = once(b, 'expunge');
done = await a.messageMove(uids[1], 'Archive', { uid: true });
assert.equal(done.uidMap.size, 1);

// What others did is told: to one who idles, by number or by UID.
await b.noop();
assert.equal((await gone)[0].path, 'INBOX');
const idling = b.idle();
const [more] = await Promise.all([once(b, 'exists'), a.append('INBOX', Buffer.from('Subject: for a moment\r\n\r\n.\r\n'), [])]);
assert.equal(more[0].count, before + 12);
const flagged = once(b, 'flags');
const last = a.mailbox.uidNext - 1;
await a.messageFlagsAdd('*', ['\\Flagged'], { uid: true });
assert((await flagged)[0].flags.has('\\Flagged'));
await b.noop();
await idling;
assert(last > 0);

// QRESYNC: what happened while nobody looked.
const known = { uidValidity: a.mailbox.uidValidity, changedSince: (await a.status('INBOX', { highestModseq: true })).highestModseq };
await a.mailboxClose();
await b.messageFlagsAdd(uids[5], ['$Forwarded'], { uid: true });
const temporary = (await b.search({ subject: 'for a moment' }, { uid: true })).at(-1);
await b.messageDelete(temporary, { uid: true });
const told = { vanished: [], changed: [] };
a.on('expunge', (e) => told.vanished.push(e.uid));
a.on('flags', (e) => told.changed.push(e.uid));
const again = await a.mailboxOpen('INBOX', known);
assert.equal(again.exists, before + 11);
assert.deepEqual(told.vanished, [temporary]);
assert.deepEqual(told.changed, [uids[5]]);
let since = 0;
for await (const m of a.fetch('1:*', { flags: true }, { uid: true, changedSince: known.changedSince })) {
  assert.equal(m.uid, uids[5]);
  since++;
}
assert.equal(since, 1);

// A lock hands the connection on; a mailbox goes with what is in it.
const lock = await a.getMailboxLock('Łódź/Żagle');
assert.deepEqual((await whole(a, '1:*')).map((m) => m.source.length), mails.slice(2).map((m) => m.length));
lock.release();
await a.mailboxCreate('Passing');
await a.append('Passing', mails[0]);
await a.mailboxDelete('Passing');
assert.equal((await a.list()).some((m) => m.path === 'Passing'), false);

await b.logout();
await a.logout();
console.log('round complete');
