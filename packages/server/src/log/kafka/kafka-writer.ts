/**
 * Appends to one partition, one batch at a time. Each batch carries a producer's id, its epoch and a sequence number, by
 * which the broker knows a batch that it has already: one whose answer was lost is sent again until the deadline, to
 * the new leader if there is one, and is stored once. After an outcome that stays unknown the epoch is raised, so that
 * a copy still under way can never be stored behind a later record.
 */
import { performance } from 'node:perf_hooks';
import type { AppendOutcome } from '../log.ts';
import type { NativeRecord } from '../broker/native-record.ts';
import { ANSWER_MS, type KafkaCluster } from './kafka-cluster.ts';
import { faultCode, faults, faultText, leaderFaults } from './kafka-fault.ts';
import type { Connection } from './kafka-library.ts';
import { encodeBatch, recordBytesBound, type BatchProducer, type BatchTools } from './record-batch.ts';

export interface WriterPlace {
  readonly topic: string;
  readonly partition: number;
}

/** A batch is filled up to here; a larger record goes alone. */
const BATCH_BYTES = 1024 * 1024;
/** A broker has a connection for each of so many partitions; others share them. */
const CONNECTIONS = 16;
/** Between two tries. */
const PAUSE_MS = 50;
/** How long the leader may wait for its replicas; less than its answer may take. */
const REPLICAS_MS = ANSWER_MS - 1_000;
const EPOCH_MAX = 32_767;
const SEQUENCES = 2 ** 31;
const PRODUCE = { key: 0, version: 9 } as const;
const ALL_IN_SYNC = -1;

/** A second copy of a batch would not be known, or was not taken, for another reason than the batch itself. */
const producerFaults: ReadonlySet<number> = new Set([
  faults.outOfOrderSequence,
  faults.producerEpochOld,
  faults.producerUnknown,
]);
/**
 * The batch may be in the leader's log. A leader that is none any more may be the answer of one that appended it and
 * lost its office while it waited for its replicas: they may have it.
 */
const maybeFaults: ReadonlySet<number> = new Set([
  ...leaderFaults,
  faults.unknown,
  faults.requestTimedOut,
  faults.notEnoughReplicasAfterAppend,
  faults.networkException,
  faults.storage,
]);

export class KafkaWriter {
  readonly #place: WriterPlace;
  #producer: BatchProducer | undefined;

  constructor(place: WriterPlace) {
    this.#place = place;
  }

  /** After the first record that is not stored, none is. */
  async append(
    cluster: KafkaCluster,
    tools: BatchTools,
    records: readonly NativeRecord[],
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    const until = performance.now() + deadlineMs;
    const outcomes: AppendOutcome[] = [];
    while (outcomes.length < records.length) {
      const batch = takeBatch(records, outcomes.length);
      const outcome = await this.#store(cluster, tools, batch, until);
      for (const _ of batch) outcomes.push(outcome);
      if (outcome.state !== 'stored') break;
    }
    const message = 'a record before it was not stored, so this one was not sent';
    while (outcomes.length < records.length) outcomes.push({ state: 'refused', code: 'not_durable', message });
    return outcomes;
  }

