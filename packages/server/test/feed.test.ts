import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createServer, type ServerOptions } from '../src/index.ts';
import { hashKey } from '../src/auth/api-keys.ts';
import { DEADLINE } from './peer.ts';

const KEY = `tw_key_${'a'.repeat(43)}`;
const NARROW = `tw_key_${'b'.repeat(43)}`;

interface FeedAnswer {
  readonly records: readonly {
    readonly channel: string;
    readonly cursor: string;
    readonly data: unknown;
    readonly encoding?: string;
  }[];
  readonly next: string;
  readonly end: boolean;
  readonly lag: number;
  readonly partition: number;
  readonly partitions: number;
  readonly gaps?: readonly object[];
}

async function start(t: TestContext, options: Partial<ServerOptions> = {}) {
  const server = await createServer({
    ...(options.data === undefined ? { log: 'memory:' } : {}),
    logger: () => {},
    auth: {
      keys: [
        { name: 'stock', sha256: hashKey(KEY) },
        {
          name: 'narrow',
          sha256: hashKey(NARROW),
          allow: { 'order:eu/*': ['subscribe', 'history'], 'stock:*': ['append'] },
        },
      ],
    },
    namespaces: {
      order: { append: 'anyone', subscribe: 'key', history: 'key', admin: 'key' },
      stock: { append: 'anyone', subscribe: 'anyone', history: 'anyone' },
      half: { append: 'anyone', subscribe: 'anyone' },
      asked: { subscribe: (identity, channel) => channel === 'asked:a*', history: 'key' },
      gone: { subscribe: 'anyone', history: 'anyone', durable: false },
    },
    ...options,
  });
  t.after(() => server.close({ drainMs: 0 }));
  const { url } = await server.listen({ port: 0 });
  const ask = async (query: string, key: string | undefined = KEY) => {
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(`${url}/v1/feed?${query}`, { headers });
    return {
      status: response.status,
      body: (await response.json()) as FeedAnswer & { error?: { code: string; message: string } },
    };
  };
  const feed = async (query: string): Promise<FeedAnswer> => {
    const { status, body } = await ask(query);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const append = async (channel: string, data: unknown, type = 'application/json'): Promise<string> => {
    const body = type === 'application/json' ? JSON.stringify(data) : String(data);
    const response = await fetch(`${url}/v1/records?channel=${channel}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    const { cursor } = (await response.json()) as { cursor: string };
    assert.ok(cursor);
    return cursor;
  };
  return { server, url, ask, feed, append };
}

test('FEED-1 records of many channels come in one order, each in the form of a page of history', async (t) => {
  const { url, feed, append } = await start(t);
  const cursors = [
    await append('order:1', { n: 1 }),
    await append('stock:apples', { n: 2 }),
    await append('order:eu/2', 'bytes', 'application/octet-stream'),
    await append('stock:pears', { n: 4 }),
  ];
  const all = await feed('channel=order:*&channel=stock:*&after=oldest');
  assert.deepEqual([all.records.map(({ cursor }) => cursor), all.end, all.lag], [cursors, true, 0]);
  assert.deepEqual([all.partition, all.partitions, all.gaps], [0, 1, undefined]);
  const headers = { authorization: `Bearer ${KEY}` };
  for (const record of all.records) {
    const response = await fetch(`${url}/v1/records?channel=${record.channel}`, { headers });
    assert.deepEqual(((await response.json()) as FeedAnswer).records, [record]);
  }
  assert.equal(all.records[2]?.encoding, 'base64');

  const some = await feed('channel=order:*&channel=stock:apples&after=oldest&limit=2');
  assert.deepEqual(
    some.records.map(({ cursor }) => cursor),
    cursors.slice(0, 2),
  );
  assert.deepEqual([some.end, some.lag], [false, 2]);
  const rest = await feed(`channel=order:*&channel=stock:apples&after=${some.next}`);
  assert.deepEqual([rest.records.map(({ cursor }) => cursor), rest.end, rest.lag], [[cursors[2]], true, 0]);
  assert.equal(rest.next, all.next, 'what is not wanted is passed');
});

test('FEED-2 limit=0 says where a place stands and gives nothing', async (t) => {
  const { feed, append } = await start(t);
  const cursor = await append('order:1', 1);
  await append('stock:1', 2);
  await append('order:1', 3);
  const { records, next, end, lag } = await feed(`channel=order:*&after=${cursor}&limit=0`);
  assert.deepEqual([records, next, end, lag], [[], cursor, false, 2]);
});

test('FEED-3 a read that waits is answered by a record it wants, and by no other', async (t) => {
  const { feed, append } = await start(t);
  const { next } = await feed('channel=order:*&after=now');
  const waiting = feed(`channel=order:*&after=${next}&wait=60`);
  await append('stock:1', 'not this');
  const cursor = await append('order:7', 'this');
  const { records } = await waiting;
  assert.deepEqual(
    records.map((record) => record.cursor),
    [cursor],
  );
  const { records: none, next: later } = await feed(`channel=order:*&after=${cursor}&wait=1`);
  assert.deepEqual([none, later], [[], cursor]);
});

test('FEED-4 another epoch, and records that a trim took, are said; then everything kept comes', async (t) => {
  const { url, feed, append } = await start(t);
  await append('order:1', 1);
  const { next: before } = await feed('channel=order:*&after=oldest');
  await append('order:1', 2);
  const kept = await append('order:2', 3);
  const headers = { authorization: `Bearer ${KEY}` };
  const trim = await fetch(`${url}/v1/records?channel=order:1`, { method: 'DELETE', headers });
  const { cursor: floor } = (await trim.json()) as { cursor: string };
  const after = await feed(`channel=order:*&after=${before}`);
  assert.deepEqual(after.gaps, [{ reason: 'trimmed', channel: 'order:1', cursor: floor }]);
  assert.deepEqual(
    after.records.map(({ cursor }) => cursor),
    [kept],
  );
  assert.equal((await feed(`channel=order:*&after=${after.next}`)).gaps, undefined, 'said once');

  const other = await feed(`channel=order:2&after=zzzzzz${before.slice(6)}`);
  const { next: oldest } = await feed('channel=order:*&after=oldest&limit=0');
  assert.deepEqual(other.gaps, [{ reason: 'epoch', place: oldest }]);
  assert.deepEqual(
    other.records.map(({ cursor }) => cursor),
    [kept],
  );

  const diverged = await feed(`channel=order:2&after=${before.slice(0, -4)}aaaa`);
  assert.deepEqual(diverged.gaps, [{ reason: 'diverged', place: oldest }]);
  const rewound = await feed(`channel=order:2&after=${before.slice(0, 7)}5zzzzz.aaaa`);
  assert.deepEqual(rewound.gaps, [{ reason: 'diverged', place: oldest }]);
});

test('FEED-5 who may: an API key whose namespaces and allow cover all that a glob names', async (t) => {
  const { ask } = await start(t);
  const table: readonly (readonly [query: string, status: number, code: string, message: RegExp, key?: string])[] = [
    ['channel=order:*&after=now', 403, 'forbidden', /subscribe on order:\* is not allowed to narrow/, NARROW],
    ['channel=order:eu/*&channel=stock:*&after=now', 403, 'forbidden', /on stock:\*/, NARROW],
    ['channel=half:*&after=now', 403, 'forbidden', /history on half:\*/],
    ['channel=asked:*&after=now', 403, 'forbidden', /subscribe on asked:\*/],
    ['channel=none:*&after=now', 404, 'channel_unknown', /no namespace "none"/],
    ['channel=gone:*&after=now', 400, 'bad_frame', /"gone" says durable: false/],
    ['channel=*&after=now', 400, 'bad_frame', /"\*" names no channels/],
    ['channel=order:*x&after=now', 400, 'bad_frame', /"order:\*x" names no channels/],
    ['after=now', 400, 'bad_frame', /"channel" must be given 1 to 100 times, it was given 0 times/],
    ['channel=order:*', 400, 'bad_frame', /"after" must be given once/],
    ['channel=order:*&after=last:3', 400, 'bad_cursor', /"after" must be a place/],
    ['channel=order:*&after=now&partition=1', 400, 'bad_frame', /"partition" must be a whole number from 0 to 0/],
    ['channel=order:*&after=now&limit=1001', 400, 'bad_frame', /"limit"/],
    ['channel=order:*&after=now&wait=61', 400, 'bad_frame', /"wait"/],
  ];
  for (const [query, status, code, message, key] of table) {
    const { status: got, body } = await ask(query, key);
    assert.deepEqual([got, body.error?.code], [status, code], query);
    assert.match(body.error?.message ?? '', message);
  }
  const anonymous = await ask('channel=stock:*&after=now', '');
  assert.deepEqual([anonymous.status, anonymous.body.error?.code], [401, 'unauthenticated']);
  assert.equal((await ask('channel=order:eu/*&after=now', NARROW)).status, 200);
  assert.equal((await ask('channel=asked:a*&after=now')).status, 200);
});

test('FEED-6 places hold over a restart, and what was appended meanwhile is in its order', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'tideway-feed-'));
  t.after(() => rm(data, { recursive: true, force: true, maxRetries: 20 }));
  const first = await start(t, { data });
  await first.append('order:1', 1);
  const { next } = await first.feed('channel=order:*&after=oldest');
  const cursors = [await first.append('order:2', 2), await first.append('order:1', 3)];
  await first.server.close({ drainMs: 0 });
  const second = await start(t, { data });
  cursors.push(await second.append('order:3', 4));
  await t.waitFor(async () => {
    const { records, gaps } = await second.feed(`channel=order:*&after=${next}`);
    assert.deepEqual([records.map(({ cursor }) => cursor), gaps], [cursors, undefined]);
  }, DEADLINE);
});
