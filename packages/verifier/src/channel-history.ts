/**
 * One channel as the checker knows it: holds what is told of its records against each other and against what writers sent.
 * Knows nothing of how readers move; `reader-check.ts` does.
 */
import { Appends, identity } from './appends.ts';
import { epochOf, namesRecord, positionOf } from './cursor-order.ts';
import type { OutcomeEvent } from './history.ts';
import { KnownRecords, type Entry } from './known-records.ts';
import type { ReaderHistory } from './reader-history.ts';
import { UnjudgedAcknowledgements } from './unjudged.ts';
import { UntoldAcknowledgements } from './untold.ts';
import type { Report } from './verdict.ts';
import { WriterOrder } from './writer-order.ts';

/** What somebody told of a record. */
interface Noted {
  readonly prev?: string;
  readonly id?: string;
  readonly hash?: string;
  readonly acknowledged?: boolean;
  readonly reader?: string;
}

interface DeclaredGap {
  readonly reader: string;
  readonly floor: string;
  readonly head: string;
}

export class ChannelHistory {
  readonly channel: string;
  readonly readers = new Map<string, ReaderHistory>();
  readonly records: KnownRecords;
  readonly appends: Appends;
  readonly unjudged: UnjudgedAcknowledgements;
  /** The highest floor any reader was told of, and when. */
  floor: { readonly cursor: string; readonly tick: number } | undefined;
  /** The highest floor made on purpose. */
  trimmedTo = '';
  recordCount = 0;
  readonly #cursorById = new Map<string, string>();
  readonly #writers: WriterOrder;
  /** Ascending in both: by this tick the newest acknowledged record was at this cursor. */
  #acknowledged: { readonly tick: number; readonly cursor: string }[] = [];
  #declared: DeclaredGap[] = [];
  readonly #overEpochs = new Set<string>();
  readonly #report: Report;
  readonly #closedWorld: boolean;
  readonly #untold: UntoldAcknowledgements | undefined;

  /** @param options `mayBeUntold`: writers may hear of another history before readers are told of it */
  constructor(
    channel: string,
    options: { report: Report; windowRecords: number; closedWorld: boolean; mayBeUntold: boolean },
  ) {
    this.channel = channel;
    this.#report = options.report;
    this.records = new KnownRecords(options.windowRecords);
    this.appends = new Appends(options.windowRecords);
    this.unjudged = new UnjudgedAcknowledgements(options.windowRecords);
    this.#closedWorld = options.closedWorld;
    if (options.mayBeUntold) this.#untold = new UntoldAcknowledgements((...of) => this.#exists(...of));
    this.#writers = new WriterOrder(options.report);
  }

  /** @param mayBeOver it may be of a history that is gone: then only a reader can say that the record exists */
  onOutcome(event: OutcomeEvent, tick: number, mayBeOver: boolean): void {
    const id = identity(event.rid, event.user);
    const append = this.appends.get(id);
    const { outcome } = event;
    if (append !== undefined) append.outcome = outcome;
    if (outcome.state === 'stored') {
      if (outcome.cursor > (this.#acknowledged.at(-1)?.cursor ?? '')) {
        this.#acknowledged.push({ tick, cursor: outcome.cursor });
        if (this.#acknowledged.length > 2_048) this.#acknowledged = this.#acknowledged.slice(1_024);
      }
      if (mayBeOver && !this.records.has(outcome.cursor)) {
        if (outcome.cursor > this.records.below && !this.isOver(outcome.cursor)) this.unjudged.add(outcome.cursor);
        return;
      }
      if (this.#untold !== undefined && this.#isPassed(outcome.cursor)) {
        this.#untold.hold({ tick, cursor: outcome.cursor, id });
      } else this.#exists(outcome.cursor, id);
    } else if (outcome.state === 'refused') {
      const cursor = this.#cursorById.get(id);
      if (cursor !== undefined) this.#refusedVisible(event.rid, cursor, outcome.code);
    }
  }

  /** Whatever was acknowledged is part of the history that readers know, or lost. */
  settle(): void {
    this.#untold?.settle();
  }

  #exists(cursor: string, id: string): void {
    if (!this.isOver(cursor)) this.note(cursor, { id, acknowledged: true });
  }

  /** A reader went past the place, or has another record there, and this one is not known. */
  #isPassed(cursor: string): boolean {
    if (this.records.has(cursor)) return false;
    const position = positionOf(cursor);
    if (this.records.around(cursor).some((entry) => positionOf(entry.cursor) === position)) return true;
    const sameLife = (reader: ReaderHistory): boolean => epochOf(reader.place ?? '') === epochOf(cursor);
    return [...this.readers.values()].some((reader) => sameLife(reader) && reader.covers(cursor));
  }

  /** The newest cursor that was acknowledged by this tick. */
  acknowledgedBy(tick: number): string | undefined {
    return this.#acknowledged.findLast((step) => step.tick <= tick)?.cursor;
  }

  /** A record is known to exist: by a reader that got it, by an acknowledgement, or because a `prev` names it. */
  note(cursor: string, what: Noted): void {
    if (cursor <= this.records.below) return;
    const entry = this.records.get(cursor) ?? this.#begin(cursor, what.acknowledged === true);
    if (what.acknowledged === true) entry.acknowledged = true;
    this.#sameContent(entry, what);
  }