  async #store(
    cluster: KafkaCluster,
    tools: BatchTools,
    records: readonly NativeRecord[],
    until: number,
  ): Promise<AppendOutcome> {
    let maybeStored = false;
    let why = 'no leader is known';
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) {
        if (cluster.ended !== undefined || performance.now() + PAUSE_MS >= until) break;
        await pause(PAUSE_MS);
        await within(cluster.refresh(), until).catch(() => undefined);
      }
      if (cluster.ended !== undefined) {
        why = cluster.ended.message;
        break;
      }
      const { topic, partition } = this.#place;
      const leader = cluster.leader(topic, partition)?.leader;
      if (leader === undefined) continue;
      const sent = await this.#send(cluster, tools, leader, records, until);
      if (sent.state === 'stored') {
        this.#advance(records.length);
        return sent;
      }
      why = sent.message;
      if (sent.state === 'maybe') maybeStored = true;
      if (sent.state === 'maybe' || sent.state === 'again') continue;
      // What the broker says of this copy is not what became of an earlier one.
      if (maybeStored) break;
      if (sent.state === 'refused') return sent;
      this.#renew();
    }
    const message = `${cluster.address.place}, partition ${this.#place.partition}: ${why}`;
    if (!maybeStored) return { state: 'refused', code: 'not_durable', message };
    this.#renew();
    return { state: 'unknown', message };
  }

  async #send(
    cluster: KafkaCluster,
    tools: BatchTools,
    leader: number,
    records: readonly NativeRecord[],
    until: number,
  ): Promise<AppendOutcome | { state: 'maybe' | 'again' | 'renew'; message: string }> {
    const { topic, partition } = this.#place;
    const use = `write ${partition % CONNECTIONS}`;
    let isSent = false;
    try {
      const connection = await within(cluster.connection(leader, use), until);
      this.#producer ??= await within(newProducer(cluster), until);
      const batch = encodeBatch(records, this.#producer, Date.now(), tools);
      isSent = true;
      const producing = produce(cluster, connection, topic, partition, batch);
      await within(producing, until).catch((error: unknown) => {
        // Whatever waits behind it on this connection would wait too.
        if (error instanceof Late) connection.socket.destroy();
        throw error;
      });
      return { state: 'stored' };
    } catch (error) {
      const code = faultCode(error);
      const message = faultText(error);
      if (!isSent) return { state: 'again', message };
      if (code === undefined) return { state: 'maybe', message };
      if (code === faults.duplicateSequence) return { state: 'stored' };
      if (maybeFaults.has(code)) return { state: 'maybe', message };
      if (producerFaults.has(code)) return { state: 'renew', message };
      if (code === faults.notEnoughReplicas) return { state: 'again', message };
      const isTooLarge = code === faults.tooLarge || code === faults.listTooLarge;
      return { state: 'refused', code: isTooLarge ? 'too_large' : 'not_durable', message };
    }
  }

  #advance(count: number): void {
    const { id, epoch, sequence } = this.#producer as BatchProducer;
    this.#producer = { id, epoch, sequence: (sequence + count) % SEQUENCES };
  }

  /** The next batch begins anew; the partition refuses older ones from the moment it is stored. */
  #renew(): void {
    const { id, epoch } = this.#producer ?? { id: 0n, epoch: EPOCH_MAX };
    this.#producer = epoch < EPOCH_MAX ? { id, epoch: epoch + 1, sequence: 0 } : undefined;
  }
}

/** The records from one on that go into one batch. */
function takeBatch(records: readonly NativeRecord[], from: number): readonly NativeRecord[] {
  let bytes = 0;
  let to = from;
  for (; to < records.length; to++) {
    bytes += recordBytesBound(records[to] as NativeRecord);
    if (bytes > BATCH_BYTES && to > from) break;
  }
  return from === 0 && to === records.length ? records : records.slice(from, to);
}

async function newProducer(cluster: KafkaCluster): Promise<BatchProducer> {
  const { producerId, producerEpoch } = await cluster.call(cluster.anyBroker(), 'ask', (connection) =>
    cluster.kafka.initProducerIdV4.api.async(connection, null, ANSWER_MS),
  );
  return { id: producerId, epoch: producerEpoch, sequence: 0 };
}

/** Sends one batch to the leader; resolves when all replicas in sync have it. */
export function produce(
  { kafka }: KafkaCluster,
  connection: Connection,
  topic: string,
  partition: number,
  batch: Buffer,
  acknowledgements = ALL_IN_SYNC,
): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.send(
      PRODUCE.key,
      PRODUCE.version,
      () =>
        kafka.Writer.create()
          .appendString(null)
          .appendInt16(acknowledgements)
          .appendInt32(REPLICAS_MS)
          .appendArray([topic], (ofTopic, name) => {
            ofTopic.appendString(name).appendArray([partition], (ofPartition, index) => {
              ofPartition
                .appendInt32(index)
                .appendUnsignedVarInt(batch.length + 1)
                .append(batch);
            });
          })
          .appendTaggedFields(),
      kafka.produceV9.parseResponse,
      true,
      true,
      (error) => (error === null ? resolve() : reject(error)),
    );
  });
}

class Late extends Error {}

/** Rejects at the deadline. */
function within<T>(promise: Promise<T>, until: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late('no answer in time')), Math.max(1, until - performance.now()));
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}
