/** Readers over HTTP who are being served when the log turns out to be rewound. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { encodePositionNumber, TidewayError } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import { createTurnstile } from '../auth/turnstile.ts';
import { nodeEnv } from '../env.ts';
import { World, type WorldOptions } from '../hub/testing/hub-world.ts';
import { GivenLog, givenRecords } from '../view/testing/given-log.ts';
import { Exchange } from './exchange.ts';
import { getRecords } from './http-records.ts';
import { LongReads } from './long-reads.ts';
import { refusalOf } from './request-refusal.ts';
import { createEventStreams } from './sse.ts';

const EPOCH = 'abcdef';
/** Of what takes the place of what was there. */
const SECOND = { payload: Buffer.from('"second"') };
const ANYBODY: Identity = { kind: 'anonymous', roles: [] };

/** Two records of `a:2` and three of `a:1`, of which a rewind takes the latter; a session sees that. */
async function serving(t: TestContext, overView: WorldOptions['overView'] & object) {
  const log = new GivenLog({ epoch: EPOCH, window: 1_000 });
  const world = await World.create({ view: { log }, overView });
  const { hub, commands } = world;
  const live = await world.session();
  await live.ask({ op: 'subscribe', channel: 'a:1' });
  const first = givenRecords(1, ['a:2', 'a:2', 'a:1', 'a:1', 'a:1']);
  log.give(first);
  await live.recordsOf('a:1', 3);
  const longReads = new LongReads(hub);
  const room = { isLeaving: false, whenFull: () => undefined, whenUserFull: () => undefined };
  const onOpened = (): void => {};
  const streams = createEventStreams({
    env: nodeEnv,
    hub,
    commands,
    faults: false,
    room,
    onOpened,
    onClosed: onOpened,
  });
  const reading = { hub, feeds: [], longReads, pages: createTurnstile(1) };
  const server = createServer((request, response) => {
    const client = { remoteAddress: '127.0.0.1', headers: {}, isEncrypted: false };
    const exchange = new Exchange({ request, response, headers: {}, client, refer: () => '' });
    const isStream = exchange.path === '/v1/events';
    const answering = isStream ? streams.open(exchange, ANYBODY) : getRecords(reading, exchange, ANYBODY);
    answering.catch((error: unknown) => exchange.fail(refusalOf(error)));
  });
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    streams.stop();
    await world.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    longReads,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    placeOf: (n: number): string => `${EPOCH}.${first[n]?.position}.${first[n]?.tag}`,
    async rewind(channels: readonly string[]): Promise<void> {
      log.rewind(encodePositionNumber(2), givenRecords(3, channels, SECOND));
      await live.until('the gap', () => live.received.find(({ frame }) => frame.op === 'gap'));
    },
  };
}

