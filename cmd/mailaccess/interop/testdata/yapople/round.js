// A round through yapople: round.js plain|tls PORT CERTIFICATE BEFORE MAIL...
//
// The maildrop holds BEFORE messages and then each MAIL, a file with a message in
// canonical form. At the end the first MAIL is gone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import yapople from 'yapople';

const [security, port, certificate, before, ...files] = process.argv.slice(2);
const mails = files.map((f) => readFileSync(f, 'latin1'));
const first = Number(before) + 1;
const total = Number(before) + mails.length;

function client(password) {
  const c = new yapople.Client({
    host: 'localhost',
    port: Number(port),
    username: 'demo',
    password,
    tls: security === 'tls',
    options: { ca: readFileSync(certificate), servername: 'localhost' },
  });
  const call = (name) => promisify(c[name].bind(c));
  return Object.fromEntries(['connect', 'stat', 'list', 'retr', 'top', 'dele', 'rset', 'quit'].map((name) => [name, call(name)]));
}

await assert.rejects(client('wrong').connect(), /^Error: \[AUTH\] /);

const c = client('demo');
await c.connect();
const { count, length } = await c.stat();
assert.equal(count, total);
const sizes = await c.list();
assert.deepEqual(Object.keys(sizes).map(Number), Array.from({ length: total }, (_, i) => i + 1));
assert.equal(Object.values(sizes).reduce((sum, size) => sum + size, 0), length);

// The last line end is taken off with what ends the answer; a dot at the start of a line
// stays doubled.
const told = (mail) => mail.replace(/^\./gm, '..').replace(/\r\n$/, '');
for (const [i, mail] of mails.entries()) {
  assert.equal(sizes[first + i], mail.length);
  assert.equal((await c.retr(first + i)).toString('latin1'), told(mail));
  const header = mail.slice(0, mail.indexOf('\r\n\r\n') + 4);
  assert.equal((await c.top(first + i, 0)).toString('latin1'), told(header));
}
await c.dele(first);
await assert.rejects(c.retr(first), /deleted/);
await c.rset();
await c.dele(first);
await c.quit();
console.log('round complete');
process.exit(); // it leaves the connection that was refused open
