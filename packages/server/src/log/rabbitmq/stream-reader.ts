/** Reads one stream: its ends, a record, a page. */
import type { ChannelModel, ConsumeMessage } from 'amqplib';
import { nodeEnv, randomId } from '../../env.ts';
import type { PortBounds, StoredRecord } from '../broker/broker-port.ts';
import { fromMessage, isProbe, offsetOf } from './rabbitmq-record.ts';
import { PAGE_BYTES, StreamCursor } from './stream-cursor.ts';
import { proveHole } from './stream-follower.ts';
import type { StreamLooks } from './stream-looks.ts';
import type { StreamWriter } from './stream-writer.ts';

const PAGE_AHEAD = 100;
/** A member of a cluster is behind the leader for so long, and no longer, while all is well. */
const BEHIND_MS = 1_000;
const PROBE_MS = 3_000;
const PAUSE_MS = 50;

/** How far a stream reached when it was last read, on whichever connection. */
export interface SeenEnd {
  newest: number;
}

export interface StreamReaderParts {
  readonly model: ChannelModel;
  readonly looks: StreamLooks;
  readonly queue: string;
  readonly writer: StreamWriter;
  readonly seen: SeenEnd;
  /** The member that we are connected to lacks what others have: another one is to be tried. */
  onBehind(error: Error): void;
}

export class StreamReader {
  readonly #model: ChannelModel;
  readonly #looks: StreamLooks;
  readonly #queue: string;
  readonly #writer: StreamWriter;
  readonly #seen: SeenEnd;
  readonly #onBehind: (error: Error) => void;
  /** The stream reaches at least as far as this. */
  #newestKnown = 0;
  /** Of who catches up, at the end of the last page. */
  #cursor: StreamCursor | undefined;
  /** How many messages are about a page, by the last one. */
  #pageAhead = PAGE_AHEAD;

  constructor(parts: StreamReaderParts) {
    this.#model = parts.model;
    this.#looks = parts.looks;
    this.#queue = parts.queue;
    this.#writer = parts.writer;
    this.#seen = parts.seen;
    this.#onBehind = (error) => parts.onBehind(error);
  }

