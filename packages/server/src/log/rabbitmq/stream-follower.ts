/**
 * Follows one stream: a consumer whose messages are given in batches, one at a time. Offsets ascend but not without
 * holes, since RabbitMQ keeps notes of its own among the messages (one at the begin of each segment); a hole is proved
 * to be one of those by the oldest message: streams are trimmed oldest first, so while what stands before the hole is
 * still held, nothing in it was a record.
 */
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { FollowEvents, Following, StoredRecord } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import { positionOf } from '../position.ts';
import { isGone } from './rabbitmq-failure.ts';
import { fromMessage } from './rabbitmq-record.ts';
import { goneError } from './stream-looks.ts';

/** What the broker sends ahead of our acknowledgements, give or take one of its chunks. */
const PREFETCH = 500;

export class StreamFollower implements Following {
  readonly #queue: string;
  readonly #events: FollowEvents;
  readonly #oldest: () => Promise<number>;
  /** The number of the last record given. */
  #given: number;
  #channel: Channel | undefined;
  #ahead: StoredRecord[] = [];
  #last: ConsumeMessage | undefined;
  #isBusy = false;
  #isOver = false;

  private constructor(queue: string, after: number, events: FollowEvents, oldest: () => Promise<number>) {
    this.#queue = queue;
    this.#given = after;
    this.#events = events;
    this.#oldest = oldest;
  }

  /** @param oldest gives the number of the oldest message that the stream holds now */
  static async start(
    model: ChannelModel,
    queue: string,
    after: number,
    events: FollowEvents,
    oldest: () => Promise<number>,
  ): Promise<StreamFollower> {
    const follower = new StreamFollower(queue, after, events, oldest);
    await follower.#attach(model);
    return follower;
  }

  async stop(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    this.#isOver = true;
    await this.#channel?.close().catch(() => undefined);
  }

  async #attach(model: ChannelModel): Promise<void> {
    const channel = await model.createChannel();
    this.#channel = channel;
    let isFollowing = false;
    const fail = (error: Error): void => {
      if (isFollowing) this.#end(error);
    };
    channel.on('error', fail);
    channel.on('close', () => fail(new Error(`the consumer of ${this.#queue} was cut off`)));
    await channel.prefetch(PREFETCH);
    try {
      // From the record of the place itself: that it comes shows that nothing behind it is gone.
      await channel.consume(this.#queue, (message) => this.#take(message), {
        arguments: { 'x-stream-offset': this.#given },
      });
      isFollowing = true;
    } catch (error) {
      this.#isOver = true;
      throw isGone(error) ? goneError(this.#queue, error) : error;
    }
  }

  #take(message: ConsumeMessage | null): void {
    if (this.#isOver) return;
    if (message === null) return this.#end(goneError(this.#queue));
    this.#ahead.push(fromMessage(message));
    this.#last = message;
    if (this.#isBusy) return;
    this.#isBusy = true;
    // What the socket brought with it comes in the same turn.
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#ahead.length > 0 && !this.#isOver) {
        const records = this.#ahead;
        const last = this.#last;
        this.#ahead = [];
        const wait = this.#give(records);
        if (wait !== undefined) await wait;
        if (!this.#isOver && last !== undefined) this.#channel?.ack(last, true);
      }
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(String(error)));
    }
    this.#isBusy = false;
  }

  /** Gives what has no hole at once. */
  #give(records: readonly StoredRecord[]): Promise<void> | undefined {
    const before = records.findIndex(({ number }) => number > this.#given);
    if (before < 0) return undefined;
    const fresh = before === 0 ? records : records.slice(before);
    let expected = this.#given + 1;
    if (before > 0) expected = Math.max(expected, (records[before - 1] as StoredRecord).number + 1);
    const hole = fresh.findIndex(({ number }) => number !== expected++);
    if (hole >= 0) return this.#giveAcross(fresh, hole);
    this.#given = expected - 1;
    return this.#events.onRecords(fresh);
  }

  async #giveAcross(records: readonly StoredRecord[], hole: number): Promise<void> {
    const known = records[hole - 1]?.number ?? this.#given;
    const next = (records[hole] as StoredRecord).number;
    if (hole > 0) {
      this.#given = known;
      await this.#events.onRecords(records.slice(0, hole));
    }
    await proveHole(this.#queue, known, next, this.#oldest);
    if (this.#isOver) return;
    this.#given = next - 1;
    await this.#give(records.slice(hole));
  }

  #end(error: Error): void {
    if (this.#isOver) return;
    void this.stop();
    this.#events.onEnd(error);
  }
}

/** Resolves when nothing that was ever a record can stand between two numbers that follow each other in a stream. */
export async function proveHole(
  queue: string,
  known: number,
  next: number,
  readOldest: () => Promise<number>,
): Promise<void> {
  const oldest = await readOldest();
  if (oldest <= known + 1) return;
  const message = `the stream ${queue} was trimmed: ${next} followed ${known}, and its oldest is ${oldest} now`;
  throw new TailError('trimmed', message, { oldest: positionOf(oldest - 1) });
}
