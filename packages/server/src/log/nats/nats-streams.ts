/**
 * What a log keeps on JetStream beside its records: one stream for each partition, made where it is missing, and one
 * with the constants, of which the newest message counts. Writers of constants name the message they have read, so the
 * first of two wins. A stream's time of creation is its identity: made anew, it is another partition.
 */
import { formatEpoch } from '@tideway/protocol';
import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream';
import { nodeEnv, type Env } from '../../env.ts';
import { BrokerError, type StoredConstants, type StoredPartition } from '../broker/broker-port.ts';
import { apiCodeOf, apiCodes } from './nats-fault.ts';
import type { NatsNames } from './nats-subject.ts';

/** How often two nodes may meet on the constants before this one gives up. */
const ATTEMPTS = 10;

export interface StreamsOptions {
  readonly manager: JetStreamManager;
  readonly names: NatsNames;
  /** `undefined`: what the streams have, 1 for new ones. */
  readonly replicas: number | undefined;
  readonly env?: Env;
}

/** What the partitions are. */
export interface Settled {
  readonly constants: StoredConstants;
  /** The smallest number of copies of a partition. */
  readonly replicas: number;
}

export class NatsStreams {
  readonly #manager: JetStreamManager;
  readonly #names: NatsNames;
  readonly #replicas: number | undefined;
  readonly #env: Env;

  constructor({ manager, names, replicas, env }: StreamsOptions) {
    this.#manager = manager;
    this.#names = names;
    this.#replicas = replicas;
    this.#env = env ?? nodeEnv;
  }

  /** Makes what is missing and returns the constants; `wanted` are those of a log that has none. */
  async settle(wanted: StoredConstants): Promise<Settled> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const kept = await this.#readConstants();
      const plan = kept.constants ?? wanted;
      const streams = await Promise.all(plan.partitions.map((_, partition) => this.#ensurePartition(partition)));
      const partitions = plan.partitions.map((partition, n): StoredPartition => {
        const identity = (streams[n] as StreamInfo).created;
        if (partition.identity === identity) return partition;
        const isFresh = kept.constants === undefined;
        return { epoch: isFresh ? partition.epoch : formatEpoch(this.#env.randomBytes(6)), identity };
      });
      const constants = { ...plan, partitions };
      const isKept = kept.constants !== undefined && partitions.every((one, n) => one === plan.partitions[n]);
      if (!isKept && !(await this.#writeConstants(constants, kept.sequence))) continue;
      return { constants, replicas: Math.min(...streams.map(({ config }) => config.num_replicas)) };
    }
    throw new Error(`the constants in ${this.#names.constantsStream} change all the time; other nodes are at it`);
  }

  async #readConstants(): Promise<{ constants: StoredConstants | undefined; sequence: number }> {
    const stream = this.#names.constantsStream;
    const { state } = await this.#ensure({
      name: stream,
      subjects: [this.#names.constantsSubject],
      deny_delete: true,
      deny_purge: true,
    });
    const sequence = state.last_seq;
    if (sequence === 0) return { constants: undefined, sequence };
    const message = await this.#manager.streams.getMessage(stream, { seq: sequence });
    if (message === null) return { constants: undefined, sequence };
    return { constants: parseConstants(message.string(), stream), sequence };
  }

  async #writeConstants(constants: StoredConstants, sequence: number): Promise<boolean> {
    try {
      await this.#manager
        .jetstream()
        .publish(this.#names.constantsSubject, JSON.stringify(constants), { expect: { lastSequence: sequence } });
      return true;
    } catch (error) {
      if (apiCodeOf(error) === apiCodes.wrongLastSequence) return false;
      throw error;
    }
  }

  async #ensurePartition(partition: number): Promise<StreamInfo> {
    const name = this.#names.stream(partition);
    const info = await this.#ensure({
      name,
      subjects: [this.#names.streamSubjects(partition)],
      // What is full refuses: only a node that has settled its view may let go of the oldest.
      discard: 'new',
      deny_delete: true,
    });
    const { config } = info;
    const holes = [
      config.max_msgs_per_subject > 0 && 'max_msgs_per_subject',
      config.allow_msg_ttl === true && 'allow_msg_ttl',
      config.retention !== 'limits' && `retention ${config.retention}`,
    ].filter((hole) => hole !== false);
    if (holes.length > 0) {
      throw final(`the stream ${name} has ${holes.join(' and ')}: records would vanish from its middle`);
    }
    return info;
  }

  async #ensure(config: Partial<StreamConfig> & { name: string; subjects: string[] }): Promise<StreamInfo> {
    const { streams } = this.#manager;
    let info: StreamInfo;
    try {
      info = await streams.info(config.name);
    } catch (error) {
      if (apiCodeOf(error) !== apiCodes.streamNotFound) throw error;
      try {
        return await streams.add({ ...config, num_replicas: this.#replicas ?? 1 });
      } catch (refusal) {
        if (apiCodeOf(refusal) !== apiCodes.streamNameInUse) throw refusal;
        info = await streams.info(config.name);
      }
    }
    const has = info.config.num_replicas;
    if (this.#replicas !== undefined && has !== this.#replicas) {
      const edit = `nats stream edit ${config.name} --replicas ${this.#replicas}`;
      throw final(`the stream ${config.name} has ${has} replicas, the address says ${this.#replicas}; ${edit}`);
    }
    return info;
  }
}

function final(message: string): BrokerError {
  return new BrokerError(message, { isFinal: true });
}

function parseConstants(text: string, stream: string): StoredConstants {
  let parsed: Partial<StoredConstants> | null;
  try {
    parsed = JSON.parse(text) as Partial<StoredConstants> | null;
  } catch {
    parsed = null;
  }
  const { format, window, partitions } = parsed ?? {};
  const isWhole =
    Number.isSafeInteger(window) &&
    Array.isArray(partitions) &&
    partitions.length > 0 &&
    partitions.every((one: Partial<StoredPartition> | null) => typeof one?.epoch === 'string');
  if (format !== undefined && format !== 1) {
    throw final(`the log in ${stream} has the format ${format}; this version of Tideway knows 1`);
  }
  if (format === undefined || !isWhole) throw final(`the newest message of ${stream} is no constants of a log`);
  return { format, window: window as number, partitions: partitions as readonly StoredPartition[] };
}
