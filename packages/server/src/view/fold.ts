/**
 * The fold: decides which physical records of a partition are visible (ARCHITECTURE.md, Log, fold, view). A pure
 * function of the records in their order: no clock, no configuration, no I/O; it looks back at most W positions.
 *
 * A repeat is looked for before a close and before `expect`: all three hide the record, but who repeats an append must
 * get the first one's answer, also after the channel was closed or its key was changed (APP-2).
 */
import { encodePositionNumber, formatCursor, parseChannelName, parseCursor, TAG_HIGHEST } from '@tideway/protocol';
import type { PhysicalRecord, Tag, TailRecord } from '../log/log.ts';
import { IdTable, NOT_FOUND, type EntryAt } from './id-table.ts';
import { KeyedHash, type HashKey } from './keyed-hash.ts';
import { positionNumber, tagNumber, tagText } from './packed-place.ts';
import type { Verdict } from './view.ts';

type FirstVerdict = Exclude<Verdict, { state: 'duplicate' }>;

const DOMAIN_ID = 1;
const DOMAIN_KEY = 2;
const DOMAIN_CLOSE = 3;

const MARK_VISIBLE = 1;
const MARK_CONTROL = 2;
const MARK_CONFLICT = 3;
const MARK_CLOSED = 4;
const MARK_STATES = 7;
/** Beside one of the above: the fold was unsure of that record. */
const MARK_UNSURE = 8;

const CONFLICT: FirstVerdict = { state: 'conflict' };
const CLOSED: FirstVerdict = { state: 'closed' };
const UNREADABLE: FirstVerdict = { state: 'unreadable' };

export interface Judgement {
  readonly verdict: Verdict;
  /** A rule would have needed a record from before the fold's start: what is visible all the same may be none. */
  readonly unsure: boolean;
}

export interface FoldOptions {
  readonly epoch: string;
  /** W, of the log's constants. */
  readonly window: number;
  readonly hashKey: HashKey;
  /** True for a channel whose records belong into another partition. */
  readonly isMisplaced?: (channel: string) => boolean;
}

export class Fold {
  readonly table: IdTable;
  readonly #epoch: string;
  readonly #window: number;
  readonly #isMisplaced: ((channel: string) => boolean) | undefined;
  readonly #hash: KeyedHash;
  /** The fold has not seen what stands at or before it; −1: it has seen everything. */
  #start = -1;
  /** Up to here an id or a close that was not found may lie before the start. */
  #unsureUntil = -1;
  /** Up to here a close may be in the window: beyond it nobody looks for one. */
  #closesUntil = -1;

  constructor(options: FoldOptions) {
    this.#epoch = options.epoch;
    this.#window = options.window;
    this.#isMisplaced = options.isMisplaced;
    this.#hash = new KeyedHash(options.hashKey);
    this.table = new IdTable(options.window);
  }

  /**
   * The fold begins behind `start` and not at the log's first record. `span`: how far behind it a repeat may stand; W,
   * or less where the log's only writer refuses a repeat that it knows.
   */
  startAfter(start: number, span: number): void {
    this.#start = start;
    this.#unsureUntil = start + span;
  }

  /** Takes back what `table.takeJournal` gave before a restart, oldest first; `at` is the newest position of any. */
  load(journals: readonly Uint32Array[], at: number): void {
    this.table.load(journals, at);
    this.#closesUntil = at + this.#window;
  }

