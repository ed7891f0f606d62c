/**
 * One authenticated life on the server: its identity, its subscriptions, and its outbox, whose chunks go out in one
 * write per tick. What a client's frame does is `commands.ts`; this file never looks into a record.
 */
import type { Code, PayloadKind, ServerFrame } from '@tideway/protocol';
import type { Identity } from '../auth/identity.ts';
import type { Codec, Connection } from './connection.ts';
import type { Lane } from './lane.ts';
import type { Subscription } from './subscription.ts';

/** What a session needs of the hub around it. */
export interface SessionHost {
  readonly outboxBytesMax: number;
  /** Bytes queued in all sessions' outboxes are over the node's budget: only empty ones may take records. */
  readonly crowded: boolean;
  /** The session has chunks to write at the end of this tick. */
  markSession(session: Session): void;
  backlogChanged(byBytes: number): void;
  countWrite(chunks: number, bytes: number): void;
  countDropped(): void;
  catchUp(session: Session): void;
  subscriptionFailed(subscription: Subscription): void;
  closed(session: Session, code: Code): void;
}

/** What stands behind a frame's header. */
interface Payload {
  readonly encoding: PayloadKind;
  readonly bytes: Buffer;
}

const NONE: ReadonlySet<Subscription> = new Set();

export class Session {
  readonly id: string;
  readonly connection: Connection;
  readonly codec: Codec;
  identity: Identity | undefined;
  /** Random, one per SDK object: tells the connections of one application object from others of the same user. */
  instance = '';
  ended = false;
  /** Why this side closed it. */
  closedWith: Code | undefined;
  /** By channel. */
  readonly subscriptions = new Map<string, Subscription>();
  /** Those that are not live. */
  behind: Set<Subscription> = NONE as Set<Subscription>;
  queuedForCatchUp = false;
  /** Pings sent since the last sign of life. */
  unansweredPings = 0;
  /** Requests without an answer yet. */
  openIds: Set<number> | undefined;
  lanes: Map<string, Lane> | undefined;
  /** Frames in a row that were not understood. */
  badInRow = 0;
  paused = false;
  /** It was told that the log is down, and not yet that it is up (CLS-1). */
  isToldDown = false;
  /** Called with the last place of a subscription that ends before its session. */
  onSubscriptionOver: ((channel: string, place: string) => void) | undefined;
  /** Called when the server has ended the last subscription. */
  onSubscriptionsOver: (() => void) | undefined;
  /** Called with the chunks of a write before they go out; may add one (the id block of SSE). */
  beforeWrite: (() => Buffer | undefined) | undefined;
  readonly #host: SessionHost;
  readonly #outboxBytesMax: number;
  #first: Buffer | undefined;
  #rest: Buffer[] | undefined;
  #pendingBytes = 0;
  #backlogBytes = 0;

  constructor(id: string, connection: Connection, host: SessionHost) {
    this.id = id;
    this.connection = connection;
    this.codec = connection.codec;
    this.#host = host;
    this.#outboxBytesMax = connection.outboxBytesMax ?? host.outboxBytesMax;
  }

  /** What is queued for this session and not yet taken by the operating system. */
  get outboxBytes(): number {
    return this.#backlogBytes + this.#pendingBytes;
  }

