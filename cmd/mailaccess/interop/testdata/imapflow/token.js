// Logs in with imapflow and an OAuth token, and reads all mail: token.js PORT TOKEN MAIL...
//
// Each MAIL is a file with a message in canonical form; they are what is in INBOX.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ImapFlow } from 'imapflow';

const [port, accessToken, ...files] = process.argv.slice(2);
const client = new ImapFlow({
  host: 'localhost',
  port: Number(port),
  secure: false,
  doSTARTTLS: false,
  auth: { user: 'demo', accessToken },
  logger: false,
});
client.on('error', (err) => { throw err; });
await client.connect();
await client.mailboxOpen('INBOX', { readOnly: true });
const got = [];
for await (const m of client.fetch('1:*', { source: true })) {
  got.push(m.source.toString('latin1'));
}
assert.deepEqual(got, files.map((f) => readFileSync(f, 'latin1')));
await client.logout();