  #begin(cursor: string, acknowledged: boolean): Entry {
    this.#checkNeighbours(cursor);
    const entry = this.records.add(cursor);
    this.recordCount++;
    this.unjudged.judged(cursor);
    for (const reader of this.readers.values()) {
      // Between two lives of a log there is no order.
      if (epochOf(reader.place ?? cursor) === epochOf(cursor) && reader.covers(cursor))
        this.lost(reader, cursor, acknowledged);
    }
    const gone = this.records.retire();
    for (const { id } of gone) if (id !== undefined) this.#cursorById.delete(id);
    if (gone.length > 0) this.#writers.retire(this.records.below);
    return entry;
  }

  lost(reader: ReaderHistory, cursor: string, acknowledged: boolean): void {
    const word = acknowledged ? 'acknowledged' : 'existing';
    this.#report('lost', `${reader.reader} passed ${cursor} without being given the ${word} record there`, {
      cursor,
      reader: reader.reader,
    });
  }

  /** A reader was told that everything up to `floor` was trimmed when `head` was the newest record. */
  declared(gap: DeclaredGap): void {
    this.#declared.push(gap);
    if (this.#declared.length > 1_024) this.#declared.shift();
  }

  /** Retention is "at least" so many records: a floor that leaves fewer, and that nobody asked for, is a false gap. */
  checkRetention(recordsKept: number): void {
    for (const { reader, floor, head } of this.#declared) {
      if (floor < this.records.below || floor <= this.trimmedTo) continue;
      const kept = this.records.between(floor, head).length + (head > floor && this.records.has(head) ? 1 : 0);
      if (kept >= recordsKept) continue;
      const text = `${reader} was told that what lies up to ${floor} was trimmed, which leaves ${kept} records up to ${head}; ${recordsKept} are promised`;
      this.#report('false-gap', text, { cursor: floor, reader });
    }
    this.#declared = [];
  }

  /** True for a place of a life that has ended: who is still there has not been told yet. */
  isOver(cursor: string): boolean {
    return this.#overEpochs.has(epochOf(cursor));
  }

  /** The log began another life (its epoch changed, or it diverged): what was known counts no more. */
  reset(epoch?: string): void {
    for (const { cursor } of this.records.clear()) if (epochOf(cursor) !== epoch) this.#overEpochs.add(epochOf(cursor));
    this.floor = undefined;
    this.trimmedTo = '';
    this.#acknowledged = [];
    this.#cursorById.clear();
    this.#writers.clear();
    for (const reader of this.readers.values()) reader.forgetRanges();
    this.settle();
  }

  /** Two records cannot stand at one position: one of them is gone. */
  #checkNeighbours(cursor: string): void {
    for (const other of this.records.around(cursor)) {
      if (positionOf(other.cursor) !== positionOf(cursor)) continue;
      this.#report(
        other.acknowledged ? 'gone' : 'disagreement',
        `${cursor} and ${other.cursor} are different records at one position${other.acknowledged ? '; the second was acknowledged' : ''}`,
        { cursor: other.cursor },
      );
    }
  }

  #sameContent(entry: Entry, what: Noted): void {
    const { cursor } = entry;
    const where = { cursor, reader: what.reader };
    if (what.hash !== undefined) {
      if (entry.hash !== undefined && entry.hash !== what.hash) {
        this.#report(
          'disagreement',
          `${what.reader ?? 'a reader'} was given other data at ${cursor} than another reader`,
          where,
        );
      }
      entry.hash ??= what.hash;
    }
    if (what.prev !== undefined && namesRecord(what.prev)) {
      entry.prev ??= what.prev;
      if (entry.prev !== what.prev) {
        this.#report(
          'disagreement',
          `the record at ${cursor} is said to follow ${entry.prev}, and ${what.prev}`,
          where,
        );
      }
    }
    if (what.id === undefined) return;
    if (entry.id !== undefined && entry.id !== what.id) {
      this.#report('disagreement', `the record at ${cursor} has two different rids`, where);
      return;
    }
    const isNews = entry.id === undefined;
    entry.id = what.id;
    if (isNews) this.#identified(entry, what.id);
    const append = this.appends.get(what.id);
    if (append?.hash !== undefined && what.hash !== undefined && append.hash !== what.hash) {
      this.#report('altered', `the record at ${cursor} is not what was appended under its rid`, {
        ...where,
        rid: append.rid,
      });
    }
  }

  /** The rid of a record became known: each rid has one record, of an append that was not refused, in its writer's order. */
  #identified(entry: Entry, id: string): void {
    const { cursor } = entry;
    const rid = id.slice(id.indexOf('\n') + 1);
    const first = this.#cursorById.get(id);
    if (first !== undefined && first !== cursor && epochOf(first) === epochOf(cursor)) {
      this.#report('duplicated', `one rid has two records, ${first} and ${cursor}`, { cursor, rid });
      return;
    }
    this.#cursorById.set(id, cursor);
    const append = this.appends.get(id);
    if (append === undefined) {
      if (this.#closedWorld) this.#report('phantom', `nobody appended the record at ${cursor}`, { cursor, rid });
      return;
    }
    if (append.outcome?.state === 'refused') this.#refusedVisible(rid, cursor, append.outcome.code);
    if (append.writer !== undefined && append.sequence !== undefined)
      this.#writers.note({ writer: append.writer, sequence: append.sequence, cursor, rid });
  }

  #refusedVisible(rid: string, cursor: string, code: string): void {
    this.#report('refused-but-visible', `the append was refused (${code}), yet its record stands at ${cursor}`, {
      cursor,
      rid,
    });
  }
}
