/** Long random lives: appends, repeats, trims, reads, failing writes, full disks, restarts and lost stores, all at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '@tideway/verifier/random';
import { MemoryLog } from '../log/memory/memory-log.ts';
import { checkView } from './check.ts';
import { frameParts } from './frame.ts';
import { MemoryStore } from './store-memory.ts';
import { FaultyStore } from './testing/faulty-store.ts';
import { instantEnv, Listener, placeBehindAll, Rig, waitFor, type AppendParts } from './testing/view-rig.ts';
import type { Page } from './view.ts';

const SEEDS = Number(process.env['TIDEWAY_SEEDS'] ?? 40);
const STEPS = 120;

/** What a channel holds, whatever was trimmed. */
interface Known {
  readonly cursors: string[];
  readonly payloads: string[];
}

class Story {
  readonly roll: (sides: number) => number;
  readonly inner = new MemoryStore();
  readonly faulty = new FaultyStore(this.inner);
  readonly options = {
    env: instantEnv(),
    retention: () => ({ records: 70 }),
    channelsKeptMax: 2,
    unwrittenRecordsMax: 400,
  };
  readonly known = new Map<string, Known>();
  readonly listeners = new Map<string, { readonly listener: Listener; readonly from: number }>();
  readonly reads: Promise<void>[] = [];
  rig!: Rig;
  #rid = 0;

  constructor(seed: number) {
    const dice = new Random(seed);
    this.roll = (sides) => dice.between(0, sides - 1);
  }

  channel(): string {
    return `chat:${this.roll(4)}`;
  }

  of(channel: string): Known {
    let known = this.known.get(channel);
    if (known === undefined) this.known.set(channel, (known = { cursors: [], payloads: [] }));
    return known;
  }

  async append(): Promise<void> {
    const batch = Array.from({ length: 1 + this.roll(30) }, (): AppendParts => {
      if (this.roll(40) === 0) return { channel: this.channel(), kind: 'trim' };
      // Now and then a repeat, in a channel where it may stand twice in one batch.
      const rid = this.roll(8) === 0 ? this.#rid : ++this.#rid;
      return { channel: `chat:${rid % 4}`, rid: `r${rid}`, payload: `"${rid}"` };
    });
    const pending = this.rig.append(...batch);
    for (let turn = 0; turn < 20 && this.faulty.isFull; turn++)
      await new Promise<void>((resolve) => setImmediate(resolve));
    // With a full overlay the log's tail waits for room, and the verdicts with it.
    if (this.rig.view.applied('') < ((await this.rig.view.logNewest('')) ?? '')) this.faulty.isFull = false;
    const verdicts = await pending;
    verdicts.forEach((verdict, i) => {
      const { channel, kind, payload } = batch[i] as { channel: string; kind?: string; payload: string };
      if (kind === 'trim') assert.equal(verdict.state, 'control');
      else if (verdict.state === 'visible') {
        this.of(channel).cursors.push(verdict.cursor);
        this.of(channel).payloads.push(payload);
      } else {
        assert.equal(verdict.state, 'duplicate');
        const at = this.of(channel).payloads.indexOf(payload);
        assert.equal(
          (verdict.state === 'duplicate' && 'cursor' in verdict.first && verdict.first.cursor) || '',
          this.of(channel).cursors[at],
        );
      }
    });
  }

  /** Reads without waiting for it, so that everything else happens meanwhile. */
  read(): void {
    const channel = this.channel();
    const { cursors } = this.of(channel);
    const limit = 1 + this.roll(90);
    const isForward = this.roll(2) === 0;
    const place =
      cursors[this.roll(cursors.length + 1)] ??
      (isForward ? `${this.rig.constants.epochs[0]}.0.zzzz` : placeBehindAll(this.rig.constants));
    const { view } = this.rig;
    this.reads.push(
      view
        .read(channel, { ...(isForward ? { after: place } : { before: place }), limit, bytes: 1_000_000 })
        .then((page) => this.check(channel, page, isForward ? place : undefined)),
    );
  }

