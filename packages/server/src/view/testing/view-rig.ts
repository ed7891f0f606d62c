/** A log and a view in front of it, for tests: appends as a hub would, and remembers what the view said. */
import assert from 'node:assert/strict';
import { nodeEnv, type Env } from '../../env.ts';
import type { Log, LogConstants, PhysicalRecord } from '../../log/log.ts';
import { MemoryLog } from '../../log/memory/memory-log.ts';
import { createView, type LogView, type ViewOptions, type ViewTrouble } from '../log-view.ts';
import type { Store } from '../store.ts';
import type { Follower, Page, Retention, Verdict, VisibleRecord } from '../view.ts';

export interface RigOptions extends Partial<Omit<ViewOptions, 'store' | 'log' | 'constants'>> {
  readonly log?: Log;
  readonly constants?: LogConstants;
}

export type AppendParts = Partial<Omit<PhysicalRecord, 'payload'>> & { readonly payload?: string | Buffer };

export class Rig {
  readonly log: Log;
  readonly constants: LogConstants;
  readonly view: LogView;
  readonly troubles: ViewTrouble[];
  readonly verdicts: Map<string, Verdict>;
  #serial = 0;

  private constructor(
    log: Log,
    constants: LogConstants,
    view: LogView,
    heard: { troubles: ViewTrouble[]; verdicts: Map<string, Verdict> },
  ) {
    this.log = log;
    this.constants = constants;
    this.view = view;
    this.troubles = heard.troubles;
    this.verdicts = heard.verdicts;
  }

  static async open(store: Store, options: RigOptions = {}): Promise<Rig> {
    const log = options.log ?? new MemoryLog({ window: 1_000 });
    const constants = options.constants ?? (await log.open());
    const troubles: ViewTrouble[] = [];
    const verdicts = new Map<string, Verdict>();
    const view = await createView({
      env: nodeEnv,
      retention: (): Retention => ({}),
      onTrouble: (trouble) => troubles.push(trouble),
      ...options,
      onVerdict: (ticket, verdict, record) => {
        assert.ok(!verdicts.has(ticket), `a second verdict for ${ticket}`);
        verdicts.set(ticket, verdict);
        options.onVerdict?.(ticket, verdict, record);
      },
      log,
      constants,
      store,
    });
    return new Rig(log, constants, view, { troubles, verdicts });
  }

  /** Closes the view and opens another one on the same log and store. */
  async reopen(store: Store, options: RigOptions = {}): Promise<Rig> {
    await this.view.close();
    return await Rig.open(store, { ...options, log: this.log, constants: this.constants });
  }

  /** Appends and waits for log and fold, as the hub does. Returns the verdicts in order. */
  async append(...records: readonly AppendParts[]): Promise<Verdict[]> {
    const first = this.#serial + 1;
    this.#serial += records.length;
    const tickets = records.map((_, i) => `t${first + i}`);
    const outcomes = await this.log.append(
      records.map((parts, i) => ({
        channel: 'chat:1',
        kind: 'data',
        encoding: 'json',
        time: 1_700_000_000_000 + first + i,
        ...parts,
        payload: Buffer.from(parts.payload ?? (parts.kind === undefined ? `{"n":${first + i}}` : '')),
        ticket: tickets[i],
      })),
    );
    for (const outcome of outcomes) assert.equal(outcome.state, 'stored', JSON.stringify(outcome));
    return await Promise.all(
      tickets.map((ticket) => waitFor(`the verdict for ${ticket}`, () => this.verdicts.get(ticket))),
    );
  }

  /** Appends `count` records to a channel, `perBatch` at a time. Returns their cursors. */
  async fill(channel: string, count: number, perBatch = count): Promise<string[]> {
    const cursors: string[] = [];
    for (let done = 0; done < count; done += perBatch) {
      const batch = Array.from({ length: Math.min(perBatch, count - done) }, () => ({ channel }));
      for (const verdict of await this.append(...batch)) {
        assert.equal(verdict.state, 'visible');
        cursors.push((verdict as { cursor: string }).cursor);
      }
    }
    return cursors;
  }

  /** Every record the view gives of a channel from a place on; checks the chain. */
  async readAll(channel: string, after = this.view.state(channel).floor, limit = 50): Promise<VisibleRecord[]> {
    const records: VisibleRecord[] = [];
    for (let place = after; ;) {
      const page = await this.view.read(channel, { after: place, limit, bytes: 1_000_000 });
      assert.equal(page.trimmed, false, 'nothing is trimmed while this reads');
      records.push(...page.records);
      place = page.next;
      if (page.end) break;
      assert.ok(page.records.length > 0, 'a page that is not the last has records');
    }
    assertChained(records, after);
    return records;
  }

  async readAllBackward(channel: string, limit = 50): Promise<VisibleRecord[]> {
    const records: VisibleRecord[] = [];
    for (let before = placeBehindAll(this.constants); ;) {
      const page: Page = await this.view.read(channel, { before, limit, bytes: 1_000_000 });
      records.unshift(...page.records);
      before = page.first;
      if (page.end || page.behind) break;
      assert.ok(page.records.length > 0, 'a page that is not the last has records');
    }
    assertChained(records, this.view.state(channel).floor);
    return records;
  }
}

/** A place of the log's epoch behind every record. */
export function placeBehindAll(constants: LogConstants): string {
  return `${constants.epochs[0]}.Bzzzzzzzzzzz.zzzz`;
}

export function assertChained(records: readonly VisibleRecord[], place: string): void {
  let at = place;
  for (const record of records) {
    assert.ok(record.prev <= at && at < record.cursor, `prev ${record.prev} ≤ place ${at} < cursor ${record.cursor}`);
    at = record.cursor;
  }
}

/** Remembers what a follower is told. */
export class Listener implements Follower {
  readonly records: VisibleRecord[] = [];
  readonly heard: string[] = [];

  onRecords(records: readonly VisibleRecord[]): void {
    this.records.push(...records);
    this.heard.push(`records ${records.length}`);
  }
  onFloor(floor: string): void {
    this.heard.push(`floor ${floor}`);
  }
  onFilled(floor: string): void {
    this.heard.push(`filled ${floor}`);
  }
  onClosed(): void {
    this.heard.push('closed');
  }
  onGap(gap: { readonly cursor: string; readonly reason: string }): void {
    this.heard.push(`gap ${gap.reason} ${gap.cursor}`);
  }
}

/** Waits until `look` finds something, with a deadline. */
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = 60_000,
): Promise<T> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < until, `waited ${deadlineMs} ms for ${what}`);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** The real world with timers that do not let a test wait: what is tried again every second is tried at once. */
export function instantEnv(): Env {
  return {
    ...nodeEnv,
    setTimer(delayMs, callback) {
      if (delayMs > 1_000) return nodeEnv.setTimer(delayMs, callback);
      return nodeEnv.setTimer(1, callback);
    },
  };
}

/** The real world with a wall clock and a monotonic clock that a test moves. */
export function movableEnv(): Env & { wallOffsetMs: number; monotonicOffsetMs: number } {
  const env = {
    ...nodeEnv,
    wallOffsetMs: 0,
    monotonicOffsetMs: 0,
    now: () => nodeEnv.now() + env.wallOffsetMs,
    monotonicMs: () => nodeEnv.monotonicMs() + env.monotonicOffsetMs,
  };
  return env;
}
