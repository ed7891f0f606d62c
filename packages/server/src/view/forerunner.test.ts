/**
 * A view whose store lies far behind its log serves from a forerunner meanwhile: whatever the log, wherever its reading
 * stands, however often it is stopped or killed, it shows above its floors what the whole log shows, answers `behind`
 * below them, tells followers each record once, and ends as a view that read the log first.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createTurnstile } from '../auth/turnstile.ts';
import type { TailRecord } from '../log/log.ts';
import { findStart } from '../hub/resume.ts';
import { positionNumber, positionOf } from './packed-place.ts';
import { MemoryStore } from './store-memory.ts';
import { compare, judgeWhole, Tally, type Truth } from './testing/foreign-lives.ts';
import { CHANNELS, EPOCH, foreignLog, partitionOf, type ForeignLog } from './testing/foreign-records.ts';
import { GivenLog } from './testing/given-log.ts';
import { contentOf, restore } from './testing/store-content.ts';
import { Listener, placeBehindAll, Rig, waitFor } from './testing/view-rig.ts';

const reads = createTurnstile(2);
const RUNS = Number(process.env['TIDEWAY_SEEDS'] ?? 60);

/** Reads of the log that wait until a test lets them go on. */
class Turnstile {
  isOpen = true;
  #waiting: (() => void)[] = [];

  enter(): Promise<void> | undefined {
    return this.isOpen ? undefined : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets one read go on; false where none waits. */
  letOne(): boolean {
    const next = this.#waiting.shift();
    next?.();
    return next !== undefined;
  }

  letAll(): void {
    this.isOpen = true;
    while (this.letOne());
  }
}

type Step = 'read' | 'give' | 'restart' | 'kill';

interface Case {
  readonly log: ForeignLog;
  /** Behind how many records the log begins. */
  readonly start: number;
  /** How many there are when the view first opens. */
  readonly opened: number;
  /** What happens while it fills. */
  readonly steps: readonly Step[];
}

const caseOf = (window: number): fc.Arbitrary<Case> =>
  foreignLog(window, 60).chain((log) => {
    const { length } = log.records;
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.constant<Step>('read') },
      { weight: 3, arbitrary: fc.constant<Step>('give') },
      { weight: 1, arbitrary: fc.constantFrom<Step>('restart', 'kill') },
    );
    return fc.record({
      log: fc.constant(log),
      start: fc.oneof(fc.constant(0), fc.nat(length >> 2)),
      opened: fc.integer({ min: length >> 1, max: length }),
      steps: fc.array(step, { maxLength: 20, size: 'max' }),
    });
  });

/** A few turns of the event loop: what can come without a read has come. */
async function turns(): Promise<void> {
  for (let n = 0; n < 4; n++) await new Promise<void>((resolve) => setImmediate(resolve));
}

class Run {
  readonly #case: Case;
  readonly #tally: Tally;
  readonly #log: GivenLog;
  readonly #turnstile = new Turnstile();
  #store = new MemoryStore();
  #rig: Rig | undefined;
  #held: number;
  /** Of each channel, what its follower was told, and where it began. */
  #followed = new Map<string, { readonly listener: Listener; readonly from: number }>();

  constructor(one: Case, tally: Tally) {
    this.#case = one;
    this.#tally = tally;
    this.#log = new GivenLog({ epoch: EPOCH, window: one.log.window, partitionOf, readRecords: 5 });
    this.#log.beforeRead = () => this.#turnstile.enter();
    this.#held = Math.max(one.opened, one.start);
    this.#log.give(one.log.records.slice(0, this.#held));
    if (one.start > 0) this.#log.trim((one.log.records[one.start - 1] as TailRecord).position);
  }

  get rig(): Rig {
    return this.#rig ?? assert.fail('no view is open');
  }

