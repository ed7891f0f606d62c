/**
 * The history checker: takes what writers were told and what readers saw, says which promises were broken and where.
 * Pure, linear in time, bounded in memory; runs in Node and in browsers, behind `verify`, the proof bar and torture.
 */
import type { GapReason } from '@tideway/protocol';
import { ChannelHistory } from './channel-history.ts';
import type { DisconnectEvent, HistoryEvent, ReaderEvent } from './history.ts';
import { LateReaders } from './late-readers.ts';
import { checkGap, checkMark, checkRecord, checkSubscribed, type ReaderRules } from './reader-check.ts';
import { ReaderHistory } from './reader-history.ts';
import type { ReaderFigures, Report, Verdict, Violation } from './verdict.ts';

export * from './history.ts';
export { hashData, OrderHash } from './order-hash.ts';
export * from './verdict.ts';

export interface CheckerOptions {
  /** Records of a channel that are compared among readers at one time; what a reader sees later than that is only checked against its own chain. */
  readonly windowRecords?: number;
  /** Every append is told to this checker, so that a record nobody appended is a violation. */
  readonly closedWorld?: boolean;
  /** The log may lose or replace its tail and say so with `diverged` or `epoch`; where false, such a gap is a violation. */
  readonly mayDiverge?: boolean;
  /** Readers and writers are on several nodes: one may not have yet what another has acknowledged. */
  readonly manyNodes?: boolean;
  /** What the channel's retention promises to keep, where only the number of records decides. */
  readonly retentionRecords?: (channel: string) => number | undefined;
}

const VIOLATIONS_KEPT = 100;

export class HistoryChecker {
  /** How many events were taken: the checker's clock, for `asked`. */
  tick = 0;
  readonly #options: CheckerOptions;
  readonly #rules = new Map<string, ReaderRules>();
  readonly #channels = new Map<string, ChannelHistory>();
  /** Where another history may take the place of one, on several nodes. */
  readonly #late = new Map<string, LateReaders>();
  readonly #violations: Violation[] = [];
  #violationCount = 0;
  #delivered = 0;
  #beyondWindow = 0;
  readonly #appends = { sent: 0, stored: 0, duplicates: 0, refused: 0, unconfirmed: 0 };

  constructor(options: CheckerOptions = {}) {
    this.#options = options;
  }

  /** Takes the next event. */
  accept(event: HistoryEvent): void {
    this.tick++;
    if (event.kind === 'disconnect') {
      for (const channel of this.#channels.values()) {
        if (!channel.readers.has(event.reader) || (event.channel ?? channel.channel) !== channel.channel) continue;
        this.#read(channel, event);
      }
      return;
    }
    const channel = this.#channel(event.channel);
    switch (event.kind) {
      case 'append':
        if (channel.appends.take(event) === 'first') this.#appends.sent++;
        return;
      case 'outcome':
        this.#appends[event.outcome.state]++;
        if (event.outcome.state === 'stored' && event.outcome.duplicate === true) this.#appends.duplicates++;
        channel.onOutcome(event, this.tick, this.#late.get(event.channel)?.isTelling(this.tick) === true);
        return;
      case 'record':
        this.#delivered++;
        this.#read(channel, event);
        return;
      case 'subscribed':
      case 'mark':
      case 'gap':
        this.#read(channel, event);
        return;
      case 'trim':
        if (event.cursor > channel.trimmedTo) channel.trimmedTo = event.cursor;
        return;
      default:
        event satisfies never;
    }
  }

  #read(channel: ChannelHistory, event: ReaderEvent | DisconnectEvent): void {
    const late = this.#late.get(channel.channel);
    if (late === undefined) this.#judge(channel, event, this.tick);
    else late.take(event, this.tick);
  }

