/**
 * Writes to one stream, in order, and waits for the broker's confirmation of each record. Goes to the queue itself and
 * not through an exchange: who has bound what else must not have a say in what `stored` means.
 */
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { nodeEnv } from '../../env.ts';
import type { AppendOutcome } from '../log.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { within } from './deadline.ts';
import { probeProperties, toProperties } from './rabbitmq-record.ts';

type Confirmed = 'yes' | 'no' | undefined;

export class StreamWriter {
  readonly #model: ChannelModel;
  readonly #queue: string;
  #channel: ConfirmChannel | undefined;
  /** How many of the batch under way found no queue. */
  #returned = 0;

  constructor(model: ChannelModel, queue: string) {
    this.#model = model;
    this.#queue = queue;
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
        resolve(outcomes(confirmed, this.#returned, why));
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
    channel.on('error', () => undefined);
    channel.on('close', () => {
      if (this.#channel === channel) this.#channel = undefined;
    });
    return channel;
  }
}

/** What was confirmed up to the first that was not is stored; what found no queue is not; the rest may be. */
function outcomes(confirmed: readonly Confirmed[], returned: number, why: string): readonly AppendOutcome[] {
  const sent = confirmed.length - returned;
  let isWhole = true;
  return confirmed.map((said, index) => {
    if (index >= sent) return { state: 'refused', code: 'not_durable', message: 'the stream is not there any more' };
    isWhole &&= said === 'yes';
    return isWhole ? { state: 'stored' } : { state: 'unknown', message: why };
  });
}
