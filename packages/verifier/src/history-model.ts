/**
 * Makes valid histories for the checker's tests: a small log with writers, trims, and readers that lag, are cut and
 * resume. Serves tests only; what it makes is right by construction, so that each change to it can be a known wrong.
 */
import { encodePositionNumber, formatCursor, formatTag } from '@tideway/protocol';
import type { HistoryEvent, RecordEvent } from './history.ts';
import { hashData } from './order-hash.ts';

export const CHANNEL = 'test:model';

/** One step of a history: who does what, how much of it. */
export interface ModelStep {
  readonly act: 'append' | 'refuse' | 'unconfirmed' | 'deliver' | 'cut' | 'resume' | 'trim' | 'control' | 'mark';
  readonly who: number;
  readonly count: number;
}

interface ModelReader {
  readonly name: string;
  /** Tells `subscribed` and `disconnect`; the others are the application behind an SDK. */
  readonly onWire: boolean;
  place: string;
  live: boolean;
  started: boolean;
}

type Stored = Omit<RecordEvent, 'kind' | 'reader'>;

export class HistoryModel {
  readonly events: HistoryEvent[] = [];
  readonly records: Stored[] = [];
  #position = 0;
  #rid = 0;
  #floor = 0;
  #floorPlace = formatCursor('ModelA', '0', 'zzzz');
  readonly #readers: readonly ModelReader[];
  readonly #sequences = [0, 0];

  constructor() {
    const genesis = formatCursor('ModelA', '0', '----');
    this.#readers = ['wire-0', 'wire-1', 'sdk-0'].map((name) => ({
      name,
      onWire: name.startsWith('wire'),
      place: genesis,
      live: false,
      started: false,
    }));
    for (const reader of this.#readers) this.#subscribe(reader);
  }

  run(steps: readonly ModelStep[]): this {
    for (const step of steps) this.#step(step);
    for (const reader of this.#readers) this.#deliver(reader, Infinity);
    return this;
  }

  get head(): string {
    return this.records.at(-1)?.cursor ?? formatCursor('ModelA', '0', '----');
  }

  #step({ act, who, count }: ModelStep): void {
    const reader = this.#readers[who % this.#readers.length] as ModelReader;
    switch (act) {
      case 'append':
        for (let i = 0; i < count; i++) this.#append(who % 2, 'stored');
        return;
      case 'unconfirmed':
        this.#append(who % 2, 'unconfirmed');
        return;
      case 'refuse':
        this.#append(who % 2, 'refused');
        return;
      case 'deliver':
        this.#deliver(reader, count);
        return;
      case 'cut':
        if (reader.onWire && reader.live) this.events.push({ kind: 'disconnect', reader: reader.name });
        reader.live = false;
        return;
      case 'resume':
        if (!reader.live) this.#subscribe(reader);
        return;
      case 'trim':
        if (this.#floor + count > this.records.length) return;
        this.#floor += count;
        this.#floorPlace = (this.records[this.#floor - 1] as Stored).cursor;
        return;
      case 'control':
        this.#position += count;
        return;
      case 'mark': {
        if (!reader.live || reader.place < this.head) return;
        const cursor = this.#place(this.head.slice(-4));
        if (cursor <= reader.place) return;
        this.events.push({ kind: 'mark', reader: reader.name, channel: CHANNEL, prev: this.head, cursor });
        reader.place = cursor;
        return;
      }
      default:
        act satisfies never;
    }
  }

  #place(tag: string): string {
    return formatCursor('ModelA', encodePositionNumber(this.#position), tag);
  }

  #append(writer: number, end: 'stored' | 'refused' | 'unconfirmed'): void {
    const rid = `r${this.#rid++}`;
    const sequence = (this.#sequences[writer] = (this.#sequences[writer] as number) + 1);
    const hash = hashData(`data of ${rid}`);
    this.events.push({ kind: 'append', channel: CHANNEL, rid, writer: `writer-${writer}`, sequence, hash });
    if (end === 'refused') {
      this.events.push({ kind: 'outcome', channel: CHANNEL, rid, outcome: { state: 'refused', code: 'invalid' } });
      return;
    }
    const prev = this.head;
    this.#position++;
    const cursor = this.#place(formatTag(Number.parseInt(hash.slice(0, 6), 16)));
    this.records.push({ channel: CHANNEL, cursor, prev, rid, hash });
    this.events.push({
      kind: 'outcome',
      channel: CHANNEL,
      rid,
      outcome: end === 'stored' ? { state: 'stored', cursor } : { state: 'unconfirmed' },
    });
  }

  #subscribe(reader: ModelReader): void {
    reader.live = true;
    if (!reader.onWire) return;
    const from = reader.started ? reader.place : undefined;
    const resumed = !this.#missed(reader.place);
    if (!resumed) reader.place = this.#floorPlace;
    this.events.push({
      kind: 'subscribed',
      reader: reader.name,
      channel: CHANNEL,
      cursor: reader.place,
      head: this.records.length === 0 ? reader.place : this.head,
      ...(from === undefined ? {} : { from, resumed, ...(resumed ? {} : { reason: 'trimmed' as const }) }),
    });
    reader.started = true;
  }

  /** True when a record behind this place was trimmed. */
  #missed(place: string): boolean {
    const last = this.records[this.#floor - 1];
    return last !== undefined && last.cursor > place;
  }

  #deliver(reader: ModelReader, count: number): void {
    if (!reader.live) this.#subscribe(reader);
    if (this.#missed(reader.place)) {
      reader.place = this.#floorPlace;
      this.events.push({ kind: 'gap', reader: reader.name, channel: CHANNEL, cursor: reader.place, reason: 'trimmed' });
    }
    const ahead = this.records.filter((record) => record.cursor > reader.place).slice(0, count);
    for (const record of ahead) {
      this.events.push({ kind: 'record', reader: reader.name, ...record });
      reader.place = record.cursor;
    }
  }
}