  #judge(channel: ChannelHistory, event: ReaderEvent | DisconnectEvent, tick: number): void {
    const rules = this.#rules.get(channel.channel) as ReaderRules;
    const reader = this.#reader(channel, event.reader);
    switch (event.kind) {
      case 'disconnect':
        reader.end();
        return;
      case 'subscribed':
        if (channel.isOver(event.head)) reader.begin(event);
        else checkSubscribed(reader, channel, event, tick, rules);
        return;
      case 'record':
        // Somebody knows already that this life of the log is over; the gap that tells this reader is on its way.
        if (channel.isOver(event.cursor)) return;
        if (checkRecord(reader, channel, event, rules) === 'beyond') this.#beyondWindow++;
        return;
      case 'mark':
        if (!channel.isOver(event.cursor)) checkMark(reader, channel, event, rules);
        return;
      case 'gap':
        checkGap(reader, channel, event, tick, rules);
        return;
      default:
        event satisfies never;
    }
  }

  /** What is known now. Cheap enough to be shown once a second. */
  verdict(): Verdict {
    const readers: ReaderFigures[] = [];
    const gaps: Record<GapReason, number> = { trimmed: 0, diverged: 0, epoch: 0 };
    let records = 0;
    let unjudged = 0;
    for (const channel of this.#channels.values()) {
      records += channel.recordCount;
      unjudged += channel.unjudged.count;
      for (const reader of channel.readers.values()) {
        const figures = reader.figures;
        readers.push(figures);
        gaps.trimmed += figures.gaps.trimmed;
        gaps.diverged += figures.gaps.diverged;
        gaps.epoch += figures.gaps.epoch;
      }
    }
    const { sent, stored, duplicates, refused, unconfirmed } = this.#appends;
    return {
      ok: this.#violationCount === 0,
      violationCount: this.#violationCount,
      violations: [...this.#violations],
      appends: { sent, stored, duplicates, refused, unconfirmed, pending: sent - stored - refused - unconfirmed },
      records,
      delivered: this.#delivered,
      gaps,
      beyondWindow: this.#beyondWindow,
      unjudged,
      readers,
    };
  }

  /**
   * The last word, when writers have stopped and readers had time to reach the end: what was acknowledged must have
   * been passed by every reader that is still there, and readers of the same records must have the same hash.
   *
   * @param settled the readers (by name) that are known to have read to the end; absent: all of them
   */
  finish(settled?: ReadonlySet<string>): Verdict {
    for (const late of this.#late.values()) late.settle();
    for (const channel of this.#channels.values()) {
      const { report } = this.#rules.get(channel.channel) as ReaderRules;
      const recordsKept = this.#options.retentionRecords?.(channel.channel);
      channel.settle();
      if (recordsKept !== undefined) channel.checkRetention(recordsKept);
      for (const reader of channel.readers.values()) {
        if (settled !== undefined && !settled.has(reader.reader)) continue;
        for (const entry of channel.records.after(reader.place ?? ''))
          channel.lost(reader, entry.cursor, entry.acknowledged);
      }
      compareOrders([...channel.readers.values()], report);
    }
    return this.verdict();
  }

  #channel(name: string): ChannelHistory {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      const { windowRecords = 50_000, closedWorld = false, mayDiverge = true, manyNodes = false } = this.#options;
      const report = this.#reportFor(name);
      const mayBeUntold = mayDiverge && manyNodes;
      const made = new ChannelHistory(name, { report, windowRecords, closedWorld, mayBeUntold });
      channel = made;
      this.#channels.set(name, made);
      if (mayBeUntold) this.#late.set(name, new LateReaders((event, tick) => this.#judge(made, event, tick)));
      this.#rules.set(name, { report, mayDiverge, manyNodes });
    }
    return channel;
  }

  #reader(channel: ChannelHistory, name: string): ReaderHistory {
    let reader = channel.readers.get(name);
    if (reader === undefined) channel.readers.set(name, (reader = new ReaderHistory(name, channel.channel)));
    return reader;
  }

  #reportFor(channel: string): Report {
    return (kind, text, where) => {
      this.#violationCount++;
      const violation: Violation = { kind, channel, text, ...where };
      if (this.#violations.length < VIOLATIONS_KEPT) this.#violations.push(violation);
    };
  }
}

/** Readers whose hashes run over the same records, first to last, must have the same hash. */
function compareOrders(readers: readonly ReaderHistory[], report: Report): void {
  const byRange = new Map<string, ReaderFigures>();
  for (const reader of readers) {
    const figures = reader.figures;
    if (figures.orderFrom === undefined) continue;
    const range = `${figures.orderFrom} ${figures.orderTo}`;
    const first = byRange.get(range);
    if (first === undefined) {
      byRange.set(range, figures);
    } else if (first.order !== figures.order) {
      const text = `${first.reader} and ${figures.reader} saw the same range with different hashes, ${first.order} and ${figures.order}`;
      report('disagreement', text, { cursor: figures.orderTo, reader: figures.reader });
    }
  }
}
