/** PROTOCOL.md as the law: its ids are unique, and whatever cites one cites one that is there. */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { limits, timing } from '../src/index.ts';
import { fixtures, readVectors } from './vectors.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const protocol = readFileSync(join(root, 'PROTOCOL.md'), 'utf8');
const rooms = 'NAM|CUR|FRM|WS|HEL|PNG|CLS|SUB|REC|GAP|MRK|APP|SIG|CAL|SSE|HTTP|COD|CLI|LIM';
const id = new RegExp(String.raw`\b(?:${rooms})-\d+\b`, 'g');
const clauses = [...protocol.matchAll(new RegExp(String.raw`^\*\*((?:${rooms})-\d+)\*\*`, 'gm'))].map(
  (match) => match[1] as string,
);

test('each clause of PROTOCOL.md has its own id, counted from 1 without a hole', () => {
  assert.equal(new Set(clauses).size, clauses.length);
  for (const room of rooms.split('|')) {
    const numbers = clauses
      .filter((clause) => clause.startsWith(`${room}-`))
      .map((clause) => Number(clause.split('-')[1]));
    assert.deepEqual(
      numbers,
      Array.from({ length: numbers.length }, (_, index) => index + 1),
      room,
    );
    assert.ok(numbers.length > 0, room);
  }
});

test('PROTOCOL.md refers to its own clauses only', () => {
  for (const [cited] of protocol.matchAll(id)) assert.ok(clauses.includes(cited), cited);
});

test('each vector cites a clause that is there', () => {
  for (const file of readdirSync(fixtures).filter((name) => name.endsWith('.json'))) {
    const { cases } = readVectors(file.replace('.json', '')) as {
      cases: readonly { readonly clause: string }[];
    };
    assert.ok(cases.length > 0, file);
    for (const { clause } of cases)
      for (const one of clause.split(', ')) assert.ok(clauses.includes(one), `${file}: ${one}`);
  }
});

test('code cites clauses that are there', () => {
  const files = globSync('packages/{protocol,server,client,verifier}/{src,test}/**/*.ts', {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  });
  assert.ok(files.length > 10);
  for (const file of files) {
    for (const [cited] of readFileSync(join(root, file), 'utf8').matchAll(id)) {
      assert.ok(clauses.includes(cited), `${file} cites ${cited}, which PROTOCOL.md does not have`);
    }
  }
});

test('the README of the vectors names each file, and each file is there', () => {
  const readme = readFileSync(join(fixtures, 'README.md'), 'utf8');
  const named = [...readme.matchAll(/`([a-z-]+\.json)`/g)].map((match) => match[1] as string).sort();
  assert.deepEqual(
    named,
    readdirSync(fixtures)
      .filter((name) => name.endsWith('.json'))
      .sort(),
  );
});

test('the table of LIM-1 says what the limits are', () => {
  const table = new Map(
    protocol
      .slice(protocol.indexOf('**LIM-1**'), protocol.indexOf('**LIM-2**'))
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, what, limit]) => [what as string, limit as string]),
  );
  const kib = 1024;
  const seconds = (ms: number): string => `${ms / 1000} s`;
  const expected: Readonly<Record<string, string>> = {
    'record payload': `${limits.recordBytes / kib} KiB; a namespace may raise it to ${limits.recordBytesMax / kib / kib} MiB, as far as the log stores it`,
    'signal payload': `${limits.signalBytes / kib} KiB`,
    'argument or result of a call': `${limits.callBytes / kib} KiB, or one largest record where that is less`,
    message: `largest record + ${limits.headerBytes / kib} KiB, at least 64 KiB`,
    'body of `POST /v1/batch`': `${limits.batchBytes / kib / kib} MiB, or one largest record in base64`,
    "any other body but a record's, signal's or argument's": `${limits.bodyBytes / kib} KiB`,
    'channels in one `subscribe` / GET stream / POST stream': `${limits.channelsPerFrame} / ${limits.eventSourceChannels} / ${limits.subscriptions.toLocaleString('en')}`,
    'subscriptions of a session': limits.subscriptions.toLocaleString('en'),
    'commands of a session without answer': String(limits.commandsInFlight),
    'channels of a session with commands under way, or with an append refused for now (APP-3)':
      limits.channelsUnderWay.toLocaleString('en'),
    page: `${limits.pageRecords.toLocaleString('en')} records, ${limits.pageBytes / kib / kib} MiB`,
    'items in a batch': limits.batchItems.toLocaleString('en'),
    '`wait`': seconds(timing.waitMs),
    'globs of a feed': String(limits.feedGlobs),
    'requests of a connection that wait (HTTP/1.1)': String(limits.requestsWaiting),
    'requests and streams on a connection (HTTP/2)': String(limits.requestsAtOnce),
    'header of an HTTP request': `${limits.httpHeaderBytes / kib} KiB, ${seconds(timing.headerMs)}`,
    'all of an HTTP request': seconds(timing.requestMs),
    'an HTTP/1.1 connection without a request': seconds(timing.keepAliveMs),
    'taking nothing of an answer or stream': seconds(timing.unreadMs),
    'success of `hello`': seconds(timing.helloMs),
    'outcome of an append': seconds(timing.appendMs),
    'outcome of a call': seconds(timing.callMs),
    'waiting for a node that is behind': seconds(timing.behindMs),
    'life of a ticket': `${timing.ticketMs / 3_600_000} h`,
  };
  for (const [what, limit] of Object.entries(expected)) assert.equal(table.get(what), limit, what);
  assert.equal(table.size, Object.keys(expected).length + 1, 'no row without a check, save the head');
});
