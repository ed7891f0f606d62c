/**
 * Writes to one stream, in order, and waits for the broker's confirmation of each record. Goes to the queue itself and
 * not through an exchange: who has bound what else must not have a say in what `stored` means.
 */
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { nodeEnv } from '../../env.ts';
import type { AppendOutcome } from '../log.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { within } from './deadline.ts';
import { bytesMaxIn } from './rabbitmq-failure.ts';
import { probeProperties, toProperties } from './rabbitmq-record.ts';

type Confirmed = 'yes' | 'no' | undefined;

export class StreamWriter {
  readonly #model: ChannelModel;
  readonly #queue: string;
  #channel: ConfirmChannel | undefined;
  readonly #onBytesMax: (bytes: number) => void;
  /** How many of the batch under way found no queue. */
  #returned = 0;
  /** The largest message that the server takes, as far as it has said so. */
  #bytesMax = Number.POSITIVE_INFINITY;

  /** @param onBytesMax told how large a message may be, when the server has refused a larger one */
  constructor(model: ChannelModel, queue: string, onBytesMax: (bytes: number) => void) {
    this.#model = model;
    this.#queue = queue;
    this.#onBytesMax = onBytesMax;
  }

  /** Never rejects. */
  async append(records: readonly NativeRecord[], deadlineMs: number): Promise<readonly AppendOutcome[]> {
    const untilMs = nodeEnv.monotonicMs() + deadlineMs;
    let channel: ConfirmChannel;
    try {
      channel = await within(
        this.#open(),
        deadlineMs,
        () => new Error(`RabbitMQ opened no channel for ${this.#queue}`),
      );
    } catch (error) {
      const message = `nothing was sent: ${error instanceof Error ? error.message : String(error)}`;
      return records.map(() => ({ state: 'refused', code: 'not_durable', message }));
    }
    return this.#publish(channel, records, untilMs - nodeEnv.monotonicMs());
  }

  /** Writes a probe. Rejects where it may not be there. */
  async probe(id: string, deadlineMs: number): Promise<void> {
    const late = (): Error => new Error(`RabbitMQ did not confirm a probe of ${this.#queue}`);
    const channel = await within(this.#open(), deadlineMs, late);
    const confirmed = new Promise<void>((resolve, reject) => {
      channel.publish('', this.#queue, Buffer.alloc(0), probeProperties(id), (error: unknown) =>
        error instanceof Error ? reject(error) : resolve(),
      );
    });
    await within(confirmed, deadlineMs, late);
  }

  #publish(
    channel: ConfirmChannel,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    this.#returned = 0;
    const confirmed: Confirmed[] = new Array<Confirmed>(records.length).fill(undefined);
    let open = records.length;
    return new Promise((resolve) => {
      const answer = (why: string): void => {
        cancel();
        resolve(this.#outcomes(records, confirmed, why));
      };
      const cancel = nodeEnv.setTimer(deadlineMs, () => answer(`RabbitMQ did not confirm within ${deadlineMs} ms`));
      try {
        records.forEach((record, index) => {
          channel.publish('', this.#queue, record.value, toProperties(record), (error: unknown) => {
            confirmed[index] = error === null ? 'yes' : 'no';
            if (--open === 0) answer(error instanceof Error ? error.message : 'RabbitMQ did not take it');
          });
        });
      } catch (error) {
        answer(error instanceof Error ? error.message : String(error));
      }
    });
  }

  async #open(): Promise<ConfirmChannel> {
    if (this.#channel !== undefined) return this.#channel;
    const channel = await this.#model.createConfirmChannel();
    this.#channel = channel;
    channel.on('return', () => this.#returned++);
    // It ends the channel, before those that wait are told.
    channel.on('error', (error) => {
      const bytes = bytesMaxIn(error);
      if (bytes === undefined) return;
      this.#bytesMax = bytes;
      this.#onBytesMax(bytes);
    });
    channel.on('close', () => {
      if (this.#channel === channel) this.#channel = undefined;
    });
    return channel;
  }

  /** What was confirmed up to the first that was not is stored; what found no queue, or no room, is not; the rest may be. */
  #outcomes(records: readonly NativeRecord[], confirmed: readonly Confirmed[], why: string): readonly AppendOutcome[] {
    const found = records.length - this.#returned;
    // The server takes nothing from a message on that is too large.
    const large = records.findIndex(({ value }) => value.length > this.#bytesMax);
    let isWhole = true;
    return records.map(({ value }, index) => {
      if (index === large) {
        const message = `the payload has ${value.length} bytes; RabbitMQ takes ${this.#bytesMax} (max_message_size)`;
        return { state: 'refused', code: 'too_large', message };
      }
      if (large >= 0 && index > large) {
        return { state: 'refused', code: 'not_durable', message: 'a record before it was too large for RabbitMQ' };
      }
      if (index >= found) return { state: 'refused', code: 'not_durable', message: 'the stream is not there any more' };
      isWhole &&= confirmed[index] === 'yes';
      return isWhole ? { state: 'stored' } : { state: 'unknown', message: why };
    });
  }
}
