/**
 * The channels as the view knows them now: metas in memory, those not in use taken from the store when asked for. A
 * name nobody ever appended to leaves nothing here.
 */
import { formatCursor, namespaceOf, POSITION_ZERO, TAG_HIGHEST, TAG_LOWEST } from '@tideway/protocol';
import type { Position } from '../log/log.ts';
import { positionOf, tagOf } from './packed-place.ts';
import { decodeMeta, metaKey, type ChannelMeta } from './store-keys.ts';
import type { StoreKey } from './store.ts';
import type { ChannelState, Retention, VisibleRecord } from './view.ts';

/** Beyond this, channels that are not in use leave memory: about 500 bytes each. */
const KEPT_MAX = 32_768;
/** A log may hold names of namespaces that nobody configured. */
const NAMESPACES_MAX = 1_024;

export class Channel implements ChannelMeta {
  readonly name: string;
  readonly retention: Retention;
  head: string | undefined;
  floor: string;
  closed = false;
  records = 0;
  bytes = 0;
  looseAfter: Position = POSITION_ZERO;
  looseRuns = 0;
  looseRecords = 0;
  oldestMs = 0;
  changedMs = 0;
  unswept = false;
  /** The overlay: folded, but not yet surely in the store. Oldest first; replaced, never shortened in place. */
  young: VisibleRecord[] = [];
  /** Something of it is not yet in the store. */
  dirty = false;
  /** Where the current batch starts in `young`; −1 outside of a batch that touches it. */
  batchFrom = -1;
  /** Counts each beginning and end of a joining of runs in the store: what does not join up meanwhile is read again. */
  arrangement = 0;
  /** Holders that need this very object to stay. */
  pins = 0;
  used = true;

  constructor(name: string, floor: string, retention: Retention) {
    this.name = name;
    this.floor = floor;
    this.retention = retention;
  }

  get isArranging(): boolean {
    return this.arrangement % 2 === 1;
  }

  /** Nothing was ever appended, trimmed or closed here. */
  get blank(): boolean {
    return this.head === undefined && !this.dirty && this.changedMs === 0;
  }
}

export interface ChannelsOptions {
  readonly epoch: string;
  /** Below this position nothing is known of channels that have no meta. */
  readonly base: Position;
  readonly getSync: (key: StoreKey) => Buffer | undefined;
  readonly retention: (namespace: string) => Retention;
  /** False where more lies below the floors than is held yet. */
  readonly floorIsFinal: boolean;
  /** True for channels that must stay in memory. */
  readonly isFollowed: (channel: string) => boolean;
  readonly keptMax?: number;
}

export class Channels {
  readonly #options: ChannelsOptions;
  readonly #keptMax: number;
  readonly #kept = new Map<string, Channel>();
  readonly #retentions = new Map<string, Retention>();
  base: Position;

  constructor(options: ChannelsOptions) {
    this.#options = options;
    this.#keptMax = options.keptMax ?? KEPT_MAX;
    this.base = options.base;
  }

  get floorIsFinal(): boolean {
    return this.#options.floorIsFinal;
  }

  get size(): number {
    return this.#kept.size;
  }

  has(name: string): boolean {
    return this.#kept.has(name);
  }

  inMemory(): Iterable<Channel> {
    return this.#kept.values();
  }

  /** The channel if anything is known of it. Throws what the store throws where memory does not have it. */
  find(name: string): Channel | undefined {
    const kept = this.#kept.get(name);
    if (kept !== undefined) {
      kept.used = true;
      return kept;
    }
    const value = this.#options.getSync(metaKey(name));
    if (value === undefined) return undefined;
    const channel = this.#blank(name);
    Object.assign(channel, decodeMeta(this.#options.epoch, value));
    this.#kept.set(name, channel);
    return channel;
  }

  /** The channel, made blank where nothing is known: `forgetBlank` it unless something is put into it. */
  findOrMake(name: string): Channel {
    const found = this.find(name);
    if (found !== undefined) return found;
    const channel = this.#blank(name);
    this.#kept.set(name, channel);
    return channel;
  }

  forgetBlank(channel: Channel): void {
    if (channel.blank) this.#kept.delete(channel.name);
  }

  /** As a reader is told it. Throws what the store throws where memory does not have it. */
  state(name: string): ChannelState {
    return this.#stateOf(this.find(name));
  }

  /** Without the store: a channel that is not in memory is told as one that never was. */
  stateInMemory(name: string): ChannelState {
    return this.#stateOf(this.#kept.get(name));
  }

  #stateOf(channel: Channel | undefined): ChannelState {
    const { epoch, floorIsFinal } = this.#options;
    if (channel === undefined) {
      const floor = this.#baseFloor();
      return { epoch, place: floor, head: undefined, floor, floorIsFinal, closed: false };
    }
    const { head, floor, closed } = channel;
    const place = head !== undefined && positionOf(head) >= positionOf(floor) ? head : floor;
    return { epoch, place, head, floor, floorIsFinal, closed };
  }

  /** What a record's `prev` says: the head, or where the channel's knowledge begins. */
  prevOf(channel: Channel): string {
    const { head } = channel;
    if (head === undefined) return formatCursor(this.#options.epoch, this.base, TAG_LOWEST);
    // Of a record that the fold was unsure of only the place is known.
    return tagOf(head) === TAG_HIGHEST ? head.slice(0, -4) + TAG_LOWEST : head;
  }

  /** Lets go of channels that were not used for a while, a few at a time. */
  evict(): void {
    let looked = 0;
    for (const [name, channel] of this.#kept) {
      if (this.#kept.size <= this.#keptMax || looked++ >= 64) return;
      this.#kept.delete(name);
      if (channel.used || channel.dirty || channel.pins > 0 || this.#options.isFollowed(name)) {
        channel.used = false;
        this.#kept.set(name, channel);
      }
    }
  }

  /** Of channels that are forgotten only the highest place is remembered, as the base. */
  forget(channel: Channel): void {
    const place = positionOf(this.state(channel.name).place);
    this.#kept.delete(channel.name);
    if (place > this.base) this.base = place;
  }

  retentionOf(name: string): Retention {
    const namespace = namespaceOf(name);
    let retention = this.#retentions.get(namespace);
    if (retention === undefined) {
      retention = this.#options.retention(namespace);
      if (this.#retentions.size >= NAMESPACES_MAX) this.#retentions.clear();
      this.#retentions.set(namespace, retention);
    }
    return retention;
  }

  #baseFloor(): string {
    return formatCursor(this.#options.epoch, this.base, TAG_HIGHEST);
  }

  #blank(name: string): Channel {
    return new Channel(name, this.#baseFloor(), this.retentionOf(name));
  }
}