  /** Takes records for a live subscription; false when the outbox has no room: the subscription keeps its place instead. */
  pushRecords(chunk: Buffer): boolean {
    const queued = this.#backlogBytes + this.#pendingBytes;
    if (
      queued > 0 &&
      (queued + chunk.length > this.#outboxBytesMax || (this.#host.crowded && this.#backlogBytes > 0))
    ) {
      this.#measureBacklog();
      const now = this.#backlogBytes + this.#pendingBytes;
      if (now > 0 && (now + chunk.length > this.#outboxBytesMax || (this.#host.crowded && this.#backlogBytes > 0)))
        return false;
    }
    this.#push(chunk);
    return true;
  }

  /** Takes records for a subscription that is catching up; `hasRoomToCatchUp` was asked before. */
  pushCaughtUp(chunk: Buffer): void {
    this.#push(chunk);
  }

  /** Below half of its budget a session goes on catching up. */
  hasRoomToCatchUp(): boolean {
    if (this.#backlogBytes > 0) this.#measureBacklog();
    const queued = this.#backlogBytes + this.#pendingBytes;
    return this.#host.crowded ? queued === 0 : queued < this.#outboxBytesMax / 2;
  }

  /** Queues a frame that must not be dropped. */
  send(frame: ServerFrame, payload?: Payload): void {
    if (this.ended) return;
    const chunk = this.codec.frame(frame, payload);
    if (chunk !== undefined) this.#push(chunk);
  }

  /** Queues bytes that are already in this connection's form. */
  sendChunk(chunk: Buffer): void {
    if (!this.ended) this.#push(chunk);
  }

  /** Queues a frame that may be dropped when there is no room. */
  sendIfRoom(frame: ServerFrame, payload: Payload): void {
    const chunk = this.codec.frame(frame, payload);
    if (chunk === undefined) return;
    if (!this.pushRecords(chunk)) this.#host.countDropped();
  }

  #push(chunk: Buffer): void {
    this.#pendingBytes += chunk.length;
    if (this.#first === undefined) {
      this.#first = chunk;
      this.#host.markSession(this);
    } else if (this.#rest === undefined) this.#rest = [this.#first, chunk];
    else this.#rest.push(chunk);
  }

  /** Writes what this tick has gathered: one write. */
  flush(): void {
    const first = this.#first;
    if (first === undefined) return;
    const rest = this.#rest;
    this.#first = undefined;
    this.#rest = undefined;
    const bytes = this.#pendingBytes;
    this.#pendingBytes = 0;
    if (this.ended) return;
    const last = this.beforeWrite?.();
    if (rest === undefined && last === undefined) {
      this.connection.write(first);
      this.#host.countWrite(1, bytes);
    } else {
      const chunks = rest ?? [first];
      if (last !== undefined) chunks.push(last);
      this.connection.writeAll(chunks);
      this.#host.countWrite(chunks.length, bytes);
    }
    this.#measureBacklog();
    if (this.behind.size > 0) this.#host.catchUp(this);
    if (this.#backlogBytes > 0) this.updateReading();
  }

  #measureBacklog(): void {
    const bytes = this.connection.backlogBytes();
    if (bytes === this.#backlogBytes) return;
    this.#host.backlogChanged(bytes - this.#backlogBytes);
    this.#backlogBytes = bytes;
  }

  /** The connection has been read empty by its peer. */
  onDrain(): void {
    this.#measureBacklog();
    if (this.behind.size > 0) this.#host.catchUp(this);
    this.updateReading();
  }

  /** Commands without an answer, and answers not taken, both stop the reading of more. */
  updateReading(): void {
    const full = (this.openIds?.size ?? 0) >= COMMANDS_MAX || this.#backlogBytes > this.#outboxBytesMax;
    if (full === this.paused || this.ended) return;
    this.paused = full;
    if (full) this.connection.pause();
    else this.connection.resume();
  }

  /** Lets go of what only a busy session needs. */
  rest(): void {
    if (this.openIds?.size === 0) this.openIds = undefined;
    if (this.lanes?.size === 0) this.lanes = undefined;
  }

  addBehind(subscription: Subscription): void {
    if (this.behind === NONE) this.behind = new Set();
    this.behind.add(subscription);
    this.#host.catchUp(this);
  }

  /** The view could not serve a subscription: the client is told to take it up again. */
  fail(subscription: Subscription): void {
    this.#host.subscriptionFailed(subscription);
  }

  /** Forgets what is queued, tells the hub's sums. */
  end(): void {
    this.ended = true;
    this.#first = undefined;
    this.#rest = undefined;
    this.#pendingBytes = 0;
    this.#host.backlogChanged(-this.#backlogBytes);
    this.#backlogBytes = 0;
  }

  /** Writes what is queued, closes the connection and forgets the session. */
  close(code: Code, reason: string): void {
    if (this.ended) return;
    this.flush();
    this.closedWith = code;
    this.connection.close(code, reason);
    this.#host.closed(this, code);
  }
}

/** PROTOCOL.md LIM-1: commands of one session in flight. */
const COMMANDS_MAX = 64;
