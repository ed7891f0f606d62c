/**
 * The client against the real server, which is killed with `kill -9` and started again in the middle of appends and
 * reads, over each transport: every append has one outcome and is stored once, every reader sees all, once, in order.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { connect, type ChannelRecord, type Client, type Receipt, type TransportChoice } from '@tideway/client';
import { type ServerChild, startServerChild } from './server-child.ts';

const KILLS = 3;
/** Appends of each writer while the server lives, and as many while it does not. */
const BURST = 60;
const DEADLINE_MS = 120_000;

/** A client with a connection of its own: those of one token function would share one. */
function open(t: TestContext, server: ServerChild, transport: TransportChoice): Client {
  const client = connect({ url: server.url, transport, token: () => undefined, onError: (error) => fail(t, error) });
  client.on('appendFailed', ({ error }) => fail(t, error));
  t.after(() => client.close());
  return client;
}

function fail(t: TestContext, error: unknown): void {
  t.diagnostic(`the client says: ${String(error)}`);
}

interface Reading {
  readonly records: ChannelRecord[];
  readonly done: Promise<void>;
}

/** Reads so many records; with `restart` by many readers, each from where the one before it was. */
function read(client: Client, count: number, restart: boolean): Reading {
  const records: ChannelRecord[] = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const follow = async () => {
    while (records.length < count) {
      const from = records.at(-1)?.cursor ?? 'oldest';
      for await (const record of client.channel('chat:1').read({ from, onGap: 'throw', signal })) {
        records.push(record);
        if (records.length === count || (restart && records.length % 25 === 0)) break;
      }
      if (signal.aborted) throw new Error(`${records.length} of ${count} records within ${DEADLINE_MS} ms`);
    }
  };
  return { records, done: follow() };
}

test('killed and started again, the server loses nothing and repeats nothing, over WebSocket and over SSE', async (t) => {
  const server = await startServerChild(t);
  const writers = { websocket: open(t, server, 'websocket'), sse: open(t, server, 'sse') };
  const count = KILLS * 2 * BURST * 2;
  const readings = (['websocket', 'sse'] as const).flatMap((transport) => {
    const client = open(t, server, transport);
    return [read(client, count, false), read(client, count, true)];
  });
  const receipts = { websocket: [] as Receipt[], sse: [] as Receipt[] };
  let outcomes = 0;
  const append = (transport: 'websocket' | 'sse') => {
    const ours = receipts[transport];
    const receipt = writers[transport].channel('chat:1').append({ transport, n: ours.length });
    const onOutcome = () => void outcomes++;
    receipt.then(onOutcome, onOutcome);
    ours.push(receipt);
    return receipt;
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const burst = Array.from({ length: BURST }, () => [append('websocket'), append('sse')]).flat();
    // Some are stored and some are on their way.
    await Promise.race(burst.slice(kill * 7));
    await server.kill();
    for (let n = 0; n < BURST; n++) {
      append('websocket');
      append('sse');
    }
    await server.start();
  }
  const stored = await Promise.all([...receipts.websocket, ...receipts.sse]);
  await Promise.all(readings.map(({ done }) => done));
  assert.equal(outcomes, count);
  assert.equal(new Set(stored.map(({ cursor }) => cursor)).size, count);

  const [first, ...others] = readings.map(({ records }) => records);
  assert.ok(first !== undefined);
  for (const records of others) assert.deepEqual(records, first);
  assert.deepEqual(
    first.map(({ cursor }) => cursor),
    stored.map(({ cursor }) => cursor).toSorted(),
  );
  for (const transport of ['websocket', 'sse'] as const) {
    const ours: ChannelRecord[] = first.filter(({ data }) => (data as { transport: string }).transport === transport);
    assert.deepEqual(
      ours.map(({ rid, data }) => ({ rid, data })),
      receipts[transport].map(({ rid }, n) => ({ rid, data: { transport, n } })),
    );
    assert.equal(writers[transport].unsaved, 0);
  }
});
