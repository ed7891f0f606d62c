/** PROTOCOL.md HTTP-5 to HTTP-7 from outside: pages in both directions, waiting reads, caching, trims. */
import assert from 'node:assert/strict';
import { appendMany } from './records.ts';
import { assertHttpError, type Fields } from './talk.ts';
import { check, type Check, type Wire } from './wire.ts';

interface Page {
  readonly records: readonly Fields[];
  readonly first: string;
  readonly next: string;
  readonly end: boolean;
  readonly gap?: Fields;
}

async function page(wire: Wire, query: Record<string, string>): Promise<Page> {
  const answer = await wire.http('GET', '/v1/records', { query });
  assert.equal(answer.status, 200, answer.text);
  return answer.json as Page;
}

export const httpReadChecks: readonly Check[] = [
  check('HTTP-5', 'pages forward and backward give every record once, in the form of SSE-2', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 25);
    const forward: Fields[] = [];
    let after = 'oldest';
    for (;;) {
      const got = await page(wire, { channel, after, limit: '10' });
      assert.ok(got.records.length <= 10);
      forward.push(...got.records);
      after = got.next;
      if (got.end) break;
      assert.equal(got.records.length, 10);
    }
    assert.deepEqual(
      forward.map((record) => record['cursor']),
      cursors,
    );
    assert.deepEqual(
      forward.map((record) => record['data']),
      cursors.map((_, i) => i + 1),
    );
    assert.equal(after, cursors[24]);
    let got = await page(wire, { channel, limit: '10' });
    assert.equal(got.next, cursors[24]);
    const backward = [...got.records];
    while (!got.end) {
      got = await page(wire, { channel, before: got.first, limit: '10' });
      backward.unshift(...got.records);
    }
    assert.deepEqual(backward, forward);
    const nothing = await page(wire, { channel, after });
    assert.deepEqual([nothing.records, nothing.next, nothing.end], [[], after, true]);
  }),

  check('HTTP-5', 'after and before are exclusive, and the places of a page bound it', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = (await appendMany(talk, channel, 5)) as [string, string, string, string, string];
    const middle = await page(wire, { channel, after: cursors[1], limit: '2' });
    assert.deepEqual(
      middle.records.map((record) => record['data']),
      [3, 4],
    );
    assert.deepEqual([middle.first, middle.next, middle.end], [cursors[2], cursors[3], false]);
    const front = await page(wire, { channel, before: cursors[2] });
    assert.deepEqual(
      front.records.map((record) => record['data']),
      [1, 2],
    );
    assert.equal(front.end, true);
    const before = await page(wire, { channel, before: middle.first });
    assert.deepEqual(
      before.records.map((record) => record['data']),
      [1, 2],
    );
    const last = await page(wire, { channel, after: cursors[3] });
    assert.deepEqual([last.records.length, last.end], [1, true]);
  }),

  check('HTTP-5', 'a channel without records gives an empty page, and its places can be followed', async (wire) => {
    const channel = wire.channel();
    const empty = await page(wire, { channel });
    assert.deepEqual([empty.records, empty.end], [[], true]);
    await wire.post(channel, '1');
    assert.equal((await page(wire, { channel, after: empty.next })).records.length, 1);
  }),

  check('HTTP-5 LIM-1', 'a page has at most 1 MiB, but at least one record', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const big = JSON.stringify('x'.repeat(250_000));
    for (let i = 0; i < 8; i++) await talk.append(channel, big);
    const sizes: number[] = [];
    let after = 'oldest';
    for (;;) {
      const answer = await wire.http('GET', '/v1/records', { query: { channel, after } });
      const got = answer.json as Page;
      sizes.push(got.records.length);
      assert.ok(got.records.length >= 1 && answer.text.length <= 1024 * 1024 + 4_096, `${answer.text.length} bytes`);
      after = got.next;
      if (got.end) break;
    }
    assert.equal(
      sizes.reduce((sum, size) => sum + size),
      8,
    );
    assert.ok(sizes.length >= 2);
  }),

  check('HTTP-5', 'wrong parameters are refused', async (wire) => {
    const channel = wire.channel();
    const cursor = await wire.post(channel);
    const wrong: readonly Record<string, string>[] = [
      ...['0', '-1', '1001', 'x', '1.5', '', '1e2'].map((limit) => ({ limit })),
      ...['-1', '61', 'x', '1.5'].map((wait) => ({ after: 'oldest', wait })),
      { wait: '1' },
      { before: cursor, wait: '1' },
      { after: cursor, before: cursor },
    ];
    for (const query of wrong)
      assertHttpError(await wire.http('GET', '/v1/records', { query: { channel, ...query } }), 400, [
        'bad_frame',
        'bad_cursor',
      ]);
    assertHttpError(
      await wire.http('GET', '/v1/records', { query: { channel, before: 'rubbish' } }),
      400,
      'bad_cursor',
    );
    assertHttpError(await wire.http('GET', '/v1/records', { query: { channel, before: 'oldest' } }), 400, [
      'bad_cursor',
      'bad_frame',
    ]);
  }),

  check('HTTP-5', 'a read that waits answers when there is something, or when its time is over', async (wire) => {
    const channel = wire.channel();
    const { next } = await page(wire, { channel });
    const waiting = page(wire, { channel, after: next, wait: '30' });
    waiting.catch(() => {});
    const talk = await wire.session();
    await talk.fence();
    await talk.append(channel, '"news"');
    const got = await waiting;
    assert.deepEqual(
      got.records.map((record) => record['data']),
      ['news'],
    );
    const nothing = await page(wire, { channel, after: got.next, wait: '1' });
    assert.deepEqual([nothing.records, nothing.next, nothing.end], [[], got.next, true]);
    // What is there already is not waited for.
    assert.equal((await page(wire, { channel, after: next, wait: '30' })).records.length, 1);
    const closing = page(wire, { channel, after: got.next, wait: '30' });
    closing.catch(() => {});
    await talk.fence();
    assert.equal((await wire.http('POST', '/v1/close', { query: { channel } })).status, 200);
    assert.deepEqual((await closing).records, []);
  }),

  check('HTTP-2', 'HEAD is answered as GET is, without the body', async (wire) => {
    const channel = wire.channel();
    await wire.post(channel, '1');
    const query = { channel, after: 'oldest', limit: '1' };
    const [get, head] = [
      await wire.http('GET', '/v1/records', { query }),
      await wire.http('HEAD', '/v1/records', { query }),
    ];
    assert.deepEqual([head.status, head.text, head.headers.get('etag')], [200, '', get.headers.get('etag')]);
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(get.text)));
    assert.equal((await wire.http('HEAD', '/v1/events', { query: { channel } })).status, 400);
  }),

  check('HTTP-5 SUB-8', 'a reader that only waits, page after page, gets every record once', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    let after = (await page(wire, { channel })).next;
    const appending = (async () => {
      for (let round = 0; round < 20; round++) {
        const ids = Array.from({ length: 15 }, (_, i) =>
          talk.request({ op: 'append', channel, rid: `r${round}-${i}` }, String(round * 15 + i)),
        );
        for (const id of ids) assert.equal((await talk.answer(id)).op, 'ok');
      }
    })();
    appending.catch(() => {});
    const seen: unknown[] = [];
    while (seen.length < 300) {
      const got = await page(wire, { channel, after, wait: '20', limit: '40' });
      seen.push(...got.records.map((record) => record['data']));
      after = got.next;
    }
    await appending;
    assert.deepEqual(
      seen,
      seen.map((_, i) => i),
    );
  }),

  check('HTTP-6', 'settled pages have an ETag and are answered 304; young ones are private, no-store', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 6);
    for (const query of [
      { channel, after: 'oldest', limit: '3' },
      { channel, before: cursors[3] as string },
    ]) {
      const full = await wire.http('GET', '/v1/records', { query });
      const etag = full.headers.get('etag');
      assert.ok(etag !== null && /^(W\/)?"[^"]*"$/.test(etag), `no ETag: ${JSON.stringify(query)}`);
      assert.match(full.headers.get('cache-control') ?? '', /public, max-age=300|private|no-store/);
      const again = await wire.http('GET', '/v1/records', { query, headers: { 'If-None-Match': etag } });
      assert.deepEqual([again.status, again.text], [304, '']);
      assert.equal(again.headers.get('etag'), etag);
      // Of a 304 it would be the length of the page (RFC 9110 §8.6), which a cache may believe.
      assert.equal(again.headers.get('content-length'), null);
      const other = await wire.http('GET', '/v1/records', { query, headers: { 'If-None-Match': '"other"' } });
      assert.deepEqual([other.status, other.text], [200, full.text]);
    }
    const young = await wire.http('GET', '/v1/records', { query: { channel, after: cursors[3] as string } });
    assert.equal(young.headers.get('etag'), null);
    assert.equal(young.headers.get('cache-control'), 'private, no-store');
  }),

  check('HTTP-7', 'a trim answers with the new floor; nothing before it can be read', async (wire) => {
    const talk = await wire.session();
    const channel = wire.channel();
    const cursors = await appendMany(talk, channel, 3);
    const trimmed = await wire.http('DELETE', '/v1/records', { query: { channel } });
    assert.equal(trimmed.status, 200, trimmed.text);
    const floor = (trimmed.json as { cursor: string }).cursor;
    assert.ok(floor >= (cursors[2] as string));
    const empty = await page(wire, { channel, after: 'oldest' });
    assert.deepEqual([empty.records, empty.end], [[], true]);
    await wire.post(channel, '"next"');
    const after = await page(wire, { channel, after: 'oldest' });
    assert.deepEqual(
      after.records.map((record) => [record['data'], record['prev']]),
      [['next', cursors[2]]],
    );
    const backward = await page(wire, { channel, before: cursors[1] as string });
    assert.deepEqual(
      [backward.gap?.['reason'], backward.records, backward.end, backward.first],
      ['trimmed', [], true, floor],
    );
    const sub = await (await wire.session()).subscribe(channel, 'oldest');
    assert.equal(sub['cursor'], floor);
  }),
];
