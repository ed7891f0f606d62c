/**
 * Pages of history through the caching nginx of deploy/: what anyone may read is answered from its cache, what only some
 * may read never is, and a trim is seen once the time that a page may be kept is over. Counted at both ends.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { createKey, createServer } from 'tideway';
import { balancers, makeSite, missingProgram, NAME } from './balancers.ts';

const KEPT = 'max-age=300';
const DEADLINE = { timeout: 60_000, interval: 100 };

interface Page {
  readonly status: number;
  /** What nginx says of its cache. */
  readonly cache: string | null;
  readonly kept: string | null;
  readonly etag: string | null;
  readonly text: string;
}

/** @param keptSeconds what the node's pages say instead, as if the clock of nginx ran that much faster */
async function start(t: TestContext, keptSeconds?: number) {
  const [ann, bob] = [createKey(), createKey()];
  const server = await createServer({
    log: 'memory:',
    hosts: [NAME],
    auth: {
      keys: [
        { name: 'ann', user: 'ann', sha256: ann.sha256 },
        { name: 'bob', user: 'bob', sha256: bob.sha256 },
      ],
      session: ({ cookie }) => (cookie === undefined ? undefined : { user: cookie.slice('sid='.length) }),
    },
    namespaces: {
      news: { history: 'anyone', append: 'anyone', subscribe: 'anyone', admin: 'key' },
      team: { history: ({ user }, channel) => channel === `team:${user}`, append: 'anyone' },
      secret: { history: 'anyone', append: 'anyone', noStore: true },
    },
    logger: () => {},
  });
  const asked: string[] = [];
  const node = createHttpServer();
  server.attach(node);
  node.prependListener('request', ({ url = '' }, response: ServerResponse) => {
    asked.push(url);
    if (keptSeconds !== undefined) shorten(response, keptSeconds);
  });
  node.listen(0, '127.0.0.1');
  await once(node, 'listening');
  t.after(async () => {
    node.close();
    node.closeAllConnections();
    await server.close({ drainMs: 0 });
  });
  const { port: nodePort } = node.address() as AddressInfo;
  const site = await makeSite(t);
  const { port } = await balancers.nginx.start(t, site, [nodePort, nodePort, nodePort]);
  const origin = `https://127.0.0.1:${port}`;

  async function page(query: string, headers: Record<string, string> = {}): Promise<Page> {
    const answer = await fetch(`${origin}/v1/records?${query}`, { headers });
    return {
      status: answer.status,
      cache: answer.headers.get('x-cache'),
      kept: answer.headers.get('cache-control'),
      etag: answer.headers.get('etag'),
      text: await answer.text(),
    };
  }

  /** How many requests the node got while this ran. */
  async function counted<T>(run: () => Promise<T>): Promise<{ readonly atNode: number; readonly value: T }> {
    const before = asked.length;
    const value = await run();
    return { atNode: asked.length - before, value };
  }

  for (const channel of ['news:1', 'news:12', 'team:ann', 'team:bob', 'secret:1'])
    for (let n = 0; n < 4; n++) await server.channel(channel).append({ channel, n });
  return { server, origin, page, counted, key: { ann: ann.key, bob: bob.key }, asked };
}

function shorten(response: ServerResponse, seconds: number): void {
  const writeHead = response.writeHead.bind(response) as (status: number, headers: object) => ServerResponse;
  response.writeHead = ((status: number, headers: Record<string, string>) => {
    const kept = headers['cache-control'];
    return writeHead(status, {
      ...headers,
      ...(kept !== undefined && { 'cache-control': kept.replace(KEPT, `max-age=${seconds}`) }),
    });
  }) as ServerResponse['writeHead'];
}

