/**
 * The view's store is opened anew, loses what it had confirmed, or is found damaged at every moment of a resume storm,
 * with appends going on: every subscriber gets every record behind its place once, in order, and no gap.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '@tideway/protocol';
import * as fc from 'fast-check';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { MemoryStore } from '../view/store-memory.ts';
import { StoreError, type StoreKey, type StoreOp, type StoreRange, type StoreScan } from '../view/store.ts';
import { FaultyStore } from '../view/testing/faulty-store.ts';
import { contentOf, restore, type Content } from '../view/testing/store-content.ts';
import { instantEnv, waitFor } from '../view/testing/view-rig.ts';
import { World } from './testing/hub-world.ts';
import type { Talk } from './testing/talk.ts';

/** Appends go on in the first of them; of the others the view has nothing in memory. */
const CHANNELS = ['a:busy', 'a:quiet', 'a:idle'];
const BEFORE = 80;
/** Where clients resume: after so many records. */
const PLACES = [1, 51, 80];

const EVENTS = [
  'refuse',
  'write and fail',
  'lose',
  'lose the last, then an unreadable head',
  'damage',
  'a run is gone',
  'unreadable head',
  'settle',
] as const;
type Event = (typeof EVENTS)[number];

interface Happening {
  readonly event: Event;
  /** At which moment. */
  readonly at: number;
}

/** A store on which something happens at its n-th moment: before or behind a read or a write. */
class UneasyStore extends FaultyStore {
  readonly #inner: MemoryStore;
  readonly #happenings: readonly Happening[];
  /** Counted from when it is armed. */
  moments = 0;
  isArmed = false;
  happened = 0;
  /** What it holds again once it has lost the rest. */
  kept: readonly Content[] = [];
  keptLast: readonly Content[] = [];
  /** The log asks for what is settled, once. */
  isSettling = false;
  #isDamaged = false;
  #losing: Event | undefined;
  #isUnreadable = false;

  constructor(inner: MemoryStore, happenings: readonly Happening[]) {
    super(inner);
    this.#inner = inner;
    this.#happenings = happenings;
  }

  override async open(): Promise<void> {
    this.#moment();
    await super.open();
    this.#moment();
  }

  override async scan(range: StoreRange): Promise<StoreScan> {
    this.#moment();
    this.#failIfDamaged();
    const found = await super.scan(range);
    // A real store answers in another turn of the loop.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#moment();
    this.#failIfDamaged();
    return found;
  }

  override getSync(key: StoreKey): Buffer | undefined {
    this.#moment();
    this.#failIfDamaged();
    if (this.#isUnreadable && key.startsWith('m') && key !== 'ma:busy') {
      this.#isUnreadable = false;
      throw new StoreError('failed', 'the disk says no');
    }
    return super.getSync(key);
  }

  override async write(ops: readonly StoreOp[]): Promise<void> {
    this.#moment();
    await super.write(ops);
    this.#moment();
  }

