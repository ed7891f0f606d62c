/** What holds for every broker that channels are bridged to. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { BridgeRoom, stopBridge } from './bridge-room.ts';

/** A message as a plain client of the broker reads it. */
export interface Written {
  readonly channel: string;
  readonly value: Buffer;
  /** `tideway-…` and others, by name. */
  readonly headers: ReadonlyMap<string, string>;
  /** By which a consumer, or the broker, knows a message that comes twice. */
  readonly id: string;
}

export interface SinkSide {
  readonly to: string;
  /** All that was written so far, each channel in the order of the broker. */
  read(): Promise<readonly Written[]>;
  /** True where the broker itself drops what is written twice. */
  readonly isOnce?: boolean;
}

const COUNT = 200;
const CHANNELS = ['order:a.1', 'order:b/2'] as const;

/** Every record arrives, each channel in order, with an id that a repeat has again, though bridge and server are killed. */
export async function arrivesInOrder(t: TestContext, { to, read, isOnce = false }: SinkSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  const bridge = ['--from', 'order:*', '--to', to, '--dead-letter', 'dead:orders'];
  const append = async (from: number, end: number): Promise<void> => {
    for (const channel of CHANNELS) await room.append(channel, numbered(from, end));
  };
  const until = (count: number): Promise<readonly Written[]> =>
    t.waitFor(
      async () => {
        const written = await read();
        const ids = new Set(written.map(({ id }) => id));
        assert.ok(ids.size >= count, `${ids.size} of ${count} are there`);
        return written;
      },
      { interval: 100, timeout: 90_000 },
    );

  await append(0, COUNT);
  const first = await room.bridge(...bridge);
  await until(1);
  await first.end('SIGKILL');
  const second = await room.bridge(...bridge);
  await room.killServer();
  await room.restartServer();
  await append(COUNT, 2 * COUNT);
  const written = await until(4 * COUNT);
  for (const channel of CHANNELS) {
    const ofChannel = written.filter((one) => one.channel === channel);
    const ids = ofChannel.map(({ id }) => id);
    const once = ofChannel.filter(({ id }, at) => ids.indexOf(id) === at);
    assert.deepEqual(
      once.map(({ value }) => value.toString()),
      numbered(0, 2 * COUNT).map(({ json }) => json),
    );
    if (isOnce) assert.equal(ofChannel.length, once.length, 'nothing is there twice');
    const stored = await room.records(channel);
    assert.deepEqual(
      once.map(({ headers }) => [headers.get('tideway-rid'), headers.get('tideway-key')]),
      stored.map(({ rid, key }) => [rid, key]),
    );
  }
  await stopBridge(second);
}

/** The payload is what was appended, to the byte; a record of bytes says that it is one. */
export async function keepsPayloads(t: TestContext, { to, read }: SinkSide): Promise<void> {
  const room = await BridgeRoom.open(t);
  await room.append('order:x', [{ rid: 'r', json: '{"n":12345678901234567890, "f":1.0}' }]);
  await room.appendBytes('order:x', Uint8Array.of(0, 255, 10));
  const bridge = await room.bridge('--from', 'order:x', '--to', to, '--dead-letter', 'dead:orders');
  const written = await t.waitFor(
    async () => {
      const all = await read();
      const ids = all.map(({ id }) => id);
      const once = all.filter(({ id }, at) => ids.indexOf(id) === at);
      assert.ok(once.length >= 2);
      return once;
    },
    { interval: 100, timeout: 90_000 },
  );
  assert.deepEqual(
    written.map(({ channel, value, headers }) => [channel, value.toString('latin1'), headers.get('tideway-encoding')]),
    [
      ['order:x', '{"n":12345678901234567890, "f":1.0}', undefined],
      ['order:x', '\u0000\u00ff\n', 'bytes'],
    ],
  );
  const stored = (await room.records('order:x')) as readonly { readonly cursor?: string }[];
  assert.deepEqual(
    written.map(({ id, headers }) => [id, headers.get('tideway-cursor')]),
    stored.map(({ cursor }) => [cursor, cursor]),
  );
  await stopBridge(bridge);
}

function numbered(from: number, end: number): { readonly rid: string; readonly json: string }[] {
  return Array.from({ length: end - from }, (_, at) => ({ rid: `r${from + at}`, json: `{"n":${from + at}}` }));
}
