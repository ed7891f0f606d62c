/**
 * The constants of a log, in a small stream that is never trimmed. Each message proposes a generation of them; the
 * first one that proposes the next generation wins, whoever else was as quick. Streams of a generation are made before
 * it is proposed and have the epoch in their name, so one that is missing later was deleted.
 */
import type { ChannelModel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import { formatEpoch } from '@tideway/protocol';
import { nodeEnv } from '../../env.ts';
import { BrokerError, type StoredConstants, type StoredPartition } from '../broker/broker-port.ts';
import { TailError } from '../log.ts';
import type { RabbitmqAddress } from './rabbitmq-address.ts';
import { commandFailure, isLocked } from './rabbitmq-failure.ts';
import { genesisOf, genesisProperties } from './rabbitmq-record.ts';
import { SilentStreamError, type StreamLooks } from './stream-looks.ts';

/** A partition and the name of its stream. */
export interface StreamPartition extends StoredPartition {
  readonly identity: string;
}

export interface StreamConstants extends StoredConstants {
  readonly generation: number;
  readonly partitions: readonly StreamPartition[];
}

/** How soon to look again whether another node is done. */
const LOCKED_MS = 50;
/** How long a stream that exists may stay empty: whoever made it is about to write, or died in between. */
const EMPTY_MS = 2_000;
const AHEAD = 100;

export class ConstantsStream {
  readonly #address: RabbitmqAddress;
  readonly #model: ChannelModel;
  readonly #looks: StreamLooks;
  readonly #queue: string;

  constructor(address: RabbitmqAddress, writing: ChannelModel, looks: StreamLooks) {
    this.#address = address;
    this.#model = writing;
    this.#looks = looks;
    this.#queue = `${address.name}.constants`;
  }

  /** The constants in force, with every stream of them there. */
  async settle(wanted: StoredConstants): Promise<StreamConstants> {
    const { stored, lost } = await this.#look();
    let constants = lost.length === 0 ? stored : undefined;
    while (constants === undefined) constants = await this.#alone(() => this.#make(wanted));
    return constants;
  }

  /** Proposes what is missing; gives what is in force once nothing is. */
  async #make(wanted: StoredConstants): Promise<StreamConstants | undefined> {
    const { stored, lost } = await this.#look();
    if (stored !== undefined && lost.length === 0) return stored;
    const partitions =
      stored === undefined
        ? wanted.partitions.map(({ epoch }, index) => this.#named(epoch, index))
        : stored.partitions.map((partition, index) =>
            lost.includes(index) ? this.#named(formatEpoch(nodeEnv.randomBytes(6)), index) : partition,
          );
    const { window } = stored ?? wanted;
    await this.#propose({ format: 1, generation: (stored?.generation ?? 0) + 1, window, partitions }, stored);
    return undefined;
  }

  /** What is in force, and which partitions of it are not there any more. */
  async #look(): Promise<{ readonly stored: StreamConstants | undefined; readonly lost: readonly number[] }> {
    const stored = await this.#read();
    return { stored, lost: stored === undefined ? [] : await this.#lostOf(stored) };
  }

  /**
   * While no other node does it. Who comes first would win anyhow; but a RabbitMQ that is told to write into a stream
   * which another connection is just making ends the connection (3.10: internal error). The lock is a queue that belongs
   * to one connection and dies with it.
   */
  async #alone<T>(run: () => Promise<T>): Promise<T> {
    const lock = `${this.#address.name}.lock`;
    for (;;) {
      try {
        await this.#command(`lock ${lock}`, (channel) =>
          channel.assertQueue(lock, { exclusive: true, durable: false }),
        );
        break;
      } catch (error) {
        if (!(error instanceof Error) || !isLocked(error.cause)) throw error;
        await new Promise<void>((resolve) => nodeEnv.setTimer(LOCKED_MS, resolve));
      }
    }
    try {
      return await run();
    } finally {
      await this.#command(`unlock ${lock}`, (channel) => channel.deleteQueue(lock));
    }
  }

  /** Makes the new streams, then says so; those of a proposal that came too late are removed again. */
  async #propose(proposal: StreamConstants, before: StreamConstants | undefined): Promise<void> {
    const made = proposal.partitions.filter((one, index) => one.identity !== before?.partitions[index]?.identity);
    await this.#command('make the streams of the log', async (channel) => {
      const { keepBytes, segmentBytes } = this.#address;
      // First: where it cannot be had, nothing else is made in vain.
      await channel.assertQueue(this.#queue, { durable: true, arguments: { 'x-queue-type': 'stream' } });
      for (const { identity, epoch } of made) {
        await channel.assertQueue(identity, {
          durable: true,
          arguments: {
            'x-queue-type': 'stream',
            'x-max-length-bytes': keepBytes,
            'x-stream-max-segment-size-bytes': segmentBytes,
            'x-queue-leader-locator': 'balanced',
          },
        });
        channel.publish('', identity, Buffer.alloc(0), genesisProperties(epoch));
      }
      await channel.waitForConfirms();
      channel.sendToQueue(this.#queue, Buffer.from(JSON.stringify(proposal)), {
        persistent: true,
        contentType: 'application/json',
      });
      await channel.waitForConfirms();
    });
    const winner = await this.#read();
    const kept = new Set(winner?.partitions.map(({ identity }) => identity));
    const spare = made.filter(({ identity }) => !kept.has(identity));
    if (spare.length === 0) return;
    await this.#command('remove the streams of a log that another node has made', async (channel) => {
      for (const { identity } of spare) await channel.deleteQueue(identity);
    });
  }

  /**
   * `undefined` where nothing was proposed yet. Whether a stream is there is seen by reading it, on the member at hand: to
   * ask for the queue would ask its leader, and wait for one that hangs.
   */
  async #read(): Promise<StreamConstants | undefined> {
    let constants: StreamConstants | undefined;
    const take = ({ content }: ConsumeMessage): boolean => {
      const proposal = parseConstants(content);
      if (proposal?.generation === (constants?.generation ?? 0) + 1) constants = proposal;
      return true;
    };
    try {
      await this.#looks.look(this.#queue, 'first', AHEAD, take, EMPTY_MS);
    } catch (error) {
      const isNone = error instanceof SilentStreamError || error instanceof TailError;
      if (!isNone) throw commandFailure(error, `read ${this.#queue}`, this.#address);
    }
    return constants;
  }

  /** Which partitions are not those any more that were made with these constants. */
  async #lostOf({ partitions }: StreamConstants): Promise<number[]> {
    const lost: number[] = [];
    for (const [index, { identity, epoch }] of partitions.entries()) {
      if (!(await this.#isOf(identity, epoch))) lost.push(index);
    }
    return lost;
  }

  /** False where the stream is gone, or begins with something else than its first message: someone has made it anew. */
  async #isOf(identity: string, epoch: string): Promise<boolean> {
    let isOf = true;
    const take = (message: ConsumeMessage): boolean => {
      const offset: unknown = message.properties.headers?.['x-stream-offset'];
      isOf = offset !== 0 || genesisOf(message) === epoch;
      return false;
    };
    try {
      await this.#looks.look(identity, 'first', 1, take);
      return isOf;
    } catch (error) {
      if (error instanceof TailError) return false;
      if (!(error instanceof SilentStreamError)) throw commandFailure(error, `read ${identity}`, this.#address);
      const message = `${error.message}, not even its first message: if its data is lost, delete the queue, and it is made anew with another epoch`;
      throw new BrokerError(message, { isFinal: false, cause: error });
    }
  }

  /** So that plain clients can write without knowing the epochs: exchange NAME, routing key = partition. */
  async bind({ partitions }: StreamConstants): Promise<void> {
    const { name } = this.#address;
    await this.#command('bind the streams of the log to their exchange', async (channel) => {
      await channel.assertExchange(name, 'direct', { durable: true });
      for (const [index, { identity }] of partitions.entries()) await channel.bindQueue(identity, name, String(index));
    });
  }

  #named(epoch: string, index: number): StreamPartition {
    return { epoch, identity: `${this.#address.name}.${index}.${epoch}` };
  }

  /** On a channel of its own, since RabbitMQ closes one on which a command fails. */
  async #command<T>(what: string, run: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    try {
      const channel = await this.#model.createConfirmChannel();
      channel.on('error', () => undefined);
      const result = await run(channel);
      await channel.close();
      return result;
    } catch (error) {
      throw commandFailure(error, what, this.#address);
    }
  }
}

function parseConstants(content: Buffer): StreamConstants | undefined {
  try {
    const value = JSON.parse(content.toString()) as Partial<StreamConstants> | null;
    if (!Number.isSafeInteger(value?.generation) || !Array.isArray(value?.partitions)) return undefined;
    // Written by us, or by somebody who means it: what is missing is refused by the log with its own words.
    return value as StreamConstants;
  } catch {
    return undefined;
  }
}