  /** The offset of the oldest message that the stream holds. */
  readonly oldest = async (): Promise<number> => {
    let oldest: number | undefined;
    await this.#looks.look(this.#queue, 'first', 1, (message) => {
      oldest ??= offsetOf(message);
      return false;
    });
    return oldest as number;
  };

  async bounds(): Promise<PortBounds> {
    const [oldest, { newest }] = await Promise.all([this.oldest(), this.#end()]);
    return { oldest: Math.max(0, oldest - 1), newest };
  }

  async at(number: number): Promise<StoredRecord | undefined> {
    if (number < 1) return undefined;
    const { newest, ending } = await this.#end();
    if (number > newest) return undefined;
    let found = ending.find((message) => offsetOf(message) === number);
    if (found === undefined && offsetOf(ending[0] as ConsumeMessage) > number) {
      await this.#looks.look(this.#queue, number, 1, (message) => {
        if (offsetOf(message) === number) found = message;
        return offsetOf(message) < number;
      });
    }
    return found === undefined ? undefined : fromMessage(found);
  }

  async page(after: number, limit: number): Promise<readonly StoredRecord[]> {
    if (limit < 1) return [];
    // Far behind what is known to be there, the end does not matter.
    const isFar = this.#newestKnown - after >= 2 * limit;
    const messages = isFar ? await this.#farPage(after, limit) : await this.#endPage(after, limit);
    let before = after;
    for (const message of messages) {
      const offset = offsetOf(message);
      if (offset !== before + 1) await proveHole(this.#queue, before, offset, this.oldest);
      before = offset;
    }
    return messages.map((message) => fromMessage(message));
  }

  async #farPage(after: number, limit: number): Promise<readonly ConsumeMessage[]> {
    let cursor = this.#cursor;
    this.#cursor = undefined;
    const ahead = 2 * Math.min(limit, this.#pageAhead);
    // One that was opened before it was known how small the messages are would wait for the broker again and again.
    if (cursor === undefined || cursor.isOver || cursor.after !== after || cursor.ahead < ahead / 2) {
      cursor?.close();
      cursor = await StreamCursor.open(this.#model, this.#queue, after, ahead);
    }
    try {
      const messages = await cursor.page(limit);
      const bytes = messages.reduce((sum, { content }) => sum + content.length, 0);
      this.#pageAhead = Math.ceil(PAGE_BYTES / (bytes / messages.length + 1));
      this.#keep(cursor);
      return messages;
    } catch (error) {
      cursor.close();
      throw error;
    }
  }

  /** In the place of that of another reader who came meanwhile. */
  #keep(cursor: StreamCursor): void {
    this.#cursor?.close();
    this.#cursor = cursor;
  }

  async #endPage(after: number, limit: number): Promise<readonly ConsumeMessage[]> {
    const { newest, ending } = await this.#end();
    if (after >= newest) return [];
    const page = new Page(after, limit);
    if (offsetOf(ending[0] as ConsumeMessage) <= after) ending.every((message) => page.take(message));
    // From the record of the place itself: that it comes shows that nothing behind it is gone.
    else await this.#looks.look(this.#queue, after, limit + 1, (message) => page.take(message) && page.newest < newest);
    return page.messages;
  }

  /** What stands at the end, by the leader: at least the newest message. */
  async #end(): Promise<StreamEnd> {
    let end = await this.#localEnd();
    if (end.newest < this.#seen.newest) end = await this.#judge();
    this.#seen.newest = end.newest;
    this.#newestKnown = end.newest;
    return end;
  }

  /** As the member that we are connected to has it. */
  async #localEnd(): Promise<StreamEnd> {
    const ending: ConsumeMessage[] = [];
    await this.#looks.look(this.#queue, 'last', PAGE_AHEAD, (message) => {
      ending.push(message);
      return true;
    });
    return { newest: offsetOf(ending.at(-1) as ConsumeMessage), ending };
  }

  /**
   * The stream was longer once: it was rewound, or this member has not got everything yet that another one gave us.
   * What is written now goes to the leader: once it is here, so is everything that the leader has.
   */
  async #judge(): Promise<StreamEnd> {
    const isCaughtUp = await this.#until(BEHIND_MS, ({ newest }) => newest >= this.#seen.newest);
    if (isCaughtUp !== undefined) return isCaughtUp;
    const id = randomId(nodeEnv);
    await this.#writer.probe(id, PROBE_MS);
    const isJudged = await this.#until(PROBE_MS, ({ ending }) => ending.some((message) => isProbe(message, id)));
    if (isJudged !== undefined) return isJudged;
    const error = new Error(`this member of RabbitMQ has not got all of ${this.#queue} that another one has`);
    this.#onBehind(error);
    throw error;
  }

  async #until(deadlineMs: number, holds: (end: StreamEnd) => boolean): Promise<StreamEnd | undefined> {
    const untilMs = nodeEnv.monotonicMs() + deadlineMs;
    for (;;) {
      const end = await this.#localEnd();
      if (holds(end)) return end;
      if (nodeEnv.monotonicMs() >= untilMs) return undefined;
      await new Promise<void>((resolve) => nodeEnv.setTimer(PAUSE_MS, resolve));
    }
  }
}

interface StreamEnd {
  readonly newest: number;
  /** What ends with the newest. */
  readonly ending: readonly ConsumeMessage[];
}

/** What is taken of what comes until a page is full. */
class Page {
  readonly messages: ConsumeMessage[] = [];
  newest: number;
  readonly #limit: number;
  #bytes = 0;
  #isFull = false;

  constructor(after: number, limit: number) {
    this.newest = after;
    this.#limit = limit;
  }

  /** False when it is full. */
  take(message: ConsumeMessage): boolean {
    const offset = offsetOf(message);
    if (this.#isFull || offset <= this.newest) return !this.#isFull;
    this.#bytes += message.content.length;
    // One that is larger than a page is a page.
    if (this.messages.length > 0 && this.#bytes > PAGE_BYTES) {
      this.#isFull = true;
      return false;
    }
    this.newest = offset;
    this.messages.push(message);
    this.#isFull = this.messages.length === this.#limit;
    return !this.#isFull;
  }
}
