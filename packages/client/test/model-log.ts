/**
 * The log behind the model server: channels that share one line of positions, so that a channel's own have holes.
 */
import {
  computeTag,
  encodePositionNumber,
  formatCursor,
  parseCursor,
  type Subscribed,
  TidewayError,
} from '@tideway/protocol';
import type { Payload } from '../src/link.ts';

export interface ModelRecord {
  readonly channel: string;
  readonly position: number;
  readonly cursor: string;
  readonly prev: string;
  readonly time: number;
  readonly rid: string;
  readonly user: string | undefined;
  readonly key: string | undefined;
  readonly payload: Payload;
}

interface ModelChannel {
  records: ModelRecord[];
  /** Positions up to this are trimmed. */
  floor: number;
  /** The tag of the newest record that was trimmed. */
  floorTag: string | undefined;
  isClosed: boolean;
}

const utf8 = new TextEncoder();

export class ModelLog {
  epoch: string;
  #newest = 0;
  readonly #channels = new Map<string, ModelChannel>();
  readonly #stored = new Map<string, ModelRecord>();

  constructor(epoch = 'epoch1') {
    this.epoch = epoch;
  }

  channel(name: string): ModelChannel {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = { records: [], floor: 0, floorTag: undefined, isClosed: false };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  /** Every record of a channel that was ever stored and still is. */
  records(name: string): readonly ModelRecord[] {
    return this.channel(name).records;
  }

  find(channel: string, user: string | undefined, rid: string): ModelRecord | undefined {
    return this.#stored.get(JSON.stringify([channel, user ?? null, rid]));
  }

  append(record: Omit<ModelRecord, 'position' | 'cursor' | 'prev'>): ModelRecord {
    const { records, floor } = this.channel(record.channel);
    const position = ++this.#newest;
    const bytes = typeof record.payload === 'string' ? utf8.encode(record.payload) : record.payload;
    const stored: ModelRecord = {
      ...record,
      position,
      cursor: this.cursor(position, computeTag({ ...record, payload: bytes })),
      prev: records.at(-1)?.cursor ?? this.cursor(floor, '----'),
    };
    records.push(stored);
    this.#stored.set(JSON.stringify([record.channel, record.user ?? null, record.rid]), stored);
    return stored;
  }

  /** Forgets all but the newest records of a channel. */
  trim(name: string, keep: number): void {
    const channel = this.channel(name);
    const cut = channel.records.length - keep;
    if (cut <= 0) return;
    const newest = channel.records[cut - 1] as ModelRecord;
    channel.floor = newest.position;
    channel.floorTag = parseCursor(newest.cursor)?.tag;
    channel.records = channel.records.slice(cut);
  }

  /** Another log takes the place of this one. */
  replace(epoch: string): void {
    this.epoch = epoch;
    this.#newest = 0;
    this.#channels.clear();
    this.#stored.clear();
  }

  /** The log is an older copy of itself: the newest records are gone, and their positions will be given again. */
  rewind(drop: number): void {
    const channels = [...this.#channels.values()];
    // What was trimmed is not there to go back to.
    this.#newest = Math.max(0, this.#newest - drop, ...channels.map(({ floor }) => floor));
    for (const channel of channels) {
      channel.records = channel.records.filter(({ position }) => position <= this.#newest);
    }
    for (const [id, { position }] of this.#stored) if (position > this.#newest) this.#stored.delete(id);
  }

  cursor(position: number, tag: string): string {
    return formatCursor(this.epoch, encodePositionNumber(position), tag);
  }

  /** Where a subscription begins (SUB-2, SUB-6). */
  resolve(name: string, from: string): Subscribed {
    const { records, floor, floorTag } = this.channel(name);
    const newest = records.at(-1);
    const floorPlace = this.cursor(floor, 'zzzz');
    const head = newest?.cursor;
    const answer = (cursor: string, more: Partial<Subscribed> = {}): Subscribed => ({
      channel: name,
      cursor,
      head: head ?? cursor,
      ...more,
    });
    if (from === 'now') return answer(newest?.cursor ?? floorPlace);
    if (from === 'oldest') return answer(floorPlace);
    if (from.startsWith('last:')) {
      const count = Number(from.slice(5));
      if (count === 0) return answer(newest?.cursor ?? floorPlace);
      return answer(
        records.length < count ? floorPlace : (records.at(-count) as ModelRecord).prev.replace('----', 'zzzz'),
      );
    }
    const parts = parseCursor(from);
    if (parts === undefined) throw new TidewayError('bad_cursor', `"${from}" is no cursor`);
    if (parts.epoch !== this.epoch) return answer(floorPlace, { resumed: false, reason: 'epoch' });
    const position = this.#numberOf(from);
    const isOf = (record: ModelRecord | undefined) =>
      ['zzzz', '----', record === undefined ? floorTag : parseCursor(record.cursor)?.tag].includes(parts.tag);
    const diverged = answer(floorPlace, { resumed: false, reason: 'diverged' });
    // The log was rewound.
    if (position > this.#newest) {
      return isOf(newest) ? answer(newest?.cursor ?? floorPlace, { resumed: true }) : diverged;
    }
    if (position < floor && (newest === undefined || position < newest.position)) {
      return answer(floorPlace, { resumed: false, reason: 'trimmed' });
    }
    return isOf(records.findLast((record) => record.position <= position)) ? answer(from, { resumed: true }) : diverged;
  }

  /** The records behind a place. */
  after(name: string, place: string): readonly ModelRecord[] {
    return this.records(name).filter((record) => record.cursor > place);
  }

  #numberOf(cursor: string): number {
    const { position } = parseCursor(cursor) as { position: string };
    for (let n = 0; n <= this.#newest; n++) if (encodePositionNumber(n) === position) return n;
    return this.#newest + 1;
  }
}