function skipped(t: TestContext): boolean {
  const missing = missingProgram(balancers.nginx);
  if (missing !== undefined) t.skip(missing);
  return missing !== undefined;
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

test('a settled page that anyone may read is asked of the node once; browsers ask nginx again', async (t) => {
  if (skipped(t)) return;
  const { page, counted } = await start(t);
  const { atNode, value } = await counted(async () => {
    const pages = [];
    for (let n = 0; n < 5; n++) pages.push(await page('channel=news:1&after=oldest&limit=2'));
    return pages;
  });
  assert.equal(atNode, 1);
  assert.deepEqual(
    value.map(({ cache }) => cache),
    ['MISS', 'HIT', 'HIT', 'HIT', 'HIT'],
  );
  const [first] = value as [Page];
  assert.deepEqual(new Set(value.map(({ text }) => text)), new Set([first.text]));
  assert.equal(first.kept, 'no-cache');
  const known = await counted(() => page('channel=news:1&after=oldest&limit=2', { 'if-none-match': first.etag ?? '' }));
  assert.deepEqual([known.atNode, known.value.status], [0, 304]);
  // The page in front of it, and another channel, are pages of their own.
  const { first: place } = JSON.parse((await page('channel=news:1&limit=1')).text) as { readonly first: string };
  const before = await page(`channel=news:1&before=${place}`);
  assert.equal(before.cache, 'MISS');
  assert.equal((await page(`channel=news:1&before=${place}`)).cache, 'HIT');
  assert.match((await page('channel=news:12&after=oldest&limit=2')).text, /"channel":"news:12"/);
});

test('a page that may still grow is asked of the node each time, and a long poll waits for nobody else', async (t) => {
  if (skipped(t)) return;
  const { server, page, counted, asked } = await start(t);
  for (const query of ['channel=news:1', 'channel=news:1&after=oldest', 'channel=news:1&after=oldest&limit=100']) {
    const { atNode, value } = await counted(async () => [await page(query), await page(query)]);
    assert.equal(atNode, 2, query);
    for (const { cache, kept } of value) assert.deepEqual([cache, kept], ['MISS', 'private, no-store'], query);
  }
  const { next } = JSON.parse((await page('channel=news:1&after=oldest')).text) as { readonly next: string };
  const query = `channel=news:1&after=${next}&wait=30`;
  const waiting = [page(query), page(query)];
  await t.waitFor(() => assert.equal(asked.filter((url) => url.endsWith('&wait=30')).length, 2), DEADLINE);
  await server.channel('news:1').append({ n: 'new' });
  for (const { cache, text } of await Promise.all(waiting)) {
    assert.equal(cache, 'BYPASS');
    assert.match(text, /"n":"new"/);
  }
});

test('a page that only some may read never leaves the node for anybody else, whatever stands in the cache', async (t) => {
  if (skipped(t)) return;
  const { page, counted, key } = await start(t);
  const users = [
    { user: 'ann', callers: [bearer(key.ann), { cookie: 'sid=ann' }] },
    { user: 'bob', callers: [bearer(key.bob), { cookie: 'sid=bob' }] },
  ];
  for (let round = 0; round < 2; round++) {
    for (const { user, callers } of users) {
      for (const owner of ['ann', 'bob']) {
        const query = `channel=team:${owner}&after=oldest&limit=2`;
        for (const headers of callers) {
          const { atNode, value } = await counted(() => page(query, headers));
          assert.equal(atNode, 1, `${user} asks for the page of ${owner}`);
          assert.equal(value.kept, 'private, no-store');
          assert.equal(value.status, user === owner ? 200 : 403);
          assert.equal(value.text.includes('"records"'), user === owner);
        }
        assert.equal((await page(query)).status, 401);
      }
    }
  }
});

test('who asks is asked at the node also for a page that anyone may read: a wrong key is refused', async (t) => {
  if (skipped(t)) return;
  const { page, key } = await start(t);
  const query = 'channel=news:1&after=oldest&limit=2';
  assert.equal((await page(query)).cache, 'MISS');
  assert.equal((await page(query, bearer(`${key.ann}x`))).status, 401);
  assert.deepEqual(
    [(await page(query, bearer(key.ann))).cache, (await page(query, bearer(key.ann))).cache],
    ['MISS', 'HIT'],
  );
  assert.equal((await page(query, { origin: 'https://evil.example' })).status, 403);
  assert.equal((await page(query, bearer(`${key.ann}x`))).status, 401);
  // What joins to the same text is not the same page.
  assert.match((await page('channel=news:1', { authorization: '2&after=oldest&limit=2' })).text, /"channel":"news:1"/);
  assert.match((await page('channel=news:12&after=oldest&limit=2')).text, /"channel":"news:12"/);
});

test('a namespace that must forget at once is never kept', async (t) => {
  if (skipped(t)) return;
  const { page, counted } = await start(t);
  const query = 'channel=secret:1&after=oldest&limit=2';
  const { atNode, value } = await counted(async () => [await page(query), await page(query)]);
  assert.equal(atNode, 2);
  for (const { cache, kept } of value) assert.deepEqual([cache, kept], ['MISS', 'private, no-store']);
});

test('a page is kept for 300 s, and a trim is seen when the time that it may be kept is over, not later', async (t) => {
  if (skipped(t)) return;
  const { page, origin, key, asked } = await start(t, 1);
  const query = 'channel=news:1&after=oldest&limit=2';
  const { text } = await page(query);
  assert.match(text, /"n":0/);
  // Nothing changed: asked again with its ETag, and answered without a body.
  await t.waitFor(async () => assert.equal((await page(query)).cache, 'REVALIDATED'), DEADLINE);
  const trimmed = await fetch(`${origin}/v1/records?channel=news:1`, { method: 'DELETE', headers: bearer(key.ann) });
  assert.equal(trimmed.status, 200);
  const closed = await fetch(`${origin}/v1/close?channel=news:12`, { method: 'POST', headers: bearer(key.ann) });
  assert.equal(closed.status, 200);
  const before = asked.length;
  const after = await t.waitFor(async () => {
    const now = await page(query);
    assert.notEqual(now.text, text);
    return now;
  }, DEADLINE);
  assert.ok(asked.length > before);
  assert.doesNotMatch(after.text, /"n":/);
  assert.equal(after.kept, 'private, no-store');
});
