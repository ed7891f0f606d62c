/**
 * An ordered consumer of one partition: in the server's memory, without acknowledgements, from a number on. It gives
 * what was asked for and says when a request is over; its witness of contiguity is the stream's sequence, of which each
 * record must be the next. Who asks for how much is decided by who pulls.
 */
import type { JetStreamManager } from '@nats-io/jetstream';
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import type { StoredRecord } from '../broker/broker-port.ts';
import { decodeHeaders } from './nats-headers.ts';
import type { NatsNames } from './nats-subject.ts';

/** A consumer that nobody pulls from is let go of by the server. */
const INACTIVE_MS = 30_000;
const NANOS = 1_000_000;

export interface PullEvents {
  onRecord(record: StoredRecord, bytes: number): void;
  /** The number that came is not the next one. */
  onHole(number: number): void;
  /** A request is over: it ran out of time or bytes. */
  onRequestOver(request: number): void;
  /** A sign of life. */
  onHeartbeat(): void;
  /** Nothing more will come. */
  onEnd(error: Error): void;
}

export interface PullPlace {
  readonly manager: JetStreamManager;
  readonly connection: NatsConnection;
  readonly names: NatsNames;
  /** A subject that nobody else listens to, another one each time. */
  readonly newInbox: () => string;
}

export interface PullRequest {
  readonly records: number;
  readonly bytes: number;
  readonly expiresMs: number;
  readonly heartbeatMs: number;
}

export class NatsPull {
  readonly #place: PullPlace;
  readonly #events: PullEvents;
  readonly #partition: number;
  readonly #stream: string;
  readonly #inbox: string;
  #consumer = '';
  #subscription: Subscription | undefined;
  #requests = 0;
  #next: number;
  #isOver = false;

  private constructor(place: PullPlace, partition: number, after: number, events: PullEvents) {
    this.#place = place;
    this.#events = events;
    this.#partition = partition;
    this.#stream = place.names.stream(partition);
    this.#inbox = place.newInbox();
    this.#next = after + 1;
  }

  /** Makes the consumer. Rejects with JetStream's error. */
  static async open(place: PullPlace, partition: number, after: number, events: PullEvents): Promise<NatsPull> {
    const pull = new NatsPull(place, partition, after, events);
    const { name } = await place.manager.consumers.add(pull.#stream, {
      deliver_policy: 'by_start_sequence',
      opt_start_seq: after + 1,
      ack_policy: 'none',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: INACTIVE_MS * NANOS,
    });
    pull.#consumer = name;
    pull.#subscription = place.connection.subscribe(`${pull.#inbox}.*`, {
      callback: (error, message) => pull.#take(error, message),
    });
    return pull;
  }

  /** Asks for more; returns the number of the request. */
  request({ records, bytes, expiresMs, heartbeatMs }: PullRequest): number {
    const request = ++this.#requests;
    const wish = {
      batch: records,
      max_bytes: bytes,
      expires: expiresMs * NANOS,
      idle_heartbeat: heartbeatMs * NANOS,
    };
    this.#place.connection.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${this.#consumer}`,
      JSON.stringify(wish),
      { reply: `${this.#inbox}.${request}` },
    );
    return request;
  }

  /** Nothing is given after it; the server's consumer is removed behind it. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#subscription?.unsubscribe();
    if (this.#place.connection.isClosed()) return;
    // Whether it is gone already makes no difference: nobody pulls from it, so the server lets go of it.
    this.#place.manager.consumers.delete(this.#stream, this.#consumer).catch(() => undefined);
  }

  #take(error: Error | null, message: Msg): void {
    if (this.#isOver) return;
    if (error !== null) return this.#end(error);
    if (message.subject.startsWith(this.#inbox)) return this.#takeStatus(message);
    const delivery = parseDelivery(message.reply ?? '');
    if (delivery === undefined) return this.#end(new Error(`a record of ${this.#stream} came without its number`));
    const { number, time } = delivery;
    if (number !== this.#next) {
      this.close();
      return this.#events.onHole(number);
    }
    this.#next++;
    const { data } = message;
    const record = storedRecord(this.#place.names, this.#partition, { number, time, message });
    this.#events.onRecord(record, data.byteLength);
  }

  #takeStatus(message: Msg): void {
    const { code, description } = message.headers ?? { code: 0, description: '' };
    const request = Number(message.subject.slice(this.#inbox.length + 1));
    if (code === 100) return this.#events.onHeartbeat();
    // 408: its time is over. 404: nothing there. 409: it is full, or the consumer is gone.
    if (code === 408 || code === 404 || (code === 409 && /maxbytes|batch completed/i.test(description))) {
      return this.#events.onRequestOver(request);
    }
    const text = description === '' ? 'no answer' : description.toLowerCase();
    this.#end(new Error(`the consumer of ${this.#stream} ended: ${text} (${code})`));
  }

  #end(error: Error): void {
    this.close();
    this.#events.onEnd(error);
  }
}

/** A record as it stands in a stream; one with broken headers has no channel, so that the fold hides it. */
export function storedRecord(
  names: NatsNames,
  partition: number,
  { number, time, message }: { number: number; time: number; message: Pick<Msg, 'subject' | 'data' | 'headers'> },
): StoredRecord {
  const { data, subject } = message;
  const headers = decodeHeaders(message.headers);
  return {
    number,
    channel: headers === undefined ? undefined : names.channelOf(partition, subject),
    value: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    headers: headers ?? new Map(),
    brokerTime: time,
  };
}

/**
 * What the reply subject of a record says: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer
 * sequence>.<nanoseconds>.<pending>`, and with domain and account before the stream in the newer form.
 */
export function parseDelivery(reply: string): { number: number; delivery: number; time: number } | undefined {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  const number = Number(tokens[at]);
  const delivery = Number(tokens[at + 1]);
  const time = Math.floor(Number(tokens[at + 2]) / NANOS);
  if (!reply.startsWith('$JS.ACK.') || !Number.isSafeInteger(number) || !Number.isSafeInteger(time)) return undefined;
  return { number, delivery, time };
}