  /** Judges the next record. `headTag`: the tag of the channel's newest visible record, where there is one. */
  judge(item: TailRecord, headTag: Tag | undefined): Judgement {
    const { record } = item;
    const at = positionNumber(item.position);
    this.table.advance(at);
    // A channel that shows a record has a good name, and belongs here.
    if (!isReadable(record) || (headTag === undefined && !this.#belongsHere(record.channel)))
      return { verdict: UNREADABLE, unsure: false };

    let low = 0;
    let high = 0;
    if (record.rid !== undefined) {
      this.#hash.of(DOMAIN_ID, record.channel, record.rid, record.user);
      low = this.#hash.low;
      high = this.#hash.high;
      const entry = this.table.find(low, high, at);
      if (entry !== NOT_FOUND) {
        this.table.touch(entry, at);
        if (record.kind === 'close') this.#rememberClose(record.channel, at);
        const unsure = (this.table.mark(entry) & MARK_UNSURE) !== 0;
        return { verdict: { state: 'duplicate', first: this.#answer(entry) }, unsure };
      }
    }
    let unsure = record.rid !== undefined && at <= this.#unsureUntil;
    let verdict: FirstVerdict;
    let mark: number;
    let tag = item.tag;
    if (record.kind === 'data') {
      if (this.#isBehindClose(record.channel, at)) {
        verdict = CLOSED;
        mark = MARK_CLOSED;
      } else {
        unsure ||= at <= this.#unsureUntil;
        const conflict =
          record.expect === undefined ? 'no' : this.#conflict(record.channel, record.key, record.expect, at);
        if (conflict === 'unsure') unsure = true;
        if (conflict === 'yes') {
          verdict = CONFLICT;
          mark = MARK_CONFLICT;
        } else {
          verdict = { state: 'visible', cursor: formatCursor(this.#epoch, item.position, item.tag) };
          mark = MARK_VISIBLE;
        }
        if (record.key !== undefined && conflict !== 'yes') this.#rememberKey(record.channel, record.key, at, unsure);
      }
    } else {
      if (record.kind === 'close') this.#rememberClose(record.channel, at);
      tag = headTag ?? TAG_HIGHEST;
      verdict = { state: 'control', cursor: formatCursor(this.#epoch, item.position, tag) };
      mark = MARK_CONTROL;
    }
    if (record.rid !== undefined) this.table.put(low, high, at, tagNumber(tag), unsure ? mark | MARK_UNSURE : mark);
    return { verdict, unsure };
  }

  /** The answer that a record with this id got, as seen from the position `at`. */
  findRid(channel: string, user: string | undefined, rid: string, at: number): FirstVerdict | undefined {
    this.#hash.of(DOMAIN_ID, channel, rid, user);
    const entry = this.table.find(this.#hash.low, this.#hash.high, at);
    return entry === NOT_FOUND || this.table.first(entry) >= at ? undefined : this.#answer(entry);
  }

  /** Where the close stands behind which a channel is closed, as seen from `at`; `undefined` where that is not known. */
  closedSince(channel: string, at: number): number | undefined {
    this.#hash.of(DOMAIN_CLOSE, channel);
    const entry = this.table.find(this.#hash.low, this.#hash.high, at);
    return entry === NOT_FOUND ? undefined : this.table.first(entry);
  }

  #answer(entry: EntryAt): FirstVerdict {
    const mark = this.table.mark(entry) & MARK_STATES;
    if (mark === MARK_CONFLICT) return CONFLICT;
    if (mark === MARK_CLOSED) return CLOSED;
    const position = encodePositionNumber(this.table.first(entry));
    const cursor = formatCursor(this.#epoch, position, tagText(this.table.tag(entry)));
    return mark === MARK_VISIBLE ? { state: 'visible', cursor } : { state: 'control', cursor };
  }

  /** Any close counts, also one behind a close: so the rule needs one look back and no chain of them. */
  #rememberClose(channel: string, at: number): void {
    this.#closesUntil = at + this.#window;
    this.#remember(DOMAIN_CLOSE, channel, undefined, at, 0);
  }

  #rememberKey(channel: string, key: string, at: number, unsure: boolean): void {
    this.#remember(DOMAIN_KEY, channel, key, at, unsure ? MARK_UNSURE : 0);
  }

  #remember(domain: number, channel: string, key: string | undefined, at: number, mark: number): void {
    this.#hash.of(domain, channel, key);
    const entry = this.table.find(this.#hash.low, this.#hash.high, at);
    if (entry !== NOT_FOUND && this.table.mark(entry) === mark) this.table.touch(entry, at);
    else this.table.put(this.#hash.low, this.#hash.high, at, 0, mark);
  }

  #belongsHere(channel: string): boolean {
    return parseChannelName(channel) !== undefined && this.#isMisplaced?.(channel) !== true;
  }

  #isBehindClose(channel: string, at: number): boolean {
    if (at > this.#closesUntil) return false;
    this.#hash.of(DOMAIN_CLOSE, channel);
    return this.table.find(this.#hash.low, this.#hash.high, at) !== NOT_FOUND;
  }

  #conflict(channel: string, key: string | undefined, expect: string, at: number): 'yes' | 'no' | 'unsure' {
    const place = parseCursor(expect);
    // Without a key there is nothing to compare with; the edge refuses it, and here nothing is taken for granted.
    if (place === undefined || place.epoch !== this.#epoch || key === undefined) return 'yes';
    const from = positionNumber(place.position);
    if (from >= at || at - from > this.#window) return 'yes';
    this.#hash.of(DOMAIN_KEY, channel, key);
    const entry = this.table.find(this.#hash.low, this.#hash.high, at);
    if (entry !== NOT_FOUND && this.table.newest(entry, at) > from) {
      return (this.table.mark(entry) & MARK_UNSURE) === 0 ? 'yes' : 'unsure';
    }
    return from < this.#start ? 'unsure' : 'no';
  }
}

const KINDS: ReadonlySet<string> = new Set(['data', 'trim', 'close']);

/** What a foreign producer may have got wrong: a record that no frame can be made of is hidden. */
function isReadable({ kind, time }: PhysicalRecord): boolean {
  return KINDS.has(kind) && (time === undefined || Number.isSafeInteger(time));
}
