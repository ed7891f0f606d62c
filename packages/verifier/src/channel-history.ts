/**
 * One channel as the checker knows it: every record that is known to exist, in cursor order, inside a window, with the
 * appends behind them. Knows nothing of how readers move; `reader-check.ts` does.
 */
import { epochOf, lowerBound, namesRecord, positionOf } from './cursor-order.ts';
import type { AppendEvent, OutcomeEvent } from './history.ts';
import type { ReaderHistory } from './reader-history.ts';
import { UntoldAcknowledgements } from './untold.ts';
import type { Report } from './verdict.ts';
import { WriterOrder } from './writer-order.ts';

/** A record known to exist. */
export interface Entry {
  readonly cursor: string;
  /** The record before it, as the first reader that was told so knew it. */
  prev: string | undefined;
  id: string | undefined;
  hash: string | undefined;
  acknowledged: boolean;
}

export interface Append {
  readonly rid: string;
  readonly writer: string | undefined;
  readonly sequence: number | undefined;
  readonly hash: string | undefined;
  session: string | undefined;
  outcome: OutcomeEvent['outcome'] | undefined;
}

/** A record's identity for deduplication: scope (channel, user) (APP-2). */
export function identity(rid: string, user: string | undefined): string {
  return `${user ?? ''}\n${rid}`;
}

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
  entries: Entry[] = [];
  /** Records up to here have left the window. */
  below = '';
  appended = new Map<string, Append>();
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
  /** Where records were acknowledged that may be of a history that is gone, until a record is known there. */
  readonly #unseen = new Set<string>();
  /** Those that left the set, which is bounded. */
  #neverSeen = 0;
  readonly #report: Report;
  readonly #windowRecords: number;
  readonly #closedWorld: boolean;
  readonly #untold: UntoldAcknowledgements | undefined;

  /** @param options `mayBeUntold`: writers may hear of another history before readers are told of it */
  constructor(
    channel: string,
    options: { report: Report; windowRecords: number; closedWorld: boolean; mayBeUntold: boolean },
  ) {
    this.channel = channel;
    this.#report = options.report;
    this.#windowRecords = options.windowRecords;
    this.#closedWorld = options.closedWorld;
    if (options.mayBeUntold) this.#untold = new UntoldAcknowledgements((...of) => this.#exists(...of));
    this.#writers = new WriterOrder(options.report);
  }

  onAppend(event: AppendEvent): 'first' | 'repeat' {
    const id = identity(event.rid, event.user);
    const known = this.appended.get(id);
    if (known !== undefined) {
      known.session = event.session;
      return 'repeat';
    }
    const { rid, writer, sequence, hash, session } = event;
    this.appended.set(id, { rid, writer, sequence, hash, session, outcome: undefined });
    // Longer than records: an append that waits out a failure must still be known when its record appears.
    if (this.appended.size > 5 * this.#windowRecords) {
      for (const oldest of this.appended.keys()) {
        if (this.appended.size <= 4 * this.#windowRecords) break;
        this.appended.delete(oldest);
      }
    }
    return 'first';
  }

  /** @param mayBeOver it may be of a history that is gone: then only a reader can say that the record exists */
  onOutcome(event: OutcomeEvent, tick: number, mayBeOver: boolean): void {
    const id = identity(event.rid, event.user);
    const append = this.appended.get(id);
    const { outcome } = event;
    if (append !== undefined) append.outcome = outcome;
    if (outcome.state === 'stored') {
      if (outcome.cursor > (this.#acknowledged.at(-1)?.cursor ?? '')) {
        this.#acknowledged.push({ tick, cursor: outcome.cursor });
        if (this.#acknowledged.length > 2_048) this.#acknowledged = this.#acknowledged.slice(1_024);
      }
      if (mayBeOver && !this.has(outcome.cursor)) {
        this.#leaveUnjudged(outcome.cursor);
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

  /** Acknowledgements that were dropped, and whose records nobody has told of since. */
  get unjudged(): number {
    return this.#neverSeen + this.#unseen.size;
  }

  #leaveUnjudged(cursor: string): void {
    if (cursor <= this.below || this.isOver(cursor)) return;
    this.#unseen.add(cursor);
    if (this.#unseen.size <= this.#windowRecords) return;
    const [oldest] = this.#unseen;
    this.#unseen.delete(oldest as string);
    this.#neverSeen++;
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
    if (this.has(cursor)) return false;
    const at = lowerBound(this.entries, cursor);
    const position = positionOf(cursor);
    const isAt = (entry: Entry | undefined): boolean => entry !== undefined && positionOf(entry.cursor) === position;
    if (isAt(this.entries[at - 1]) || isAt(this.entries[at])) return true;
    const sameLife = (reader: ReaderHistory): boolean => epochOf(reader.place ?? '') === epochOf(cursor);
    return [...this.readers.values()].some((reader) => sameLife(reader) && reader.covers(cursor));
  }

  /** The newest cursor that was acknowledged by this tick. */
  acknowledgedBy(tick: number): string | undefined {
    return this.#acknowledged.findLast((step) => step.tick <= tick)?.cursor;
  }

  /** A record is known to exist: by a reader that got it, by an acknowledgement, or because a `prev` names it. */
  note(cursor: string, what: Noted): void {
    if (cursor <= this.below) return;
    const at = lowerBound(this.entries, cursor);
    let entry = this.entries[at];
    if (entry === undefined || entry.cursor !== cursor) {
      this.#neighbours(at, cursor);
      entry = { cursor, prev: undefined, id: undefined, hash: undefined, acknowledged: false };
      if (at === this.entries.length) this.entries.push(entry);
      else this.entries.splice(at, 0, entry);
      this.recordCount++;
      this.#unseen.delete(cursor);
      for (const reader of this.readers.values()) {
        // Between two lives of a log there is no order.
        if (epochOf(reader.place ?? cursor) === epochOf(cursor) && reader.covers(cursor))
          this.lost(reader, cursor, what.acknowledged === true);
      }
      if (this.entries.length > 1.25 * this.#windowRecords) this.#retire();
    }
    if (what.acknowledged === true) entry.acknowledged = true;
    this.#sameContent(entry, what);
  }

  lost(reader: ReaderHistory, cursor: string, acknowledged: boolean): void {
    const word = acknowledged ? 'acknowledged' : 'existing';
    this.#report('lost', `${reader.reader} passed ${cursor} without being given the ${word} record there`, {
      cursor,
      reader: reader.reader,
    });
  }

  /** The known records strictly between two places. */
  between(after: string, before: string): readonly Entry[] {
    const end = lowerBound(this.entries, before);
    let start = end;
    while (start > 0 && (this.entries[start - 1] as Entry).cursor > after) start--;
    return start === end ? [] : this.entries.slice(start, end);
  }

  /** The known records behind a place, as far as the window reaches. */
  after(place: string): readonly Entry[] {
    const at = lowerBound(this.entries, place);
    return this.entries
      .slice(this.entries[at]?.cursor === place ? at + 1 : at)
      .filter(({ cursor }) => place === '' || epochOf(cursor) === epochOf(place));
  }

  has(cursor: string): boolean {
    return this.entries[lowerBound(this.entries, cursor)]?.cursor === cursor;
  }

  /** A reader was told that everything up to `floor` was trimmed when `head` was the newest record. */
  declared(gap: DeclaredGap): void {
    this.#declared.push(gap);
    if (this.#declared.length > 1_024) this.#declared.shift();
  }

  /** Retention is "at least" so many records: a floor that leaves fewer, and that nobody asked for, is a false gap. */
  checkRetention(recordsKept: number): void {
    for (const { reader, floor, head } of this.#declared) {
      if (floor < this.below || floor <= this.trimmedTo) continue;
      const kept = this.between(floor, head).length + (head > floor && this.has(head) ? 1 : 0);
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
    for (const { cursor } of this.entries) if (epochOf(cursor) !== epoch) this.#overEpochs.add(epochOf(cursor));
    this.entries = [];
    this.below = '';
    this.floor = undefined;
    this.trimmedTo = '';
    this.#acknowledged = [];
    this.#cursorById.clear();
    this.#writers.clear();
    for (const reader of this.readers.values()) reader.forgetRanges();
    this.settle();
  }

  /** Two records cannot stand at one position: one of them is gone. */
  #neighbours(at: number, cursor: string): void {
    for (const other of [this.entries[at - 1], this.entries[at]]) {
      if (other === undefined || positionOf(other.cursor) !== positionOf(cursor)) continue;
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
    const append = this.appended.get(what.id);
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
    const append = this.appended.get(id);
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

  #retire(): void {
    const gone = this.entries.splice(0, this.entries.length - this.#windowRecords);
    this.below = (gone.at(-1) as Entry).cursor;
    for (const { id } of gone) if (id !== undefined) this.#cursorById.delete(id);
    this.#writers.retire(this.below);
  }
}