  override async close(): Promise<void> {
    await super.close();
    if (this.#losing === undefined) return;
    const isLast = this.#losing !== 'lose';
    this.#losing = undefined;
    this.#isUnreadable ||= isLast;
    await restore(this.#inner, isLast ? this.keptLast : this.kept);
  }

  #failIfDamaged(): void {
    if (!this.#isDamaged) return;
    this.#isDamaged = false;
    throw new StoreError('damaged', 'not as it was written');
  }

  #moment(): void {
    if (!this.isArmed) return;
    this.moments++;
    for (const { event, at } of this.#happenings) {
      if (at !== this.moments) continue;
      this.happened++;
      switch (event) {
        case 'refuse':
        case 'write and fail':
          this.faults.push(event);
          break;
        case 'lose':
        case 'lose the last, then an unreadable head':
          this.#losing = event;
          this.faults.push('refuse');
          break;
        case 'damage':
          this.#isDamaged = true;
          break;
        case 'a run is gone': {
          const { key } = this.keptLast.find((entry) => entry.key.startsWith('ra:quiet ')) as Content;
          void this.#inner.write([{ type: 'del', key }]);
          break;
        }
        case 'unreadable head':
          this.#isUnreadable = true;
          break;
        case 'settle':
          this.isSettling = true;
          break;
        default:
          event satisfies never;
      }
    }
  }
}

/** The records a reader applied by the rule of CUR-7; fails on a gap, a hole and a duplicate. */
function applied(talk: Talk, channel: string, place: string): string[] {
  const cursors: string[] = [];
  let at = place;
  for (const { frame } of talk.received) {
    if (frame['channel'] !== channel) continue;
    assert.ok(frame.op === 'record' || frame.op === 'ok', JSON.stringify(frame));
    if (frame.op !== 'record') continue;
    assert.equal(judge(at, frame), 'apply', `${frame.prev} ≤ ${at} < ${frame.cursor}`);
    at = frame.cursor;
    cursors.push(frame.cursor);
  }
  return cursors;
}

/** Subscribes until the view can say where the place is. */
async function resume(talk: Talk, channel: string, from: string): Promise<void> {
  await waitFor('the subscription', async () => {
    const answer = await talk.ask({ op: 'subscribe', channel, from });
    if (answer.op === 'error') assert.equal(answer['code'], 'behind');
    else assert.notEqual(answer['resumed'], false, `not resumed: ${String(answer['reason'])}`);
    return answer.op === 'ok';
  });
}

interface Client {
  readonly talk: Talk;
  readonly channel: string;
  readonly place: number;
}

/** One storm with what happens to the store in it; how many moments it had. */
async function storm(...happenings: Happening[]): Promise<number> {
  const inner = new MemoryStore();
  const store = new UneasyStore(inner, happenings);
  const log = new MemoryLog({ window: 10_000 });
  const view = { log, store, env: instantEnv(), channelsKeptMax: 1 };
  const world = await World.create({ outboxBytesMax: 8_000, view });
  Object.defineProperty(log, 'wantsSettled', { get: () => store.isSettling });
  log.settled = () => {
    store.isSettling = false;
    return Promise.resolve();
  };
  const cursors = new Map<string, string[]>(CHANNELS.map((channel) => [channel, []]));
  const append = async (channel: string, count: number): Promise<void> =>
    void cursors.get(channel)?.push(...(await world.appendMany(channel, count, 'x'.repeat(40))));
  try {
    for (let done = 0; done < BEFORE; done += 20) {
      for (const channel of CHANNELS) await append(channel, 20);
      await world.view.flush();
      if (done === 40) store.kept = await contentOf(inner);
    }
    await world.view.tidy();
    store.keptLast = await contentOf(inner);
    await append('a:busy', 1);
    await world.view.flush();

    const clients = await Promise.all(
      CHANNELS.flatMap((channel) =>
        PLACES.map(async (place): Promise<Client> => ({ talk: await world.session(), channel, place })),
      ),
    );
    const placeOf = ({ channel, place }: Client): string => cursors.get(channel)?.[place - 1] as string;
    store.isArmed = true;
    const resuming = Promise.all(clients.map((client) => resume(client.talk, client.channel, placeOf(client))));
    resuming.catch(() => {});
    for (let round = 0; round < 4; round++) await append('a:busy', 5);
    await resuming;
    // They are live.
    for (const channel of CHANNELS) await append(channel, 2);
    store.isArmed = false;
    for (const client of clients) {
      const { talk, channel, place } = client;
      const last = cursors.get(channel)?.at(-1);
      const isLast = ({ frame }: Talk['received'][number]): boolean =>
        frame['cursor'] === last && frame.op === 'record';
      await talk.until('the last record', () => talk.received.find(isLast));
      assert.deepEqual(applied(talk, channel, placeOf(client)), cursors.get(channel)?.slice(place));
    }
    return store.moments;
  } finally {
    await world.close();
  }
}

for (const event of EVENTS) {
  test(`a storm in which the store meets '${event}' at each of its moments`, async () => {
    const moments = await storm();
    assert.ok(moments > 12, String(moments));
    for (let at = 1; at <= moments; at++) {
      await storm({ event, at }).catch((error: unknown) => {
        throw new Error(`at moment ${at} of ${moments}: ${String(error)}`, { cause: error });
      });
    }
  });
}

test('storms in which the store meets any three of these, at any moments', async () => {
  const moments = await storm();
  const one = fc.record({ event: fc.constantFrom(...EVENTS), at: fc.integer({ min: 1, max: moments }) });
  await fc.assert(
    fc.asyncProperty(fc.array(one, { minLength: 2, maxLength: 3 }), async (happenings) => {
      await storm(...happenings);
    }),
    { numRuns: Number(process.env['TIDEWAY_SEEDS'] ?? 30) },
  );
});