  check(channel: string, page: Page, after: string | undefined): void {
    const { cursors, payloads } = this.of(channel);
    const given = page.records.map((record) => record.cursor);
    const at = given.length === 0 ? 0 : cursors.indexOf(given[0] as string);
    // A page may hold records whose verdicts this story has not noted yet.
    assert.deepEqual(
      given.slice(0, cursors.length - at),
      cursors.slice(at, at + given.length),
      'in order, none missing',
    );
    page.records.forEach((record, i) => {
      if (at + i < payloads.length) assert.equal(frameParts(record.frame).payload.toString(), payloads[at + i]);
    });
    if (after === undefined || page.trimmed || given.length === 0) return;
    assert.equal(
      at,
      cursors.findIndex((cursor) => cursor > after),
      'it begins right behind the place',
    );
  }

  follow(): void {
    const channel = this.channel();
    if (this.listeners.has(channel)) return;
    const listener = new Listener();
    this.rig.view.follow(channel, listener);
    this.listeners.set(channel, { listener, from: this.of(channel).cursors.length });
  }

  checkListeners(): void {
    for (const [channel, { listener, from }] of this.listeners) {
      assert.deepEqual(
        listener.records.map((record) => record.cursor),
        this.of(channel).cursors.slice(from),
        'a follower gets everything once',
      );
      assert.ok(!listener.heard.some((what) => what.startsWith('gap')), 'no gap where nothing was lost');
    }
  }

  async heal(): Promise<void> {
    this.faulty.isFull = false;
    this.faulty.isStuck = false;
    await waitFor('everything written', () => this.rig.view.flush());
  }

  async restart(isStoreLost: boolean): Promise<void> {
    await Promise.all(this.reads.splice(0));
    this.checkListeners();
    this.listeners.clear();
    await this.rig.view.close();
    if (isStoreLost) await this.inner.setAside();
    this.rig = await this.rig.reopen(this.faulty, this.options);
  }

  async step(): Promise<void> {
    const what = this.roll(30);
    if (what < 12) await this.append();
    else if (what < 20) this.read();
    else if (what < 22) this.follow();
    else if (what < 24) this.faulty.faults.push(this.roll(2) === 0 ? 'refuse' : 'write and fail');
    else if (what === 24) this.faulty.isFull = true;
    else if (what < 27) await this.heal();
    else if (what === 27) {
      await this.heal();
      await this.rig.view.tidy();
    } else {
      // Written, not written, or not there at all: the log has it.
      if (what === 28) await this.heal();
      else this.faulty.isFull = this.roll(2) === 0;
      await this.restart(this.roll(3) === 0);
      this.faulty.isFull = false;
    }
  }

  async run(): Promise<void> {
    this.rig = await Rig.open(this.faulty, { ...this.options, log: new MemoryLog({ window: 3_000 }) });
    for (let step = 0; step < STEPS; step++) {
      await this.step();
      if (this.faulty.isFull && this.roll(3) === 0) await this.heal();
    }
    this.faulty.faults.length = 0;
    await this.heal();
    await Promise.all(this.reads);
    this.checkListeners();
    await this.rig.view.tidy();
    for (const [channel, { cursors }] of this.known) {
      const records = await this.rig.readAll(channel);
      assert.deepEqual(
        records.map((record) => record.cursor),
        cursors.slice(cursors.length - records.length),
      );
      assert.deepEqual(await this.rig.readAllBackward(channel, 13), records);
      assert.equal(this.rig.view.state(channel).head, cursors.at(-1));
    }
    await this.rig.view.close();
    assert.deepEqual((await checkView(this.inner)).problems, []);
    assert.equal(this.faulty.writesAfterFailure, 0);
  }
}

test('whatever happens to the store, readers and followers get every record once and in order', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await new Story(seed).run();
    } catch (error) {
      t.diagnostic(`seed ${seed}`);
      throw error;
    }
  }
});
