import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScene, type Scene } from '../test/scene.ts';
import type { OutboxEntry, OutboxStore } from './outbox-store.ts';

/** A store that outlives its clients, as a disk does, and writes down what it was told. */
class MemoryStore implements OutboxStore {
  readonly entries = new Map<string, OutboxEntry>();
  readonly told: string[] = [];
  onFound: (entries: readonly OutboxEntry[]) => void = () => {};
  fails = false;
  isOpen = false;
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  async open(onFound: (entries: readonly OutboxEntry[]) => void): Promise<readonly OutboxEntry[]> {
    await this.#takeTime();
    assert.equal(this.isOpen, false);
    this.isOpen = true;
    this.onFound = onFound;
    return [...this.entries.values()];
  }

  async put(entries: readonly OutboxEntry[]): Promise<void> {
    await this.#takeTime();
    for (const entry of entries) {
      this.entries.set(entry.rid, entry);
      this.told.push(`${entry.sentMs === undefined ? 'put' : 'sent'} ${String(entry.payload)}`);
    }
  }

  async remove(rids: readonly string[]): Promise<void> {
    await this.#takeTime();
    for (const rid of rids) this.entries.delete(rid);
  }

  close(): void {
    this.isOpen = false;
  }

  async #takeTime(): Promise<void> {
    await new Promise<void>((resolve) => void this.#scene.world.after(5, resolve));
    if (this.fails) throw new Error('the disk is full');
  }
}

function payloads({ server }: Scene): string[] {
  return server.log.records('chat:1').map((record) => String(record.payload));
}

test('what was kept by an earlier life goes first, in order, then what is new', async () => {
  const scene = createScene();
  const { world, network } = scene;
  const store = new MemoryStore(scene);
  network.isUp = false;
  const first = scene.connect({ outbox: store });
  for (const n of [1, 2, 3]) void first.channel('chat:1').append(n);
  await world.pass(1_000);
  assert.deepEqual(store.told, ['put 1', 'put 2', 'put 3']);
  first.close();
  await world.pass(100);
  assert.equal(store.isOpen, false);

  network.isUp = true;
  const second = scene.connect({ outbox: store });
  // Before the store was read.
  const receipt = second.channel('chat:1').append(4);
  await world.until(() => second.unsaved === 0 && receipt.state === 'stored', 'saved');
  assert.deepEqual(payloads(scene), ['1', '2', '3', '4']);
  await world.pass(100);
  assert.equal(store.entries.size, 0);
  second.close();
});

test('an entry is on its way only when the store knows that it may have been', async () => {
  const scene = createScene();
  const { world, server, network } = scene;
  const store = new MemoryStore(scene);
  network.isUp = false;
  const client = scene.connect({ outbox: store });
  void client.channel('chat:1').append('early');
  await world.pass(1_000);
  network.isUp = true;
  const seen: unknown[] = [];
  server.faults.append = ({ rid }) => {
    seen.push(store.entries.get(rid)?.sentMs !== undefined);
    return undefined;
  };
  await world.until(() => client.unsaved === 0, 'saved');
  void client.channel('chat:1').append('later');
  await world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(seen, [true, true]);
  assert.deepEqual(store.told, ['put "early"', 'sent "early"', 'sent "later"']);
  client.close();
});

test('what may have been sent in an earlier life is not sent again after the window of ids (APP-2)', async () => {
  const scene = createScene();
  const { world, server } = scene;
  const store = new MemoryStore(scene);
  server.ridWindowMs = 60_000;
  const wallMs = 1_700_000_000_000;
  const entry = (rid: string, sentMs?: number): OutboxEntry => ({
    rid,
    channel: 'chat:1',
    payload: `"${rid}"`,
    ...(sentMs === undefined ? {} : { sentMs }),
  });
  for (const one of [entry('old', wallMs - 61_000), entry('young', wallMs - 10_000), entry('unsent')]) {
    store.entries.set(one.rid, one);
  }
  const client = scene.connect({ outbox: store });
  const failed: string[] = [];
  client.on('appendFailed', ({ error, rid }) => failed.push(`${rid}: ${error.code}`));
  await world.until(() => client.unsaved === 0 && payloads(scene).length === 2, 'all have an outcome');
  assert.deepEqual(failed, ['old: unconfirmed']);
  assert.deepEqual(payloads(scene), ['"young"', '"unsent"']);
  client.close();
});

test('the entries of another owner that died are taken over', async () => {
  const scene = createScene();
  const store = new MemoryStore(scene);
  const client = scene.connect({ outbox: store });
  await scene.world.until(() => client.state === 'live', 'live');
  await scene.world.pass(50);
  store.onFound([{ rid: 'r1', channel: 'chat:1', payload: '"theirs"', user: null }]);
  assert.equal(client.unsaved, 1);
  await scene.world.until(() => client.unsaved === 0, 'saved');
  assert.deepEqual(payloads(scene), ['"theirs"']);
  client.close();
});

test('a store that fails is reported, and what it should keep is sent all the same', async () => {
  for (const when of ['open', 'put'] as const) {
    const scene = createScene();
    const store = new MemoryStore(scene);
    const errors: unknown[] = [];
    store.fails = when === 'open';
    const client = scene.connect({ outbox: store, onError: (error) => errors.push(error) });
    await scene.world.pass(50);
    store.fails = true;
    const receipt = client.channel('chat:1').append('x');
    await scene.world.until(() => receipt.state === 'stored', 'stored');
    assert.deepEqual(errors[0], new Error('the disk is full'));
    if (when === 'open') assert.equal(errors.length, 1);
    client.close();
  }
});