test('an event stream is told of what was lost while places in other channels were looked for (SSE-2, SUB-6)', async (t) => {
  const looking = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { url, placeOf, rewind } = await serving(t, (view) => ({
    async tagAt(channel, position) {
      if (channel === 'a:2') {
        looking.resolve();
        await goOn.promise;
      }
      return await view.tagAt(channel, position);
    },
  }));
  const channels = [
    { channel: 'a:1', from: placeOf(3) },
    { channel: 'a:2', from: placeOf(0) },
  ];
  const body = JSON.stringify({ channels });
  const asked = fetch(`${url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  await looking.promise;
  await rewind(['a:1', 'a:1', 'a:1']);
  goOn.resolve();
  const stream = (await asked).body as ReadableStream<Uint8Array>;
  let text = '';
  for await (const chunk of stream) {
    text += Buffer.from(chunk).toString('utf8');
    if (/event: ready\ndata: .*\n/.test(text)) break;
  }
  assert.match(text, /event: ready\ndata: \{"channels":\[\{"channel":"a:1",[^}]*"resumed":false,"reason":"diverged"/);
});

/** A read that waits behind the last record, and the answer that it will get. */
async function waitingRead(t: TestContext) {
  const waiting = Promise.withResolvers<void>();
  let following = 0;
  const { url, placeOf, rewind } = await serving(t, (view) => ({
    follow(channel, follower) {
      // The session's, then the read's.
      if (++following === 2) waiting.resolve();
      return view.follow(channel, follower);
    },
  }));
  const asked = fetch(`${url}/v1/records?channel=a:1&after=${placeOf(4)}&wait=60`);
  await waiting.promise;
  return { asked, rewind };
}

test('a read that waits is told of a gap where what comes stands behind a place that was lost (HTTP-5)', async (t) => {
  const { asked, rewind } = await waitingRead(t);
  await rewind(['a:1', 'a:1', 'a:1', 'a:1', 'a:1']);
  const { records: given, gap } = (await (await asked).json()) as {
    readonly records: readonly unknown[];
    readonly gap?: { readonly reason: string };
  };
  assert.equal(gap?.reason, 'diverged');
  assert.equal(given.length, 5);
});

test('a page in front of a place that is lost while it is read is none: the gap is told (HTTP-5)', async (t) => {
  const reading = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { url, placeOf, rewind } = await serving(t, (view) => ({
    async read(channel, request) {
      if (request.before !== undefined) {
        reading.resolve();
        await goOn.promise;
      }
      return await view.read(channel, request);
    },
  }));
  const asked = fetch(`${url}/v1/records?channel=a:1&before=${placeOf(4)}`);
  await reading.promise;
  await rewind(['a:1', 'a:1', 'a:1']);
  goOn.resolve();
  const answer = await asked;
  const floor = `${EPOCH}.0.zzzz`;
  assert.deepEqual(await answer.json(), {
    records: [],
    first: floor,
    next: floor,
    end: true,
    gap: { reason: 'diverged', cursor: floor },
  });
  assert.equal(answer.headers.get('etag'), null);
});

test('a read that is about to wait is told of a gap that comes before it does (HTTP-5)', async (t) => {
  const reading = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let reads = 0;
  const { url, placeOf, rewind } = await serving(t, (view) => ({
    async read(channel, request) {
      const page = await view.read(channel, request);
      if (++reads > 1) return page;
      // The page was read in one history, and comes in the next one: a process that asks another one for it may see that.
      reading.resolve();
      await goOn.promise;
      return page;
    },
  }));
  const asked = fetch(`${url}/v1/records?channel=a:1&after=${placeOf(4)}&wait=2`);
  await reading.promise;
  await rewind(['a:2']);
  goOn.resolve();
  const floor = `${EPOCH}.0.zzzz`;
  assert.deepEqual(await (await asked).json(), {
    records: [],
    first: floor,
    next: floor,
    end: true,
    gap: { reason: 'diverged', cursor: floor },
  });
});

test('a read that waits is told of a gap behind which nothing comes (HTTP-5)', async (t) => {
  const { asked, rewind } = await waitingRead(t);
  await rewind(['a:2']);
  const { gap } = (await (await asked).json()) as { readonly gap?: { readonly reason: string } };
  assert.equal(gap?.reason, 'diverged');
});

test('a read that cannot wait, because the view is away just then, is refused and leaves nothing behind', async (t) => {
  let isAway = false;
  const { url, placeOf, longReads } = await serving(t, (view) => ({
    async read(channel, request) {
      const page = await view.read(channel, request);
      isAway = true;
      return page;
    },
    state(channel) {
      if (isAway) throw new TidewayError('behind', 'the store is being opened anew', { retryMs: 1_000 });
      return view.state(channel);
    },
  }));
  const answer = await fetch(`${url}/v1/records?channel=a:1&after=${placeOf(4)}&wait=1`);
  assert.equal(answer.status, 503);
  assert.equal(((await answer.json()) as { error: { code: string } }).error.code, 'behind');
  assert.equal(longReads.count, 0);
});
