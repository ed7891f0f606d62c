/**
 * Applies what the log's tail gives, synchronously: fold, frame, overlay; then tells what happened. Holds everything
 * that follows from the log in memory; never touches the store but for metas that are not in memory.
 */
import { TAG_HIGHEST } from '@tideway/protocol';
import type { PhysicalRecord, Position, Tag, TailRecord } from '../log/log.ts';
import type { Channel, Channels } from './channels.ts';
import { Fold } from './fold.ts';
import { frameRecord } from './frame.ts';
import type { Verdict, VisibleRecord } from './view.ts';

/** What a batch has done; called in this order, each channel's records at once. */
export interface ApplyEvents {
  onRecords(channel: string, records: readonly VisibleRecord[]): void;
  onFloor(channel: string, floor: string): void;
  onClosed(channel: string): void;
  onVerdict(ticket: string, verdict: Verdict, record: VisibleRecord | undefined): void;
}

/** A batch that nobody is told about: it was told before. */
export const SILENT: ApplyEvents = { onRecords() {}, onFloor() {}, onClosed() {}, onVerdict() {} };

export interface ApplierOptions {
  readonly fold: Fold;
  readonly channels: Channels;
  readonly now: () => number;
  /** Of the record at this position the fold is not sure that it is visible. */
  readonly onDoubt: (position: Position) => void;
  /** Behind this position nothing is applied that the fold is not sure of. Absent: all is. */
  readonly sureBehind?: Position | undefined;
  /** What was applied before. */
  readonly position: Position;
  readonly tag: Tag;
}

export class Applier {
  readonly fold: Fold;
  readonly channels: Channels;
  position: Position;
  tag: Tag;
  /** Channels with something that is not in the store. */
  readonly dirty: Channel[] = [];
  /** How much of the overlay is not in the store. */
  unwrittenRecords = 0;
  unwrittenBytes = 0;
  /** Records that no frame could be made of, since the start. */
  unreadable = 0;
  readonly #now: () => number;
  readonly #onDoubt: (position: Position) => void;
  readonly #sureBehind: Position | undefined;
  #touched: Channel[] = [];
  #controls: { readonly channel: Channel; readonly kind: 'trim' | 'close' }[] = [];
  #verdicts: { readonly ticket: string; readonly verdict: Verdict; readonly record: VisibleRecord | undefined }[] = [];

  constructor(options: ApplierOptions) {
    this.fold = options.fold;
    this.channels = options.channels;
    this.position = options.position;
    this.tag = options.tag;
    this.#now = options.now;
    this.#onDoubt = options.onDoubt;
    this.#sureBehind = options.sureBehind;
  }

  /**
   * Applies a batch whole; false where it stopped in front of a record that it must be sure of and is not: then it takes
   * no more, ever. Throws `StoreAwayError`, with nothing done, when it needs a meta that cannot be read now.
   */
  apply(batch: readonly TailRecord[], events: ApplyEvents): boolean {
    const channels = batch.map((item) => this.channels.findOrMake(item.record.channel));
    let count = 0;
    while (count < batch.length && this.#applyOne(batch[count] as TailRecord, channels[count] as Channel)) count++;
    const last = batch[count - 1];
    if (last !== undefined) {
      this.position = last.position;
      this.tag = last.tag;
    }
    for (const channel of channels) if (channel.head === undefined) this.channels.forgetBlank(channel);
    this.#tell(events);
    this.channels.evict();
    return count === batch.length;
  }

  /** The channel's meta is to be written. */
  markDirty(channel: Channel): void {
    if (channel.dirty) return;
    channel.dirty = true;
    this.dirty.push(channel);
  }

  #applyOne(item: TailRecord, channel: Channel): boolean {
    const { record } = item;
    const { verdict, unsure } = this.fold.judge(item, channel.head === undefined ? undefined : channel.head.slice(-4));
    if (unsure && this.#sureBehind !== undefined && item.position > this.#sureBehind) return false;
    let visible: VisibleRecord | undefined;
    switch (verdict.state) {
      case 'visible':
        visible = this.#show(item, channel, verdict.cursor);
        if (unsure) this.#doubt(item, channel);
        break;
      case 'control':
        this.#control(record.kind as 'trim' | 'close', channel, verdict.cursor);
        break;
      case 'unreadable':
        this.unreadable++;
        break;
      case 'duplicate':
      case 'conflict':
      case 'closed':
        break;
      default:
        verdict satisfies never;
    }
    if (record.ticket !== undefined) this.#verdicts.push({ ticket: record.ticket, verdict, record: visible });
    return true;
  }

  #show(item: TailRecord, channel: Channel, cursor: string): VisibleRecord {
    const { record } = item;
    const prev = this.channels.prevOf(channel);
    const visible = { position: item.position, cursor, prev, frame: frameOf(record, cursor, prev) };
    if (channel.batchFrom < 0) {
      channel.batchFrom = channel.young.length;
      this.#touched.push(channel);
    }
    channel.young.push(visible);
    channel.head = cursor;
    channel.closed = false;
    channel.records++;
    channel.bytes += visible.frame.length;
    if (channel.oldestMs === 0) channel.oldestMs = record.time ?? this.#now();
    this.markDirty(channel);
    this.unwrittenRecords++;
    this.unwrittenBytes += visible.frame.length;
    return visible;
  }

  /** It may be none, by what stands before the log's beginning: the channel is told from there on, and of no tag there. */
  #doubt(item: TailRecord, channel: Channel): void {
    channel.head = `${channel.floor.slice(0, 7)}${item.position}.${TAG_HIGHEST}`;
    this.#raiseFloor(channel, channel.head);
    this.#onDoubt(item.position);
  }

  #control(kind: 'trim' | 'close', channel: Channel, cursor: string): void {
    if (kind === 'trim') this.#raiseFloor(channel, cursor);
    else {
      channel.closed = true;
      this.markDirty(channel);
      this.#controls.push({ channel, kind });
    }
  }

  /** Everything so far leaves the view; the store lets go of it later. */
  #raiseFloor(channel: Channel, floor: string): void {
    channel.floor = floor;
    channel.records = 0;
    channel.bytes = 0;
    channel.oldestMs = 0;
    channel.unswept = channel.head !== undefined;
    this.markDirty(channel);
    this.#controls.push({ channel, kind: 'trim' });
  }

  #tell(events: ApplyEvents): void {
    const touched = this.#touched;
    const controls = this.#controls;
    const verdicts = this.#verdicts;
    this.#touched = [];
    for (const channel of touched) {
      const records = channel.batchFrom === 0 ? channel.young.slice() : channel.young.slice(channel.batchFrom);
      channel.batchFrom = -1;
      events.onRecords(channel.name, records);
    }
    if (controls.length > 0) {
      this.#controls = [];
      for (const { channel, kind } of controls) {
        if (kind === 'trim') events.onFloor(channel.name, channel.floor);
        else events.onClosed(channel.name);
      }
    }
    if (verdicts.length > 0) {
      this.#verdicts = [];
      for (const { ticket, verdict, record } of verdicts) events.onVerdict(ticket, verdict, record);
    }
  }
}

function frameOf(record: PhysicalRecord, cursor: string, prev: string): Buffer {
  const { channel, time, rid, user, key, trace } = record;
  // exactOptionalPropertyTypes: a header has no member that is undefined, and the encoder writes none.
  const header = { channel, cursor, prev, time, rid, user, key, trace } as Parameters<typeof frameRecord>[0];
  return frameRecord(header, record.encoding, record.payload);
}