  async open(): Promise<void> {
    this.#turnstile.letAll();
    const options = { log: this.#log, constants: this.#log.constants };
    const opening = Rig.open(this.#store, { ...options, forerunStore: new MemoryStore() });
    void opening.then(() => (this.#turnstile.isOpen = false));
    this.#rig = await opening;
    if (this.rig.view.toFill > 0) this.#tally.add('a forerunner');
    this.#followed = new Map(
      CHANNELS.map((channel) => {
        const listener = new Listener();
        const from = positionNumber(this.rig.view.applied(channel));
        this.rig.view.follow(channel, listener);
        return [channel, { listener, from }];
      }),
    );
  }

  async step(step: Step): Promise<void> {
    const { log } = this.#case;
    switch (step) {
      case 'read':
        this.#turnstile.letOne();
        break;
      case 'give': {
        const more = log.records.slice(this.#held, this.#held + 3);
        this.#held += more.length;
        this.#log.give(more);
        break;
      }
      case 'restart':
      case 'kill': {
        if (this.rig.view.toFill > 0) this.#tally.add(`a ${step} in mid-filling`);
        await this.look();
        const content = await contentOf(this.#store);
        this.#turnstile.letAll();
        await this.rig.view.close();
        // Of one that was killed what was not in the store by then is gone.
        if (step === 'kill') {
          this.#store = new MemoryStore();
          await restore(this.#store, content);
        }
        await this.open();
        break;
      }
      default:
        step satisfies never;
    }
    await turns();
    await this.look();
  }

  async look(): Promise<void> {
    const { rig } = this;
    const { window, records } = this.#case.log;
    const applied = positionNumber(rig.view.applied(''));
    const known = records.filter(({ position }) => positionNumber(position) <= applied);
    const truths = judgeWhole({ window, records: known });
    const isFilling = rig.view.toFill > 0;
    const shown = await compare(rig, truths);
    if (isFilling && shown > 0) this.#tally.add('a forerunner that shows something');
    if (isFilling && known.length < this.#held) this.#tally.add('a doubt in front of which it waits');
    for (const channel of CHANNELS) {
      const truth = truths.get(channel) as Truth;
      await this.#ask(channel, truth, isFilling);
      this.#assertFollowed(channel, truth);
    }
  }

  /** What is asked for below the floors of a view that fills is behind, whatever way it is asked for. */
  async #ask(channel: string, truth: Truth, isFilling: boolean): Promise<void> {
    const { view, constants } = this.rig;
    const { floor, floorIsFinal } = view.state(channel);
    assert.equal(floorIsFinal, !isFilling);
    for (const { cursor, at } of truth.visible) {
      const start = await findStart({ view, channel, turns: reads }, cursor);
      if (start.ok && start.resumed === true) continue;
      assert.ok(at < this.#floorOf(channel), `${cursor} above ${floor}`);
      if (isFilling) assert.deepEqual([start.ok, !start.ok && start.code], [false, 'behind'], cursor);
      else assert.equal(start.ok && start.reason, 'trimmed', cursor);
    }
    const oldest = await findStart({ view, channel, turns: reads }, 'oldest');
    assert.equal(oldest.ok, !isFilling);
    const page = await view.read(channel, { before: placeBehindAll(constants), limit: 1_000, bytes: 1_000_000 });
    assert.deepEqual([page.end, page.behind], [!isFilling, isFilling], `the oldest page of ${channel}`);
  }

  /** Since it follows: each record that is visible, in order, once, and no gap. */
  #assertFollowed(channel: string, truth: Truth): void {
    const { listener, from } = this.#followed.get(channel) ?? assert.fail(channel);
    // What a log says whose beginning is lost stays in doubt, whoever reads it.
    const sureFrom = this.#case.start === 0 ? from : Math.max(from, this.#floorOf(channel));
    assert.deepEqual(
      listener.records.flatMap(({ position, cursor }) => (positionNumber(position) > sureFrom ? [cursor] : [])),
      truth.visible.flatMap(({ at, cursor }) => (at > sureFrom ? [cursor] : [])),
      `what followers of ${channel} were told`,
    );
    assert.ok(!listener.heard.some((what) => what.startsWith('gap')), listener.heard.join(', '));
  }

  #floorOf(channel: string): number {
    return positionNumber(positionOf(this.rig.view.state(channel).floor));
  }

  /** Lets it come to the end, and compares it with a view that read the log first. */
  async end(): Promise<void> {
    this.#turnstile.letAll();
    while (this.#held < this.#case.log.records.length) await this.step('give');
    const { rig } = this;
    await waitFor('the view to be filled', () => rig.view.toFill === 0);
    const newest = this.#case.log.records.at(-1);
    if (newest !== undefined && this.#case.log.records.length > this.#case.start)
      assert.ok(await rig.view.reach('', newest.position, 60_000), 'it comes to the end of the log');
    await this.look();
    const first = await Rig.open(new MemoryStore(), { log: this.#log, constants: this.#log.constants });
    for (const channel of CHANNELS) {
      assert.deepEqual(rig.view.state(channel), first.view.state(channel));
      assert.deepEqual(await rig.readAll(channel), await first.readAll(channel));
    }
    assert.deepEqual(rig.troubles, []);
    await first.view.close();
  }

  async close(): Promise<void> {
    this.#turnstile.letAll();
    await this.#rig?.view.close();
  }
}

/** All of it comes up: a run in which one of them does not has tested nothing of it. */
const MET = [
  'a forerunner',
  'a forerunner that shows something',
  'a doubt in front of which it waits',
  'a restart in mid-filling',
  'a kill in mid-filling',
];

test('a view that fills shows above its floors what the whole log shows, and ends as one that read it first', async () => {
  const tally = new Tally();
  for (const window of [2, 4, 12, 30]) {
    const property = fc.asyncProperty(caseOf(window), async (one) => {
      const run = new Run(one, tally);
      try {
        await run.open();
        await run.look();
        for (const step of one.steps) await run.step(step);
        await run.end();
      } finally {
        await run.close();
      }
    });
    await fc.assert(property, { numRuns: RUNS / 2 });
  }
  if (RUNS >= 60) for (const what of MET) assert.ok(tally.of(what) > 0, `${what}: never`);
});
