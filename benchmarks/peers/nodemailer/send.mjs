// Mail merge with nodemailer: CSV, nunjucks, juice once on the template, a pool of 20 connections.
//
//     node send.mjs CSV TEMPLATES PORT
//
// As many letters are under way as the pool has connections, twice over, so that none of them waits for rendering.

import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse';
import juice from 'juice';
import nodemailer from 'nodemailer';
import nunjucks from 'nunjucks';

const CONNECTIONS = 20;
const [path, templates, port] = process.argv.slice(2);

// Template commands are to pass through the inliner as they are.
juice.codeBlocks.commands = { start: '{%', end: '%}' };
const source = readFileSync(join(templates, 'newsletter.html.j2'), 'utf8');
const escaping = new nunjucks.Environment(null, { autoescape: true, throwOnUndefined: true });
const plain = new nunjucks.Environment(null, { autoescape: false, throwOnUndefined: true });
const html = nunjucks.compile(juice(source, { preserveImportant: true }), escaping);
const text = nunjucks.compile(readFileSync(join(templates, 'newsletter.txt.j2'), 'utf8'), plain);
const subject = nunjucks.compile('{{ name }}, Ihr Brief für {{ month }}', plain);

const pool = nodemailer.createTransport({
  host: '127.0.0.1', port: Number(port), secure: false, ignoreTLS: true,
  pool: true, maxConnections: CONNECTIONS, maxMessages: Infinity,
});

function letter(row) {
  const token = createHash('sha512').update(row.email).digest('hex').slice(0, 72);
  const url = `https://example.com/u/${token}`;
  const values = { ...row, items: JSON.parse(row.items), unsubscribe_url: url };
  return {
    from: { name: "Ada's Gazette", address: 'news@example.com' },
    to: { name: row.name, address: row.email },
    subject: subject.render(values),
    text: text.render(values),
    html: html.render(values),
    headers: { 'List-Unsubscribe': `<${url}>`, 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' },
  };
}

const rows = createReadStream(path).pipe(parse({ columns: true, bom: true }))[Symbol.asyncIterator]();

async function carry() {
  for (let next = await rows.next(); !next.done; next = await rows.next()) {
    await pool.sendMail(letter(next.value));
  }
}

await Promise.all(Array.from({ length: 2 * CONNECTIONS }, carry));
pool.close();
