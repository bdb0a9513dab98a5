// A round through node-pop3: round.js plain|tls PORT CERTIFICATE BEFORE MAIL...
//
// The maildrop holds BEFORE messages and then each MAIL, a file with a message in
// canonical form. At the end the first MAIL is gone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Pop3Command from 'node-pop3';

const [security, port, certificate, before, ...files] = process.argv.slice(2);
const mails = files.map((f) => readFileSync(f, 'utf8'));
const first = Number(before) + 1;
const total = Number(before) + mails.length;

function connect(password) {
  return new Pop3Command({
    host: 'localhost',
    port: Number(port),
    user: 'demo',
    password,
    timeout: 20000,
    tls: security === 'tls',
    tlsOptions: { ca: readFileSync(certificate) },
    servername: 'localhost',
  });
}

const wrong = connect('wrong');
await assert.rejects(wrong.STAT(), /^Error: \[AUTH\] /);
await wrong.QUIT();

const client = connect('demo');
const [count, octets] = (await client.STAT()).split(' ').map(Number);
assert.equal(count, total);
const sizes = await client.LIST();
assert.equal(sizes.length, total);
assert.equal(sizes.reduce((sum, [, size]) => sum + Number(size), 0), octets);
const ids = await client.UIDL();
assert.equal(new Set(ids.map(([, id]) => id)).size, total);
assert.deepEqual(await client.UIDL(total), ids[total - 1]);

// The last line end is taken off with what ends the answer; a dot at the start of a line
// stays doubled.
const told = (mail) => mail.replace(/^\./gm, '..').replace(/\r\n$/, '');
for (const [i, mail] of mails.entries()) {
  assert.equal(Number(sizes[first + i - 1][1]), Buffer.byteLength(mail));
  assert.equal(await client.RETR(first + i), told(mail));
  const header = mail.slice(0, mail.indexOf('\r\n\r\n') + 4);
  assert.equal(await client.TOP(first + i, 0), told(header));
}
await client.DELE(first);
await assert.rejects(client.RETR(first), /deleted/);
await client.RSET();
await client.NOOP();
await client.DELE(first);
await client.QUIT();
console.log('round complete');
